//! Arms along the axis of what the study sweeps.

use super::{Picture, point, said_of_published};
use crate::chart::{
    across, labels, pixels,
    swept::{Quantity, Sweep, Tint},
};
use leptos::prelude::*;
use study::{Arm, Number};

const PLOT: f64 = 290.0;
/// Between the feet of two labels at the right.
const LABEL: f64 = 15.0;
/// Between the marks of two lines at the same place at most, and of the way to the next place all lines together: shares of the
/// width.
const DODGE_MAX: f64 = 0.03;
const DODGED: f64 = 0.5;
/// Where arms beside the axis stand, and where the axis begins and ends: shares of the width.
const BESIDE: f64 = 0.07;
const BEGIN: f64 = 0.05;
const BEGIN_AFTER_BESIDE: f64 = 0.2;
const END: f64 = 0.95;
/// Of so many lines a seed's dot still has room beside its mean.
pub(super) const LINES_WITH_ROOM: usize = 3;

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

/// The horizontal axis.
struct Axis {
    places: Vec<Place>,
    /// Between the marks of two lines at the same place: share of the width.
    dodge: f64,
    /// Places stand at equal distances: their values lie too close together for several marks at each.
    evenly: bool,
}

fn axis(sweep: &Sweep, arms: &[Arm]) -> Axis {
    let mut values: Vec<(f64, String)> =
        arms.iter().filter_map(|arm| sweep.quantity.of(arm)).map(|value| (value.number, value.written)).collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    values.dedup_by(|a, b| a.0 == b.0);
    let (low, high) = (values.first().map_or(0.0, |v| v.0), values.last().map_or(1.0, |v| v.0));
    let last = (values.len().max(2) - 1) as f64;
    let ratios = [Number::Temperature, Number::AttentionWeight].map(Quantity::Number);
    let by_ratio = ratios.contains(&sweep.quantity) && low > 0.0;
    let ranks: Vec<f64> = (0..values.len()).map(|rank| rank as f64 / last).collect();
    let to_scale = values.iter().map(|(number, _)| match by_ratio {
        true => (number / low).ln() / (high / low).ln(),
        false => (number - low) / (high - low),
    });
    let to_scale: Vec<f64> = if sweep.quantity.is_named() { ranks.clone() } else { to_scale.collect() };
    let lines = sweep.lines.len();
    let closest = to_scale.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, f64::min);
    let evenly = lines > LINES_WITH_ROOM && closest * last < 0.5;
    let (shares, closest) = if evenly { (ranks, 1.0 / last) } else { (to_scale, closest) };

    let dodge = (DODGED * (END - BEGIN) * closest / lines as f64).min(DODGE_MAX);
    let half = |marks: usize| (marks.max(1) as f64 - 1.0) / 2.0 * dodge;
    let begin = match sweep.beside.len() {
        0 => BEGIN.max(half(lines) + 0.02),
        beside => BEGIN_AFTER_BESIDE.max(BESIDE + half(beside) + half(lines) + 0.04),
    };
    let end = END.min(0.98 - half(lines));
    let along = values.into_iter().zip(shares).map(|((number, written), share)| Place {
        number: Some(number),
        written: vec![written],
        share: begin + (end - begin) * share,
    });
    let beside = (!sweep.beside.is_empty()).then(|| {
        let labels_only = sweep.beside.iter().all(|arm| arms[*arm].distillation.is_none());
        let written = match sweep.quantity {
            _ if labels_only => ["labels", "only"],
            Quantity::LabelWeightAfterStop => ["no", "stop"],
            _ => ["other", "arms"],
        };
        Place { number: None, written: written.map(str::to_owned).into(), share: BESIDE }
    });
    Axis { places: beside.into_iter().chain(along).collect(), dodge, evenly }
}

