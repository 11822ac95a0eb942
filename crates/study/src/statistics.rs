//! Intervals and verdicts. Every number here is tested against SciPy and statsmodels (tests/statistics.rs).

pub use crate::blocks::{Blocks, Contrast};

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Of every interval and verdict.
pub const CONFIDENCE: f64 = 0.95;
/// With which a study should see a difference that is there, for [`seeds_needed`].
pub const POWER: f64 = 0.8;
/// Most seeds that [`seeds_needed`] says; beyond it a difference is as good as none.
pub const SEEDS_NEEDED_MAX: u32 = 10_000;

/// NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation (n − 1).
pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// Two-sided critical value of Student's t at [`CONFIDENCE`].
pub fn critical_value(degrees_of_freedom: f64) -> f64 {
    quantile(1.0 - (1.0 - CONFIDENCE) / 2.0, degrees_of_freedom)
}

/// As [`critical_value`], for the mean of `n` values; 0 for fewer than two.
pub(crate) fn critical_value_of_mean(n: usize) -> f64 {
    if n < 2 { 0.0 } else { critical_value(n as f64 - 1.0) }
}

/// Quantile of Student's t, for probabilities from one half up to 1.
fn quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    students_t(degrees_of_freedom).map_or(f64::NAN, |t| t.inverse_cdf(probability))
}

/// Two-sided p-value of a t statistic.
pub fn two_sided_p(t: f64, degrees_of_freedom: f64) -> f64 {
    students_t(degrees_of_freedom).map_or(f64::NAN, |it| 2.0 * it.cdf(-t.abs()))
}

fn students_t(degrees_of_freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()
}

/// Mean with its 95 % interval by its own t, as (mean, low, high); `None` for fewer than two values. `step`: see
/// [`rounding_variance`].
pub fn interval_of_mean(values: &[f64], step: f64) -> Option<(f64, f64, f64)> {
    let n = values.len();
    (n >= 2).then(|| {
        let variance = deviation(values).powi(2).max(rounding_variance(step));
        let half = critical_value_of_mean(n) * (variance / n as f64).sqrt();
        (mean(values), mean(values) - half, mean(values) + half)
    })
}

/// The difference of two means, first minus second, as (low, high): 95 % by Welch's t (1947), for samples that have nothing in common,
/// each with its own variance. `None` where one of them has fewer than two values. `step`: see [`rounding_variance`].
pub fn interval_of_difference(first: &[f64], second: &[f64], step: f64) -> Option<(f64, f64)> {
    // The variance of the mean, and its share of Satterthwaite's degrees of freedom.
    let of = |values: &[f64]| {
        let variance = deviation(values).powi(2).max(rounding_variance(step)) / values.len() as f64;
        (variance, variance.powi(2) / (values.len() as f64 - 1.0))
    };
    (first.len() >= 2 && second.len() >= 2).then(|| {
        let ((one, one_share), (other, other_share)) = (of(first), of(second));
        let half = critical_value((one + other).powi(2) / (one_share + other_share)) * (one + other).sqrt();
        let difference = mean(first) - mean(second);
        (difference - half, difference + half)
    })
}

/// The least variance that values can be told to have which come in steps: an accuracy on 10,000 images comes in steps of 0.01
/// points. Whatever lies within a step is said by the same number, which is off by `step²/12` in the mean square; so values
/// that agree to the last digit are no proof of certainty, and no variance is taken to be smaller.
pub fn rounding_variance(step: f64) -> f64 {
    step * step / 12.0
}

/// Holm's step-down correction (1979): p-values that hold for all comparisons together, in the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|one, other| p_values[*one].total_cmp(&p_values[*other]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let stepped = p_values[index] * (p_values.len() - rank) as f64;
        least = least.max(stepped).min(1.0);
        corrected[index] = least;
    }
    corrected
}

/// Seeds in all with which the additive model of `arms` arms sees a true `difference` (at 95 %, with [`POWER`]), given the
/// residual deviation; `None` where no number up to [`SEEDS_NEEDED_MAX`] does. One comparison alone: not Holm-corrected.
pub fn seeds_needed(difference: f64, residual_deviation: f64, arms: usize) -> Option<u32> {
    let enough = |seeds: u32| power(difference, residual_deviation, arms, seeds) >= POWER;
    let usable = difference != 0.0 && difference.is_finite() && residual_deviation.is_finite() && arms >= 2;
    if !usable || !enough(SEEDS_NEEDED_MAX) {
        return None;
    }
    // Power rises with the seeds, so that the least number is found by halving.
    let (mut too_few, mut enough_seeds) = (1, SEEDS_NEEDED_MAX);
    while enough_seeds - too_few > 1 {
        let middle = too_few + (enough_seeds - too_few) / 2;
        if enough(middle) { enough_seeds = middle } else { too_few = middle }
    }
    Some(enough_seeds)
}

/// Probability that the t test of a contrast over `seeds` seeds comes out at 95 %, by the normal approximation of the
/// noncentral t (Abramowitz & Stegun 26.7.10): `P(T ≤ t) ≈ Φ((t·(1 − 1/4ν) − δ) / √(1 + t²/2ν))`.
fn power(difference: f64, residual_deviation: f64, arms: usize, seeds: u32) -> f64 {
    if residual_deviation == 0.0 {
        return 1.0;
    }
    let freedom = (arms as f64 - 1.0) * (f64::from(seeds) - 1.0);
    let noncentrality = difference.abs() / (residual_deviation * (2.0 / f64::from(seeds)).sqrt());
    let t = critical_value(freedom);
    let z = (t * (1.0 - 1.0 / (4.0 * freedom)) - noncentrality) / (1.0 + t * t / (2.0 * freedom)).sqrt();
    1.0 - Normal::standard().cdf(z)
}

/// Half the width of a 95 % interval of an accuracy (0 to 1) that was measured on `n` images, by the normal approximation
/// of the binomial: `1.96·√(p·(1 − p)/n)`.
pub fn binomial_half_width(accuracy: f64, n: u32) -> f64 {
    let z = Normal::standard().inverse_cdf(1.0 - (1.0 - CONFIDENCE) / 2.0);
    z * (accuracy * (1.0 - accuracy) / f64::from(n)).sqrt()
}
