//! Learning curves: a line an arm, a band over seeds, a ring where KD stops, hairlines where the learning rate drops; and
//! beside them the last fifth, where half-point differences live.

mod window;

use super::{across, labels, pixels, swept::Tint};
use crate::{
    readout::{self, Epochs},
    report::metric,
};
use leptos::prelude::*;
use study::{Metric, Point, Series};
use window::{FINE, Trace, WIDTH, Window, has_too_many_bands, window};

const PLOT: f64 = 270.0;
const ABOVE: f64 = 26.0;
const BELOW: f64 = 48.0;
const LABEL: f64 = 15.0;
/// Pixels that a phone's screen leaves for a plot.
const NARROW: f64 = 250.0;
/// From so many epochs on the end is drawn closer.
const CLOSER_FROM: u32 = 5;
/// Arms whose labels stand at their lines' ends; more are found in the legend.
const LABELLED_MAX: usize = 12;

/// In place of curves.
pub const NOTHING_YET: &str = "No epoch of a student is finished yet: curves appear with the first.";

/// The curves of one metric by arm, and their close-up. `planned`: epochs that the longest of them is to have; `name` tells these
/// charts' elements from others on the page; `pointed`: the page follows the pointer, and asks for [`bands_of`] the arm that it meets.
pub fn curves(metric: Metric, series: &[Series], tints: &[Tint], planned: u32, name: &str, pointed: bool) -> AnyView {
    drawn(series, Look { metric, tints, planned, of_arms: true, pointed }, name)
}

/// Curves that stand for no arm: those of a study's teachers, or of the parts of a network.
pub fn other_curves(metric: Metric, series: &[Series], tints: &[Tint], planned: u32, name: &str) -> AnyView {
    drawn(series, Look { metric, tints, planned, of_arms: false, pointed: false }, name)
}

/// The bands that [`curves`] of too many arms leave out: those of one arm, in the places where they belong.
pub fn bands_of(arm: usize, metric: Metric, series: &[Series], tints: &[Tint], planned: u32) -> AnyView {
    let look = Look { metric, tints, planned, of_arms: true, pointed: true };
    let (whole, end) = windows(series, look, Some(arm));
    view! {
        <div class="curves">
            <div class="curves-whole"><svg>{bands(&whole.traces, look)}</svg></div>
            {end.map(|end| view! { <div class="curves-end"><svg>{bands(&end.traces, look)}</svg></div> })}
        </div>
    }
    .into_any()
}

fn drawn(series: &[Series], look: Look<'_>, name: &str) -> AnyView {
    let metric = look.metric;
    let last = last_epoch(series);
    if last == 0 {
        return view! { <p class="empty">{NOTHING_YET}</p> }.into_any();
    }
    let names: Vec<String> = series.iter().map(|series| series.label.clone()).collect();
    let longest = names.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let fit_beside = names.len() <= LABELLED_MAX && longest <= 44;
    let (whole, end) = windows(series, look, None);
    let beside = if fit_beside { labels::room(longest) } else { "labels-none" };
    let alone = if end.is_some() { "" } else { " alone" };
    let many = if has_too_many_bands(series) { " many" } else { "" };
    let class = format!("curves{alone}{many} {beside}");

    let key = legend(series, look, last, &whole);
    let said = description(metric, series);
    let whole_labels = fit_beside && end.is_none();
    view! {
        <div class=class data-unit=metric::unit(metric) data-step=Epochs::up_to(last).step data-last=last>
            <div class="curves-whole">{drawing(whole, look, whole_labels, format!("{name}-whole"), said)}</div>
            {end.map(|end| {
                let said = "The last fifth of the epochs, closer.".to_owned();
                view! { <div class="curves-end">{drawing(end, look, fit_beside, format!("{name}-end"), said)}</div> }
            })}
            {key}
        </div>
    }
    .into_any()
}

fn last_epoch(series: &[Series]) -> u32 {
    series.iter().flat_map(|series| &series.points).map(|point| point.epoch.0).max().unwrap_or(0)
}

