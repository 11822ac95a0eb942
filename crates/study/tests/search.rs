//! Searching by successive halving: which arms go on, and what is asked for.

mod images;

use images::{fashion_mnist_12k, machine};
use study::{
    Epoch, EpochMetrics, Facts, Metric, Numerics, Outlook, Plan, Progress, Report, Scores, SegmentFacts, State, Study,
    report,
    search::{Asked, Round, SearchReport, asked, before_it_begins},
};

fn written(search: &str) -> String {
    format!(
        "title = \"Which teacher, and when to stop?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 2\n\
         student = {{ architecture = \"wrn-10-1\", epochs = 16 }}\n\
         teacher = {{ architecture = [\"wrn-10-2\", \"wrn-16-2\"], epochs = 16 }}\n\
         [treatment]\nkd_stop_epoch = [0, 4, 12, 16]\n[search]\n{search}\n"
    )
}

fn planned(search: &str) -> (Study, Plan) {
    planned_of(&written(search))
}

fn planned_of(text: &str) -> (Study, Plan) {
    let study = Study::from_toml(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
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

fn labels<'a>(asked: &'a Asked<'_>, round: usize, promoted: bool) -> Vec<&'a str> {
    let scores = how_it_went(asked).rounds[round].scores.iter().filter(|it| it.promoted == promoted);
    scores.map(|it| asked.now.arms[it.arm].label.as_str()).collect()
}

fn how_it_went<'a>(asked: &'a Asked<'_>) -> &'a SearchReport {
    asked.report.as_ref().expect("it is searched")
}

fn report_of(study: &Study, plan: &Plan, facts: &Facts) -> Report {
    report::report(study, &asked(study, plan, facts), facts, false, &machine())
}

fn progress_of(study: &Study, plan: &Plan, facts: &Facts) -> Progress {
    asked(study, plan, facts).progress(facts, false, &machine())
}

#[test]
fn rounds_grow_and_the_winner_alone_is_tested_against_labels_only() {
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    assert_eq!(plan.arms.len(), 7);
    let remark = "A search in 3 rounds: 6 arms for 6 epochs with 1 seed, 2 arms for 10 epochs with 2 seeds, 1 arm for 16 epochs with 2 seeds; \
                  arms that were trained alike so far go on as one. Then the winner is tested against labels only.";
    assert!(plan.remarks.iter().any(|told| told.starts_with(remark)), "{:?}", plan.remarks);
    let mut facts = Facts::new();
    let (mut rounds, mut tested) = (Vec::new(), Vec::new());
    loop {
        let now = asked(&study, &plan, &facts);
        let ends = now.now.segments.iter().any(|segment| !segment.ends.is_empty());
        rounds.push(how_it_went(&now).rounds.len());
        tested.push(ends);
        train(&now.now, &mut facts, better_with_the_larger_teacher);
        if ends {
            break;
        }
    }
    // Until 12 and to the end are one training for 10 epochs: both go on, and one is chosen before it is tested.
    assert_eq!((rounds, tested), (vec![1, 2, 3, 3], vec![false, false, false, true]));
    let done = asked(&study, &plan, &facts);
    let rounds: Vec<_> =
        how_it_went(&done).rounds.iter().map(|it| (it.round.arms, it.round.epochs.0, it.round.seeds)).collect();
    assert_eq!(rounds, [(6, 6, 1), (2, 10, 2), (1, 16, 2)]);
    assert!(labels(&done, 0, true).iter().all(|label| label.contains("wrn-16-2")), "{:?}", labels(&done, 0, true));
    assert_eq!(labels(&done, 2, true), ["KD to the end, wrn-16-2 teaches"]);
    assert!(how_it_went(&done).spent_epochs <= 130, "{}", how_it_went(&done).spent_epochs);
    let arms: std::collections::BTreeSet<usize> = done.now.runs.iter().map(|run| run.arm).collect();
    assert_eq!(arms.len(), 2, "the winner and labels only");
    assert!(arms.iter().any(|arm| done.now.arms[*arm].distillation.is_none()));
    assert_eq!(done.now.runs.len(), 4);
    assert!(done.now.runs.iter().all(|run| run.legs.last().unwrap().until == Epoch(16)));
}

/// The arms that go on have more seeds than those that were dropped, and each band is of its own. What was dropped keeps its curve up to
/// where it was.
#[test]
fn a_searched_study_is_reported_in_every_round_with_all_that_was_asked_for() {
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    let mut facts = Facts::new();
    for turn in 0..4 {
        let now = asked(&study, &plan, &facts);
        train(&now.now, &mut facts, better_with_the_larger_teacher);
        let found = report_of(&study, &plan, &facts);
        let after = asked(&study, &plan, &facts);
        let (_, accuracy) = found.curves.iter().find(|(metric, _)| *metric == Metric::ValidationAccuracy).unwrap();
        let runs = |arm: usize| after.so_far.runs.iter().filter(move |run| run.arm == arm);
        // All that was asked for before this turn is trained now.
        for series in accuracy {
            let trained = now.so_far.runs.iter().filter(|run| run.arm == series.arm);
            let untils: Vec<Epoch> = trained.map(|run| run.legs.last().unwrap().until).collect();
            let seeds_at = |epoch: Epoch| untils.iter().filter(|until| **until >= epoch).count();
            assert!(series.points.iter().all(|point| point.seeds as usize == seeds_at(point.epoch)), "{series:?}");
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
    let found = report_of(&study, &plan, &facts);
    assert_eq!(found.progress.state, State::Finished);
    assert!(found.comparison.answer.contains(", found by searching 6 arms,"), "{}", found.comparison.answer);
    let search = found.search.unwrap();
    let dropped: Vec<Option<usize>> = (0..plan.arms.len()).map(|arm| search.dropped_in(arm)).collect();
    let count = |round: Option<usize>| dropped.iter().filter(|it| **it == round).count();
    let last_points: Vec<u32> =
        found.curves[0].1.iter().map(|series| series.points.last().map_or(0, |point| point.epoch.0)).collect();
    assert_eq!(count(Some(1)), last_points.iter().filter(|epoch| **epoch == 6).count(), "{last_points:?}, {dropped:?}");
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
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    let mut facts = Facts::new();
    for _ in 0..4 {
        let now = asked(&study, &plan, &facts);
        train(&now.now, &mut facts, better_with_the_larger_teacher);
    }
    for facts in facts.values_mut() {
        facts.metrics.iter_mut().for_each(|epoch| epoch.test = epoch.validation);
    }
    let found = report_of(&study, &plan, &facts);
    let with_result = found.comparison.arms.iter().filter(|arm| arm.mean.is_some()).count();
    assert_eq!(with_result, 2, "the winner and labels only");
}

#[test]
fn progress_is_over_what_the_search_may_come_to_and_never_falls_back() {
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    let most = before_it_begins(&study, &plan).unwrap();
    assert_eq!(*asked(&study, &plan, &Facts::new()).at_most, most);
    let counts = Outlook::of(&study, &plan, &machine()).counts(&plan);
    assert_eq!(counts, "at most 128 epochs, of a grid of 14 runs and 192 epochs");
    let mut facts = Facts::new();
    let (mut last, mut left) = (0.0, Vec::new());
    for turn in 0..5 {
        let now = progress_of(&study, &plan, &facts);
        let share = now.epochs_done as f64 / now.epochs_total as f64;
        assert!(share > last || turn == 0, "turn {turn}: {} of {}", now.epochs_done, now.epochs_total);
        assert_eq!(now.state == State::Finished, turn == 4);
        left.extend(now.left.map(|estimate| estimate.seconds));
        last = share;
        train(&asked(&study, &plan, &facts).now, &mut facts, better_with_the_larger_teacher);
    }
    assert_eq!(last, 1.0);
    // Nothing was measured before the first epoch, and nothing is left after the last.
    assert!(left.len() == 3 && left[2] < left[0], "{left:?}");
    let stopped = asked(&study, &plan, &Facts::new()).progress(&Facts::new(), true, &machine());
    assert_eq!((stopped.state, stopped.epochs_total), (State::Stopped, most.epochs));
}

/// The arms that cost most share least: by each teacher one, and not two that part late.
#[test]
fn what_a_search_comes_to_at_most_is_of_the_arms_that_cost_most() {
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    let now = asked(&study, &plan, &Facts::new());
    let most = &now.at_most;
    // Six arms for 6 epochs with one seed are two trainings of teachers and of students two that are distilled throughout and two until 4.
    // For 10 epochs with two seeds one group of arms of each teacher goes on: until 12 and to the end are one training until then. One
    // of these groups parts in the last round, and labels only are trained with both seeds.
    assert_eq!(now.now.epochs, 2 * 16 + 2 * (6 + 2));
    assert_eq!(most.epochs, now.now.epochs + 2 * (4 + 10) + 2 * (6 + 4) + 2 * 16);
    assert_eq!(most.epochs, most.segments.iter().map(|it| u64::from(it.until.0 - it.from().0)).sum::<u64>());
    let until = |epoch: u32| most.runs.iter().filter(|run| run.legs.last().unwrap().until == Epoch(epoch)).count();
    assert_eq!([6, 10, 16].map(until), [2, 4, 6]);
    assert_eq!(most.tested().into_iter().filter(|tested| *tested).count(), 4);
    let mut ends = most.segments.iter().filter(|segment| !segment.ends.is_empty());
    assert!(ends.all(|segment| segment.until == Epoch(16)));
}

/// With a budget for all of it there is nothing to be found out in a second round.
#[test]
fn a_round_that_would_repeat_the_one_before_is_left_out() {
    let (study, plan) = planned("budget_epochs = 5000");
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts);
    train(&first.now, &mut facts, better_with_the_larger_teacher);
    let second = asked(&study, &plan, &facts);
    assert_eq!(how_it_went(&second).rounds.len(), 1);
    assert_eq!(how_it_went(&second).rounds[0].round, Round { arms: 6, epochs: Epoch(16), seeds: 2 });
    assert_eq!(labels(&second, 0, true), ["KD to the end, wrn-16-2 teaches"]);
    assert!(second.now.segments.iter().any(|segment| !segment.ends.is_empty()), "the winner is tested");
    train(&second.now, &mut facts, better_with_the_larger_teacher);
    let done = progress_of(&study, &plan, &facts);
    assert_eq!((done.state, done.epochs_done), (State::Finished, done.epochs_total));
}

#[test]
fn where_every_arm_fails_nothing_more_is_asked_for() {
    let (study, plan) = planned("budget_epochs = 130");
    let first = asked(&study, &plan, &Facts::new());
    let failed = |segment: &study::Segment| {
        (segment.key.clone(), SegmentFacts { failure: Some(not_finite()), ..SegmentFacts::default() })
    };
    let facts: Facts = first.now.segments.iter().map(failed).collect();
    let then = asked(&study, &plan, &facts);
    assert_eq!((how_it_went(&then).rounds.len(), &then.now), (1, &first.now));
    let found = report_of(&study, &plan, &facts);
    assert_eq!(found.progress.state, State::Failed);
    let said = &found.comparison.remarks[0];
    assert!(said.ends_with("in rounds; it ended before both the winner and its baseline were tested."), "{said}");
}

/// Of two seeds the second fails where the winner and its baseline are tested: an interval stands, and what it speaks of with it.
#[test]
fn a_winner_that_was_tested_is_told_of_though_a_run_failed() {
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    let mut facts = Facts::new();
    for _ in 0..3 {
        train(&asked(&study, &plan, &facts).now, &mut facts, better_with_the_larger_teacher);
    }
    let last = asked(&study, &plan, &facts);
    let of_baseline = |run: &&study::Run| plan.arms[run.arm].distillation.is_none() && run.seed.0 == 1;
    let fails = last.now.runs.iter().find(of_baseline).unwrap().legs[0].segment.clone();
    train(&last.now, &mut facts, better_with_the_larger_teacher);
    facts.insert(fails, SegmentFacts { failure: Some(not_finite()), ..SegmentFacts::default() });
    let found = report_of(&study, &plan, &facts);
    assert_eq!(found.progress.state, State::Failed);
    let tested: Vec<u32> = found.comparison.arms.iter().map(|arm| arm.n).filter(|n| *n > 0).collect();
    assert_eq!(tested, [1, 2]);
    let said = &found.comparison.remarks[0];
    assert!(said.ends_with("The interval speaks of that arm; another search may find another."), "{said}");
}

fn not_finite() -> study::Failure {
    study::Failure { epoch: Epoch(0), reason: "not finite".into(), may_succeed_again: false }
}

/// Scores are drawn for each course, so that any arm may win; in one of them a training of the first round fails. Teachers of each seed,
/// generations and curricula ask for more as a search goes on.
#[test]
fn no_course_comes_to_more_than_was_said_nor_than_the_budget() {
    let stops = "kd_stop_epoch = [0, 2, 4, 9, 12, 16]";
    let per_seed = written("BUDGET").replace("epochs = 16 }\n[treat", "epochs = 16, per_seed = true }\n[treat");
    let halved = |treatment: &str| {
        let text = written("BUDGET\npromote_one_in = 2").replace("seeds = 2", "seeds = 3");
        text.replace("kd_stop_epoch = [0, 4, 12, 16]", treatment)
    };
    for text in [
        written("BUDGET"),
        per_seed,
        halved(stops),
        halved(&format!("{stops}\ntemperature = [1.0, 4.0]\nteacher_stop_epoch = [8, 16]")),
        halved("kd_stop_epoch = [0, 4, 16]\nmethod = \"rco\"\nanchors = [2, 4]"),
        halved("kd_stop_epoch = [0, 4, 16]\ngenerations = 2"),
    ] {
        let plan_of = |budget: u64| {
            let study = Study::from_toml(&text.replace("BUDGET", &format!("budget_epochs = {budget}"))).unwrap();
            Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).map(|plan| (study, plan))
        };
        let refused = plan_of(1).unwrap_err();
        let least: u64 = refused[0].allowed.trim_end_matches(" or more").parse().unwrap();
        for budget in [least, least + least / 3] {
            let (study, plan) = plan_of(budget).unwrap();
            let first = before_it_begins(&study, &plan).unwrap().epochs;
            assert!(first <= budget, "{first} of {budget}: {text}");
            let mut most_spent = 0;
            for course in 0..8 {
                let (mut facts, mut last, mut done, mut turns) = (Facts::new(), first, 0.0, 0);
                while progress_of(&study, &plan, &facts).state == State::Waiting {
                    let now = asked(&study, &plan, &facts);
                    let spent = how_it_went(&now).spent_epochs;
                    assert!(spent <= now.so_far.epochs && now.so_far.epochs <= now.at_most.epochs, "{text}");
                    assert!(now.at_most.epochs <= last, "{} of {last}: {text}", now.at_most.epochs);
                    last = now.at_most.epochs;
                    let share = spent as f64 / last as f64;
                    assert!(share >= done, "{share} after {done}: {text}");
                    done = share;
                    train(&now.now, &mut facts, |arm, distilled| drawn(course, arm, distilled));
                    if (course, turns) == (7, 0) {
                        // Nothing needs the last one.
                        let fails = now.now.segments.last().unwrap().key.clone();
                        facts.insert(fails, SegmentFacts { failure: Some(not_finite()), ..SegmentFacts::default() });
                    }
                    turns += 1;
                    assert!(turns < 20, "it ends: {text}");
                }
                assert_eq!(progress_of(&study, &plan, &facts).state, State::Finished, "{text}");
                let found = asked(&study, &plan, &facts);
                let spent = how_it_went(&found).spent_epochs;
                assert!(spent <= last && turns >= plan.rounds.len(), "{spent} of {last} in {turns} turns: {text}");
                let failed = how_it_went(&found).rounds[0].scores.iter().any(|it| it.accuracy.is_none());
                assert_eq!(failed, course == 7, "{text}");
                most_spent = most_spent.max(spent);
            }
            // Nor is far more said than it takes: some course comes close.
            assert!(4 * most_spent >= 3 * first, "{most_spent} of {first}: {text}");
        }
    }
}

/// Any accuracy, the same for the same words (FNV-1a).
fn drawn(course: u64, arm: &str, distilled: u32) -> f64 {
    let words = format!("{course} {arm} {distilled}");
    let hash = words
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 32) as f64 / f64::from(u32::MAX)
}

fn arms_of(teacher: &str) -> [String; 3] {
    ["until 4", "until 12", "to the end"].map(|stops| format!("KD {stops}, {teacher} teaches"))
}

#[test]
fn arms_that_were_trained_alike_so_far_go_on_together() {
    let (study, plan) = planned("budget_epochs = 130\npromote_one_in = 3");
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts);
    let until = how_it_went(&first).rounds[0].round.epochs;
    // Until then two of each teacher's arms have not parted, and are one segment; one went on by labels alone.
    assert_eq!(first.now.segments.iter().filter(|segment| segment.until == until).count(), 4);
    // All arms of a teacher are as good, and two trainings: these take the two places that there are.
    train(&first.now, &mut facts, |arm, _| if arm.contains("wrn-10-2") { 0.6 } else { 0.5 });
    let second = asked(&study, &plan, &facts);
    assert_eq!(labels(&second, 0, true), arms_of("wrn-10-2"));
    assert_eq!(labels(&second, 0, false), arms_of("wrn-16-2"));
    let found = how_it_went(&second);
    assert_eq!((found.arms_in(0), found.arms_in(1), found.rounds[1].round.arms), (6, 3, 2));
}

