//! A window on learning curves: which axes fit what is in sight, and the paths, dots and rings that stand for it.

use crate::{chart::scale::Scale, report::metric};
use study::{Metric, Point, Series};

/// Width of the stretched drawing inside the plot.
pub const WIDTH: f64 = 1000.0;
/// Steps of that drawing to a pixel of its height: paths are written in whole ones.
pub const FINE: f64 = 10.0;
/// As few points as this are drawn as dots too: a line alone would hide where they are.
const DOTS_MAX: usize = 8;
/// Bands that can be told apart; of more only that of the arm pointed at is drawn, once it is.
const BANDS_MAX: usize = 8;

/// One arm's curve as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub arm: usize,
    pub label: String,
    pub line: String,
    pub band: Option<String>,
    pub dots: Vec<(f64, f64)>,
    /// Where KD stops, if that is in sight: share of the width, pixels from the top.
    pub stop: Option<(f64, f64)>,
    /// Its last point: share of the width, pixels from the top.
    pub end: Option<(f64, f64)>,
}

/// A window on the curves of a metric.
pub struct Window {
    pub x: Scale,
    pub y: Scale,
    pub height: f64,
    pub traces: Vec<Trace>,
    pub drops: Vec<f64>,
}

/// The curves of `series` from one epoch until another, `height` pixels high, with axes that fit them. Bands that are too many to be told
/// apart are left out. With `only`, that arm is drawn alone, and its band with it, on the axes that fit all of them.
pub fn window(series: &[Series], metric: Metric, from: u32, until: u32, height: f64, only: Option<usize>) -> Window {
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
    let banded = !are_many || only.is_some();
    let drawn = series.iter().filter(|series| only.is_none_or(|arm| arm == series.arm));
    let traces = drawn.map(|series| trace(series, metric, &x, &y, height, banded)).collect();
    Window { x, y, height, traces, drops }
}

/// Whether more have a band to show than can be told apart; those of one seed alone have none.
pub fn has_too_many_bands(series: &[Series]) -> bool {
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

fn trace(series: &Series, metric: Metric, x: &Scale, y: &Scale, height: f64, with_band: bool) -> Trace {
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
    let banded: Vec<(u32, (f64, f64))> = match with_band && !steps {
        true => columns().filter_map(envelope).collect(),
        false => Vec::new(),
    };
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

#[cfg(test)]
pub mod tests {
    use super::*;
    use study::Epoch;

    pub fn series(values: &[f64]) -> Series {
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
        let whole = window(&all, Metric::ValidationAccuracy, 0, 10, 270.0, None);
        assert!(whole.y.low < 50.0 && whole.y.high > 91.5);
        assert_eq!(whole.drops, [3.0]);
        assert!(whole.traces[0].stop.is_some());
        let end = window(&all, Metric::ValidationAccuracy, 8, 10, 270.0, None);
        assert!(end.y.low > 90.0, "{:?}", end.y);
        assert_eq!((end.drops.len(), end.traces[0].stop), (0, None));
        let (share, down) = end.traces[0].end.unwrap();
        assert!((0.0..=270.0).contains(&down) && share == 1.0);
    }

    #[test]
    fn a_band_of_two_seeds_spans_both_and_one_seed_has_none() {
        let mut two = series(&[80.0, 85.0]);
        two.points.iter_mut().for_each(|point| point.seeds = 2);
        let drawn = |series: &Series| window(std::slice::from_ref(series), Metric::TrainAccuracy, 0, 3, 270.0, None);
        let (narrow, wide) = (drawn(&two), drawn(&series(&[80.0, 85.0])));
        assert!(narrow.traces[0].band.is_some());
        assert!(narrow.y.low > wide.y.low, "{:?} {:?}", narrow.y, wide.y);
        two.points.iter_mut().for_each(|point| point.seeds = 1);
        assert_eq!(drawn(&two).traces[0].band, None);
    }

    #[test]
    fn of_too_many_arms_only_the_one_that_is_asked_for_has_its_band() {
        let many: Vec<Series> = (0..9).map(|arm| Series { arm, ..series(&[80.0 + arm as f64, 85.0, 86.0]) }).collect();
        let drawn = |series: &[Series], only| window(series, Metric::TrainAccuracy, 0, 3, 270.0, only);
        let all = drawn(&many, None);
        assert!(all.traces.len() == 9 && all.traces.iter().all(|trace| trace.band.is_none()));
        let one = drawn(&many, Some(4));
        assert_eq!(one.traces.len(), 1);
        assert!(one.traces[0].arm == 4 && one.traces[0].band.is_some());
        assert_eq!((one.y.low, one.y.high), (all.y.low, all.y.high), "it lies where its line is");
        assert_eq!(one.traces[0].line, all.traces[4].line);
        assert!(drawn(&many[..8], None).traces.iter().all(|trace| trace.band.is_some()));
    }

    #[test]
    fn more_points_than_pixels_are_drawn_by_what_they_reach() {
        let many: Vec<f64> =
            (0..20_000).map(|epoch| if epoch == 12_345 { 99.0 } else { 50.0 + f64::from(epoch % 7) }).collect();
        let all = [series(&many)];
        let trace = &window(&all, Metric::TrainAccuracy, 0, 20_000, 270.0, None).traces[0];
        let corners = corners(&trace.line);
        assert!((1_000..=4_000).contains(&corners.len()), "{}", corners.len());
        let highest = corners.iter().map(|(_, y)| *y).min();
        assert_eq!(corners.iter().filter(|(_, y)| Some(*y) == highest).count(), 1, "the one far value is there");
    }

    #[test]
    fn no_share_is_drawn_beyond_all() {
        let all = [series(&[99.0, 99.6, 99.9, 100.0])];
        assert_eq!(window(&all, Metric::TrainAccuracy, 0, 4, 270.0, None).y.high, 100.0);
        assert!(window(&all, Metric::KdLossTrain, 0, 4, 270.0, None).y.high > 100.0);
    }

    #[test]
    fn a_wild_band_does_not_press_the_curves_flat() {
        let mut wild = series(&[90.0, 90.5, 91.0]);
        wild.points[0].low = -300.0;
        wild.points[0].high = 400.0;
        let window = window(&[wild], Metric::ValidationAccuracy, 0, 3, 270.0, None);
        assert!(window.y.low > 85.0 && window.y.high < 95.0, "{:?}", window.y);
    }

    #[test]
    fn the_learning_rate_goes_in_steps_without_a_band() {
        let all = [series(&[0.1, 0.1, 0.02, 0.02])];
        let trace = &window(&all, Metric::LearningRate, 0, 4, 270.0, None).traces[0];
        let corners = corners(&trace.line);
        assert_eq!(corners.iter().map(|corner| corner.0).collect::<Vec<_>>(), [0, 5_000, 5_000, 10_000]);
        assert!(corners[0].1 == corners[1].1 && corners[1].1 < corners[2].1 && corners[2].1 == corners[3].1);
        assert!(trace.band.is_none() && trace.dots.is_empty());
    }

    #[test]
    fn a_series_without_points_draws_nothing_and_breaks_nothing() {
        let window = window(&[series(&[])], Metric::TestAccuracy, 0, 3, 270.0, None);
        assert_eq!((window.traces[0].line.as_str(), window.traces[0].end), ("", None));
    }
}
