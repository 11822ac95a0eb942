//! Arms side by side, one under the other, so that a label of any length has room on any screen.

use super::{Mark, Picture, point, said_of_published};
use crate::{
    chart::{across, labels, pixels},
    numbers,
};
use leptos::prelude::*;

/// Of a line of text, and of the mark under it with the space to the next row.
const TEXT: f64 = 16.0;
const MARK: f64 = 30.0;
/// Width that a phone's screen leaves for a row, and of a character of its label (bold) and of its value, in pixels.
const WIDTH: f64 = 316.0;
const LABEL_CHARACTER: f64 = 8.1;
const VALUE_CHARACTER: f64 = 6.4;

/// An arm's words.
struct Row {
    label: Vec<String>,
    value: Option<String>,
    /// Lines of text, the value's among them where it has no room beside the label.
    lines: usize,
}

fn row(arm: &Mark) -> Row {
    let label = labels::wrapped(&arm.label, (WIDTH / LABEL_CHARACTER) as usize);
    let value =
        arm.mean.map(|mean| format!("{} ({})", numbers::with_interval(mean, arm.interval), numbers::behind(arm.n)));
    let width = |text: &str, character: f64| text.chars().count() as f64 * character;
    let beside = width(label.last().map_or("", String::as_str), LABEL_CHARACTER)
        + value.as_deref().map_or(0.0, |value| width(value, VALUE_CHARACTER) + 10.0);
    let lines = label.len() + usize::from(beside > WIDTH);
    Row { label, value, lines }
}

fn row_height(row: &Row) -> f64 {
    MARK + TEXT * row.lines as f64
}

pub(super) fn height(picture: &Picture<'_>) -> f64 {
    picture.marks.iter().map(|arm| row_height(&row(arm))).sum()
}

pub(super) fn drawn(picture: &Picture<'_>) -> impl IntoView + use<> {
    let Picture { marks, tints, ruled, published, axis, .. } = picture;
    let x = picture.scale(5);
    let at = |value: f64| across(x.place(x.within(value)));
    let bottom = height(picture);
    let grid = x.ticks.iter().map(|tick| (at(*tick), x.written(*tick))).map(|(at, written)| {
        view! {
            <line class="grid" x1=at.clone() x2=at.clone() y1="0" y2=pixels(bottom)></line>
            <text class="tick" x=at y=pixels(bottom + 19.0) text-anchor="middle">{written}</text>
        }
    });
    // A rule stands beside the marks alone: nothing runs through names and numbers.
    let mut top = 0.0;
    let beside_marks: Vec<(f64, f64)> = marks
        .iter()
        .map(|arm| {
            let row = row(arm);
            let first = top + TEXT * row.lines as f64 + 4.0;
            top += row_height(&row);
            (first, top)
        })
        .collect();
    let rules = ruled.iter().filter_map(|(arm, _)| Some((*arm, at(marks[*arm].mean?)))).map(|(arm, at)| {
        let parts = beside_marks.iter().map(|(first, last)| {
            view! { <line class="rule" x1=at.clone() x2=at.clone() y1=pixels(*first) y2=pixels(*last)></line> }
        });
        view! {
            <g class=tints[arm].class() data-arm=arm>{parts.collect_view()}</g>
        }
    });
    let mut top = 0.0;
    let drawn = marks.iter().enumerate().map(|(arm, mark)| {
        let row = row(mark);
        let foot = |line: usize| pixels(top + 14.0 + TEXT * line as f64);
        let label = row.label.iter().enumerate().map(|(line, text)| {
            view! { <text class="row-label" x="0" y=foot(line)>{text.clone()}</text> }
        });
        let (label, value_foot) = (label.collect_view(), foot(row.lines - 1));
        let middle = pixels(top + 14.0 + TEXT * row.lines as f64);
        top += row_height(&row);
        let dots = mark.by_seed.iter().map(|value| {
            view! { <circle class="seed" cx=at(*value) cy=middle.clone() r="3" transform="translate(0 7)"></circle> }
        });
        let interval = mark.interval.map(|(low, high)| {
            view! { <line class="interval" x1=at(low) x2=at(high) y1=middle.clone() y2=middle.clone()></line> }
        });
        let mean = mark.mean.map(|mean| {
            view! { <circle class="mean" cx=at(mean) cy=middle.clone() r="4.5"></circle> }
        });
        let published = published[arm].map(|found| {
            let bar = found.interval.map(|(low, high)| {
                view! { <line class="published" x1=at(low) x2=at(high) y1=middle.clone() y2=middle.clone()></line> }
            });
            view! {
                <g transform="translate(0 -7)">
                    <title>{said_of_published(&found)}</title>
                    {bar}
                    {point(&found, at(found.accuracy), middle.clone())}
                </g>
            }
        });
        view! {
            <g
                class=tints[arm].class()
                data-arm=arm
            >
                <title>{mark.said.clone()}</title>
                {label}
                <text class="row-value" x="100%" y=value_foot text-anchor="end">{row.value}</text>
                {interval}
                {dots.collect_view()}
                {mean}
                {published}
            </g>
        }
    });
    let drawn = drawn.collect_view();
    view! {
        {grid.collect_view()}
        <line class="axis" x1="0" x2="100%" y1=pixels(bottom) y2=pixels(bottom)></line>
        <text class="axis-title" x="50%" y=pixels(bottom + 40.0) text-anchor="middle">{*axis}</text>
        {rules.collect_view()}
        {drawn}
    }
}
