//! The picture that answers: final test accuracy by arm, a dot a seed, means with their 95 % intervals, the baselines, and the
//! paper's own points where it trained the same.

mod rows;
mod swept;

use super::{
    labels, pixels,
    scale::Scale,
    swept::{Sweep, Tint, ruled, sweep, tints},
};
use crate::numbers;
use leptos::prelude::*;
use study::{
    ArmSummary, Report,
    published::{self, Found},
};

/// Heights in pixels; the padding of `svg.chart` in the style sheet leaves room for axes.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 48.0;

/// All that both ways of drawing need.
struct Picture<'a> {
    report: &'a Report,
    tints: Vec<Tint>,
    /// Arms with a rule, and what stands at its end.
    ruled: Vec<(usize, String)>,
    /// By arm.
    published: Vec<Option<Found>>,
}

impl Picture<'_> {
    fn of<'a>(report: &'a Report, sweep: Option<&Sweep>) -> Picture<'a> {
        let ruled = ruled(&report.arms, sweep).into_iter();
        Picture {
            ruled: ruled.map(|arm| (arm, rule_label(report, arm))).collect(),
            published: published::beside(report.study.dataset, &report.arms),
            report,
            tints: tints(&report.arms),
        }
    }
}

/// Width of a picture in a file of its own.
const WIDTH: f64 = 860.0;

/// The picture as a file of its own, an SVG that needs nothing else: as a wide page shows it, in light or dark as its reader has it.
pub fn final_accuracy_svg(report: &Report) -> String {
    let style = concat!(include_str!("../../../style/10-tokens.css"), include_str!("../../../style/50-charts.css"));
    let drawn = Owner::new().with(|| {
        let sweep = sweep(&report.arms);
        let picture = Picture::of(report, sweep.as_ref());
        let longest = longest_end(&picture, sweep.as_ref());
        // As the style sheet leaves room around a plot on a page.
        let (class, left, right, height, drawn) = match sweep.filter(|_| longest <= labels::LONGEST_BESIDE) {
            Some(sweep) => {
                let right = match labels::room(longest) {
                    "labels-short" => 100.0,
                    "labels-middle" => 170.0,
                    _ => 230.0,
                };
                ("chart swept", 48.0, right, swept::height(), swept::drawn(&picture, &sweep, longest).into_any())
            }
            None => ("chart rows", 14.0, 14.0, rows::height(report), rows::drawn(&picture).into_any()),
        };
        let whole = ABOVE + height + BELOW;
        let inside = view! {
            <svg x=left y=ABOVE width={WIDTH - left - right} height=height overflow="visible">{drawn}</svg>
        };
        let described = view! {
            <title>"Final test accuracy by arm"</title>
            <desc>{description(report)}</desc>
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" style=\"padding: 0; width: {WIDTH}px\" \
             width=\"{WIDTH}\" height=\"{whole}\" viewBox=\"0 0 {WIDTH} {whole}\" role=\"img\">{}<style>{style}</style>{}</svg>\n",
            described.to_html(),
            inside.to_html()
        )
    });
    // What marks places for scripts in a page is no comment in XML.
    drawn.replace("<!>", "")
}

/// `name` tells this chart's elements from those of others on the page.
pub fn final_accuracy(report: &Report, name: &'static str) -> AnyView {
    let sweep = sweep(&report.arms);
    let picture = Picture::of(report, sweep.as_ref());
    let said = description(report);
    let longest = longest_end(&picture, sweep.as_ref());
    let beside_fit = sweep.filter(|_| longest <= labels::LONGEST_BESIDE);
    let Some(sweep) = beside_fit else {
        return chart("chart rows", rows::height(report), name, said, rows::drawn(&picture).into_any()).into_any();
    };
    let room = labels::room(longest);
    let along = swept::drawn(&picture, &sweep, longest).into_any();
    if longest <= labels::LONGEST_BESIDE_NARROW && sweep.lines.len() <= swept::LINES_WITH_ROOM {
        return chart(&format!("chart swept {room}"), swept::height(), name, said, along).into_any();
    }
    // Beside such labels, or for so many lines, a narrow screen has no room for a plot: there the arms stand one under the other.
    let rows = rows::drawn(&picture).into_any();
    let rows = chart("chart rows only-narrow", rows::height(report), &format!("{name}-rows"), said.clone(), rows);
    let along = chart(&format!("chart swept {room} only-wide"), swept::height(), name, said, along);
    view! { <div>{along} {rows}</div> }.into_any()
}

fn chart(class: &str, height: f64, name: &str, description: String, drawn: AnyView) -> impl IntoView + use<> {
    let (title_id, description_id) = (format!("{name}-title"), format!("{name}-description"));
    let labelled = format!("{title_id} {description_id}");
    view! {
        <svg class=class.to_owned() height=pixels(ABOVE + height + BELOW) role="img" aria-labelledby=labelled>
            <title id=title_id>"Final test accuracy by arm"</title>
            <desc id=description_id>{description}</desc>
            {drawn}
        </svg>
    }
}

/// What the picture shows, in words.
pub fn description(report: &Report) -> String {
    let published = published::beside(report.study.dataset, &report.arms);
    let said = report.comparison.arms.iter().zip(published).map(|(arm, found)| match found {
        Some(found) => format!("{}; {}", said_of(arm), said_of_published(&found)),
        None => said_of(arm),
    });
    format!("Test accuracy after the last epoch, mean and 95 % interval. {}.", said.collect::<Vec<_>>().join("; "))
}

fn said_of(arm: &ArmSummary) -> String {
    match arm.mean {
        Some(mean) => {
            format!("{}: {} %, {}", arm.label, numbers::with_interval(mean, arm.interval), numbers::behind(arm.n))
        }
        None => format!("{}: no result yet", arm.label),
    }
}

fn said_of_published(found: &Found) -> String {
    let reading = match found.reading {
        published::Reading::Exact => "exact",
        published::Reading::Digitised => "digitised",
    };
    format!("published: {} % ({reading})", numbers::with_interval(found.accuracy, found.interval))
}

/// A distilling arm stands as the baseline only where there is no other; its own name is long.
fn rule_label(report: &Report, arm: usize) -> String {
    match report.arms[arm].distillation {
        None => report.arms[arm].label.clone(),
        Some(_) => "baseline".to_owned(),
    }
}

/// Characters of the longest label at the right.
fn longest_end(picture: &Picture<'_>, sweep: Option<&Sweep>) -> usize {
    let lines = sweep.into_iter().flat_map(|sweep| &sweep.lines).map(|line| line.label.as_str());
    let rules = picture.ruled.iter().map(|(_, label)| label.as_str());
    lines.chain(rules).map(|label| label.chars().count()).max().unwrap_or(0)
}

/// The axis of accuracies, with room for all that is drawn.
fn accuracies(picture: &Picture<'_>, count: usize) -> Scale {
    let ours = picture.report.comparison.arms.iter().flat_map(|arm| {
        let interval = arm.interval.into_iter().flat_map(|(low, high)| [low, high]);
        arm.by_seed.iter().flatten().copied().chain(interval).chain(arm.mean)
    });
    let published = picture.published.iter().flatten().flat_map(|found| {
        let (low, high) = found.interval.unwrap_or((found.accuracy, found.accuracy));
        [found.accuracy, low, high]
    });
    Scale::percentages(ours.chain(published), count)
}
