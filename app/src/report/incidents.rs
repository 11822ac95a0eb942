//! What failed and what workers noted, with the runs that it touches.

use crate::numbers;
use leptos::prelude::*;
use std::collections::BTreeMap;
use study::{Failure, Happened, Incident, Report, Seed};

/// Arms named one by one; beyond these, runs are counted.
const ARMS_NAMED: usize = 3;

/// What keeps runs from their end: high on the page, since the answer lacks them.
pub fn what_failed(report: &Report) -> impl IntoView + use<> {
    let failed: Vec<(&Incident, &Failure)> = report
        .incidents
        .iter()
        .filter_map(|incident| match &incident.happened {
            Happened::Failed(failure) => Some((incident, failure)),
            Happened::Noted(_) => None,
        })
        .collect();
    (!failed.is_empty()).then(|| {
        let items = failed.into_iter().map(|(incident, failure)| {
            let when = match failure.epoch.0 {
                0 => "before its first epoch was done".to_owned(),
                epochs => format!("after {}", numbers::counted(u64::from(epochs), "epoch")),
            };
            view! {
                <li>
                    <strong>{trained(incident, report)}</strong>
                    {format!(", {when}: {}", failure.reason)}
                    {waiting(incident, report).map(|waiting| view! { <span class="touched">{waiting}</span> })}
                </li>
            }
        });
        let items = items.collect_view();
        view! {
            <section class="panel failed" aria-labelledby="failed-heading">
                <h2 id="failed-heading">"What failed"</h2>
                <ul class="failures">{items}</ul>
            </section>
        }
    })
}

/// What workers met and went on from, a sentence each.
pub fn notes(report: &Report) -> Vec<String> {
    let noted = report.incidents.iter().filter_map(|incident| match &incident.happened {
        Happened::Noted(note) => Some(format!("{}: {note}", trained(incident, report))),
        Happened::Failed(_) => None,
    });
    noted.collect()
}

/// What was being trained: a teacher by its network, a student by arm and seed.
fn trained(incident: &Incident, report: &Report) -> String {
    match incident.teacher {
        true => format!("Teacher {}, seed {}", incident.architecture, incident.seed),
        false if incident.runs.is_empty() => format!("{}, seed {}", incident.architecture, incident.seed),
        false => in_words(&incident.runs, report),
    }
}

/// Who waits for a teacher that failed.
fn waiting(incident: &Incident, report: &Report) -> Option<String> {
    let waits = incident.teacher && !incident.runs.is_empty();
    waits.then(|| format!("Cannot go on without it: {}.", in_words(&incident.runs, report)))
}

/// "KD until 8, seeds 0 and 2; labels only, seed 1".
fn in_words(runs: &[(usize, Seed)], report: &Report) -> String {
    if runs.len() > 1 && runs.len() as u64 == report.runs {
        return format!("all {}", numbers::counted(report.runs, "run"));
    }
    let mut by_arm: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (arm, seed) in runs {
        by_arm.entry(*arm).or_default().push(seed.to_string());
    }
    let more: usize = by_arm.values().skip(ARMS_NAMED).map(Vec::len).sum();
    let mut said: Vec<String> = by_arm
        .iter()
        .take(ARMS_NAMED)
        .map(|(arm, seeds)| {
            let label = report.arms.get(*arm).map_or("", |arm| arm.label.as_str());
            match seeds.as_slice() {
                [all @ .., last] if !all.is_empty() => format!("{label}, seeds {} and {last}", all.join(", ")),
                _ => format!("{label}, seed {}", seeds.join("")),
            }
        })
        .collect();
    said.extend((more > 0).then(|| numbers::counted(more as u64, "more run")));
    said.join("; ")
}
