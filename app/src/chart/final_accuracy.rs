//! The picture that answers: final test accuracy by arm, a dot a seed, means with their 95 % intervals, and the baseline.

use super::{
    Lit, across, labels, pixels,
    scale::Scale,
    swept::{Quantity, Sweep, Tint, sweep},
};
use crate::numbers;
use leptos::prelude::*;
use study::{ArmSummary, Report};

/// Heights in pixels; the padding of `svg.chart` in the style sheet leaves room for axes.
const PLOT: f64 = 290.0;
const ABOVE: f64 = 18.0;
const BELOW: f64 = 48.0;
const ROW: f64 = 46.0;
/// Between the feet of two labels at the right.
const LABEL: f64 = 15.0;
/// Between the marks of two lines at the same place.
const DODGE: f64 = 14.0;

/// `name` tells this chart's elements from those of others on the page.
#[component]
pub fn FinalAccuracy(report: Report, tints: Vec<Tint>, lit: Lit, name: &'static str) -> impl IntoView {
    let description = description(&report);
    let sweep = sweep(&report.arms);
    let body = match &sweep {
        Some(sweep) => Body::Swept(swept(&report, sweep, &tints, lit).into_any()),
        None => Body::Rows(rows(&report, &tints, lit).into_any(), report.arms.len()),
    };
    let (class, height, drawn) = match body {
        Body::Swept(drawn) => {
            (format!("chart swept {}", labels::room(longest_end(&report, sweep.as_ref()))), ABOVE + PLOT + BELOW, drawn)
        }
        Body::Rows(drawn, arms) => ("chart rows".to_owned(), ABOVE + ROW * arms as f64 + BELOW, drawn),
    };
    let (title_id, description_id) = (format!("{name}-title"), format!("{name}-description"));
    let labelled = format!("{title_id} {description_id}");
    view! {
        <svg class=class height=pixels(height) role="img" aria-labelledby=labelled>
            <title id=title_id>"Final test accuracy by arm"</title>
            <desc id=description_id>{description}</desc>
            {drawn}
        </svg>
    }
}

enum Body {
    Swept(AnyView),
    Rows(AnyView, usize),
}

/// What the picture shows, in words.
pub fn description(report: &Report) -> String {
    let said = report.comparison.arms.iter().map(|arm| match arm.mean {
        Some(mean) => {
            let mean = numbers::with_interval(mean, arm.interval);
            format!("{}: {mean} %, {}", arm.label, numbers::counted(u64::from(arm.n), "seed"))
        }
        None => format!("{}: no result yet", arm.label),
    });
    format!("Test accuracy after the last epoch, mean and 95 % interval. {}.", said.collect::<Vec<_>>().join("; "))
}

/// Every number the picture must have room for.
fn accuracies(report: &Report) -> impl Iterator<Item = f64> + '_ {
    report.comparison.arms.iter().flat_map(|arm| {
        let interval = arm.interval.into_iter().flat_map(|(low, high)| [low, high]);
        arm.by_seed.iter().flatten().copied().chain(interval).chain(arm.mean)
    })
}

/// The one arm from labels alone that others are compared with.
fn baseline(report: &Report) -> Option<&ArmSummary> {
    let mut baselines: Vec<usize> = report.arms.iter().map(|arm| arm.baseline).collect();
    baselines.sort_unstable();
    baselines.dedup();
    match baselines.as_slice() {
        [one] if report.arms[*one].distillation.is_none() && report.arms.len() > 1 => report.comparison.arms.get(*one),
        _ => None,
    }
}

/// Characters of the longest label at the right.
fn longest_end(report: &Report, sweep: Option<&Sweep>) -> usize {
    let lines = sweep.into_iter().flat_map(|sweep| &sweep.lines).map(|line| line.label.as_str());
    let rule = baseline(report).map(|baseline| baseline.label.as_str());
    lines.chain(rule).map(|label| label.chars().count()).max().unwrap_or(0)
}

