//! Arms along the axis of what the study sweeps.

use super::{Picture, accuracies, said_of, said_of_published};
use crate::chart::{
    across, labels, pixels,
    swept::{Quantity, Sweep},
};
use leptos::prelude::*;
use study::Arm;

const PLOT: f64 = 290.0;
/// Between the feet of two labels at the right.
const LABEL: f64 = 15.0;
/// Between the marks of two lines at the same place.
const DODGE: f64 = 14.0;
/// Where arms beside the axis stand, and where the axis begins and ends: shares of the width.
const BESIDE: f64 = 0.07;
const BEGIN: f64 = 0.05;
const BEGIN_AFTER_BESIDE: f64 = 0.2;
const END: f64 = 0.95;

pub(super) fn height() -> f64 {
    PLOT
}

/// A place on the horizontal axis.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    /// `None`: beside the axis, where the quantity does not count.
    number: Option<f64>,
    /// A line of text each.
    written: Vec<String>,
    share: f64,
}

fn places(sweep: &Sweep, arms: &[Arm]) -> Vec<Place> {
    let mut values: Vec<(f64, String)> =
        arms.iter().filter_map(|arm| sweep.quantity.of(arm)).map(|value| (value.number, value.written)).collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    values.dedup_by(|a, b| a.0 == b.0);
    let (low, high) = (values.first().map_or(0.0, |v| v.0), values.last().map_or(1.0, |v| v.0));
    let last = (values.len().max(2) - 1) as f64;
    let by_ratio = sweep.quantity == Quantity::Temperature && low > 0.0;
    let begin = if sweep.beside.is_empty() { BEGIN } else { BEGIN_AFTER_BESIDE };
    let along = values.into_iter().enumerate().map(|(rank, (number, written))| {
        let share = match () {
            _ if sweep.quantity.is_named() => rank as f64 / last,
            _ if by_ratio => (number / low).ln() / (high / low).ln(),
            _ => (number - low) / (high - low),
        };
        Place { number: Some(number), written: vec![written], share: begin + (END - begin) * share }
    });
    let beside = (!sweep.beside.is_empty()).then(|| {
        let labels_only = sweep.beside.iter().all(|arm| arms[*arm].distillation.is_none());
        let written = if labels_only { ["labels", "only"] } else { ["no", "stop"] };
        Place { number: None, written: written.map(str::to_owned).into(), share: BESIDE }
    });
    beside.into_iter().chain(along).collect()
}

