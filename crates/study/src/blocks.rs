//! The additive model arm + seed, by least squares over the results there are.

use crate::statistics::{critical_value, mean, rounding_variance, two_sided_p};

/// The additive model `accuracy = arm + seed + noise` (randomised blocks): what a seed does to all arms alike is taken out of
/// the noise.
///
/// Ordinary least squares over the results there are. Where each arm has every seed, an arm's mean is the mean of its values,
/// its error `√(MSE/n)`, that of a difference `√(2·MSE/n)`. Where some are missing, a mean is adjusted: it is what the arm would
/// have on all seeds, and its error grows with what is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Mean of each arm, adjusted to all seeds.
    pub means: Vec<f64>,
    pub arms: usize,
    pub seeds: usize,
    /// Values that the model stands on: `arms · seeds` where none is missing.
    pub values: usize,
    /// `values − arms − seeds + 1`; where none is missing `(arms − 1)·(seeds − 1)`.
    pub degrees_of_freedom: u32,
    /// Residual mean square, and no less than the [`rounding_variance`].
    pub mean_square_error: f64,
    /// Values of each arm.
    counts: Vec<usize>,
    /// By arm and seed, how much more than its share the seed has of the arm's values: zero where none is missing.
    excess: Vec<Vec<f64>>,
    /// Of the seeds' effects, in units of the residual variance; by seed and seed.
    covariance: Vec<Vec<f64>>,
}

/// A difference of two arms in [`Blocks`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    pub t: f64,
    /// Two-sided, uncorrected.
    pub p_value: f64,
}

impl Blocks {
    /// Fits `values[arm][seed]`, which come in steps of `step` (above 0). A seed without any value does not count.
    ///
    /// `None` for fewer than two arms, where nothing is left to tell noise by, or where the arms are not all tied together by
    /// seeds that they share ([`tied`]).
    pub fn fit(values: &[Vec<Option<f64>>], step: f64) -> Option<Blocks> {
        let present = |seed: &usize| values.iter().any(|arm| arm[*seed].is_some());
        let seeds: Vec<usize> = (0..values.first()?.len()).filter(present).collect();
        let values: Vec<Vec<Option<f64>>> =
            values.iter().map(|arm| seeds.iter().map(|seed| arm[*seed]).collect()).collect();
        let (arms, seeds) = (values.len(), seeds.len());
        let counts: Vec<usize> = values.iter().map(|arm| arm.iter().flatten().count()).collect();
        let all: usize = counts.iter().sum();
        let degrees_of_freedom = (all + 1).checked_sub(arms + seeds).filter(|freedom| *freedom > 0)?;
        if arms < 2 || tied(&values).len() < arms {
            return None;
        }
        let own_means: Vec<f64> =
            values.iter().map(|arm| mean(&arm.iter().flatten().copied().collect::<Vec<_>>())).collect();

        // The normal equations, the arms taken out: what is left says of the seeds' effects, which sum to zero.
        let mut information = vec![vec![0.0; seeds]; seeds];
        let mut sums = vec![0.0; seeds];
        for ((arm, own_mean), count) in values.iter().zip(&own_means).zip(&counts) {
            for seed in (0..seeds).filter(|seed| arm[*seed].is_some()) {
                information[seed][seed] += 1.0;
                for other in (0..seeds).filter(|other| arm[*other].is_some()) {
                    information[seed][other] -= 1.0 / *count as f64;
                }
                sums[seed] += arm[seed].unwrap_or_default() - own_mean;
            }
        }
        // Only a level common to all seeds is free in them; this holds it at zero and changes nothing else.
        information.iter_mut().flatten().for_each(|it| *it += 1.0 / seeds as f64);
        let mut covariance = inverse(information);
        let effects: Vec<f64> = covariance.iter().map(|row| product(row, &sums)).collect();
        covariance.iter_mut().flatten().for_each(|it| *it -= 1.0 / seeds as f64);

        let share = |value: &Option<f64>, count: usize| value.map_or(0.0, |_| 1.0 / count as f64) - 1.0 / seeds as f64;
        let excess: Vec<Vec<f64>> =
            values.iter().zip(&counts).map(|(arm, count)| arm.iter().map(|it| share(it, *count)).collect()).collect();
        let means: Vec<f64> =
            own_means.iter().zip(&excess).map(|(own_mean, excess)| own_mean - product(excess, &effects)).collect();
        let residuals = values.iter().zip(&means).flat_map(|(arm, mean)| {
            arm.iter().zip(&effects).filter_map(move |(value, effect)| Some((*value)? - mean - effect))
        });
        let squares: f64 = residuals.map(|residual| residual * residual).sum();
        Some(Blocks {
            means,
            arms,
            seeds,
            values: all,
            degrees_of_freedom: degrees_of_freedom as u32,
            mean_square_error: (squares / degrees_of_freedom as f64).max(rounding_variance(step)),
            counts,
            excess,
            covariance,
        })
    }

