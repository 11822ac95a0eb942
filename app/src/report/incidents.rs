//! What failed and what workers noted, with the runs that it touches.

use crate::numbers;
use leptos::prelude::*;
use study::{Failure, Happened, Incident, Report};

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
                0 => "in the first epoch".to_owned(),
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
    incident.trained(&report.arms, report.runs)
}

/// Who waits for a teacher that failed.
fn waiting(incident: &Incident, report: &Report) -> Option<String> {
    let waits = incident.teacher && !incident.runs.is_empty();
    waits.then(|| format!("Cannot go on without it: {}.", incident.touched(&report.arms, report.runs)))
}