/// `longest`: characters of the longest label at the right.
pub(super) fn drawn(picture: &Picture<'_>, sweep: &Sweep, longest: usize) -> impl IntoView + use<> {
    let Picture { report, tints, ruled, published } = picture;
    let y = accuracies(picture, 6);
    let height = |value: f64| PLOT * (1.0 - y.place(y.within(value)));
    let places = places(sweep, &report.arms);
    let place = |arm: usize| {
        let number = sweep.quantity.of(&report.arms[arm]).map(|value| value.number);
        places.iter().find(|place| place.number == number).map(|place| place.share)
    };
    let summary = |arm: usize| &report.comparison.arms[arm];

    let grid = y.ticks.iter().map(|tick| (pixels(height(*tick)), y.written(*tick))).map(|(at, written)| {
        view! {
            <line class="grid" x1="0" x2="100%" y1=at.clone() y2=at.clone()></line>
            <text class="tick" x="-8" y=at dy="0.35em" text-anchor="end">{written}</text>
        }
    });
    let widths: Vec<(f64, usize)> = places
        .iter()
        .map(|place| (place.share, place.written.iter().map(|line| line.chars().count()).max().unwrap_or(0)))
        .collect();
    let (narrow, wide) = labels::plot_widths(longest);
    let (on_narrow, on_wide) = (labels::without_touching(&widths, narrow), labels::without_touching(&widths, wide));
    let below = places.iter().enumerate().map(|(index, place)| {
        let at = across(place.share);
        let class = if on_narrow[index] { "tick" } else { "tick only-wide" };
        let lines = place.written.iter().zip(0u8..).map(|(line, rank)| {
            let foot = pixels(PLOT + 19.0 + 13.0 * f64::from(rank));
            view! { <text class=class x=at.clone() y=foot text-anchor="middle">{line.clone()}</text> }
        });
        let lines = on_wide[index].then(|| lines.collect_view());
        let mark =
            view! { <line class="tick-mark" x1=at.clone() x2=at.clone() y1=pixels(PLOT) y2=pixels(PLOT + 4.0)></line> };
        (mark, lines)
    });

    let rules =
        ruled.iter().filter_map(|(arm, _)| Some((*arm, pixels(height(summary(*arm).mean?))))).map(|(arm, at)| {
            view! {
                <g class=tints[arm].class() data-arm=arm>
                    <line class="rule" x1="0" x2="100%" y1=at.clone() y2=at></line>
                </g>
            }
        });

    let dodge = |index: usize, many: usize| (index as f64 - (many as f64 - 1.0) / 2.0) * DODGE;
    let lines = sweep.lines.iter().enumerate().map(|(index, line)| {
        let means: Vec<(f64, f64)> =
            line.arms.iter().filter_map(|arm| Some((place(*arm)?, height(summary(*arm).mean?)))).collect();
        let strokes = means.windows(2).map(|pair| {
            view! {
                <line class="through-means" x1=across(pair[0].0) y1=pixels(pair[0].1) x2=across(pair[1].0) y2=pixels(pair[1].1)></line>
            }
        });
        let aside = dodge(index, sweep.lines.len());
        view! { <g transform=format!("translate({aside:.0} 0)")>{strokes.collect_view()}</g> }
    });

    let aside = |arm: usize| {
        if let Some(index) = sweep.beside.iter().position(|it| *it == arm) {
            return dodge(index, sweep.beside.len());
        }
        let its: Vec<usize> = (0..sweep.lines.len()).filter(|line| sweep.lines[*line].arms.contains(&arm)).collect();
        if its.len() == 1 { dodge(its[0], sweep.lines.len()) } else { 0.0 }
    };
    let marks = (0..report.arms.len()).filter_map(|arm| {
        let share = place(arm)?;
        let summary = summary(arm);
        let dots = summary.by_seed.iter().flatten().map(|accuracy| {
            view! { <circle class="seed" cx=across(share) cy=pixels(height(*accuracy)) r="3" transform="translate(-6 0)"></circle> }
        });
        let interval = summary.interval.map(|(low, high)| {
            view! { <line class="interval" x1=across(share) x2=across(share) y1=pixels(height(low)) y2=pixels(height(high))></line> }
        });
        let mean = summary.mean.map(|mean| {
            view! { <circle class="mean" cx=across(share) cy=pixels(height(mean)) r="4.5"></circle> }
        });
        let published = published[arm].map(|found| {
            let bar = found.interval.map(|(low, high)| {
                view! { <line class="published" x1=across(share) x2=across(share) y1=pixels(height(low)) y2=pixels(height(high))></line> }
            });
            view! {
                <g transform="translate(8 0)">
                    <title>{said_of_published(&found)}</title>
                    {bar}
                    <circle class="published" cx=across(share) cy=pixels(height(found.accuracy)) r="4"></circle>
                </g>
            }
        });
        let aside = aside(arm);
        Some(view! {
            <g
                class=tints[arm].class()
                data-arm=arm
                transform=format!("translate({aside:.0} 0)")
            >
                <title>{said_of(summary)}</title>
                {interval}
                {dots.collect_view()}
                {mean}
                {published}
            </g>
        })
    });

    // A label for each rule and for each line, at the right.
    let of_lines = sweep.lines.iter().filter(|line| !line.label.is_empty()).filter_map(|line| {
        let last = line.arms.iter().rev().find_map(|arm| summary(*arm).mean)?;
        Some((line.label.clone(), last))
    });
    let of_rules = ruled.iter().filter_map(|(arm, label)| Some((label.clone(), summary(*arm).mean?)));
    let ends: Vec<(String, f64)> = of_rules.chain(of_lines).collect();
    let wanted: Vec<f64> = ends.iter().map(|(_, value)| height(*value)).collect();
    let feet = labels::spread(&wanted, LABEL, PLOT);
    let ends = ends.into_iter().zip(feet).map(|((label, _), foot)| {
        view! { <text class="end-label" x="100%" y=pixels(foot) dx="10" dy="0.35em">{label}</text> }
    });

    // Under a place with two lines of text there is a little less room.
    let title = PLOT + if sweep.beside.is_empty() { 40.0 } else { 46.0 };
    view! {
        <text class="axis-title" x="-44" y="-8">"test accuracy, %"</text>
        {grid.collect_view()}
        <line class="axis" x1="0" x2="100%" y1=pixels(PLOT) y2=pixels(PLOT)></line>
        {below.collect_view()}
        <text class="axis-title" x="50%" y=pixels(title) text-anchor="middle">{sweep.quantity.name()}</text>
        {rules.collect_view()}
        {lines.collect_view()}
        {marks.collect_view()}
        {ends.collect_view()}
    }
}
