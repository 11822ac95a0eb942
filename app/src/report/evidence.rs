//! The evidence: learning curves of one metric that a reader picks, or of all of them on paper.

use super::metric;
use crate::chart::{Lit, curves::Curves, swept::Tint};
use leptos::prelude::*;
use study::{Metric, Report, Series};

/// Which curves a page shows.
#[derive(Clone)]
pub enum Curve {
    /// The one that the address names; links to the others lie at `page`.
    Picked { metric: Signal<Metric>, page: String },
    /// Every one that says something, under each other: for a page without links.
    Every,
}

/// The picked metric, or the first that there is: without validation images the usual first one never comes.
pub(super) fn shown(picked: Metric, offered: &[Metric]) -> Metric {
    if offered.contains(&picked) { picked } else { offered.first().copied().unwrap_or(picked) }
}

#[component]
pub fn Evidence(report: Report, tints: Vec<Tint>, curve: Curve, lit: Lit) -> impl IntoView {
    let measured = |series: &[Series]| series.iter().any(|series| !series.points.is_empty());
    let offered: Vec<Metric> = metric::ALL
        .into_iter()
        .filter(|offered| report.curves.iter().any(|(metric, series)| metric == offered && measured(series)))
        .collect();
    let curves = report.curves;
    let drawn = move |metric: Metric, name: String| {
        let series = curves.iter().find(|(of, _)| *of == metric).map(|(_, series)| series.clone()).unwrap_or_default();
        view! {
            <p class="metric-explained">{metric::explanation(metric)}</p>
            <Curves metric=metric series=series tints=tints.clone() lit=lit name=name/>
        }
    };
    let body = match curve {
        _ if offered.is_empty() => {
            view! { <p class="empty">"No epoch is finished yet: curves appear with the first."</p> }.into_any()
        }
        Curve::Picked { metric, page } => {
            let all = offered.clone();
            let shown = Memo::new(move |_| shown(metric.get(), &all));
            let links = offered.iter().map(|offered| {
                let offered = *offered;
                let current = move || (shown.get() == offered).then_some("true");
                view! {
                    <li>
                        <a href=format!("{page}?metric={}", metric::address(offered)) aria-current=current data-noscroll="true">
                            {metric::name(offered)}
                        </a>
                    </li>
                }
            });
            let several = offered.len() > 1;
            let links = links.collect_view();
            view! {
                {several.then(|| view! { <nav class="metrics" aria-label="Curve shown"><ul>{links}</ul></nav> })}
                {move || drawn(shown.get(), "curves".to_owned())}
            }
            .into_any()
        }
        Curve::Every => offered
            .into_iter()
            .filter(|offered| *offered != Metric::LearningRate)
            .map(|offered| {
                view! {
                    <h3>{metric::name(offered)}</h3>
                    {drawn(offered, format!("curves-{}", metric::address(offered).replace('_', "-")))}
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
