//! Searching by successive halving: which arms go on, and what is asked for.

mod images;

use images::{fashion_mnist_12k, machine};
use study::{
    Epoch, EpochMetrics, Facts, Metric, Numerics, Plan, Scores, SegmentFacts, State, Study,
    comparison::report,
    search::{Asked, Round, asked, at_most, in_numbers, progress},
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
            let test = Scores { cross_entropy: 0.5, accuracy: 0.5, calibration_error: None };
            let test = segment.ends.contains(&Epoch(epoch)).then_some(test);
            if let Some(there) = own.metrics.iter_mut().find(|metrics| metrics.epoch == Epoch(epoch)) {
                there.test = there.test.or(test);
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
                test,
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
    let (mut rounds, mut tested) = (Vec::new(), Vec::new());
    loop {
        let now = asked(&study, &plan, &facts).unwrap();
        let ends = now.plan.segments.iter().any(|segment| !segment.ends.is_empty());
        rounds.push(now.report.rounds.len());
        tested.push(ends);
        train(&now.plan, &mut facts, better_with_the_larger_teacher);
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

/// The arms that go on have more seeds than those that were dropped, and each band is of its own. What was dropped keeps its curve up to
/// where it was.
#[test]
fn a_searched_study_is_reported_in_every_round_with_all_that_was_asked_for() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    let mut facts = Facts::new();
    for turn in 0..4 {
        let now = asked(&study, &plan, &facts).unwrap();
        train(&now.plan, &mut facts, better_with_the_larger_teacher);
        let found = report(&study, &plan, &facts, false, &machine());
        let after = asked(&study, &plan, &facts).unwrap();
        let (_, accuracy) = found.curves.iter().find(|(metric, _)| *metric == Metric::ValidationAccuracy).unwrap();
        let runs = |arm: usize| after.so_far.runs.iter().filter(move |run| run.arm == arm);
        for series in accuracy {
            let seeds_at =
                |epoch: Epoch| runs(series.arm).filter(|run| run.legs.last().unwrap().until >= epoch).count();
            assert!(series.points.iter().all(|point| point.seeds <= seeds_at(point.epoch) as u32), "{series:?}");
        }
        let drawn: Vec<usize> = accuracy.iter().map(|series| series.arm).collect();
        let asked: Vec<usize> = (0..plan.arms.len()).filter(|arm| runs(*arm).count() > 0).collect();
        assert_eq!(drawn, asked, "every arm that was ever asked for has a line");
        assert_eq!(asked.len(), if turn < 2 { 6 } else { 7 }, "labels only come last");
        assert_eq!((found.runs, found.epochs), (after.so_far.runs.len() as u64, after.so_far.epochs));
        let will = found
            .comparison
            .remarks
            .iter()
            .any(|told| told.ends_with("only the winner and its baseline will be tested."));
        let were =
            found.comparison.remarks.iter().any(|told| told.contains("only the winner and its baseline were tested."));
        assert_eq!(
            (will, were),
            if turn < 3 { (true, false) } else { (false, true) },
            "{:?}",
            found.comparison.remarks
        );
        assert!(
            !found.comparison.remarks.iter().any(|told| told.contains("missing")),
            "{:?}",
            found.comparison.remarks
        );
    }
    let found = report(&study, &plan, &facts, false, &machine());
    assert_eq!(found.progress.state, State::Finished);
    let search = found.search.unwrap();
    let dropped: Vec<Option<usize>> = (0..plan.arms.len()).map(|arm| search.dropped_in(arm)).collect();
    let count = |round: Option<usize>| dropped.iter().filter(|it| **it == round).count();
    let last_points: Vec<u32> =
        found.curves[0].1.iter().map(|series| series.points.last().map_or(0, |point| point.epoch.0)).collect();
    assert_eq!(count(Some(1)), last_points.iter().filter(|epoch| **epoch == 4).count(), "{last_points:?}, {dropped:?}");
    assert_eq!(count(None), 2, "the winner and labels only");
    for arm in &found.comparison.arms {
        let tested = arm.by_seed.iter().flatten().count();
        assert_eq!(tested, if dropped[arm.arm].is_none() { 2 } else { 0 }, "{}", arm.label);
        assert!(!arm.runs.is_empty());
    }
    assert_eq!((search.spent_epochs, found.epochs), (found.progress.epochs_done, found.progress.epochs_done));
    assert!(found.progress.runs.iter().all(|run| run.state == State::Finished));
}

/// Distilling for longer is better, and by the larger teacher.
fn better_with_the_larger_teacher(arm: &str, distilled: u32) -> f64 {
    0.5 + 0.02 * f64::from(distilled) + if arm.contains("wrn-16-2") { 0.1 } else { 0.0 }
}

/// What another study has tested of an arm that was dropped is no result of this one.
#[test]
fn a_dropped_arm_has_no_result_though_another_study_tests_it() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    let mut facts = Facts::new();
    for _ in 0..4 {
        let now = asked(&study, &plan, &facts).unwrap();
        train(&now.plan, &mut facts, better_with_the_larger_teacher);
    }
    for facts in facts.values_mut() {
        facts.metrics.iter_mut().for_each(|epoch| epoch.test = epoch.validation);
    }
    let found = report(&study, &plan, &facts, false, &machine());
    let with_result = found.comparison.arms.iter().filter(|arm| arm.mean.is_some()).count();
    assert_eq!(with_result, 2, "the winner and labels only");
}

#[test]
fn progress_is_over_what_the_search_may_come_to_and_never_falls_back() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    let most = at_most(&study, &plan).unwrap();
    assert!(most.epochs <= 110 && most.epochs < plan.epochs, "{} of {}", most.epochs, plan.epochs);
    assert_eq!(asked(&study, &plan, &Facts::new()).unwrap().at_most, most);
    let grid = in_numbers(&most, &plan);
    assert!(grid.starts_with("at most about ") && grid.ends_with(&format!(" {} epochs", plan.epochs)), "{grid}");
    let mut facts = Facts::new();
    let (mut last, mut left) = (0.0, Vec::new());
    for turn in 0..5 {
        let now = progress(&study, &plan, &facts, false, &machine());
        let share = now.epochs_done as f64 / now.epochs_total as f64;
        assert!(share > last || turn == 0, "turn {turn}: {} of {}", now.epochs_done, now.epochs_total);
        assert_eq!(now.state == State::Finished, turn == 4);
        left.extend(now.left.map(|estimate| estimate.seconds));
        last = share;
        if let Some(now) = asked(&study, &plan, &facts) {
            train(&now.plan, &mut facts, better_with_the_larger_teacher);
        }
    }
    assert_eq!(last, 1.0);
    // Nothing was measured before the first epoch, and nothing is left after the last.
    assert!(left.len() == 3 && left[2] < left[0], "{left:?}");
    let stopped = progress(&study, &plan, &Facts::new(), true, &machine());
    assert_eq!((stopped.state, stopped.epochs_total), (State::Stopped, most.epochs));
}

