//! How a study was trained: its plan in numbers, its file, where it ran, and its files to take along.

use super::incidents::notes;
use crate::numbers;
use leptos::prelude::*;
use study::{Provenance, Report, StudyId};

pub fn how_it_was_trained(report: &Report, downloads: Option<StudyId>) -> impl IntoView + use<> {
    let files = downloads.map(|id| {
        view! {
            <p class="downloads">
                "Every epoch of every run: "
                <a href=format!("/api/v1/studies/{id}/metrics.csv") download="" rel="external">"CSV"</a>", "
                <a href=format!("/api/v1/studies/{id}/metrics.json") download="" rel="external">"JSON"</a>
                ". The comparison: "
                <a href=format!("/api/v1/studies/{id}/comparison") rel="external">"JSON"</a>"."
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
    let provenance = report.provenance.iter().map(|provenance| view! { <li>{said(provenance)}</li> }).collect_view();
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

fn said(provenance: &Provenance) -> String {
    let host = if provenance.host.is_empty() { String::new() } else { format!(" on {}", provenance.host) };
    let checksum: String = provenance.data_checksum.chars().take(12).collect();
    format!(
        "Stillroom {}{host}: {}, {}, {} a worker; training version {}; data {checksum}…",
        provenance.version,
        provenance.device,
        provenance.instruction_set,
        numbers::counted(u64::from(provenance.threads), "thread"),
        provenance.training_version,
    )
}
