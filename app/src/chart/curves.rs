//! Learning curves: a line an arm, a band over seeds, a ring where KD stops, hairlines where the learning rate drops; and
//! beside them the last fifth, where half-point differences live.

use super::{across, labels, pixels, scale::Scale, swept::Tint};
use crate::{
    readout::{self, Epochs},
    report::metric,
};
use leptos::prelude::*;
use study::{Metric, Point, Series};

const PLOT: f64 = 270.0;
const ABOVE: f64 = 26.0;
const BELOW: f64 = 48.0;
const LABEL: f64 = 15.0;
/// Width of the stretched drawing inside the plot.
const WIDTH: f64 = 1000.0;
/// Steps of that drawing to a pixel of its height: paths are written in whole ones.
const FINE: f64 = 10.0;
/// Pixels that a phone's screen leaves for a plot.
const NARROW: f64 = 250.0;
/// As few points as this are drawn as dots too: a line alone would hide where they are.
const DOTS_MAX: usize = 8;
/// From so many epochs on the end is drawn closer.
const CLOSER_FROM: u32 = 5;
/// Bands that can be told apart; of more only that of the arm pointed at is drawn.
const BANDS_MAX: usize = 8;
/// Arms whose labels stand at their lines' ends; more are found in the legend.
const LABELLED_MAX: usize = 12;

/// In place of curves.
pub const NOTHING_YET: &str = "No epoch of a student is finished yet: curves appear with the first.";

/// One arm's curve as it is drawn.
#[derive(Clone, Debug, PartialEq)]
struct Trace {
    arm: usize,
    label: String,
    line: String,
    band: Option<String>,
    dots: Vec<(f64, f64)>,
    /// Where KD stops, if that is in sight: share of the width, pixels from the top.
    stop: Option<(f64, f64)>,
    /// Its last point: share of the width, pixels from the top.
    end: Option<(f64, f64)>,
}

/// A window on the curves of a metric.
struct Window {
    x: Scale,
    y: Scale,
    height: f64,
    traces: Vec<Trace>,
    drops: Vec<f64>,
}

fn window(series: &[Series], metric: Metric, from: u32, until: u32, height: f64) -> Window {
    let in_sight = |point: &&Point| (from..=until).contains(&point.epoch.0);
    let points = || series.iter().flat_map(|series| series.points.iter().filter(in_sight));
    let are_many = has_too_many_bands(series);
    let seen = || {
        // Bands that are not drawn take no room.
        let band = |point: &Point| point.band().filter(|_| !are_many);
        let ends = move |point: &Point| [Some(point.mean), band(point).map(|it| it.0), band(point).map(|it| it.1)];
        points().flat_map(ends).flatten().filter(not_absurd(points()))
    };
    let y = match metric {
        _ if metric::is_logarithmic(metric) => Scale::logarithmic(points().map(|point| point.mean)),
        _ if metric::is_share(metric) => Scale::percentages(seen(), 6),
        _ => Scale::fitted(seen(), 6),
    };
    let x = Scale::epochs(from, until, if from == 0 { 8 } else { 4 });
    let mut drops: Vec<f64> = series.iter().flat_map(|series| &series.drops).map(|drop| f64::from(drop.0)).collect();
    drops.sort_by(f64::total_cmp);
    drops.dedup();
    drops.retain(|drop| (x.low..=x.high).contains(drop));
    let traces = series.iter().map(|series| trace(series, metric, &x, &y, height)).collect();
    Window { x, y, height, traces, drops }
}

/// Whether more have a band to show than can be told apart; those of one seed alone have none.
fn has_too_many_bands(series: &[Series]) -> bool {
    let has_band = |series: &&Series| series.points.iter().any(|point| point.band().is_some());
    series.iter().filter(has_band).count() > BANDS_MAX
}

/// Few seeds may give an interval many times as wide as the curves themselves; the axis follows the curves, and such a band
/// is cut at the frame.
fn not_absurd<'a>(points: impl Iterator<Item = &'a Point>) -> impl Fn(&f64) -> bool {
    let (low, high) =
        points.fold((f64::MAX, f64::MIN), |(low, high), point| (low.min(point.mean), high.max(point.mean)));
    let room = (high - low).max(high.abs() * 0.002);
    move |value| (low - 0.5 * room..=high + 0.5 * room).contains(value)
}

