//! The evidence: learning curves of one metric that a reader picks, or of all of them on paper.

use super::metric;
use crate::chart::{
    curves::{NOTHING_YET, curves},
    swept::tints,
};
use leptos::prelude::*;
use study::{Metric, Report};

/// Which curves a page shows.
pub enum Curve {
    /// The one that the address names, and the arm that it names to be looked at closely; links to the others lie at `page`. `alone`:
    /// without the rest of the page, which is there already.
    Picked { metric: Metric, arm: Option<usize>, page: String, alone: bool },
    /// Every one that says something, under each other, and every arm: for a page without links.
    Every,
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
    let pointed = matches!(curve, Curve::Picked { .. });
    let drawn = |metric: Metric, name: &str| {
        let series = measured(&metric).map_or(&[][..], |(_, series)| series);
        view! {
            <p class="metric-explained">{metric::explanation(metric)}</p>
            {curves(metric, series, &tints, name, pointed)}
        }
    };
    let body = match curve {
        _ if offered.is_empty() => view! { <p class="empty">{NOTHING_YET}</p> }.into_any(),
        Curve::Picked { metric, arm, page, .. } => {
            let shown = shown(*metric, &offered);
            let links = offered.iter().map(|offered| {
                let address = address(page, *offered, *arm);
                let current = (shown == *offered).then_some("true");
                view! { <li><a href=address aria-current=current>{metric::name(*offered)}</a></li> }
            });
            let links = links.collect_view();
            view! {
                {(offered.len() > 1).then(|| view! { <nav class="metrics" aria-label="Curve shown"><ul>{links}</ul></nav> })}
                {drawn(shown, "curves")}
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
