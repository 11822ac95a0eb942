//! The paper's claims of pairs of arms, judged on made-up accuracies.

mod images;

use images::{fashion_mnist_12k, machine};
use study::{
    Epoch, EpochMetrics, Facts, Numerics, Plan, Report, Scores,
    claims::{Judged, judge},
    gallery::{CARDS, Card, Size},
    report::report,
    search::asked,
};

/// A report of the experiment's smallest size in which run `seed` of `arm` ends with these test and validation accuracies.
fn found(slug: &str, accuracy: impl Fn(&study::Arm, u32) -> (f64, f64)) -> Report {
    let study = Card::of_slug(slug).unwrap().study(Size::Minutes);
    let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap();
    let mut facts = Facts::new();
    let scores = |accuracy| Scores { cross_entropy: 1.0, accuracy, calibration_error: None };
    for run in &plan.runs {
        let (test, validation) = accuracy(&plan.arms[run.arm], run.seed.0);
        let end = run.legs.last().unwrap().until;
        for leg in &run.legs {
            let known = &mut facts.entry(leg.segment.clone()).or_default().metrics;
            for epoch in (leg.from.0 + 1..=leg.until.0).map(Epoch) {
                known.retain(|metrics| metrics.epoch != epoch || epoch < end);
                if known.iter().any(|metrics| metrics.epoch == epoch) {
                    continue;
                }
                known.push(EpochMetrics {
                    epoch,
                    learning_rate: 0.1,
                    train: scores(0.5),
                    train_clean: None,
                    validation: Some(scores(if epoch == end { validation } else { 0.5 })),
                    test: (epoch == end).then(|| scores(test)),
                    fidelity: Vec::new(),
                    seconds: 1.0,
                    images_per_second: 1.0,
                });
            }
        }
    }
    facts.values_mut().for_each(|facts| facts.metrics.sort_by_key(|metrics| metrics.epoch));
    report(&study, &asked(&study, &plan, &facts), &facts, false, &machine())
}

/// A little that no two seeds have in common, so that there is noise.
fn noise(arm: &study::Arm, seed: u32) -> f64 {
    f64::from((arm.label.len() as u32 * 7 + seed * 5) % 11) * 1e-4
}

#[test]
fn a_claim_is_found_refuted_or_left_open() {
    let teacher = |arm: &study::Arm| arm.distillation.as_ref().map(|it| it.teacher.to_string());
    let judged = |by: f64| {
        let found = found("wider-teachers", |arm, seed| {
            let large = teacher(arm).as_deref() == Some("wrn-10-4");
            (0.88 + noise(arm, seed) + if large { by } else { 0.0 }, 0.9)
        });
        let all = judge(&found);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(teacher(&found.arms[all[0].above]).as_deref(), Some("wrn-10-1"));
        assert_eq!(teacher(&found.arms[all[0].below]).as_deref(), Some("wrn-10-4"));
        all[0].clone()
    };
    assert_eq!(judged(-0.02).judged, Judged::AsThePaperSays);
    let opposite = judged(0.02);
    assert_eq!(opposite.judged, Judged::TheOpposite);
    assert!(opposite.difference < -1.5 && opposite.p_value.unwrap() < 0.05, "{opposite:?}");
    assert_eq!(judged(0.0).judged, Judged::NotDistinguishable);
}

#[test]
fn the_early_stop_that_is_judged_is_the_best_on_validation_and_not_on_test() {
    let found = found("stopping-distillation", |arm, seed| {
        let stop = arm.distillation.as_ref().map_or(0, |it| it.kd_stop_epoch.0);
        (0.88 + noise(arm, seed) + if stop == 4 { 0.03 } else { 0.0 }, if stop == 8 { 0.91 } else { 0.9 })
    });
    let all = judge(&found);
    let stop = |arm: usize| found.arms[arm].distillation.as_ref().map_or(Epoch(0), |it| it.kd_stop_epoch);
    let pairs: Vec<(u32, u32)> = all.iter().map(|it| (stop(it.above).0, stop(it.below).0)).collect();
    assert_eq!(pairs, [(8, 12), (8, 0)]);
    assert!(all.iter().all(|it| it.judged == Judged::NotDistinguishable), "{all:?}");
}

#[test]
fn every_experiment_that_speaks_of_accuracies_has_pairs_to_be_judged() {
    for card in CARDS {
        let all = judge(&found(card.slug, |arm, seed| (0.88 + noise(arm, seed), 0.9)));
        assert_eq!(all.is_empty(), card.slug == "mimicking", "{}: {all:?}", card.slug);
        assert!(all.iter().all(|it| it.above != it.below));
    }
    let mut other = found("temperature", |arm, seed| (0.88 + noise(arm, seed), 0.9));
    assert_eq!(judge(&other).len(), 3, "one at each temperature");
    other.study.title = "Something else?".into();
    assert!(judge(&other).is_empty());
}