/// As good to the last digit, and yet two trainings: the first ones go on, by the arms' order.
#[test]
fn arms_that_tie_take_no_more_places_than_there_are() {
    for (one_in, expected) in [(3, &arms_of("wrn-10-2")[..]), (6, &arms_of("wrn-10-2")[..1])] {
        let (study, plan) = planned(&format!("budget_epochs = 130\npromote_one_in = {one_in}"));
        let mut facts = Facts::new();
        train(&asked(&study, &plan, &facts).now, &mut facts, |_, _| 0.5);
        assert_eq!(labels(&asked(&study, &plan, &facts), 0, true), expected);
    }
}

/// No arm has parted from the others of its teacher: the six are two trainings, for which there are two places.
#[test]
fn a_place_is_taken_by_a_training_and_not_by_each_of_its_arms() {
    let text = written("budget_epochs = 130\npromote_one_in = 3").replace("[0, 4, 12, 16]", "[0, 12, 14, 16]");
    let (study, plan) = planned_of(&text);
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts);
    assert!(how_it_went(&first).rounds[0].round.epochs <= Epoch(12), "{:?}", plan.rounds);
    train(&first.now, &mut facts, better_with_the_larger_teacher);
    let second = asked(&study, &plan, &facts);
    assert_eq!((plan.rounds[1].arms, labels(&second, 0, true).len()), (2, 6), "{:?}", plan.rounds);
}