fn trace(series: &Series, metric: Metric, x: &Scale, y: &Scale, height: f64) -> Trace {
    // Points out of sight are drawn too, one before the window: the frame cuts them, and lines reach its edge.
    let first = series.points.iter().rposition(|point| f64::from(point.epoch.0) < x.low).unwrap_or(0);
    let points = &series.points[first.min(series.points.len())..];
    let at = |epoch: u32, value: f64| (x.place(f64::from(epoch)), height * (1.0 - y.place(value)));
    let drawn = |epoch: u32, value: f64| {
        let (share, down) = at(epoch, value);
        // A far value must not become a number that a browser cannot draw.
        ((share * WIDTH * FINE).round() as i64, (down.clamp(-9_999.0, 9_999.0) * FINE).round() as i64)
    };
    let column = |point: &Point| (x.place(f64::from(point.epoch.0)) * WIDTH).floor() as i64;
    let columns = || points.chunk_by(|one, next| column(one) == column(next));
    let steps = metric::is_stepped(metric);
    let line: Vec<(i64, i64)> = match steps {
        true => stairs(points).into_iter().map(|(epoch, value)| drawn(epoch, value)).collect(),
        false => columns().flat_map(outline).map(|point| drawn(point.epoch.0, point.mean)).collect(),
    };
    let banded: Vec<(u32, (f64, f64))> = columns().filter_map(envelope).filter(|_| !steps).collect();
    let band = banded.iter().any(|(_, (low, high))| high > low).then(|| {
        let above = banded.iter().map(|(epoch, (_, high))| drawn(*epoch, *high));
        let under = banded.iter().rev().map(|(epoch, (low, _))| drawn(*epoch, *low));
        path(above.chain(under)) + "Z"
    });
    let in_sight = |point: &&Point| f64::from(point.epoch.0) >= x.low;
    let stop = series.kd_stops_at.and_then(|epoch| {
        let point = points.iter().filter(in_sight).find(|point| point.epoch == epoch)?;
        Some(at(epoch.0, point.mean))
    });
    let few = points.len() <= DOTS_MAX && !steps;
    Trace {
        arm: series.arm,
        label: series.label.clone(),
        line: if line.len() > 1 { path(line) } else { String::new() },
        band,
        dots: points.iter().filter(in_sight).filter(|_| few).map(|point| at(point.epoch.0, point.mean)).collect(),
        stop,
        end: points.iter().rfind(in_sight).map(|point| at(point.epoch.0, point.mean)),
    }
}

/// A path through corners. Each is written by its distance from the one before: with whole numbers that is exact, and it takes half
/// as many letters of a page that is mostly paths.
fn path(corners: impl IntoIterator<Item = (i64, i64)>) -> String {
    let mut path = String::new();
    let mut last = (0, 0);
    for (index, (x, y)) in corners.into_iter().enumerate() {
        // A command stays until the next.
        path.push_str(["M", "l", ""][index.min(2)]);
        for number in [x - last.0, y - last.1] {
            // A minus parts two numbers as well as a space does.
            if number >= 0 && path.ends_with(|end: char| end.is_ascii_digit()) {
                path.push(' ');
            }
            path.push_str(&number.to_string());
        }
        last = (x, y);
    }
    path
}

/// Of the points in one column of pixels those that a line through all of them would show: the first, the lowest, the highest and
/// the last.
fn outline(column: &[Point]) -> Vec<&Point> {
    let by_mean = |one: &&Point, other: &&Point| one.mean.total_cmp(&other.mean);
    let (lowest, highest) = (column.iter().min_by(by_mean), column.iter().max_by(by_mean));
    let mut kept: Vec<&Point> = [column.first(), lowest, highest, column.last()].into_iter().flatten().collect();
    kept.sort_by_key(|point| point.epoch);
    kept.dedup_by_key(|point| point.epoch);
    kept
}

