//! Every number of `study::statistics` against SciPy 1.17 and statsmodels 0.15. This script printed what is expected:
//!
//! ```python
//! import numpy as np, pandas as pd
//! from scipy import stats
//! from statsmodels.stats.multitest import multipletests
//! from statsmodels.formula.api import ols
//! y = np.array([[88.10, 88.43, 87.95, 88.31], [88.62, 88.77, 88.20, 88.81], [88.35, 88.31, 88.22, 88.59]])  # arm, seed
//! print(stats.t.interval(0.95, 3, y[0].mean(), stats.sem(y[0])))
//! d = pd.DataFrame([(a, s, y[a, s]) for a in range(3) for s in range(4)], columns=["arm", "seed", "accuracy"])
//! fit = ols("accuracy ~ C(arm) + C(seed)", d).fit()
//! print(fit.mse_resid, fit.df_resid)
//! print(fit.conf_int().loc[["C(arm)[T.1]", "C(arm)[T.2]"]].values.tolist())
//! print(fit.tvalues[["C(arm)[T.1]", "C(arm)[T.2]"]].tolist(), fit.pvalues[["C(arm)[T.1]", "C(arm)[T.2]"]].tolist())
//! half = stats.t.ppf(0.975, 6) * np.sqrt(fit.mse_resid / 4)
//! print(y[1].mean() - half, y[1].mean() + half)
//! print(stats.ttest_rel(y[1], y[0]), stats.ttest_rel(y[1], y[0]).confidence_interval())
//! u = y.copy(); u[0, 1] = u[2, 3] = np.nan  # two results missing
//! d = pd.DataFrame([(a, s, u[a, s]) for a in range(3) for s in range(4)], columns=["arm", "seed", "accuracy"]).dropna()
//! fit = ols("accuracy ~ C(arm) + C(seed, Sum)", d).fit()  # with seeds' effects that sum to zero, the intercept is an arm's mean
//! print(fit.mse_resid, fit.df_resid)
//! for combination in ([1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, -1, 1, 0, 0, 0]):
//!     it = fit.t_test(combination)
//!     print(it.effect[0], it.conf_int()[0].tolist(), it.tvalue.item(), it.pvalue.item())
//! other = [88.61, 89.02, 88.95, 88.57]
//! print(stats.ttest_ind([89.18, 88.49, 88.74], other, equal_var=False).confidence_interval(0.95))
//! print(multipletests([0.01, 0.04, 0.03, 0.005, 0.6], method="holm")[1].tolist())
//! print([stats.t.ppf(0.975, v) for v in (1, 2, 4, 8, 30, 1000)])
//! print([2 * stats.t.sf(t, v) for t, v in ((2.5, 4), (12.0, 8), (0.1, 1))])
//! print(stats.norm.ppf(0.975) * np.sqrt(0.9 * 0.1 / 10000))
//! def needed(difference, deviation, arms):
//!     for n in range(2, 20000):
//!         freedom = (arms - 1) * (n - 1)
//!         noncentrality = difference / (deviation * np.sqrt(2 / n))
//!         if stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, noncentrality) >= 0.8: return n
//! print([needed(*x) for x in ((0.4, 0.2, 5), (0.2, 0.2, 5), (0.1, 0.2, 2), (0.2, 0.2, 2), (1.0, 0.2, 2), (0.02, 0.2, 5))])
//! ```

use proptest::prelude::*;
use study::statistics::{
    Blocks, binomial_half_width, critical_value, holm, interval_of_difference, interval_of_mean, seeds_needed,
    two_sided_p,
};

/// In which the accuracies below come: of one image in 10,000, in percent.
const STEP: f64 = 0.01;

fn accuracies() -> Vec<Vec<Option<f64>>> {
    all(&[&[88.10, 88.43, 87.95, 88.31], &[88.62, 88.77, 88.20, 88.81], &[88.35, 88.31, 88.22, 88.59]])
}

fn all(values: &[&[f64]]) -> Vec<Vec<Option<f64>>> {
    values.iter().map(|arm| arm.iter().copied().map(Some).collect()).collect()
}

