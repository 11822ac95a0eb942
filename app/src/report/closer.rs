//! One arm, closer: where the two losses conflict in it, and what its networks take for what.

use super::evidence::{Curve, Part, address};
use crate::{
    chart::{curves::other_curves, swept::Tint},
    numbers,
};
use leptos::prelude::*;
use study::{ArmConfusion, Conflict, Epoch, Metric, Point, Report, Series};

const CONFLICT: &str = "Where the two losses conflict";
const CONFUSION: &str = "What is taken for what";

/// `None` where nothing of it was measured.
pub fn closer(report: &Report, curve: &Curve) -> Option<impl IntoView + use<>> {
    let offered: Vec<usize> = (0..report.arms.len()).filter(|arm| measured(report, *arm)).collect();
    let usual = offered.iter().find(|arm| report.arms[**arm].distillation.is_some()).or(offered.first()).copied()?;
    let body = match curve {
        Curve::Picked { part: Part::Band(_), .. } => return None,
        Curve::Picked { metric, arm, page, part } => {
            let shown = arm.filter(|arm| offered.contains(arm)).unwrap_or(usual);
            let links = offered.iter().map(|offered| {
                // Without scripts one comes back to where one was.
                let address = format!("{}#closer", address(page, *metric, Some(*offered)));
                let current = (shown == *offered).then_some("true");
                view! { <li><a href=address aria-current=current>{report.arms[*offered].label.clone()}</a></li> }
            });
            let links = links.collect_view();
            view! {
                {(offered.len() > 1).then(|| view! { <nav class="metrics" aria-label="Arm shown"><ul>{links}</ul></nav> })}
                {(*part != Part::Evidence).then(|| view! {
                    {conflict(report, shown, CONFLICT.to_owned(), "conflict")}
                    {confusion(report, shown, CONFUSION.to_owned(), arm.is_some())}
                })}
            }
            .into_any()
        }
        Curve::Every => offered
            .iter()
            .map(|arm| {
                let of_arm = |title: &str| format!("{title}: {}", report.arms[*arm].label);
                view! {
                    {conflict(report, *arm, of_arm(CONFLICT), &format!("conflict-{arm}"))}
                    {confusion(report, *arm, of_arm(CONFUSION), false)}
                }
            })
            .collect_view()
            .into_any(),
    };
    let heading = if matches!(curve, Curve::Every) { "The arms, closer" } else { "One arm, closer" };
    Some(view! {
        <section class="panel closer" id="closer" aria-labelledby="closer-heading">
            <h2 id="closer-heading">{heading}</h2>
            {body}
        </section>
    })
}

fn measured(report: &Report, arm: usize) -> bool {
    conflict_of(report, arm).is_some() || confusion_of(report, arm).is_some()
}

fn conflict_of(report: &Report, arm: usize) -> Option<&Conflict> {
    report.conflicts.iter().find(|conflict| conflict.arm == arm)
}

fn confusion_of(report: &Report, arm: usize) -> Option<&ArmConfusion> {
    report.confusion.as_ref()?.arms.iter().find(|confusion| confusion.arm == arm)
}

/// A line for each group of layers.
fn conflict(report: &Report, arm: usize, title: String, name: &str) -> Option<impl IntoView + use<>> {
    let conflict = conflict_of(report, arm)?;
    let of_all = report.curves.iter().find(|(metric, _)| *metric == Metric::GradientCosine);
    let of_all = of_all.and_then(|(_, series)| series.iter().find(|series| series.arm == arm));
    let groups = conflict.groups.len();
    let series: Vec<Series> = conflict
        .groups
        .iter()
        .enumerate()
        .map(|(group, cosines)| Series {
            arm: group,
            label: group_in_words(group, groups),
            points: points(&conflict.epochs, cosines),
            kd_stops_at: of_all.and_then(|series| series.kd_stops_at),
            drops: of_all.map(|series| series.drops.clone()).unwrap_or_default(),
        })
        .collect();
    let tints: Vec<Tint> = (0..groups).map(|group| Tint::Category(group % Tint::CATEGORIES)).collect();
    Some(view! {
        <h3>{title}</h3>
        <p class="metric-explained">
            "The cosine of the gradients of cross-entropy and of what is learnt from the teacher, or of the KD loss once that has \
             stopped, on 128 training images, by group of layers, mean over seeds. Above 0 both ask for the same; below 0 they conflict."
        </p>
        {other_curves(Metric::GradientCosine, &series, &tints, report.arms[arm].epochs.0, name)}
    })
}