#[test]
fn an_arm_that_fails_is_dropped_and_holds_up_nobody() {
    let (study, plan) = planned("budget_epochs = 130");
    let mut facts = Facts::new();
    let first = asked(&study, &plan, &facts);
    train(&first.now, &mut facts, |_, _| 0.5);
    let of_small = first.now.runs.iter().find(|run| first.now.arms[run.arm].label.contains("wrn-10-2")).unwrap();
    let failed = &of_small.legs[0].segment;
    // What begins on its way is not there either.
    let tails = first.now.runs.iter().filter(|run| run.legs[0].segment == *failed).flat_map(|run| &run.legs[1..]);
    tails.for_each(|leg| drop(facts.remove(&leg.segment)));
    facts.insert(failed.clone(), SegmentFacts { failure: Some(not_finite()), ..SegmentFacts::default() });
    let second = asked(&study, &plan, &facts);
    assert_eq!(how_it_went(&second).rounds.len(), 2);
    assert_eq!(labels(&second, 0, false), arms_of("wrn-10-2"));
    assert_eq!(labels(&second, 0, true), arms_of("wrn-16-2"));
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
    let without = told(written("budget_epochs = 500").replace("[0, 4, 12, 16]", "[4, 12, 16]"));
    assert!(without[0].contains("is tested against labels alone"), "{without:?}");
    let every = told(written("budget_epochs = 500") + "[recipe]\nevaluate_test = \"every-epoch\"\n");
    assert!(every[0].contains("before the choice is made"), "{every:?}");
    let missing = told(written("promote_one_in = 11"));
    assert_eq!(missing.len(), 2, "{missing:?}");
    let (study, plan) = planned("budget_epochs = 500");
    assert_eq!(Study::from_toml(&study.to_toml()), Ok(study.clone()));
    // What was planned before rounds stood in plans is searched in the same ones.
    let before = Plan { rounds: Vec::new(), ..plan.clone() };
    assert_eq!(asked(&study, &before, &Facts::new()).report, asked(&study, &plan, &Facts::new()).report);
    let whole = Study { search: None, ..study };
    let all = asked(&whole, &plan, &Facts::new());
    assert_eq!((&*all.now, &*all.so_far, &*all.at_most, all.report), (&plan, &plan, &plan, None));
}