/// The corners of a value that stays throughout each epoch: where it changes, a step.
fn stairs(points: &[Point]) -> Vec<(u32, f64)> {
    let stays = points.chunk_by(|one, next| one.mean == next.mean && next.epoch.0 == one.epoch.0 + 1);
    let corners = stays.filter_map(|stay| {
        let (first, last) = (stay.first()?, stay.last()?);
        Some([(first.epoch.0.saturating_sub(1), first.mean), (last.epoch.0, last.mean)])
    });
    corners.flatten().collect()
}

/// What a band covers in one column of pixels, at its first epoch.
fn envelope(column: &[Point]) -> Option<(u32, (f64, f64))> {
    let bands = column.iter().filter_map(|point| Some((point.epoch.0, point.band()?)));
    bands.reduce(|(epoch, (low, high)), (_, next)| (epoch, (low.min(next.0), high.max(next.1))))
}

/// The curves of one metric by arm, and their close-up. `planned`: epochs that the longest of them is to have; `name` tells these
/// charts' elements from others on the page; `pointed`: the page follows the pointer.
pub fn curves(metric: Metric, series: &[Series], tints: &[Tint], planned: u32, name: &str, pointed: bool) -> AnyView {
    drawn(series, Look { metric, tints, planned, of_arms: true, pointed }, name)
}

/// Curves that stand for no arm: those of a study's teachers, or of the parts of a network.
pub fn other_curves(metric: Metric, series: &[Series], tints: &[Tint], planned: u32, name: &str) -> AnyView {
    drawn(series, Look { metric, tints, planned, of_arms: false, pointed: false }, name)
}