/// Means alone: a line without a band, as that of one seed is.
fn points(epochs: &[Epoch], cosines: &[Option<f64>]) -> Vec<Point> {
    let measured = epochs.iter().zip(cosines).filter_map(|(epoch, cosine)| Some((*epoch, (*cosine)?)));
    measured.map(|(epoch, mean)| Point { epoch, mean, low: mean, high: mean, seeds: 1 }).collect()
}

/// From the images on.
fn group_in_words(group: usize, groups: usize) -> String {
    match group {
        0 => "first convolution".into(),
        _ if group + 1 == groups => "head".into(),
        _ => format!("group {group}"),
    }
}

/// What is taken for what by the arm's networks, and beside it by its baseline's.
fn confusion(report: &Report, arm: usize, title: String, open: bool) -> Option<impl IntoView + use<>> {
    let classes = &report.confusion.as_ref()?.classes;
    let own = confusion_of(report, arm)?;
    let baseline = confusion_of(report, report.arms[arm].baseline).filter(|baseline| baseline.arm != arm);
    let shown: Vec<&ArmConfusion> = baseline.into_iter().chain([own]).collect();
    let most = shown.iter().flat_map(|confusion| misses(confusion)).fold(0.0, f64::max);
    let tables: Vec<_> = shown.iter().map(|confusion| table(confusion, classes, most)).collect();
    Some(view! {
        <details class="confusions" open=open>
            <summary>{title}</summary>
            <p class="metric-explained">
                "Of the test images of each class, in percent, what they are said to be at the end of training, over all seeds."
            </p>
            <div class="side-by-side">{tables}</div>
        </details>
    })
}

/// Shares of a class's images, 0 to 1: `shares[true class][named class]`.
fn shares(confusion: &ArmConfusion) -> Vec<Vec<f64>> {
    let of_class = |row: &Vec<u32>| {
        let images = f64::from(row.iter().sum::<u32>().max(1));
        row.iter().map(|count| f64::from(*count) / images).collect()
    };
    confusion.counts.iter().map(of_class).collect()
}

/// The shares that are named wrongly.
fn misses(confusion: &ArmConfusion) -> Vec<f64> {
    let rows = shares(confusion).into_iter().enumerate();
    rows.flat_map(|(class, row)| row.into_iter().enumerate().filter(move |(named, _)| *named != class).map(|it| it.1))
        .collect()
}

/// Steps of a cell's colour, beside none at all.
const HEATS: f64 = 5.0;

/// A heat map with its values: what is right by how much of its class it is, what is wrong beside the most that is. `most`: the
/// largest share of a class that is taken for another one.
fn table(confusion: &ArmConfusion, classes: &[String], most: f64) -> impl IntoView + use<> {
    let heat = |right: bool, share: f64| match right {
        true => (share * HEATS).round(),
        // Most mistakes are rare beside the worst: their roots are not.
        false if most > 0.0 => ((share / most).sqrt() * HEATS).round(),
        false => 0.0,
    };
    let heads = classes.iter().map(|class| view! { <th scope="col"><span>{class.clone()}</span></th> }).collect_view();
    let rows = classes.iter().zip(shares(confusion)).enumerate().map(|(class, (name, shares))| {
        let cells = shares.into_iter().enumerate().map(|(named, share)| {
            let right = named == class;
            let kind = if right { "hit" } else { "miss" };
            let written = if share > 0.0 { numbers::fixed(100.0 * share, 1) } else { "0".to_owned() };
            view! { <td class=format!("{kind} heat-{}", heat(right, share))>{written}</td> }
        });
        let cells = cells.collect_view();
        view! { <tr><th scope="row">{name.clone()}</th>{cells}</tr> }
    });
    let rows = rows.collect_view();
    let seeds = numbers::counted(confusion.seeds.len() as u64, "seed");
    let caption = format!("{}, {seeds}", confusion.label);
    let described = format!("What {} takes for what", confusion.label);
    view! {
        <div class="scrolled" role="region" aria-label=described tabindex="0">
            <table class="confusion">
                <caption>{caption}</caption>
                <thead>
                    <tr><th scope="col">"is, is said to be"</th>{heads}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
