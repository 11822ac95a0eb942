//! How a study was trained: its plan in numbers, its file, where it ran, and its files to take along.

use super::incidents::notes;
use crate::numbers;
use leptos::prelude::*;
use std::collections::BTreeSet;
use study::{Provenance, Report, StudyId};

pub fn how_it_was_trained(report: &Report, downloads: Option<StudyId>) -> impl IntoView + use<> {
    let files = downloads.map(|id| {
        view! {
            <p class="downloads">
                "Every epoch of every run: "
                <a href=format!("/api/v1/studies/{id}/metrics.csv") download="">"CSV"</a>", "
                <a href=format!("/api/v1/studies/{id}/metrics.json") download="">"JSON"</a>
                ". The comparison: "
                <a href=format!("/api/v1/studies/{id}/comparison")>"JSON"</a>
                ". What is taken for what: "
                <a href=format!("/api/v1/studies/{id}/confusion.json")>"JSON"</a>"."
            </p>
        }
    });
    view! {
        <section class="panel how" aria-labelledby="how-heading">
            <h2 id="how-heading">"How this was trained"</h2>
            {where_and_how(report)}
            {files}
            <details>
                <summary>"The study file"</summary>
                <pre class="toml" tabindex="0"><code>{report.study.to_toml()}</code></pre>
            </details>
        </section>
    }
}

fn where_and_how(report: &Report) -> impl IntoView + use<> {
    let provenance = alike(&report.provenance).into_iter().map(|it| view! { <li>{said(&it)}</li> }).collect_view();
    let notes = notes(report);
    let notes = (!notes.is_empty()).then(|| {
        view! {
            <h3>"On the way"</h3>
            <ul class="notes">{notes.into_iter().map(|note| view! { <li>{note}</li> }).collect_view()}</ul>
        }
    });
    view! {
        <p>{numbers::plan(report.runs, report.segments, report.epochs, report.epochs_without_sharing)}</p>
        <ul class="provenance">{provenance}</ul>
        {notes}
    }
}

/// What differs in nothing but the threads of its workers, with those.
struct Alike<'a> {
    provenance: &'a Provenance,
    threads: BTreeSet<u32>,
}

fn alike(all: &[Provenance]) -> Vec<Alike<'_>> {
    let mut found: Vec<Alike<'_>> = Vec::new();
    for provenance in all {
        let same =
            |it: &&mut Alike<'_>| Provenance { threads: it.provenance.threads, ..provenance.clone() } == *it.provenance;
        match found.iter_mut().find(same) {
            Some(it) => drop(it.threads.insert(provenance.threads)),
            None => found.push(Alike { provenance, threads: BTreeSet::from([provenance.threads]) }),
        }
    }
    found
}

fn said(Alike { provenance, threads }: &Alike<'_>) -> String {
    let said: Vec<String> = threads.iter().map(u32::to_string).collect();
    let noun = if threads.iter().eq(&[1]) { "thread" } else { "threads" };
    let host = if provenance.host.is_empty() { String::new() } else { format!(" on {}", provenance.host) };
    let checksum: String = provenance.data_checksum.chars().take(12).collect();
    format!(
        "Stillroom {}{host}: {}, {}, {} {noun} a worker; training version {}; data {checksum}…",
        provenance.version,
        provenance.device,
        provenance.instruction_set,
        said.join(" or "),
        provenance.training_version,
    )
}

/// Where it was trained, in a line.
pub(super) fn machines(report: &Report) -> String {
    let said: Vec<String> = alike(&report.provenance).iter().map(said).collect();
    format!("{}.", said.join("; "))
}

#[cfg(test)]
mod tests {
    use crate::report::tests::{page, report};
    use study::Provenance;

    #[test]
    fn machines_that_differ_in_threads_alone_are_one_line() {
        let mut report = report();
        let other = Provenance { threads: 2, ..report.provenance[0].clone() };
        report.provenance.push(other);
        assert!(page(&report).contains("avx2, 1 or 2 threads a worker"));
    }
}