/// Each seed has teachers of its own, and few arms come to have all seeds: that is known beforehand.
#[test]
fn teachers_of_each_seed_are_counted_for_as_many_trainings_as_there_are_places() {
    let text = |budget: u32| {
        format!(
            "title = \"?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 4\nstudent = {{ architecture = \"wrn-10-1\", epochs = 10 }}\n\
             [teacher]\narchitecture = [\"wrn-10-2\", \"wrn-16-1\", \"wrn-16-2\", \"wrn-22-1\", \"wrn-22-2\"]\nepochs = 100\n\
             per_seed = true\n[treatment]\nkd_stop_epoch = [0, 10]\n[search]\nbudget_epochs = {budget}\n"
        )
    };
    let (study, plan) = planned_of(&text(1200));
    let rounds: Vec<_> = plan.rounds.iter().map(|round| (round.arms, round.epochs.0, round.seeds)).collect();
    assert_eq!(rounds, [(5, 3, 1), (2, 5, 2), (1, 10, 4)]);
    // Five teachers of the first seed, two of the second and one of each other; students likewise; the baseline.
    let of_rounds = [5 * (100 + 3), 2 * (100 + 2 + 5), 2 * (100 + 5 + 10), 4 * 10];
    assert_eq!(before_it_begins(&study, &plan).unwrap().epochs, of_rounds.into_iter().sum::<u64>());
}