/// `longest`: characters of the longest label at the right.
pub(super) fn drawn(picture: &Picture<'_>, sweep: &Sweep, longest: usize) -> impl IntoView + use<> {
    let Picture { arms, marks, tints, ruled, published, axis: value_axis, .. } = picture;
    let y = picture.scale(6);
    let height = |value: f64| PLOT * (1.0 - y.place(y.within(value)));
    let Axis { places, dodge, evenly } = axis(sweep, arms);
    let aside = |index: usize, many: usize| (index as f64 - (many as f64 - 1.0) / 2.0) * dodge;
    let place = |arm: usize| {
        let number = sweep.quantity.of(&arms[arm]).map(|value| value.number);
        let share = places.iter().find(|place| place.number == number)?.share;
        if let Some(index) = sweep.beside.iter().position(|it| *it == arm) {
            return Some(share + aside(index, sweep.beside.len()));
        }
        // An arm at which several lines begin stands in their middle.
        let its: Vec<usize> = (0..sweep.lines.len()).filter(|line| sweep.lines[*line].arms.contains(&arm)).collect();
        Some(share + if its.len() == 1 { aside(its[0], sweep.lines.len()) } else { 0.0 })
    };
    let mark = |arm: usize| &marks[arm];

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

    let rules = ruled.iter().filter_map(|(arm, _)| Some((*arm, pixels(height(mark(*arm).mean?))))).map(|(arm, at)| {
        view! {
            <g class=tints[arm].class() data-arm=arm>
                <line class="rule" x1="0" x2="100%" y1=at.clone() y2=at></line>
            </g>
        }
    });

    let several = sweep.lines.len() > 1;
    let line_class = |index: usize| if several { Tint::of_line(index).class() } else { String::new() };
    let lines = sweep.lines.iter().enumerate().map(|(index, line)| {
        let mean = |arm: usize| Some((place(arm)?, height(mark(arm).mean?)));
        // No line goes over an arm that has no result yet.
        let pairs = line.arms.windows(2).filter_map(|pair| Some((mean(pair[0])?, mean(pair[1])?)));
        let strokes = pairs.map(|(from, to)| {
            view! {
                <line class="through-means" x1=across(from.0) y1=pixels(from.1) x2=across(to.0) y2=pixels(to.1)></line>
            }
        });
        view! { <g class=line_class(index)>{strokes.collect_view()}</g> }
    });

    // Where there is no room beside it, a seed's dot stands behind its mean.
    let seeds_aside = if sweep.lines.len() > LINES_WITH_ROOM { "" } else { "translate(-6 0)" };
    let drawn = (0..arms.len()).filter_map(|arm| {
        let share = place(arm)?;
        let mark = mark(arm);
        let dots = mark.by_seed.iter().map(|value| {
            view! { <circle class="seed" cx=across(share) cy=pixels(height(*value)) r="3" transform=seeds_aside></circle> }
        });
        let interval = mark.interval.map(|(low, high)| {
            view! { <line class="interval" x1=across(share) x2=across(share) y1=pixels(height(low)) y2=pixels(height(high))></line> }
        });
        let mean = mark.mean.map(|mean| {
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
                    {point(&found, across(share), pixels(height(found.accuracy)))}
                </g>
            }
        });
        Some(view! {
            <g
                class=tints[arm].class()
                data-arm=arm
            >
                <title>{mark.said.clone()}</title>
                {interval}
                {dots.collect_view()}
                {mean}
                {published}
            </g>
        })
    });

    // A label for each rule and for each line, at the right, joined to it.
    let of_rules = ruled.iter().filter_map(|(arm, label)| {
        let mean = mark(*arm).mean?;
        Some(End { class: tints[*arm].class(), label: label.clone(), from: 1.0, height: height(mean) })
    });
    let of_lines = sweep.lines.iter().enumerate().filter(|(_, line)| !line.label.is_empty());
    let of_lines = of_lines.filter_map(|(index, line)| {
        let mut own = line.arms.iter().rev().filter(|arm| !sweep.is_shared(&arms[**arm]));
        let (arm, mean) = own.find_map(|arm| Some((*arm, mark(*arm).mean?)))?;
        Some(End { class: line_class(index), label: line.label.clone(), from: place(arm)?, height: height(mean) })
    });
    let ends: Vec<End> = of_rules.chain(of_lines).collect();
    let wanted: Vec<f64> = ends.iter().map(|end| end.height).collect();
    let feet = labels::spread(&wanted, LABEL, PLOT);
    let ends = ends.into_iter().zip(feet).map(|(End { class, label, from, height }, foot)| {
        let reach = (from < 1.0).then(|| {
            let at = pixels(height);
            view! { <line class="reach" x1=across(from) x2="100%" y1=at.clone() y2=at></line> }
        });
        view! {
            <g class=class>
                {reach}
                <svg x="100%" overflow="visible">
                    <path class="leader" d=format!("M0 {height:.1}L11 {foot:.1}")></path>
                    <text class="end-label" x="14" y=pixels(foot) dy="0.35em">{label}</text>
                </svg>
            </g>
        }
    });

    // Under a place with two lines of text there is a little less room.
    let title = PLOT + if sweep.beside.is_empty() { 40.0 } else { 46.0 };
    view! {
        <text class="axis-title" x="-44" y="-14">{*value_axis}</text>
        {grid.collect_view()}
        <line class="axis" x1="0" x2="100%" y1=pixels(PLOT) y2=pixels(PLOT)></line>
        {below.collect_view()}
        <text class="axis-title" x="50%" y=pixels(title) text-anchor="middle">
            {sweep.quantity.name()} {evenly.then_some(", evenly spaced")}
        </text>
        {rules.collect_view()}
        {lines.collect_view()}
        {ends.collect_view()}
        {drawn.collect_view()}
    }
}

/// What stands at the right of a line, and where that ends: share of the width, pixels from the top.
struct End {
    class: String,
    label: String,
    from: f64,
    height: f64,
}
