//! Another program's results of the same arms and seeds, beside ours.

mod images;

use images::{fashion_mnist_12k, machine};
use study::{
    Epoch, EpochMetrics, Facts, Numerics, Plan, Report, Scores, Seed, Study,
    agreement::{Agreement, Peer, PeerRun, agreements},
    report::report,
    search::asked,
};

/// Trained, with 80 % on test in the first arm and two points more in each later one; seeds lie a tenth of a point apart.
fn found(treatment: &str) -> Report {
    let text = format!(
        "title = \"?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 3\nstudent = {{ architecture = \"wrn-10-1\", epochs = 2 }}\n\
         teacher = {{ architecture = \"wrn-10-2\", epochs = 2 }}\n[treatment]\n{treatment}\n"
    );
    let study = Study::from_toml(&text).unwrap();
    let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap();
    let mut facts = Facts::new();
    for run in &plan.runs {
        for leg in &run.legs {
            let metrics = &mut facts.entry(leg.segment.clone()).or_default().metrics;
            for epoch in (leg.from.0 + 1..=leg.until.0).map(Epoch) {
                let accuracy = 0.8 + 0.02 * run.arm as f64 + 0.001 * f64::from(run.seed.0);
                let scores = Scores { cross_entropy: 1.0, accuracy, calibration_error: None };
                let ends = run.legs.last().is_some_and(|last| last.until == epoch);
                let there = metrics.iter_mut().find(|metrics| metrics.epoch == epoch);
                match there {
                    Some(there) => there.test = there.test.or(ends.then_some(scores)),
                    None => metrics.push(EpochMetrics {
                        epoch,
                        learning_rate: 0.1,
                        train: scores,
                        train_clean: None,
                        validation: Some(scores),
                        test: ends.then_some(scores),
                        fidelity: Vec::new(),
                        seconds: 1.0,
                        images_per_second: 1.0,
                    }),
                }
            }
        }
    }
    report(&study, &asked(&study, &plan, &facts), &facts, false, &machine())
}

fn run(temperature: f64, kd_stop_epoch: u32, seed: u32, test_accuracy: f64) -> PeerRun {
    PeerRun {
        temperature,
        kd_stop_epoch: Epoch(kd_stop_epoch),
        teacher_stop_epoch: Epoch(2),
        seed: Seed(seed),
        test_accuracy,
    }
}

fn beside(report: &Report, runs: Vec<PeerRun>) -> Vec<Agreement> {
    agreements(report, &Peer { program: "another".into(), runs })
}

#[test]
fn arms_are_matched_by_temperature_and_both_stops() {
    let report = found("temperature = [1.0, 4.0]\nkd_stop_epoch = [0, 2]");
    let arm = |temperature: Option<f64>| {
        let is = |arm: &study::Arm| {
            let scheme = arm.distillation.as_ref().map(|it| &it.scheme);
            scheme.and_then(|scheme| scheme.number(study::Number::Temperature)) == temperature
        };
        report.arms.iter().position(is).unwrap()
    };
    let ours = |arm: usize| 80.1 + 2.0 * arm as f64;
    // Labels alone are one arm, whatever the temperature is said to be; nobody has asked for a stop at 1.
    let runs = vec![run(4.0, 2, 0, 0.9), run(4.0, 2, 1, 0.91), run(1.0, 0, 0, 0.8), run(4.0, 1, 0, 0.7)];
    let found = beside(&report, runs);
    assert_eq!(found.iter().map(|it| it.arm).collect::<Vec<_>>(), [arm(None), arm(Some(4.0))]);
    let [labels, distilled] = &found[..] else { panic!("two arms are there") };
    assert_eq!((labels.seeds, labels.peer_seeds, labels.interval, labels.agrees()), (3, 1, None, None));
    assert_eq!((distilled.seeds, distilled.peer_seeds), (3, 2));
    assert!((labels.ours - ours(labels.arm)).abs() < 1e-9 && (labels.peers - 80.0).abs() < 1e-9, "{labels:?}");
    assert!((distilled.difference - (ours(distilled.arm) - 90.5)).abs() < 1e-9, "{distilled:?}");
}

#[test]
fn programs_agree_where_nothing_tells_them_apart() {
    let report = found("kd_stop_epoch = [0, 2]");
    let of = |by: f64| {
        let runs = (0..3).map(|seed| run(4.0, 0, seed, 0.8 + by + 0.001 * f64::from(seed)));
        beside(&report, runs.collect())[0].agrees()
    };
    assert_eq!((of(0.0), of(0.0005), of(0.05)), (Some(true), Some(true), Some(false)));
}

/// Each of them would find the same seeds in both arms.
#[test]
fn a_run_that_several_arms_could_mean_says_nothing_of_any() {
    let report = found("kd_weight = [0.5, 0.9]\nkd_stop_epoch = [0, 2]");
    assert_eq!(report.arms.len(), 3);
    let found = beside(&report, vec![run(4.0, 2, 0, 0.9), run(4.0, 2, 1, 0.9), run(4.0, 0, 0, 0.8)]);
    assert_eq!(found.len(), 1);
    assert_eq!(report.arms[found[0].arm].label, "labels only");
}

#[test]
fn a_seed_counts_once() {
    let report = found("kd_stop_epoch = [0, 2]");
    let found = beside(&report, vec![run(4.0, 2, 0, 0.9), run(4.0, 2, 0, 0.95), run(4.0, 2, 1, 0.92)]);
    assert_eq!(found[0].peer_seeds, 2);
    assert!((found[0].peers - 91.0).abs() < 1e-9, "{found:?}");
}