/// All epochs, and the last fifth; of a few epochs there is nothing to see closer. `only`: the one arm that is drawn.
fn windows(series: &[Series], look: Look<'_>, only: Option<usize>) -> (Window, Option<Window>) {
    let last = last_epoch(series);
    let between = |from, until| window(series, look.metric, from, until, PLOT, only);
    let end = (last >= CLOSER_FROM).then(|| between(last - last.div_ceil(5).max(2), last));
    (between(0, last.max(look.planned)), end)
}

/// What both charts of a metric share.
#[derive(Clone, Copy)]
struct Look<'a> {
    metric: Metric,
    tints: &'a [Tint],
    /// Epochs on the axis from the first one on, so that one sees how far a training is.
    planned: u32,
    /// Each series is an arm's.
    of_arms: bool,
    pointed: bool,
}

impl Look<'_> {
    /// What makes the other arms fade.
    fn arm(&self, index: usize) -> Option<usize> {
        self.of_arms.then_some(index)
    }
}

fn description(metric: Metric, series: &[Series]) -> String {
    let said = series.iter().filter_map(|series| {
        let last = series.points.last()?;
        Some(format!("{}: {} at epoch {}", series.label, metric::written(metric, last.mean), last.epoch))
    });
    format!("{} by epoch. {}.", metric::name(metric), said.collect::<Vec<_>>().join("; "))
}

