//! Searching by successive halving: which arms go on, and what is asked for.

mod images;

use images::fashion_mnist_12k;
use study::{
    Epoch, EpochMetrics, Facts, Machine, Metric, Numerics, Plan, Scores, SegmentFacts, Study,
    comparison::report,
    search::{Asked, asked},
};

fn written(search: &str) -> String {
    format!(
        "title = \"Which teacher, and when to stop?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 2\n\
         student = {{ architecture = \"wrn-10-1\", epochs = 16 }}\n\
         teacher = {{ architecture = [\"wrn-10-2\", \"wrn-16-2\"], epochs = 16 }}\n\
         [treatment]\nkd_stop_epoch = [0, 4, 8, 16]\n[search]\n{search}\n"
    )
}

fn planned(search: &str) -> (Study, Plan) {
    let study = Study::from_toml(&written(search)).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap_or_else(|errors| panic!("{errors:#?}"));
    (study, plan)
}

/// Trains all that is asked for. A run's validation accuracy is that of its teacher and of its epochs of distillation.
fn train(asked: &Plan, facts: &mut Facts, accuracy: impl Fn(&str, u32) -> f64) {
    for segment in &asked.segments {
        let taught = segment.terms.iter().any(|(_, term)| term.teacher().is_some());
        let own = facts.entry(segment.key.clone()).or_default();
        for epoch in segment.from().0 + 1..=segment.until.0 {
            if own.metrics.iter().any(|metrics| metrics.epoch == Epoch(epoch)) {
                continue;
            }
            let run = asked.runs.iter().find(|run| run.legs.iter().any(|leg| leg.segment == segment.key));
            let arm = run.map_or("", |run| asked.arms[run.arm].label.as_str());
            let distilled = if taught { epoch } else { segment.from().0 };
            let scores = |accuracy| Scores { cross_entropy: 1.0 - accuracy, accuracy, calibration_error: None };
            own.metrics.push(EpochMetrics {
                epoch: Epoch(epoch),
                learning_rate: 0.1,
                train: scores(0.5),
                train_clean: None,
                validation: Some(scores(accuracy(arm, distilled))),
                test: segment.ends.contains(&Epoch(epoch)).then(|| scores(0.5)),
                fidelity: Vec::new(),
                seconds: 1.0,
                images_per_second: 1.0,
            });
        }
    }
}

fn labels(asked: &Asked, round: usize, promoted: bool) -> Vec<&str> {
    let scores = asked.report.rounds[round].scores.iter().filter(|it| it.promoted == promoted);
    scores.map(|it| asked.plan.arms[it.arm].label.as_str()).collect()
}

#[test]
fn rounds_grow_and_the_winner_alone_is_tested_against_labels_only() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    assert_eq!(plan.arms.len(), 7);
    let remark = "A search in 3 rounds: 6 arms for 4 epochs with 1 seed, 2 arms for 8 epochs with 1 seed, 1 arm for 16 epochs with 2 seeds;";
    assert!(plan.remarks.iter().any(|told| told.starts_with(remark)), "{:?}", plan.remarks);
    let mut facts = Facts::new();
    // Distilling for longer is better, and by the larger teacher.
    let good = |arm: &str, distilled: u32| {
        0.5 + 0.02 * f64::from(distilled) + if arm.contains("wrn-16-2") { 0.1 } else { 0.0 }
    };
    let (mut rounds, mut tested) = (Vec::new(), Vec::new());
    loop {
        let now = asked(&study, &plan, &facts).unwrap();
        let ends = now.plan.segments.iter().any(|segment| !segment.ends.is_empty());
        rounds.push(now.report.rounds.len());
        tested.push(ends);
        train(&now.plan, &mut facts, good);
        if ends {
            break;
        }
    }
    // Until 8 and to the end are one training for 8 epochs: both go on, and one is chosen before it is tested.
    assert_eq!((rounds, tested), (vec![1, 2, 3, 3], vec![false, false, false, true]));
    let done = asked(&study, &plan, &facts).unwrap();
    let rounds: Vec<_> =
        done.report.rounds.iter().map(|it| (it.round.arms, it.round.epochs.0, it.round.seeds)).collect();
    assert_eq!(rounds, [(6, 4, 1), (2, 8, 1), (1, 16, 2)]);
    assert!(labels(&done, 0, true).iter().all(|label| label.contains("wrn-16-2")), "{:?}", labels(&done, 0, true));
    assert_eq!(labels(&done, 2, true), ["KD to the end, wrn-16-2 teaches"]);
    assert!(
        done.report.spent_epochs <= 110 + 2 * 8,
        "{}: one more than was reckoned with was equal",
        done.report.spent_epochs
    );
    let arms: std::collections::BTreeSet<usize> = done.plan.runs.iter().map(|run| run.arm).collect();
    assert_eq!(arms.len(), 2, "the winner and labels only");
    assert!(arms.iter().any(|arm| done.plan.arms[*arm].distillation.is_none()));
    assert_eq!(done.plan.runs.len(), 4);
    assert!(done.plan.runs.iter().all(|run| run.legs.last().unwrap().until == Epoch(16)));
}