#[track_caller]
fn close(ours: f64, expected: f64) {
    assert!((ours - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{ours} is not {expected}");
}

#[test]
fn the_own_interval_of_a_mean() {
    let own: Vec<f64> = accuracies()[0].iter().flatten().copied().collect();
    let (mean, low, high) = interval_of_mean(&own, STEP).unwrap();
    close(mean, 88.1975);
    close(low, 87.85687044587573);
    close(high, 88.53812955412428);
    assert_eq!(interval_of_mean(&[88.0], STEP), None);
    assert_eq!(interval_of_mean(&[], STEP), None);
    // Equal as far as 10,000 images can tell: 12.706204736174694 · √(0.01²/12/2).
    let (_, low, high) = interval_of_mean(&[88.0, 88.0], STEP).unwrap();
    close(high - low, 2.0 * 12.706204736174694 * (0.01f64.powi(2) / 24.0).sqrt());
}

#[test]
fn the_additive_model_of_arm_and_seed() {
    let blocks = Blocks::fit(&accuracies(), STEP).unwrap();
    assert_eq!((blocks.degrees_of_freedom, blocks.seeds), (6, 4));
    close(blocks.mean_square_error, 0.015563888888888988);
    let (low, high) = blocks.interval(1);
    close(low, 88.44736736930177);
    close(high, 88.75263263069822);

    let first = blocks.contrast(1, 0);
    close(first.mean, 0.4025);
    close(first.low, 0.18664486360589966);
    close(first.high, 0.6183551363940987);
    close(first.t, 4.562699023699368);
    close(first.p_value, 0.003839955474806763);
    let second = blocks.contrast(2, 0);
    close(second.low, -0.04585513639411862);
    close(second.high, 0.3858551363940802);
    close(second.t, 1.9271026932392719);
    close(second.p_value, 0.10225415191907822);
}

#[test]
fn two_arms_are_the_paired_t_test() {
    let blocks = Blocks::fit(&accuracies()[..2], STEP).unwrap();
    let contrast = blocks.contrast(1, 0);
    assert_eq!(blocks.degrees_of_freedom, 3);
    close(contrast.t, 6.206093923157949);
    close(contrast.p_value, 0.008430284491956513);
    close(contrast.low, 0.19610050722131295);
    close(contrast.high, 0.6088994927786868);
}

#[test]
fn what_is_missing_takes_nothing_from_the_other_arms() {
    let mut values = accuracies();
    (values[0][1], values[2][3]) = (None, None);
    let blocks = Blocks::fit(&values, STEP).unwrap();
    assert_eq!((blocks.degrees_of_freedom, blocks.arms, blocks.seeds, blocks.values), (4, 3, 4, 10));
    close(blocks.mean_square_error, 0.01621047619047571);
    let means = [
        (88.1405714285714, 87.92307061065189, 88.35807224649092),
        (88.60000000000007, 88.42325099328576, 88.77674900671437),
        (88.35657142857148, 88.13907061065197, 88.574072246491),
    ];
    for (arm, (mean, low, high)) in means.into_iter().enumerate() {
        close(blocks.means[arm], mean);
        close(blocks.interval(arm).0, low);
        close(blocks.interval(arm).1, high);
    }
    let contrasts = [
        ((1, 0), 0.4594285714286581, 0.17916652053672638, 0.7396906223205899, 4.551376842749831, 0.010406721060630422),
        (
            (2, 0),
            0.21600000000007924,
            -0.10017823517491664,
            0.5321782351750751,
            1.8967534004705269,
            0.13072757133615204,
        ),
        (
            (2, 1),
            -0.24342857142857888,
            -0.5236906223205107,
            0.03683347946335297,
            -2.4115504166804986,
            0.07343140503740432,
        ),
    ];
    for ((arm, baseline), mean, low, high, t, p_value) in contrasts {
        let ours = blocks.contrast(arm, baseline);
        for (ours, expected) in
            [(ours.mean, mean), (ours.low, low), (ours.high, high), (ours.t, t), (ours.p_value, p_value)]
        {
            close(ours, expected);
        }
    }
    // A seed of one arm alone, and one of none, tell nothing.
    values.iter_mut().for_each(|arm| arm.extend([None, None]));
    values[0][4] = Some(12.0);
    let with_another = Blocks::fit(&values, STEP).unwrap();
    assert_eq!((with_another.degrees_of_freedom, with_another.seeds), (4, 5));
    close(with_another.mean_square_error, blocks.mean_square_error);
    close(with_another.contrast(1, 0).low, blocks.contrast(1, 0).low);
}

#[test]
fn no_model_without_two_arms_two_seeds_and_a_tie_between_them() {
    assert_eq!(Blocks::fit(&[], STEP), None);
    assert_eq!(Blocks::fit(&all(&[&[1.0, 2.0]]), STEP), None);
    assert_eq!(Blocks::fit(&all(&[&[1.0], &[2.0]]), STEP), None);
    assert_eq!(Blocks::fit(&[vec![Some(1.0), Some(2.0)], vec![Some(2.0), None]], STEP), None, "no freedom is left");
    assert_eq!(Blocks::fit(&[vec![Some(1.0), Some(2.0)], vec![None, None]], STEP), None);
    let [a, b] = [[Some(1.0), Some(2.0), None, None], [None, None, Some(1.0), Some(3.0)]];
    let apart: Vec<Vec<Option<f64>>> = [a, a, b, b].into_iter().map(Vec::from).collect();
    assert_eq!(Blocks::fit(&apart, STEP), None, "no seed ties the first two to the others");
}

#[test]
fn values_that_agree_to_the_last_digit_are_no_proof_of_certainty() {
    let blocks = Blocks::fit(&all(&[&[88.0, 89.0], &[88.5, 89.5], &[88.0, 89.0]]), STEP).unwrap();
    close(blocks.mean_square_error, 0.01f64.powi(2) / 12.0);
    let certain = blocks.contrast(1, 0);
    assert!(0.0 < certain.p_value && certain.p_value < 0.001 && certain.low < certain.mean);
    assert_eq!((blocks.contrast(2, 0).p_value, blocks.contrast(2, 0).mean), (1.0, 0.0));
}

#[test]
fn holms_correction_keeps_the_order_given() {
    for (ours, expected) in holm(&[0.01, 0.04, 0.03, 0.005, 0.6]).into_iter().zip([0.04, 0.09, 0.09, 0.025, 0.6]) {
        close(ours, expected);
    }
    assert_eq!(holm(&[]), [0.0; 0]);
    assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
}

#[test]
fn students_t() {
    let expected = [
        (1.0, 12.706204736174694),
        (2.0, 4.302652729749462),
        (4.0, 2.7764451051977934),
        (8.0, 2.306004135204166),
        (30.0, 2.0422724563012378),
        (1000.0, 1.9623390808264083),
    ];
    for (freedom, quantile) in expected {
        close(critical_value(freedom), quantile);
    }
    close(two_sided_p(2.5, 4.0), 0.06676654481198814);
    close(two_sided_p(-12.0, 8.0), 2.143866747688769e-06);
    close(two_sided_p(0.1, 1.0), 0.936548965138893);
}

#[test]
fn the_test_sets_own_error() {
    close(binomial_half_width(0.9, 10_000), 0.005879891953620162);
}

/// The approximation of the noncentral t may miss the exact number by a seed, never by much.
#[test]
fn seeds_that_would_settle_a_difference() {
    let exact = [
        ((0.4, 0.2, 5), 5),
        ((0.2, 0.2, 5), 17),
        ((0.1, 0.2, 2), 65),
        ((0.2, 0.2, 2), 18),
        ((1.0, 0.2, 2), 3),
        ((-0.02, 0.2, 5), 1571),
    ];
    for ((difference, deviation, arms), expected) in exact {
        let ours = seeds_needed(difference, deviation, arms).unwrap();
        assert!(ours.abs_diff(expected) <= 1, "{ours} is not {expected}");
    }
    for (difference, deviation, arms) in
        [(0.0, 0.2, 5), (f64::NAN, 0.2, 5), (0.1, f64::NAN, 5), (0.1, 0.2, 1), (1e-6, 0.2, 5)]
    {
        assert_eq!(seeds_needed(difference, deviation, arms), None);
    }
}

#[test]
fn two_samples_that_have_nothing_in_common_are_compared_by_welch() {
    let (ours, others) = ([89.18, 88.49, 88.74], [88.61, 89.02, 88.95, 88.57]);
    let (low, high) = interval_of_difference(&ours, &others, STEP).unwrap();
    assert!((low + 0.6883793315633268).abs() < 1e-9 && (high - 0.7200459982300215).abs() < 1e-9, "{low} {high}");
    assert_eq!(interval_of_difference(&[88.0], &others, STEP), None);
    assert_eq!(interval_of_difference(&ours, &[], STEP), None);
    let (low, high) = interval_of_difference(&[88.0; 3], &[88.0; 3], STEP).unwrap();
    assert!(low < 0.0 && 0.0 < high, "what agrees to the last digit is not certain");
}

proptest! {
    #[test]
    fn what_a_seed_does_to_all_arms_alike_changes_no_difference(
        values in proptest::collection::vec(proptest::collection::vec(80.0..90.0f64, 4), 2..6),
        levels in proptest::collection::vec(-5.0..5.0f64, 4),
    ) {
        let with = |levels: &[f64]| -> Vec<Vec<Option<f64>>> {
            values.iter().map(|arm| arm.iter().zip(levels).map(|(value, level)| Some(value + level)).collect()).collect()
        };
        let fit = |levels: &[f64]| Blocks::fit(&with(levels), STEP).unwrap();
        let (before, after) = (fit(&[0.0; 4]), fit(&levels));
        prop_assert!((before.mean_square_error - after.mean_square_error).abs() < 1e-9);
        prop_assert!((before.contrast(1, 0).mean - after.contrast(1, 0).mean).abs() < 1e-9);
    }

    #[test]
    fn complete_blocks_are_the_closed_form(
        values in proptest::collection::vec(proptest::collection::vec(80.0..90.0f64, 5), 2..9),
    ) {
        let (arms, seeds) = (values.len() as f64, 5.0);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let of_seed = |seed: usize| mean(&values.iter().map(|arm| arm[seed]).collect::<Vec<_>>());
        let grand = mean(&values.concat());
        let residuals = values.iter().flat_map(|arm| {
            let own = mean(arm);
            arm.iter().enumerate().map(move |(seed, value)| (value - own, seed))
        });
        let squares: f64 = residuals.map(|(value, seed)| (value - of_seed(seed) + grand).powi(2)).sum();
        let freedom = (arms - 1.0) * (seeds - 1.0);
        let mean_square_error = squares / freedom;
        let all: Vec<Vec<Option<f64>>> = values.iter().map(|arm| arm.iter().copied().map(Some).collect()).collect();
        let blocks = Blocks::fit(&all, STEP).unwrap();
        prop_assert_eq!(f64::from(blocks.degrees_of_freedom), freedom);
        prop_assert!((blocks.mean_square_error / mean_square_error - 1.0).abs() < 1e-9);
        prop_assert_eq!(blocks.means[1], mean(&values[1]));
        let half = critical_value(freedom) * (blocks.mean_square_error / seeds).sqrt();
        let (low, high) = blocks.interval(0);
        prop_assert!(((high - low) / 2.0 / half - 1.0).abs() < 1e-9);
        let contrast = blocks.contrast(1, 0);
        prop_assert!(((contrast.high - contrast.low) / 2.0 / (2f64.sqrt() * half) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn holm_corrects_upwards_and_keeps_the_ranks(p in proptest::collection::vec(0.0..1.0f64, 1..10)) {
        let corrected = holm(&p);
        for (one, before) in corrected.iter().zip(&p) {
            prop_assert!(before <= one && *one <= 1.0);
            for (other, other_before) in corrected.iter().zip(&p) {
                prop_assert!(before > other_before || one <= other);
            }
        }
    }
}