/// The arms that cost most share least: by each teacher one, and not two that part late.
#[test]
fn what_a_search_comes_to_at_most_is_of_the_arms_that_cost_most() {
    let (study, plan) = planned("budget_epochs = 110\npromote_one_in = 3");
    let now = asked(&study, &plan, &Facts::new()).unwrap();
    let most = now.at_most;
    // Six arms for 4 epochs with one seed are two trainings of teachers and two of students; of two arms for 8 epochs each goes on by
    // itself; at last one of them and labels only are trained for 16 epochs with two seeds.
    assert_eq!(now.plan.epochs, 2 * 16 + 2 * 4);
    assert_eq!(most.epochs, 2 * 16 + 2 * 4 + 2 * (8 - 4) + (16 - 8) + 16 + 2 * 16);
    let until = |epoch: u32| most.runs.iter().filter(|run| run.legs.last().unwrap().until == Epoch(epoch)).count();
    assert_eq!([4, 8, 16].map(until), [4, 1, 4]);
    assert_eq!(most.tested().into_iter().filter(|tested| *tested).count(), 4);
    let mut ends = most.segments.iter().filter(|segment| !segment.ends.is_empty());
    assert!(ends.all(|segment| segment.until == Epoch(16)));
}

/// With a budget for all of it there is nothing to be found out in a second round.
#[test]
fn a_round_that_would_repeat_the_one_before_is_left_out() {
    let (study, plan) = planned("budget_epochs = 5000");
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts).unwrap();
    train(&first.plan, &mut facts, better_with_the_larger_teacher);
    let second = asked(&study, &plan, &facts).unwrap();
    assert_eq!(second.report.rounds.len(), 1);
    assert_eq!(second.report.rounds[0].round, Round { arms: 6, epochs: Epoch(16), seeds: 2 });
    assert_eq!(labels(&second, 0, true), ["KD to the end, wrn-16-2 teaches"]);
    assert!(second.plan.segments.iter().any(|segment| !segment.ends.is_empty()), "the winner is tested");
    train(&second.plan, &mut facts, better_with_the_larger_teacher);
    let done = progress(&study, &plan, &facts, false, &machine());
    assert_eq!((done.state, done.epochs_done), (State::Finished, done.epochs_total));
}

#[test]
fn where_every_arm_fails_nothing_more_is_asked_for() {
    let (study, plan) = planned("budget_epochs = 110");
    let failure = study::Failure { epoch: Epoch(0), reason: "not finite".into(), may_succeed_again: false };
    let first = asked(&study, &plan, &Facts::new()).unwrap();
    let failed = |segment: &study::Segment| {
        (segment.key.clone(), SegmentFacts { failure: Some(failure.clone()), ..SegmentFacts::default() })
    };
    let facts: Facts = first.plan.segments.iter().map(failed).collect();
    let then = asked(&study, &plan, &facts).unwrap();
    assert_eq!((then.report.rounds.len(), &then.plan), (1, &first.plan));
    assert_eq!(progress(&study, &plan, &facts, false, &machine()).state, State::Failed);
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