    fn half(&self, variance: f64) -> f64 {
        critical_value(f64::from(self.degrees_of_freedom)) * (self.mean_square_error * variance).sqrt()
    }

    /// What missing seeds add to the variance of a sum of arms with these excesses.
    fn spread(&self, excess: &[f64]) -> f64 {
        let rows = self.covariance.iter().zip(excess);
        rows.map(|(row, excess_of_seed)| excess_of_seed * product(row, excess)).sum()
    }

    /// 95 % interval of an arm's mean: `± t·√(MSE/n)` and more where seeds are missing. It speaks of these seeds: their own level
    /// is not part of the noise.
    pub fn interval(&self, arm: usize) -> (f64, f64) {
        let half = self.half(1.0 / self.counts[arm] as f64 + self.spread(&self.excess[arm]));
        (self.means[arm] - half, self.means[arm] + half)
    }

    /// `arm` minus `baseline`, with `± t·√(2·MSE/n)` and more where seeds are missing.
    pub fn contrast(&self, arm: usize, baseline: usize) -> Contrast {
        let mean = self.means[arm] - self.means[baseline];
        let excess: Vec<f64> =
            self.excess[arm].iter().zip(&self.excess[baseline]).map(|(own, its)| own - its).collect();
        let counts = 1.0 / self.counts[arm] as f64 + 1.0 / self.counts[baseline] as f64;
        let variance = counts + self.spread(&excess);
        let half = self.half(variance);
        let t = mean / (self.mean_square_error * variance).sqrt();
        let p_value = two_sided_p(t, f64::from(self.degrees_of_freedom));
        Contrast { mean, low: mean - half, high: mean + half, t, p_value }
    }
}

/// The arms that seeds tie together, directly or through others: only these can be compared. Where there are several such parts,
/// the one with the most values, the first among equals.
pub(crate) fn tied(values: &[Vec<Option<f64>>]) -> Vec<usize> {
    let count = |arms: &[usize]| arms.iter().map(|arm| values[*arm].iter().flatten().count()).sum::<usize>();
    let mut left: Vec<usize> = (0..values.len()).filter(|arm| count(&[*arm]) > 0).collect();
    let mut largest: Vec<usize> = Vec::new();
    while let Some(first) = left.first().copied() {
        let mut part = Vec::new();
        let mut reached: Vec<bool> = values[first].iter().map(Option::is_some).collect();
        loop {
            let shares = |arm: &usize| values[*arm].iter().zip(&reached).any(|(value, seed)| value.is_some() && *seed);
            let (more, others): (Vec<usize>, Vec<usize>) = left.into_iter().partition(shares);
            left = others;
            if more.is_empty() {
                break;
            }
            for arm in &more {
                reached.iter_mut().zip(&values[*arm]).for_each(|(seed, value)| *seed |= value.is_some());
            }
            part.extend(more);
        }
        if count(&part) > count(&largest) {
            largest = part;
        }
    }
    largest.sort_unstable();
    largest
}

fn product(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Of a symmetric matrix with positive eigenvalues, by Gauss and Jordan: its pivots need no search.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = matrix.len();
    let mut inverse: Vec<Vec<f64>> =
        (0..n).map(|row| (0..n).map(|column| f64::from(u8::from(row == column))).collect()).collect();
    for pivot in 0..n {
        let divisor = matrix[pivot][pivot];
        let by = |row: &[f64]| row.iter().map(|value| value / divisor).collect::<Vec<f64>>();
        let (left, right) = (by(&matrix[pivot]), by(&inverse[pivot]));
        for row in 0..n {
            let factor = matrix[row][pivot];
            let eliminate = |values: &mut [f64], of_pivot: &[f64]| {
                values.iter_mut().zip(of_pivot).for_each(|(value, of_pivot)| *value -= factor * of_pivot);
            };
            if row != pivot {
                eliminate(&mut matrix[row], &left);
                eliminate(&mut inverse[row], &right);
            }
        }
        (matrix[pivot], inverse[pivot]) = (left, right);
    }
    inverse
}
