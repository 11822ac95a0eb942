//! Pictures of arms at the end of their training. The one that answers: final test accuracy, a dot a seed, means with their 95 %
//! intervals, the baselines, and the paper's own points where it trained the same. And the KD loss that is left.

mod rows;
mod swept;

use super::{
    labels, pixels,
    scale::Scale,
    swept::{Sweep, Tint, ruled, sweep, tints},
};
use crate::{numbers, report::mimicry};
use leptos::prelude::*;
use study::{
    Arm, ArmSummary, Report, Series,
    published::{self, Found, Reading},
};

/// Heights in pixels; the padding of `svg.chart` in the style sheet leaves room for axes.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 48.0;

/// What is drawn of an arm.
struct Mark {
    label: String,
    mean: Option<f64>,
    interval: Option<(f64, f64)>,
    /// Seeds behind the mean, and what each of them came to, where that is known.
    n: u32,
    by_seed: Vec<f64>,
    /// All of it in words.
    said: String,
}

/// All that both ways of drawing need.
struct Picture<'a> {
    title: &'static str,
    /// What the values are, with their unit.
    axis: &'static str,
    is_share: bool,
    arms: &'a [Arm],
    /// By arm.
    marks: Vec<Mark>,
    tints: Vec<Tint>,
    /// Arms with a rule, and what stands at its end.
    ruled: Vec<(usize, String)>,
    /// By arm.
    published: Vec<Option<Found>>,
}