fn drawing(
    window: Window,
    look: Look<'_>,
    with_labels: bool,
    name: String,
    description: String,
) -> impl IntoView + use<> {
    let Look { metric, tints, .. } = look;
    let Window { x, y, height, traces, drops } = window;
    let grid =
        y.ticks.iter().map(|tick| (pixels(height * (1.0 - y.place(*tick))), y.written(*tick))).map(|(at, written)| {
            view! {
                <line class="grid" x1="0" x2="100%" y1=at.clone() y2=at.clone()></line>
                <text class="tick" x="-8" y=at dy="0.35em" text-anchor="end">{written}</text>
            }
        });
    let places: Vec<(f64, String)> = x.ticks.iter().map(|tick| (x.place(*tick), x.written(*tick))).collect();
    let widths: Vec<(f64, usize)> = places.iter().map(|(share, text)| (*share, text.chars().count())).collect();
    let on_narrow = labels::without_touching(&widths, NARROW);
    let below = places.into_iter().zip(on_narrow).map(|((share, written), stands)| {
        let (at, class) = (across(share), if stands { "tick" } else { "tick only-wide" });
        view! {
            <line class="tick-mark" x1=at.clone() x2=at.clone() y1=pixels(height) y2=pixels(height + 4.0)></line>
            <text class=class x=at y=pixels(height + 19.0) text-anchor="middle">{written}</text>
        }
    });
    let zero =
        (metric::is_signed(metric) && (y.low..=y.high).contains(&0.0)).then(|| pixels(height * (1.0 - y.place(0.0))));
    let zero = zero.map(|at| view! { <line class="zero" x1="0" x2="100%" y1=at.clone() y2=at></line> });
    let hairlines = drops.iter().map(|drop| across(x.place(*drop))).map(|at| {
        view! { <line class="drop" x1=at.clone() x2=at y1="0" y2=pixels(height)></line> }
    });
    let bands = bands(&traces, look);
    let lines = traces.iter().map(|trace| {
        let (arm, id) = (trace.arm, format!("{name}-line-{}", trace.arm));
        let touch = format!("#{id}");
        view! {
            <g class=format!("curve {}", tints[arm].class()) data-arm=look.arm(arm)>
                <path class="line" id=id d=trace.line.clone()></path>
                <use class="line-touch" href=touch></use>
            </g>
        }
    });
    let marks = traces.iter().map(|trace| {
        let arm = trace.arm;
        let dots = trace.dots.iter().map(|(share, down)| {
            view! { <circle class="seed" cx=across(*share) cy=pixels(*down) r="2.5"></circle> }
        });
        let stop = trace.stop.map(|(share, down)| {
            view! { <circle class="kd-stop" cx=across(share) cy=pixels(down) r="5"></circle> }
        });
        view! { <g class=tints[arm].class() data-arm=look.arm(arm)>{dots.collect_view()} {stop}</g> }
    });
    let labelled: Vec<(usize, String, (f64, f64))> = match with_labels {
        true => traces.iter().filter_map(|trace| Some((trace.arm, trace.label.clone(), trace.end?))).collect(),
        false => Vec::new(),
    };
    let wanted: Vec<f64> = labelled.iter().map(|(_, _, (_, down))| down.clamp(0.0, height)).collect();
    let feet = labels::spread(&wanted, LABEL, height);
    let end_labels = labelled.into_iter().zip(feet).zip(wanted).map(|(((arm, label, (share, _)), foot), end)| {
        // A line that is not at the last epoch yet is led there.
        let reach = (share < 0.999).then(|| {
            let at = pixels(end);
            view! { <line class="reach" x1=across(share) x2="100%" y1=at.clone() y2=at></line> }
        });
        view! {
            <g
                class=format!("{} end-labels", tints[arm].class())
                data-arm=look.arm(arm)
            >
                {reach}
                <svg x="100%" overflow="visible">
                    <path class="leader" d=format!("M2 {end:.1}L14 {foot:.1}")></path>
                    <text class="end-label" x="18" y=pixels(foot) dy="0.35em">{label}</text>
                </svg>
            </g>
        }
    });

    let (title_id, description_id) = (format!("{name}-title"), format!("{name}-description"));
    let labelled_by = format!("{title_id} {description_id}");
    view! {
        <svg
            class="chart over-epochs"
            height=pixels(ABOVE + height + BELOW)
            role="img"
            aria-labelledby=labelled_by
            data-from=x.low
            data-until=x.high
        >
            <title id=title_id>{metric::name(metric)}</title>
            <desc id=description_id>{description}</desc>
            <text class="axis-title" x="-44" y="-14">{metric::axis(metric)}</text>
            {grid.collect_view()}
            {zero}
            {hairlines.collect_view()}
            <svg width="100%" height=pixels(height) viewBox=format!("0 0 {} {}", WIDTH * FINE, height * FINE) preserveAspectRatio="none">
                {bands}
                {lines.collect_view()}
            </svg>
            <line class="crosshair" y1="0" y2=pixels(height)></line>
            <line class="axis" x1="0" x2="100%" y1=pixels(height) y2=pixels(height)></line>
            {below.collect_view()}
            <text class="axis-title" x="50%" y=pixels(height + 40.0) text-anchor="middle">"epoch"</text>
            {marks.collect_view()}
            {end_labels.collect_view()}
            <rect class="plot" x="0" y="0" width="100%" height=pixels(height)></rect>
        </svg>
    }
}

/// The bands of one chart. They have a place also where there are none: the browser puts those there that are asked for later.
fn bands(traces: &[Trace], look: Look<'_>) -> impl IntoView + use<> {
    let bands = traces.iter().filter_map(|trace| {
        let (arm, band) = (trace.arm, trace.band.clone()?);
        let class = format!("band {}", look.tints[arm].class());
        Some(view! { <path class=class data-arm=look.arm(arm) d=band></path> })
    });
    let bands = bands.collect_view();
    view! { <g class="bands">{bands}</g> }
}