fn drawn(series: &[Series], look: Look<'_>, name: &str) -> AnyView {
    let metric = look.metric;
    let last = series.iter().flat_map(|series| &series.points).map(|point| point.epoch.0).max().unwrap_or(0);
    if last == 0 {
        return view! { <p class="empty">{NOTHING_YET}</p> }.into_any();
    }
    let names: Vec<String> = series.iter().map(|series| series.label.clone()).collect();
    let longest = names.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let fit_beside = names.len() <= LABELLED_MAX && longest <= 44;
    let height = PLOT;
    let whole = window(series, metric, 0, last.max(look.planned), height);
    // Of a few epochs there is nothing to see closer.
    let end = (last >= CLOSER_FROM).then(|| window(series, metric, last - last.div_ceil(5).max(2), last, height));
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
    let bands = traces.iter().filter_map(|trace| {
        let (arm, band) = (trace.arm, trace.band.clone()?);
        Some(view! { <path class=format!("band {}", tints[arm].class()) data-arm=look.arm(arm) d=band></path> })
    });
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
                {bands.collect_view()}
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
    use super::*;
    use study::Epoch;

    fn series(values: &[f64]) -> Series {
        let points = values.iter().enumerate().map(|(index, mean)| Point {
            epoch: Epoch(index as u32 + 1),
            mean: *mean,
            low: mean - 0.5,
            high: mean + 0.5,
            seeds: 3,
        });
        Series {
            arm: 0,
            label: "KD until 2".into(),
            points: points.collect(),
            kd_stops_at: Some(Epoch(2)),
            drops: vec![Epoch(3)],
        }
    }

    /// Where a path leads, as a browser reads it.
    fn corners(path: &str) -> Vec<(i64, i64)> {
        let numbers = path.trim_end_matches('Z').replace(['M', 'l'], " ").replace('-', " -");
        let numbers: Vec<i64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let mut at = (0, 0);
        let steps = numbers.chunks_exact(2);
        steps
            .map(|step| {
                at = (at.0 + step[0], at.1 + step[1]);
                at
            })
            .collect()
    }

    #[test]
    fn a_path_is_written_by_distances_and_leads_where_its_corners_are() {
        let all = [(0, 40), (50, 30), (100, 30), (90, -5)];
        assert_eq!(path(all), "M0 40l50-10 50 0-10-35");
        assert_eq!(corners(&path(all)), all);
        assert_eq!(path([(3, 4)]), "M3 4");
        assert_eq!(path([]), "");
    }

    #[test]
    fn a_window_shows_what_is_in_sight_and_fits_its_axis_to_it() {
        let all = [series(&[50.0, 80.0, 88.0, 90.0, 90.5, 91.0, 91.2, 91.3, 91.4, 91.5])];
        let whole = window(&all, Metric::ValidationAccuracy, 0, 10, 270.0);
        assert!(whole.y.low < 50.0 && whole.y.high > 91.5);
        assert_eq!(whole.drops, [3.0]);
        assert!(whole.traces[0].stop.is_some());
        let end = window(&all, Metric::ValidationAccuracy, 8, 10, 270.0);
        assert!(end.y.low > 90.0, "{:?}", end.y);
        assert_eq!((end.drops.len(), end.traces[0].stop), (0, None));
        let (share, down) = end.traces[0].end.unwrap();
        assert!((0.0..=270.0).contains(&down) && share == 1.0);
    }

    #[test]
    fn a_band_of_two_seeds_spans_both_and_one_seed_has_none() {
        let mut two = series(&[80.0, 85.0]);
        two.points.iter_mut().for_each(|point| point.seeds = 2);
        let drawn = |series: &Series| window(std::slice::from_ref(series), Metric::TrainAccuracy, 0, 3, 270.0);
        let (narrow, wide) = (drawn(&two), drawn(&series(&[80.0, 85.0])));
        assert!(narrow.traces[0].band.is_some());
        assert!(narrow.y.low > wide.y.low, "{:?} {:?}", narrow.y, wide.y);
        two.points.iter_mut().for_each(|point| point.seeds = 1);
        assert_eq!(drawn(&two).traces[0].band, None);
    }

    #[test]
    fn a_legend_holds_a_value_for_each_epoch_or_says_that_there_is_none() {
        let mut points = series(&[2.0, 1.5, 1.25]).points;
        points.remove(1);
        assert_eq!(values(Metric::KdLossTrain, &points, Epochs::up_to(4)), "2.000 - 1.250 -");
    }

    #[test]
    fn more_points_than_pixels_are_drawn_by_what_they_reach() {
        let many: Vec<f64> =
            (0..20_000).map(|epoch| if epoch == 12_345 { 99.0 } else { 50.0 + f64::from(epoch % 7) }).collect();
        let all = [series(&many)];
        let trace = &window(&all, Metric::TrainAccuracy, 0, 20_000, 270.0).traces[0];
        let corners = corners(&trace.line);
        assert!((1_000..=4_000).contains(&corners.len()), "{}", corners.len());
        let highest = corners.iter().map(|(_, y)| *y).min();
        assert_eq!(corners.iter().filter(|(_, y)| Some(*y) == highest).count(), 1, "the one far value is there");
    }

    #[test]
    fn no_share_is_drawn_beyond_all() {
        let all = [series(&[99.0, 99.6, 99.9, 100.0])];
        assert_eq!(window(&all, Metric::TrainAccuracy, 0, 4, 270.0).y.high, 100.0);
        assert!(window(&all, Metric::KdLossTrain, 0, 4, 270.0).y.high > 100.0);
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

    #[test]
    fn a_wild_band_does_not_press_the_curves_flat() {
        let mut wild = series(&[90.0, 90.5, 91.0]);
        wild.points[0].low = -300.0;
        wild.points[0].high = 400.0;
        let window = window(&[wild], Metric::ValidationAccuracy, 0, 3, 270.0);
        assert!(window.y.low > 85.0 && window.y.high < 95.0, "{:?}", window.y);
    }

    #[test]
    fn the_learning_rate_goes_in_steps_without_a_band() {
        let all = [series(&[0.1, 0.1, 0.02, 0.02])];
        let trace = &window(&all, Metric::LearningRate, 0, 4, 270.0).traces[0];
        let corners = corners(&trace.line);
        assert_eq!(corners.iter().map(|corner| corner.0).collect::<Vec<_>>(), [0, 5_000, 5_000, 10_000]);
        assert!(corners[0].1 == corners[1].1 && corners[1].1 < corners[2].1 && corners[2].1 == corners[3].1);
        assert!(trace.band.is_none() && trace.dots.is_empty());
    }

    #[test]
    fn a_series_without_points_draws_nothing_and_breaks_nothing() {
        let window = window(&[series(&[])], Metric::TestAccuracy, 0, 3, 270.0);
        assert_eq!((window.traces[0].line.as_str(), window.traces[0].end), ("", None));
    }
}