/// As many arms as a study may have, each a training of its own: planned, asked for and bounded without looking at each beside each.
#[test]
fn thousands_of_arms_are_searched_as_a_few_are() {
    let listed = |values: u32, step: f64| {
        let values: Vec<String> = (1..=values).map(|value| (f64::from(value) * step).to_string()).collect();
        values.join(", ")
    };
    let many =
        format!("kd_stop_epoch = [0, 8]\ntemperature = [{}]\nkd_weight = [{}]", listed(100, 0.5), listed(99, 0.01));
    let text = |budget: u32| {
        let one_teacher =
            written(&format!("budget_epochs = {budget}\npromote_one_in = 2")).replace("seeds = 2", "seeds = 1");
        one_teacher
            .replace("[\"wrn-10-2\", \"wrn-16-2\"]", "\"wrn-16-2\"")
            .replace("kd_stop_epoch = [0, 4, 12, 16]", &many)
    };
    let (study, plan) = planned_of(&text(60_000));
    assert_eq!((plan.arms.len(), plan.runs.len()), (9_901, 9_901));
    assert_eq!((plan.rounds.len(), plan.rounds[0].epochs), (12, Epoch(4)));
    let most = before_it_begins(&study, &plan).unwrap();
    assert!(most.epochs <= 60_000, "{}", most.epochs);
    let now = asked(&study, &plan, &Facts::new());
    assert_eq!((&*now.at_most, now.now.runs.len()), (&most, 9_900));
    // Where not even the shortest rounds are enough all are looked at.
    let refused = Plan::new(&Study::from_toml(&text(1)).unwrap(), &fashion_mnist_12k(), Numerics::CpuF32).unwrap_err();
    assert_eq!(refused[0].field, "search.budget_epochs");
}