/// Names the lines, holds their values at the epochs up to `last`, to be read under the pointer, and explains the marks of the `whole`
/// picture.
fn legend(series: &[Series], look: Look<'_>, last: u32, whole: &Window) -> impl IntoView + use<> {
    let Look { metric, tints, .. } = look;
    let epochs = Epochs::up_to(last);
    let items = series.iter().map(|series| {
        let arm = series.arm;
        let values = values(metric, &series.points, epochs);
        let read = epochs.value(&values, metric::unit(metric), None);
        view! {
            <li
                class=tints[arm].class()
                data-arm=look.arm(arm)
            >
                <span class="swatch"></span>
                <span class="legend-label">{series.label.clone()}</span>
                <span class="legend-value" data-values=values>{read}</span>
            </li>
        }
    });
    let has_stops = whole.traces.iter().any(|trace| trace.stop.is_some());
    let has_gaps = matches!(metric, Metric::KdLossValidation | Metric::AgreementValidation)
        && series.iter().any(|series| !are_of_every_epoch(&series.points));
    let has_drops = !whole.drops.is_empty();
    let most_seeds = series.iter().flat_map(|series| &series.points).map(|point| point.seeds).max().unwrap_or(0);
    let some_of_two = series.iter().flat_map(|series| &series.points).any(|point| point.seeds == 2);
    let bands = match most_seeds {
        _ if metric::is_stepped(metric) => "Every seed has the same. ",
        0 | 1 if !look.of_arms => "",
        0 | 1 => "Line: one seed. ",
        2 => {
            "Line: mean over two seeds. Band: from the lower to the higher of the two; their interval would be a dozen times as wide. "
        }
        _ if some_of_two => {
            "Line: mean over seeds. Band: 95 % interval of the mean, point by point; where there are only two seeds yet, from the lower to the higher. "
        }
        _ => "Line: mean over seeds. Band: 95 % interval of the mean, point by point. ",
    };
    let few_bands = match (has_too_many_bands(series) && !metric::is_stepped(metric), look.pointed) {
        (false, _) => "",
        (true, true) => "Of so many arms only the one that is pointed at shows its band. ",
        (true, false) => "Of so many arms no bands are shown. ",
    };
    let items = items.collect_view();
    view! {
        <div class="legend">
            <p class="legend-head">{readout::heading(None)}</p>
            <ul>{items}</ul>
            <p class="legend-notes">
                {bands}
                {few_bands}
                {has_stops.then_some("Ring: KD stops here. ")}
                {has_gaps.then_some("A curve with gaps was trained before its teacher was there: it is measured where its checkpoints are kept. ")}
                {has_drops.then_some("Hairline: the learning rate drops.")}
            </p>
        </div>
    }
}

/// Whether no epoch is left out up to the last one.
fn are_of_every_epoch(points: &[Point]) -> bool {
    points.iter().zip(1..).all(|(point, epoch)| point.epoch.0 == epoch)
}

/// A number for each of `epochs`, with [`readout::NOT_MEASURED`] where there is none.
fn values(metric: Metric, points: &[Point], epochs: Epochs) -> String {
    let written = epochs.all().map(|epoch| match points.binary_search_by_key(&epoch, |point| point.epoch.0) {
        Ok(index) => metric::number(metric, points[index].mean),
        Err(_) => readout::NOT_MEASURED.to_owned(),
    });
    written.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{window::tests::series, *};

    #[test]
    fn a_legend_holds_a_value_for_each_epoch_or_says_that_there_is_none() {
        let mut points = series(&[2.0, 1.5, 1.25]).points;
        points.remove(1);
        assert_eq!(values(Metric::KdLossTrain, &points, Epochs::up_to(4)), "2.000 - 1.250 -");
    }

    #[test]
    fn where_signs_mean_something_zero_is_marked_if_it_is_in_sight() {
        let drawn = |metric, values: &[f64]| {
            let series = [series(values)];
            Owner::new().with(|| curves(metric, &series, &[Tint::Labels], 0, "curves", false).to_html())
        };
        let marks = |metric, values: &[f64]| drawn(metric, values).matches("class=\"zero\"").count();
        assert_eq!(marks(Metric::GradientCosine, &[0.4, 0.1, -0.2]), 1);
        assert_eq!(marks(Metric::GradientCosine, &[0.4, 0.35, 0.3]), 0);
        assert_eq!(marks(Metric::KdLossTrain, &[0.4, 0.1, -0.2]), 0);
    }
}