/// Where each value of the swept quantity stands, as a share of the plot's width.
fn places(sweep: &Sweep, report: &Report) -> Vec<(f64, String, f64)> {
    let mut values: Vec<(f64, String)> = report
        .arms
        .iter()
        .filter_map(|arm| sweep.quantity.of(arm))
        .map(|value| (value.number, value.written))
        .collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    values.dedup_by(|a, b| a.0 == b.0);
    let (low, high) = (values.first().map_or(0.0, |v| v.0), values.last().map_or(1.0, |v| v.0));
    let last = (values.len().max(2) - 1) as f64;
    let by_ratio = sweep.quantity == Quantity::Temperature && low > 0.0;
    values
        .into_iter()
        .enumerate()
        .map(|(rank, (number, written))| {
            let share = match () {
                _ if sweep.quantity.is_named() => rank as f64 / last,
                _ if by_ratio => (number / low).ln() / (high / low).ln(),
                _ => (number - low) / (high - low),
            };
            (number, written, 0.05 + 0.9 * share)
        })
        .collect()
}

fn swept(report: &Report, sweep: &Sweep, tints: &[Tint], lit: Lit) -> impl IntoView + use<> {
    let y = Scale::fitted(accuracies(report), 6);
    let height = |value: f64| PLOT * (1.0 - y.place(value));
    let places = places(sweep, report);
    let place = |arm: usize| {
        let number = sweep.quantity.of(&report.arms[arm])?.number;
        places.iter().find(|place| place.0 == number).map(|place| place.2)
    };
    let summary = |arm: usize| &report.comparison.arms[arm];

    let grid = y.ticks.iter().map(|tick| (pixels(height(*tick)), y.written(*tick))).map(|(at, written)| {
        view! {
            <line class="grid" x1="0" x2="100%" y1=at.clone() y2=at.clone()></line>
            <text class="tick" x="-8" y=at dy="0.35em" text-anchor="end">{written}</text>
        }
    });
    let mut free_from = f64::MIN;
    let below = places.iter().map(|(_, written, share)| {
        let has_room = share - free_from > 0.055;
        free_from = if has_room { *share } else { free_from };
        let line = view! { <line class="tick-mark" x1=across(*share) x2=across(*share) y1=pixels(PLOT) y2=pixels(PLOT + 4.0)></line> };
        let text = has_room.then(|| {
            view! { <text class="tick" x=across(*share) y=pixels(PLOT + 19.0) text-anchor="middle">{written.clone()}</text> }
        });
        (line, text)
    });

    let baseline = baseline(report).and_then(|baseline| Some((baseline.label.clone(), baseline.mean?)));
    let rule = baseline.as_ref().map(|(_, mean)| {
        let at = pixels(height(*mean));
        view! { <line class="rule" x1="0" x2="100%" y1=at.clone() y2=at></line> }
    });

    let many = sweep.lines.len() as f64;
    let dodge = |line: usize| (line as f64 - (many - 1.0) / 2.0) * DODGE;
    let lines = sweep.lines.iter().enumerate().map(|(index, line)| {
        let means: Vec<(f64, f64)> =
            line.arms.iter().filter_map(|arm| Some((place(*arm)?, height(summary(*arm).mean?)))).collect();
        let strokes = means.windows(2).map(|pair| {
            view! {
                <line class="through-means" x1=across(pair[0].0) y1=pixels(pair[0].1) x2=across(pair[1].0) y2=pixels(pair[1].1)></line>
            }
        });
        view! { <g transform=format!("translate({:.0} 0)", dodge(index))>{strokes.collect_view()}</g> }
    });

    let marks = (0..report.arms.len()).filter_map(|arm| {
        let share = place(arm)?;
        let lines_of_it: Vec<usize> = (0..sweep.lines.len()).filter(|line| sweep.lines[*line].arms.contains(&arm)).collect();
        let aside = if lines_of_it.len() == 1 { dodge(lines_of_it[0]) } else { 0.0 };
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
        Some(view! {
            <g
                class=tints[arm].class()
                class:faded=move || lit.fades(arm)
                transform=format!("translate({aside:.0} 0)")
                on:pointerenter=move |_| lit.0.set(Some(arm))
                on:pointerleave=move |_| lit.0.set(None)
            >
                <title>{said_of(summary)}</title>
                {interval}
                {dots.collect_view()}
                {mean}
            </g>
        })
    });

    // The rule's label and one for each line, at the right.
    let ends = sweep.lines.iter().filter(|line| !line.label.is_empty()).filter_map(|line| {
        let last = line.arms.iter().rev().find_map(|arm| summary(*arm).mean)?;
        Some((line.label.clone(), last))
    });
    let ends: Vec<(String, f64)> = baseline.into_iter().chain(ends).collect();
    let wanted: Vec<f64> = ends.iter().map(|(_, value)| height(*value)).collect();
    let feet = labels::spread(&wanted, LABEL, PLOT);
    let ends = ends.into_iter().zip(feet).map(|((label, _), foot)| {
        view! { <text class="end-label" x="100%" y=pixels(foot) dx="10" dy="0.35em">{label}</text> }
    });

    view! {
        <text class="axis-title" x="-44" y="-8">"test accuracy, %"</text>
        {grid.collect_view()}
        <line class="axis" x1="0" x2="100%" y1=pixels(PLOT) y2=pixels(PLOT)></line>
        {below.collect_view()}
        <text class="axis-title" x="50%" y=pixels(PLOT + 40.0) text-anchor="middle">{sweep.quantity.name()}</text>
        {rule}
        {lines.collect_view()}
        {marks.collect_view()}
        {ends.collect_view()}
    }
}

