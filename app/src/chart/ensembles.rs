//! Test accuracy of ensembles by their size: what a sequence's generations come to together, beside as many students of labels alone.

use super::{across, pixels, scale::Scale, swept::Tint};
use crate::numbers;
use leptos::prelude::*;
use study::ensembles::{EnsembleLine, EnsemblePoint, Ensembles, Members};

const PLOT: f64 = 230.0;
const ABOVE: f64 = 26.0;
const BELOW: f64 = 48.0;
/// Between the marks of two lines at the same size, and what lies free at both ends: shares of the width.
const DODGE: f64 = 0.02;
const EDGE: f64 = 0.06;

/// `name` tells this chart's elements from those of others on the page.
pub fn ensembles(found: &Ensembles, name: &str) -> impl IntoView + use<> {
    let points = || found.lines.iter().flat_map(|line| &line.points);
    let most = points().map(|point| point.members).max().unwrap_or(1);
    let seen = points().flat_map(|point| {
        let interval = point.interval.into_iter().flat_map(|(low, high)| [low, high]);
        point.accuracies.iter().copied().chain(interval)
    });
    let y = Scale::percentages(seen, 6);
    let height = |value: f64| PLOT * (1.0 - y.place(y.within(value)));
    let steps = f64::from(most.max(2) - 1);
    let place = |members: u32| EDGE + (1.0 - 2.0 * EDGE) * (f64::from(members) - 1.0) / steps;
    let middle = (found.lines.len() as f64 - 1.0) / 2.0;
    let aside = |index: usize| DODGE * (index as f64 - middle);

    let grid = y.ticks.iter().map(|tick| (pixels(height(*tick)), y.written(*tick))).map(|(at, written)| {
        view! {
            <line class="grid" x1="0" x2="100%" y1=at.clone() y2=at.clone()></line>
            <text class="tick" x="-8" y=at dy="0.35em" text-anchor="end">{written}</text>
        }
    });
    let below = (1..=most).map(|members| (across(place(members)), members)).map(|(at, members)| {
        view! {
            <line class="tick-mark" x1=at.clone() x2=at.clone() y1=pixels(PLOT) y2=pixels(PLOT + 4.0)></line>
            <text class="tick" x=at y=pixels(PLOT + 19.0) text-anchor="middle">{members}</text>
        }
    });
    let lines = found.lines.iter().enumerate().map(|(index, line)| {
        let at = |point: &EnsemblePoint| place(point.members) + aside(index);
        let strokes = line.points.windows(2).map(|pair| {
            let [(x1, y1), (x2, y2)] = [&pair[0], &pair[1]].map(|it| (across(at(it)), pixels(height(it.mean))));
            view! { <line class="through-means" x1=x1 y1=y1 x2=x2 y2=y2></line> }
        });
        let marks = line.points.iter().map(|point| {
            let at = across(at(point));
            let interval = point.interval.map(|(low, high)| {
                view! { <line class="interval" x1=at.clone() x2=at.clone() y1=pixels(height(low)) y2=pixels(height(high))></line> }
            });
            let dots = point.accuracies.iter().map(|accuracy| {
                view! { <circle class="seed" cx=at.clone() cy=pixels(height(*accuracy)) r="3" transform="translate(-6 0)"></circle> }
            });
            let dots = dots.collect_view();
            view! {
                <title>{said(line, point)}</title>
                {interval}
                {dots}
                <circle class="mean" cx=at.clone() cy=pixels(height(point.mean)) r="4.5"></circle>
            }
        });
        view! { <g class=tint(index, line).class()>{strokes.collect_view()} {marks.collect_view()}</g> }
    });
    let key = found.lines.iter().enumerate().map(|(index, line)| {
        view! { <li class=tint(index, line).class()><span class="swatch"></span><span class="legend-label">{line.label.clone()}</span></li> }
    });

    let (title_id, description_id) = (format!("{name}-title"), format!("{name}-description"));
    let labelled = format!("{title_id} {description_id}");
    view! {
        <svg
            class="chart"
            height=pixels(ABOVE + PLOT + BELOW)
            role="img"
            aria-labelledby=labelled
        >
            <title id=title_id>"Test accuracy of ensembles by their size"</title>
            <desc id=description_id>{description(found)}</desc>
            <text class="axis-title" x="-40" y="-14">"test accuracy, %"</text>
            {grid.collect_view()}
            <line class="axis" x1="0" x2="100%" y1=pixels(PLOT) y2=pixels(PLOT)></line>
            {below.collect_view()}
            <text class="axis-title" x="50%" y=pixels(PLOT + 40.0) text-anchor="middle">"networks that vote together"</text>
            {lines.collect_view()}
        </svg>
        <div class="legend"><ul>{key.collect_view()}</ul></div>
    }
}

/// Networks from labels alone are neutral, as everywhere.
fn tint(index: usize, line: &EnsembleLine) -> Tint {
    match line.members {
        Members::Generations => Tint::of_line(index),
        Members::Seeds => Tint::Labels,
    }
}

/// What the chart shows, in words.
fn description(found: &Ensembles) -> String {
    let said = found.lines.iter().flat_map(|line| line.points.iter().map(move |point| said(line, point)));
    said.collect::<Vec<_>>().join("; ") + "."
}

fn said(line: &EnsembleLine, point: &EnsemblePoint) -> String {
    let members = match line.members {
        Members::Generations => numbers::counted(point.members.into(), "generation"),
        Members::Seeds => numbers::counted(point.members.into(), "seed"),
    };
    let ensembles = numbers::counted(point.accuracies.len() as u64, "ensemble");
    format!("{}, {members}: {} %, {ensembles}", line.label, numbers::with_interval(point.mean, point.interval))
}
