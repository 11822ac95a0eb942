//! The evidence: learning curves of one metric that a reader picks, or of all of them on paper.

use super::metric;
use crate::{
    chart::{
        curves::{NOTHING_YET, bands_of, curves},
        swept::tints,
    },
    pointer::{BAND, CLOSER, EVIDENCE},
};
use leptos::prelude::*;
use study::{Metric, Report, State};

/// Which curves a page shows.
pub enum Curve {
    /// The one that the address names, and the arm that it names to be looked at closely; links to the others lie at `page`.
    Picked { metric: Metric, arm: Option<usize>, page: String, part: Part },
    /// Every one that says something, under each other, and every arm: for a page without links.
    Every,
}

impl Curve {
    /// Whether whoever asks has the page already.
    pub fn is_part(&self) -> bool {
        matches!(self, Curve::Picked { part, .. } if *part != Part::Whole)
    }
}

/// How much of a page is asked for: whoever has it already asks for what becomes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// Another metric's curves, and links to the arms.
    Evidence,
    /// Another arm closer, and links to the metrics.
    Closer,
    /// The bands of one arm, where curves are too many to show theirs.
    Band(usize),
}

impl Part {
    /// As an address says it.
    pub fn of_address(text: &str) -> Part {
        let band = || text.strip_prefix(BAND)?.parse().ok();
        match text {
            EVIDENCE => Part::Evidence,
            CLOSER => Part::Closer,
            _ => band().map_or(Part::Whole, Part::Band),
        }
    }
}

/// Where a page shows one metric, and one arm closely.
pub(super) fn address(page: &str, metric: Metric, arm: Option<usize>) -> String {
    let arm = arm.map(|arm| format!("&arm={arm}")).unwrap_or_default();
    format!("{page}?metric={}{arm}", metric::address(metric))
}

/// The picked metric, or the first that there is: without validation images the usual first one never comes.
pub(super) fn shown(picked: Metric, offered: &[Metric]) -> Metric {
    if offered.contains(&picked) { picked } else { offered.first().copied().unwrap_or(picked) }
}

pub fn evidence(report: &Report, curve: &Curve) -> impl IntoView + use<> {
    let tints = tints(&report.arms);
    let measured = |metric: &Metric| {
        let of = report.curves.iter().find(|(of, _)| of == metric);
        of.filter(|(_, series)| series.iter().any(|series| !series.points.is_empty()))
    };
    let offered: Vec<Metric> = metric::ALL.into_iter().filter(|metric| measured(metric).is_some()).collect();
    let planned = report.arms.iter().map(|arm| arm.epochs.0).max().unwrap_or(0);
    let pointed = matches!(curve, Curve::Picked { .. });
    let drawn = |metric: Metric, name: &str| {
        let series = measured(&metric).map_or(&[][..], |(_, series)| series);
        view! {
            <p class="metric-explained">{metric::explanation(metric)}</p>
            {curves(metric, series, &tints, planned, name, pointed)}
        }
    };
    let body = match curve {
        _ if offered.is_empty() && report.progress.state == State::Failed => {
            view! { <p class="empty">"No epoch of a student was finished: there are no curves."</p> }.into_any()
        }
        _ if offered.is_empty() => view! { <p class="empty">{NOTHING_YET}</p> }.into_any(),
        Curve::Picked { metric, part: Part::Band(arm), .. } => {
            let shown = shown(*metric, &offered);
            let series = measured(&shown).map_or(&[][..], |(_, series)| series);
            bands_of(*arm, shown, series, &tints, planned)
        }
        Curve::Picked { metric, arm, page, part } => {
            let shown = shown(*metric, &offered);
            let links = offered.iter().map(|offered| {
                let address = address(page, *offered, *arm);
                let current = (shown == *offered).then_some("true");
                view! { <li><a href=address aria-current=current>{metric::name(*offered)}</a></li> }
            });
            let links = links.collect_view();
            view! {
                {(offered.len() > 1).then(|| view! { <nav class="metrics" aria-label="Curve shown"><ul>{links}</ul></nav> })}
                {(*part != Part::Closer).then(|| drawn(shown, "curves"))}
            }
            .into_any()
        }
        Curve::Every => offered
            .into_iter()
            .map(|offered| {
                view! {
                    <h3>{metric::name(offered)}</h3>
                    {drawn(offered, &format!("curves-{}", metric::address(offered).replace('_', "-")))}
                }
            })
            .collect_view()
            .into_any(),
    };
    view! {
        <section class="panel evidence" aria-labelledby="evidence-heading">
            <h2 id="evidence-heading">"Learning curves"</h2>
            {body}
        </section>
    }
}