/// Arms side by side, one under the other, so that a label of any length has room on any screen.
fn rows(report: &Report, tints: &[Tint], lit: Lit) -> impl IntoView + use<> {
    let x = Scale::fitted(accuracies(report), 5);
    let bottom = ROW * report.arms.len() as f64;
    let grid = x.ticks.iter().map(|tick| (across(x.place(*tick)), x.written(*tick))).map(|(at, written)| {
        view! {
            <line class="grid" x1=at.clone() x2=at.clone() y1="0" y2=pixels(bottom)></line>
            <text class="tick" x=at y=pixels(bottom + 19.0) text-anchor="middle">{written}</text>
        }
    });
    let rule = baseline(report).and_then(|baseline| baseline.mean).map(|mean| {
        let at = across(x.place(mean));
        view! { <line class="rule" x1=at.clone() x2=at y1="0" y2=pixels(bottom)></line> }
    });
    let marks = report.comparison.arms.iter().enumerate().map(|(arm, summary)| {
        let (foot, middle) = (pixels(ROW * arm as f64 + 14.0), pixels(ROW * arm as f64 + 30.0));
        let dots = summary.by_seed.iter().flatten().map(|accuracy| {
            view! { <circle class="seed" cx=across(x.place(*accuracy)) cy=middle.clone() r="3" transform="translate(0 7)"></circle> }
        });
        let interval = summary.interval.map(|(low, high)| {
            view! { <line class="interval" x1=across(x.place(low)) x2=across(x.place(high)) y1=middle.clone() y2=middle.clone()></line> }
        });
        let mean = summary.mean.map(|mean| {
            view! { <circle class="mean" cx=across(x.place(mean)) cy=middle.clone() r="4.5"></circle> }
        });
        let value = summary.mean.map(|mean| numbers::with_interval(mean, summary.interval));
        view! {
            <g
                class=tints[arm].class()
                class:faded=move || lit.fades(arm)
                on:pointerenter=move |_| lit.0.set(Some(arm))
                on:pointerleave=move |_| lit.0.set(None)
            >
                <title>{said_of(summary)}</title>
                <text class="row-label" x="0" y=foot.clone()>{summary.label.clone()}</text>
                <text class="row-value" x="100%" y=foot text-anchor="end">{value}</text>
                {interval}
                {dots.collect_view()}
                {mean}
            </g>
        }
    });
    view! {
        {grid.collect_view()}
        <line class="axis" x1="0" x2="100%" y1=pixels(bottom) y2=pixels(bottom)></line>
        <text class="axis-title" x="50%" y=pixels(bottom + 40.0) text-anchor="middle">"test accuracy, %"</text>
        {rule}
        {marks.collect_view()}
    }
}

fn said_of(arm: &ArmSummary) -> String {
    match arm.mean {
        Some(mean) => format!(
            "{}: {} %, {}",
            arm.label,
            numbers::with_interval(mean, arm.interval),
            numbers::counted(u64::from(arm.n), "seed")
        ),
        None => format!("{}: no result yet", arm.label),
    }
}
