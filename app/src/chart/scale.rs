//! Axes: from values to places, with round ticks, fitted to the data.

/// A stretch of numbers along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<f64>,
    /// Decimals that tell the ticks apart.
    pub decimals: usize,
    logarithmic: bool,
}

impl Scale {
    /// Fits `values` with a little room at both ends and round ticks, about `count`. Empty or equal values get a stretch of
    /// their own, so that nothing divides by zero.
    pub fn fitted(values: impl Iterator<Item = f64>, count: usize) -> Scale {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let room = if high > low { 0.06 * (high - low) } else { low.abs().max(1.0) * 0.02 };
        Scale::round(low - room, high + room, count)
    }

    /// As [`Scale::fitted`], for shares in percent: no axis goes where none can be.
    pub fn percentages(values: impl Iterator<Item = f64>, count: usize) -> Scale {
        let fitted = Scale::fitted(values.map(|value| value.clamp(0.0, 100.0)), count);
        Scale::round(fitted.low.max(0.0), fitted.high.min(100.0), count)
    }

    /// `value`, or the end of the axis that it lies beyond.
    pub fn within(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    /// From `low` to `high` as they are, with about `count` round ticks inside.
    pub fn round(low: f64, high: f64, count: usize) -> Scale {
        let step = round_step(high - low, count);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last).map(|tick| tick as f64 * step).collect();
        let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
        Scale { low, high, ticks, decimals, logarithmic: false }
    }

    /// Whole epochs: ticks never fall between two of them.
    pub fn epochs(low: u32, high: u32, count: usize) -> Scale {
        let (low, high) = (f64::from(low), f64::from(high.max(low + 1)));
        let step = round_step(high - low, count).max(1.0);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        Scale {
            low,
            high,
            ticks: (first..=last).map(|tick| tick as f64 * step).collect(),
            decimals: 0,
            logarithmic: false,
        }
    }

    /// Equal ratios are equal distances. Values must be above zero; others are left out.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Scale {
        let (low, high) = extent(values.filter(|value| *value > 0.0)).unwrap_or((0.1, 1.0));
        let room = (high / low).powf(0.06).max(1.05);
        let (low, high) = (low / room, high * room);
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let within = |tick: &f64| (low..=high).contains(tick);
        let mut ticks: Vec<f64> = powers.clone().map(|power| 10f64.powi(power)).filter(within).collect();
        if ticks.len() < 2 {
            let finer = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
            ticks = finer.filter(within).collect();
        }
        let least = ticks.first().copied().unwrap_or(low);
        let decimals = (-(least.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
        Scale { low, high, ticks, decimals, logarithmic: true }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end, beyond them outside.
    pub fn place(&self, value: f64) -> f64 {
        match self.logarithmic {
            false => (value - self.low) / (self.high - self.low),
            true => (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// A tick as it is written.
    pub fn written(&self, tick: f64) -> String {
        let text = crate::numbers::fixed(tick, self.decimals);
        // Powers of ten share no number of decimals: 0.100 reads as 0.1.
        if self.logarithmic && text.contains('.') {
            return text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        text
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// The largest of 1, 2, 5, 10, 20, ... that gives about `count` steps over `span`, rather more than fewer.
fn round_step(span: f64, count: usize) -> f64 {
    let most = span / (0.7 * count.max(1) as f64);
    let most = if most.is_finite() && most > 0.0 { most * (1.0 + 1e-9) } else { 1.0 };
    let power = 10f64.powi(most.log10().floor() as i32);
    [5.0, 2.0].into_iter().map(|factor| factor * power).find(|step| *step <= most).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_lie_inside_and_the_axis_fits_the_data() {
        let scale = Scale::fitted([88.13, 90.2, 91.46].into_iter(), 5);
        assert_eq!(scale.ticks, [88.0, 89.0, 90.0, 91.0]);
        assert_eq!(scale.decimals, 0);
        assert!(scale.low > 87.0 && scale.high < 92.0, "{scale:?}");
        let fine = Scale::fitted([91.02, 91.27].into_iter(), 5);
        assert_eq!(
            fine.ticks.iter().map(|tick| fine.written(*tick)).collect::<Vec<_>>(),
            ["91.05", "91.10", "91.15", "91.20", "91.25"]
        );
        for scale in [scale, fine] {
            assert!(scale.ticks.iter().all(|tick| (0.0..=1.0).contains(&scale.place(*tick))));
        }
    }

    #[test]
    fn shares_end_at_all_and_at_nothing() {
        let scale = Scale::percentages([97.0, 99.8, 103.0].into_iter(), 6);
        assert!(scale.low > 96.0 && scale.high == 100.0 && scale.ticks.last() == Some(&100.0), "{scale:?}");
        assert_eq!(scale.within(103.0), 100.0);
        assert_eq!(Scale::percentages([0.5, 3.0].into_iter(), 6).low, 0.35);
        assert_eq!(Scale::percentages([0.1, 8.0].into_iter(), 6).low, 0.0);
        let all = Scale::percentages([100.0, 100.0].into_iter(), 6);
        assert!(all.high == 100.0 && all.high > all.low && !all.ticks.is_empty(), "{all:?}");
    }

    #[test]
    fn nothing_and_one_value_have_an_axis_too() {
        for values in [vec![], vec![90.0], vec![0.0, 0.0], vec![f64::NAN, 3.0]] {
            let scale = Scale::fitted(values.iter().copied(), 5);
            assert!(scale.high > scale.low && !scale.ticks.is_empty(), "{values:?}: {scale:?}");
            assert!(scale.place(scale.low).abs() < 1e-12 && (scale.place(scale.high) - 1.0).abs() < 1e-12);
            assert!(scale.ticks.len() <= 8, "{scale:?}");
        }
    }

    #[test]
    fn epochs_are_whole() {
        assert_eq!(Scale::epochs(0, 4, 8).ticks, [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(Scale::epochs(160, 200, 4).ticks, [160.0, 170.0, 180.0, 190.0, 200.0]);
        assert_eq!(Scale::epochs(16, 20, 4).ticks, [16.0, 17.0, 18.0, 19.0, 20.0]);
    }

    #[test]
    fn a_logarithmic_axis_has_powers_or_finer_ticks() {
        let scale = Scale::logarithmic([0.1, 0.0008].into_iter());
        assert_eq!(scale.ticks.iter().map(|tick| scale.written(*tick)).collect::<Vec<_>>(), ["0.001", "0.01", "0.1"]);
        assert!((scale.place(0.01) - scale.place(0.001) - (scale.place(0.1) - scale.place(0.01))).abs() < 1e-9);
        let short = Scale::logarithmic([1.0, 4.0].into_iter());
        assert_eq!(short.ticks, [1.0, 2.0]);
    }
}