/// The arms that go on have more seeds than those that were dropped, and each band is of its own.
#[test]
fn a_searched_study_is_reported_in_every_round() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    let mut facts = Facts::new();
    let machine = Machine {
        threads: 2,
        speed: None,
        instruction_set: "portable".into(),
        memory: None,
        teacher_logits_limit: 0,
        devices: Vec::new(),
        no_gpu: None,
        datasets: Vec::new(),
        unusable: Vec::new(),
        imported: Vec::new(),
        notice: None,
    };
    for _ in 0..4 {
        let now = asked(&study, &plan, &facts).unwrap();
        train(&now.plan, &mut facts, |_, distilled| 0.5 + 0.02 * f64::from(distilled));
        let curves = report(&study, &now.plan, &facts, false, &machine).curves;
        let (_, accuracy) = curves.iter().find(|(metric, _)| *metric == Metric::ValidationAccuracy).unwrap();
        for (arm, series) in accuracy.iter().enumerate() {
            let runs = now.plan.runs.iter().filter(|run| run.arm == arm).count() as u32;
            assert!(series.points.iter().all(|point| point.seeds == runs), "{series:?}");
        }
    }
    let done = asked(&study, &plan, &facts).unwrap();
    let seeds = |arm: usize| done.plan.runs.iter().filter(|run| run.arm == arm).count();
    assert!((0..plan.arms.len()).any(|arm| seeds(arm) == 0) && (0..plan.arms.len()).any(|arm| seeds(arm) == 2));
}

#[test]
fn arms_that_were_trained_alike_so_far_go_on_together() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts).unwrap();
    let until = first.report.rounds[0].round.epochs;
    assert!(until <= Epoch(4), "{until}");
    // Until then arms of one teacher have not parted, and are one segment.
    assert_eq!(first.plan.segments.iter().filter(|segment| segment.until == until).count(), 2);
    train(&first.plan, &mut facts, |arm, _| if arm.contains("wrn-10-2") { 0.6 } else { 0.5 });
    let second = asked(&study, &plan, &facts).unwrap();
    assert_eq!(labels(&second, 0, true).len(), 3, "{:?}", second.report);
    assert_eq!(labels(&second, 0, false).len(), 3);
}

#[test]
fn an_arm_that_fails_is_dropped_and_holds_up_nobody() {
    let (study, plan) = planned("budget_epochs = 110");
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts).unwrap();
    train(&first.plan, &mut facts, |_, _| 0.5);
    let of_small = first.plan.runs.iter().find(|run| first.plan.arms[run.arm].label.contains("wrn-10-2")).unwrap();
    let failure = study::Failure { epoch: Epoch(0), reason: "not finite".into(), may_succeed_again: false };
    facts.insert(of_small.legs[0].segment.clone(), SegmentFacts { failure: Some(failure), ..SegmentFacts::default() });
    let second = asked(&study, &plan, &facts).unwrap();
    assert_eq!(second.report.rounds.len(), 2);
    assert!(labels(&second, 0, false).iter().all(|label| label.contains("wrn-10-2")));
    assert!(labels(&second, 0, true).iter().all(|label| label.contains("wrn-16-2")));
}

#[test]
fn what_cannot_be_searched_is_refused_with_what_can() {
    let told = |text: String| {
        let refused = match Study::from_toml(&text) {
            Err(errors) => errors,
            Ok(study) => Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap_err(),
        };
        refused.into_iter().map(|error| error.to_string()).collect::<Vec<_>>()
    };
    let too_little = told(written("budget_epochs = 3"));
    assert!(too_little[0].starts_with("search.budget_epochs: is not enough for the shortest rounds"), "{too_little:?}");
    let without = told(written("budget_epochs = 500").replace("[0, 4, 8, 16]", "[4, 8, 16]"));
    assert!(without[0].contains("is tested against labels alone"), "{without:?}");
    let every = told(written("budget_epochs = 500") + "[recipe]\nevaluate_test = \"every-epoch\"\n");
    assert!(every[0].contains("before the choice is made"), "{every:?}");
    let missing = told(written("promote_one_in = 11"));
    assert_eq!(missing.len(), 2, "{missing:?}");
    let (study, plan) = planned("budget_epochs = 500");
    assert_eq!(Study::from_toml(&study.to_toml()), Ok(study.clone()));
    let whole = Study { search: None, ..study };
    assert_eq!(asked(&whole, &plan, &Facts::new()), None);
}