impl<'a> Picture<'a> {
    fn of_accuracy(report: &'a Report, sweep: Option<&Sweep>) -> Picture<'a> {
        let mark = |arm: &ArmSummary| Mark {
            label: arm.label.clone(),
            mean: arm.mean,
            interval: arm.interval,
            n: arm.n,
            by_seed: arm.by_seed.iter().flatten().copied().collect(),
            said: said_of(arm),
        };
        Picture {
            title: "Final test accuracy by arm",
            axis: "test accuracy, %",
            is_share: true,
            arms: &report.arms,
            marks: report.comparison.arms.iter().map(mark).collect(),
            tints: tints(&report.arms),
            ruled: ruled(&report.arms, sweep).into_iter().map(|arm| (arm, rule_label(report, arm))).collect(),
            published: published::beside(report.study.dataset, &report.arms),
        }
    }

    /// `series`: of the KD loss on held-out images.
    fn of_kd_loss(report: &'a Report, series: &[Series], sweep: Option<&Sweep>) -> Picture<'a> {
        let mark = |(index, arm): (usize, &Arm)| {
            let own = series.iter().find(|series| series.arm == index);
            let end = own.and_then(|series| series.points.last()).filter(|point| point.epoch == arm.epochs);
            let (mean, interval) = (end.map(|point| point.mean), end.and_then(|point| point.band()));
            let n = end.map_or(0, |point| point.seeds);
            let said = match mean {
                Some(mean) => {
                    format!("{}: {}, {}", arm.label, numbers::with_interval(mean, interval), numbers::behind(n))
                }
                None => format!("{}: not there", arm.label),
            };
            Mark { label: arm.label.clone(), mean, interval, n, by_seed: Vec::new(), said }
        };
        Picture {
            title: "KD loss that is left, by arm",
            axis: "KD loss, T²·KL",
            is_share: false,
            marks: report.arms.iter().enumerate().map(mark).collect(),
            published: vec![None; report.arms.len()],
            ..Picture::of_accuracy(report, sweep)
        }
    }

    fn answering(report: &'a Report, sweep: Option<&Sweep>) -> Picture<'a> {
        match mimicry::curves(report).filter(|_| mimicry::is_asked(report)) {
            Some(series) => Picture::of_kd_loss(report, series, sweep),
            None => Picture::of_accuracy(report, sweep),
        }
    }

    /// What the picture shows, in words.
    fn description(&self) -> String {
        let said = self.marks.iter().zip(&self.published).map(|(mark, found)| match found {
            Some(found) => format!("{}; {}", mark.said, said_of_published(found)),
            None => mark.said.clone(),
        });
        format!("{}, mean and 95 % interval. {}.", self.title, said.collect::<Vec<_>>().join("; "))
    }

    /// Characters of the longest label at the right.
    fn longest_end(&self, sweep: Option<&Sweep>) -> usize {
        let lines = sweep.into_iter().flat_map(|sweep| &sweep.lines).map(|line| line.label.as_str());
        let rules = self.ruled.iter().map(|(_, label)| label.as_str());
        lines.chain(rules).map(|label| label.chars().count()).max().unwrap_or(0)
    }

    /// The axis of values, with room for all that is drawn.
    fn scale(&self, count: usize) -> Scale {
        let ours = self.marks.iter().flat_map(|mark| {
            let interval = mark.interval.into_iter().flat_map(|(low, high)| [low, high]);
            mark.by_seed.iter().copied().chain(interval).chain(mark.mean)
        });
        let published = self.published.iter().flatten().flat_map(|found| {
            let (low, high) = found.interval.unwrap_or((found.accuracy, found.accuracy));
            [found.accuracy, low, high]
        });
        let all = ours.chain(published);
        if self.is_share { Scale::percentages(all, count) } else { Scale::fitted(all, count) }
    }
}

/// Width of a picture in a file of its own.
const WIDTH: f64 = 860.0;

/// The picture as a file of its own, an SVG that needs nothing else: as a wide page shows it, in light or dark as its reader has it.
/// It is the one that answers the study's question.
pub fn picture_svg(report: &Report) -> String {
    let style = concat!(include_str!("../../../style/10-tokens.css"), include_str!("../../../style/50-charts.css"));
    let drawn = Owner::new().with(|| {
        let sweep = sweep(&report.arms);
        let picture = Picture::answering(report, sweep.as_ref());
        let longest = picture.longest_end(sweep.as_ref());
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
            None => ("chart rows", 14.0, 14.0, rows::height(&picture), rows::drawn(&picture).into_any()),
        };
        let whole = ABOVE + height + BELOW;
        let inside = view! {
            <svg x=left y=ABOVE width={WIDTH - left - right} height=height overflow="visible">{drawn}</svg>
        };
        let described = view! {
            <title>{picture.title}</title>
            <desc>{picture.description()}</desc>
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

/// What [`picture_svg`] shows.
pub fn picture_title(report: &Report) -> &'static str {
    Picture::answering(report, None).title
}

/// `name` tells this chart's elements from those of others on the page.
pub fn final_accuracy(report: &Report, name: &'static str) -> AnyView {
    let sweep = sweep(&report.arms);
    let picture = Picture::of_accuracy(report, sweep.as_ref());
    drawn(&picture, sweep, name)
}

/// What is left of the KD loss on held-out images at the end of each arm's training, `series` its curves: a band is what the curves' is.
pub fn kd_loss_left(report: &Report, series: &[Series], name: &'static str) -> AnyView {
    let sweep = sweep(&report.arms);
    let picture = Picture::of_kd_loss(report, series, sweep.as_ref());
    drawn(&picture, sweep, name)
}

fn drawn(picture: &Picture<'_>, sweep: Option<Sweep>, name: &'static str) -> AnyView {
    let longest = picture.longest_end(sweep.as_ref());
    let beside_fit = sweep.filter(|_| longest <= labels::LONGEST_BESIDE);
    let Some(sweep) = beside_fit else {
        return chart(picture, "chart rows", rows::height(picture), name, rows::drawn(picture).into_any()).into_any();
    };
    let room = labels::room(longest);
    let along = swept::drawn(picture, &sweep, longest).into_any();
    if longest <= labels::LONGEST_BESIDE_NARROW && sweep.lines.len() <= swept::LINES_WITH_ROOM {
        return chart(picture, &format!("chart swept {room}"), swept::height(), name, along).into_any();
    }
    // Beside such labels, or for so many lines, a narrow screen has no room for a plot: there the arms stand one under the other.
    let rows = rows::drawn(picture).into_any();
    let rows = chart(picture, "chart rows only-narrow", rows::height(picture), &format!("{name}-rows"), rows);
    let along = chart(picture, &format!("chart swept {room} only-wide"), swept::height(), name, along);
    view! { <div>{along} {rows}</div> }.into_any()
}

fn chart(picture: &Picture<'_>, class: &str, height: f64, name: &str, drawn: AnyView) -> impl IntoView + use<> {
    let (title_id, description_id) = (format!("{name}-title"), format!("{name}-description"));
    let labelled = format!("{title_id} {description_id}");
    view! {
        <svg class=class.to_owned() height=pixels(ABOVE + height + BELOW) role="img" aria-labelledby=labelled>
            <title id=title_id>{picture.title}</title>
            <desc id=description_id>{picture.description()}</desc>
            {drawn}
        </svg>
    }
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
        Reading::Exact => "exact",
        Reading::Digitised => "digitised",
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

/// A published point at `(across, down)`: round where it is exact, square where it was digitised.
fn point(found: &Found, across: String, down: String) -> AnyView {
    match found.reading {
        Reading::Exact => view! { <circle class="published" cx=across cy=down r="4"></circle> }.into_any(),
        Reading::Digitised => {
            view! { <rect class="published" x=across y=down width="7" height="7" transform="translate(-3.5 -3.5)"></rect> }.into_any()
        }
    }
}
