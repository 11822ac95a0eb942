//! From facts to curves, progress, cost, comparison and snapshot.

mod images;

use images::fashion_mnist_12k;
use study::{
    CheckpointId, Comparison, Confusion, Cosine, Epoch, EpochMetrics, Facts, Failure, Fidelity, GradientCosine,
    Happened, Machine, Metric, Numerics, Observer, PROBE_IMAGES, Plan, Progress, Provenance, Report, Scores, Seed,
    SegmentFacts, SegmentKey, Snapshot, Speed, State, Study, Verdict, WaitsFor,
    conflict::conflicts,
    cost::{Measured, Pace, estimate},
    curves::series,
    metrics::run_metrics,
    search::asked,
};

const STUDY: &str = r#"
title = "When should distillation stop?"
dataset = "fashion-mnist-12k"
seeds = 3
student = { architecture = "wrn-10-1", epochs = 4 }
teacher = { architecture = "wrn-16-2", epochs = 4 }
treatment = { kd_stop_epoch = [0, 2, 4] }
"#;

/// Test accuracies by arm and seed.
const ACCURACIES: [[f64; 3]; 3] = [[0.8810, 0.8843, 0.8795], [0.8862, 0.8877, 0.8850], [0.8835, 0.8831, 0.8822]];

fn planned() -> (Study, Plan) {
    planned_of(STUDY)
}

fn planned_of(text: &str) -> (Study, Plan) {
    let study = Study::from_toml(text).unwrap();
    let dataset = fashion_mnist_12k();
    let plan = Plan::new(&study, &dataset, Numerics::CpuF32).unwrap();
    (study, plan)
}

fn compare(study: &Study, plan: &Plan, facts: &Facts, stopped: bool) -> Comparison {
    study::comparison::compare(study, &asked(study, plan, facts), facts, stopped)
}

fn report(study: &Study, plan: &Plan, facts: &Facts, stopped: bool, machine: &Machine) -> Report {
    study::report::report(study, &asked(study, plan, facts), facts, stopped, machine)
}

fn progress(study: &Study, plan: &Plan, facts: &Facts, stopped: bool, machine: &Machine) -> Progress {
    asked(study, plan, facts).progress(facts, stopped, machine)
}

fn machine(speed: Option<f64>) -> Machine {
    Machine {
        speed: speed.map(|multiply_accumulates_per_second| {
            let pace = |passes: f64| Pace {
                seconds_per_multiply_accumulate: passes / multiply_accumulates_per_second,
                seconds_per_activation: 0.0,
            };
            Speed { step: pace(3.0), evaluation: pace(1.0) }
        }),
        teacher_logits_limit: 4_000_000_000,
        ..images::machine()
    }
}

fn scores(accuracy: f64) -> Scores {
    Scores { cross_entropy: 1.0 - accuracy, accuracy, calibration_error: Some(0.5 * (1.0 - accuracy)) }
}

/// Falls by 0.2 an epoch, and lies 0.01 apart between seeds; the head's gradient is zero in the first epoch.
fn cosine(epoch: u32, seed: u32) -> GradientCosine {
    let all = 0.5 - 0.2 * f64::from(epoch) + 0.01 * f64::from(seed);
    let groups = vec![Some((all - 0.1).into()), (epoch > 1).then(|| (all + 0.1).into())];
    GradientCosine { all: Some(all.into()), groups }
}

/// Trains a segment up to `until`, as far as facts can tell. Validation accuracy is best at epoch 3.
fn train(plan: &Plan, facts: &mut Facts, key: &SegmentKey, until: u32) {
    let segment = plan.segment(key).unwrap();
    let validation = [0.70, 0.80, 0.85, 0.84];
    let metrics = (segment.from().0 + 1..=until.min(segment.until.0)).map(|epoch| EpochMetrics {
        epoch: Epoch(epoch),
        learning_rate: segment.schedule.learning_rate_after(Epoch(epoch - 1)),
        train: scores(0.5),
        train_clean: None,
        validation: Some(scores(validation[epoch as usize - 1] + 0.01 * f64::from(segment.seed.0))),
        test: Some(scores(0.88)),
        fidelity: segment
            .measured_against()
            .into_iter()
            .map(|observer| Fidelity {
                kd_loss_validation: Some(f64::from(epoch)),
                agreement_validation: Some(0.9),
                kd_loss_test: (epoch == 4).then_some(4.5),
                gradient_cosine: Some(cosine(epoch, segment.seed.0)),
                ..Fidelity::to(observer)
            })
            .collect(),
        seconds: 2.0,
        images_per_second: 6000.0,
    });
    facts.entry(key.clone()).or_default().metrics = metrics.collect();
}

/// The whole study trained, with `accuracies` at the runs' ends.
fn trained(plan: &Plan, accuracies: &[[f64; 3]]) -> Facts {
    let mut facts = Facts::new();
    for segment in &plan.segments {
        train(plan, &mut facts, &segment.key, segment.until.0);
    }
    for run in &plan.runs {
        let last = run.legs.last().unwrap();
        let metrics = &mut facts.get_mut(&last.segment).unwrap().metrics;
        let end = metrics.iter_mut().find(|metrics| metrics.epoch == last.until).unwrap();
        end.test = Some(scores(accuracies[run.arm][run.seed.0 as usize]));
    }
    facts
}

fn failure(reason: &str) -> Failure {
    Failure { epoch: Epoch(1), reason: reason.into(), may_succeed_again: false }
}

fn last_segment(plan: &Plan, arm: usize, seed: u32) -> SegmentKey {
    let run = plan.runs.iter().find(|run| run.arm == arm && run.seed.0 == seed).unwrap();
    run.legs.last().unwrap().segment.clone()
}

#[test]
fn a_curve_passes_through_all_segments_of_its_runs() {
    let (_, plan) = planned();
    let facts = trained(&plan, &ACCURACIES);
    let curves = series(&plan, &facts, Metric::ValidationAccuracy);
    assert_eq!(curves.len(), 3);
    let stopped = &curves[1];
    assert_eq!((stopped.label.as_str(), stopped.kd_stops_at), ("KD until 2", Some(Epoch(2))));
    assert_eq!(stopped.drops, [Epoch(1), Epoch(2), Epoch(3)]);
    assert_eq!((curves[0].kd_stops_at, curves[2].kd_stops_at), (None, None));
    let epochs: Vec<_> = stopped.points.iter().map(|point| (point.epoch.0, point.seeds)).collect();
    assert_eq!(epochs, [(1, 3), (2, 3), (3, 3), (4, 3)]);
    // Seeds lie 1 point apart: deviation 1, interval ± 4.302652729749462 / √3.
    let point = stopped.points[2];
    assert!((point.mean - 86.0).abs() < 1e-9);
    assert!((point.high - point.mean - 4.302652729749462 / 3f64.sqrt()).abs() < 1e-9);
    assert!((point.mean - point.low - 4.302652729749462 / 3f64.sqrt()).abs() < 1e-9);
}

#[test]
fn a_curve_of_unfinished_runs_has_the_seeds_that_are_there() {
    let (_, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    train(&plan, &mut facts, &last_segment(&plan, 0, 0), 1);
    facts.remove(&last_segment(&plan, 0, 1));
    let curve = &series(&plan, &facts, Metric::TrainAccuracy)[0];
    assert_eq!(curve.points.iter().map(|point| point.seeds).collect::<Vec<_>>(), [2, 1, 1, 1]);
    assert_eq!((curve.points[3].low, curve.points[3].high), (50.0, 50.0));
    assert!(series(&plan, &Facts::new(), Metric::TestAccuracy).iter().all(|curve| curve.points.is_empty()));
}

/// The other seeds' mean would jump: they are other seeds than those of the next epoch.
#[test]
fn where_one_of_the_seeds_was_not_measured_a_curve_has_no_point() {
    let (_, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    let late = last_segment(&plan, 0, 1);
    for metrics in facts.get_mut(&late).unwrap().metrics.iter_mut().filter(|metrics| metrics.epoch != Epoch(4)) {
        metrics.fidelity.clear();
    }
    let curves = series(&plan, &facts, Metric::KdLossValidation);
    let of = |arm: usize| curves[arm].points.iter().map(|point| (point.epoch.0, point.seeds)).collect::<Vec<_>>();
    assert_eq!(of(0), [(4, 3)]);
    assert_eq!(of(2), [(1, 3), (2, 3), (3, 3), (4, 3)]);
}

#[test]
fn a_training_that_teaches_is_not_measured_against_itself() {
    let teacher = "teacher = { architecture = \"wrn-16-2\", epochs = 4 }";
    let (_, plan) = planned_of(&STUDY.replace(teacher, "teacher = { architecture = \"wrn-10-1\", epochs = 4 }"));
    let mut facts = Facts::new();
    for segment in &plan.segments {
        train(&plan, &mut facts, &segment.key, segment.until.0);
    }
    let curves = series(&plan, &facts, Metric::AgreementValidation);
    let seeds = |arm: usize| curves[arm].points.iter().map(|point| point.seeds).collect::<Vec<_>>();
    assert_eq!((seeds(0), seeds(1)), (vec![2; 4], vec![3; 4]));
}

#[test]
fn the_kd_loss_is_against_the_arms_own_teacher_and_goes_on_after_the_stop() {
    let (_, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    let stranger = CheckpointId { segment: SegmentKey("another".into()), epoch: Epoch(1) };
    for metrics in facts.values_mut().flat_map(|facts| &mut facts.metrics) {
        let another = Fidelity {
            kd_loss_train: Some(99.0),
            kd_loss_validation: Some(99.0),
            gradient_cosine: Some(GradientCosine { all: Some(0.99.into()), groups: vec![Some(0.99.into()); 7] }),
            ..Fidelity::to(Observer { teacher: stranger.clone(), temperature: 4.0 })
        };
        metrics.fidelity.insert(0, another);
    }
    for curve in series(&plan, &facts, Metric::KdLossValidation) {
        let means: Vec<f64> = curve.points.iter().map(|point| point.mean).collect();
        assert_eq!(means, [1.0, 2.0, 3.0, 4.0], "{}", curve.label);
    }
    for curve in series(&plan, &facts, Metric::KdLossTest) {
        assert_eq!(curve.points.iter().map(|point| (point.epoch.0, point.mean)).collect::<Vec<_>>(), [(4, 4.5)]);
    }
    for curve in series(&plan, &facts, Metric::GradientCosine) {
        let means: Vec<f64> = curve.points.iter().map(|point| (point.mean * 1e6).round() / 1e6).collect();
        assert_eq!(means, [0.31, 0.11, -0.09, -0.29], "{}", curve.label);
    }
    let conflicts = conflicts(&plan, &facts);
    assert_eq!(conflicts.iter().map(|conflict| conflict.arm).collect::<Vec<_>>(), [0, 1, 2]);
    for conflict in conflicts {
        assert_eq!(conflict.epochs, [1, 2, 3, 4].map(Epoch));
        let last = [None, Some(0.21), Some(0.01), Some(-0.19)];
        assert_eq!(conflict.groups, [[0.21, 0.01, -0.19, -0.39].map(Some), last]);
    }
    assert!(series(&plan, &facts, Metric::KdLossTrain).iter().all(|curve| curve.points.is_empty()));
}

#[test]
fn shared_epochs_count_once_in_the_study_and_in_each_run() {
    let (study, plan) = planned();
    assert_eq!(plan.epochs, 4 + 12 + 12 + 6);
    let mut facts = Facts::new();
    let nothing = progress(&study, &plan, &facts, false, &machine(None));
    assert_eq!((nothing.state, nothing.epochs_done, nothing.epochs_total), (State::Waiting, 0, 34));
    assert_eq!(nothing.left, None);

    let teacher = plan.segments[0].key.clone();
    train(&plan, &mut facts, &teacher, 4);
    let shared = plan.runs[3].legs[0].segment.clone();
    train(&plan, &mut facts, &shared, 3);
    facts.get_mut(&shared).unwrap().working = true;
    let some = progress(&study, &plan, &facts, false, &machine(Some(1e9)));
    assert_eq!((some.state, some.epochs_done), (State::Training, 7));
    // The run that stops distilling at 2 has 2 of its epochs and waits for a worker on its tail; the other has 3.
    let of = |run: usize| (some.runs[run].state, some.runs[run].epochs_done, some.runs[run].epochs_total);
    assert_eq!(of(3), (State::Waiting, 2, 4));
    assert_eq!(of(6), (State::Training, 3, 4));
    assert_eq!(of(0), (State::Waiting, 0, 4));
    let stopped = progress(&study, &plan, &facts, true, &machine(None));
    assert_eq!((stopped.state, stopped.runs[6].state), (State::Stopped, State::Stopped));
    assert!(some.left.unwrap().seconds > 0.0);

    let done = progress(&study, &plan, &trained(&plan, &ACCURACIES), true, &machine(Some(1e9)));
    assert_eq!((done.state, done.epochs_done, done.left), (State::Finished, 34, None));
    assert!(done.runs.iter().all(|run| run.state == State::Finished && run.epochs_done == 4));
}

#[test]
fn a_study_has_failed_only_when_nothing_can_go_on() {
    let (study, plan) = planned();
    let mut facts = Facts::new();
    let alone = last_segment(&plan, 0, 0);
    facts.entry(alone.clone()).or_default().failure = Some(failure("the loss is not finite"));
    let one = progress(&study, &plan, &facts, false, &machine(None));
    assert_eq!((one.state, one.runs[0].state, one.runs[1].state), (State::Waiting, State::Failed, State::Waiting));
    assert_eq!(one.failures, [failure("the loss is not finite")]);

    // What learns from the teacher cannot go on without it; labels alone can, though it was to observe them.
    facts.entry(plan.segments[0].key.clone()).or_default().failure = Some(failure("no space left"));
    let part = progress(&study, &plan, &facts, false, &machine(None));
    assert_eq!(part.state, State::Waiting);
    assert!(part.runs.iter().all(|run| (run.state == State::Failed) == (run.arm != 0 || run.seed == 0)));
    for seed in [1, 2] {
        let alone = last_segment(&plan, 0, seed);
        facts.entry(alone).or_default().failure = Some(failure("the loss is not finite"));
    }
    let all = progress(&study, &plan, &facts, false, &machine(None));
    assert_eq!(all.state, State::Failed);
    assert!(all.runs.iter().all(|run| run.state == State::Failed));
    // A worker that tries again takes the failure back.
    facts.get_mut(&plan.segments[0].key).unwrap().working = true;
    assert_eq!(progress(&study, &plan, &facts, false, &machine(None)).runs[3].state, State::Waiting);

    let mut rest = trained(&plan, &ACCURACIES);
    rest.insert(alone, SegmentFacts { failure: Some(failure("the loss is not finite")), ..SegmentFacts::default() });
    assert_eq!(progress(&study, &plan, &rest, false, &machine(None)).state, State::Failed);
}

#[test]
fn what_failed_names_the_runs_that_it_keeps_from_their_end() {
    let (study, plan) = planned();
    let said = |facts: &Facts| report(&study, &plan, facts, false, &machine(None)).incidents;
    let alone = last_segment(&plan, 0, 1);
    let mut facts = Facts::new();
    facts.entry(alone.clone()).or_default().failure = Some(failure("the loss is not finite"));
    let only = said(&facts);
    assert_eq!((only.len(), only[0].teacher, only[0].runs.clone()), (1, false, vec![(0, Seed(1))]));
    assert_eq!(only[0].happened, Happened::Failed(failure("the loss is not finite")));

    // A teacher's failure keeps back all that wait for it; runs that have their result are done with it.
    let teacher = plan.segments[0].key.clone();
    let mut facts = trained(&plan, &ACCURACIES);
    for key in [&teacher, &last_segment(&plan, 2, 0)] {
        facts.get_mut(key).unwrap().metrics.truncate(1);
    }
    facts.get_mut(&teacher).unwrap().failure = Some(failure("no space left"));
    facts.get_mut(&teacher).unwrap().notes = vec!["checkpoint of epoch 7 is damaged".into()];
    facts.get_mut(&alone).unwrap().notes = vec!["going on from epoch 6".into()];
    let told = said(&facts);
    let teachers = told.iter().find(|it| matches!(it.happened, Happened::Failed(_))).unwrap();
    assert_eq!((teachers.teacher, teachers.architecture.to_string().as_str()), (true, "wrn-16-2"));
    assert_eq!(teachers.runs, [(1, Seed(0)), (2, Seed(0))], "seed 0 has lost what both arms share");
    let notes: Vec<_> = told.iter().filter(|it| matches!(it.happened, Happened::Noted(_))).collect();
    assert_eq!((notes.len(), notes[0].runs.len(), notes[1].runs.clone()), (2, 0, vec![(0, Seed(1))]));

    // Whoever leaves a segment before it failed goes on elsewhere.
    let distils = last_segment(&plan, 2, 0);
    let mut facts = Facts::new();
    train(&plan, &mut facts, &distils, 3);
    facts.get_mut(&distils).unwrap().failure = Some(failure("the loss is not finite"));
    assert_eq!(said(&facts)[0].runs, [(2, Seed(0))]);
}

#[test]
fn a_band_of_two_seeds_goes_from_the_lower_to_the_higher() {
    let (_, plan) = planned();
    let mut facts = Facts::new();
    for seed in [0, 1] {
        let key = last_segment(&plan, 0, seed);
        train(&plan, &mut facts, &key, 1);
    }
    let point = series(&plan, &facts, Metric::ValidationAccuracy)[0].points[0];
    let (low, high) = point.band().unwrap();
    assert!((low - 70.0).abs() < 1e-9 && (high - 71.0).abs() < 1e-9, "{low} {high}");
    assert!(point.high - point.low > 12.0, "while the interval of two seeds is wide");
}

#[test]
fn a_failed_prefix_fails_the_runs_beyond_it_and_no_other() {
    let (study, plan) = planned();
    let mut facts = Facts::new();
    train(&plan, &mut facts, &plan.segments[0].key.clone(), 4);
    let shared = plan.runs[3].legs[0].segment.clone();
    train(&plan, &mut facts, &shared, 2);
    facts.get_mut(&shared).unwrap().failure = Some(failure("the loss is not finite"));
    let progress = progress(&study, &plan, &facts, false, &machine(None));
    assert_eq!((progress.runs[3].state, progress.runs[6].state), (State::Waiting, State::Failed));
}

#[test]
fn time_is_work_over_threads_and_never_less_than_the_longest_chain() {
    let (_, plan) = planned();
    assert_eq!(estimate(&plan, &Facts::new(), &machine(None)), None);
    let seconds = |facts: &Facts, threads| {
        let machine = Machine { threads, teacher_logits_limit: 0, ..machine(Some(1e9)) };
        estimate(&plan, facts, &machine).unwrap().seconds
    };
    let nothing = Facts::new();
    let (one, two, many) = (seconds(&nothing, 1), seconds(&nothing, 2), seconds(&nothing, 1000));
    assert!((one / two - 2.0).abs() < 0.05, "{one} {two}");
    assert!(many > one / 1000.0 && many < two);
    // By hand: wrn-10-1 and wrn-16-2 on 28×28×1, in multiply-accumulates an image. Each of 10 segments begins and each of 34 epochs
    // is written, which takes seconds; a stop is evaluated on test and validation images, and so is the best epoch until then.
    let student = plan.arms[0].student.multiply_accumulates(1, 28, 10) as f64;
    let teacher = plan.segments[0].architecture.multiply_accumulates(1, 28, 10) as f64;
    let epoch = |network: f64| 12e3 * 3.0 * network + 5e3 * network;
    let stops = |of_teacher: bool| {
        let counted =
            plan.segments.iter().filter(|it| (it.architecture == plan.segments[0].architecture) == of_teacher);
        counted.map(|segment| segment.stops.len() as f64).sum::<f64>()
    };
    // Once an epoch gradients are compared: a forward pass, and a backward pass for each of two losses.
    let compared = f64::from(PROBE_IMAGES) * (1.0 + 2.0 * 2.0) * student;
    let work = 4.0 * epoch(teacher)
        + 30.0 * (epoch(student) + compared)
        + 12.0 * 12e3 * teacher
        + 9.0 * 12e3 * student
        + 2.0 * 15e3 * (stops(true) * teacher + stops(false) * student);
    let expected = work / 1e9 + 34.0 * 0.015 + 10.0 * 0.2;
    assert!((one - expected).abs() < 1e-6 * one, "{one} {expected}");

    // Once measured, an epoch costs what it cost, 2 seconds each, and evaluations in proportion.
    let mut facts = trained(&plan, &ACCURACIES);
    assert_eq!(seconds(&facts, 2), 0.0);
    for seed in 0..3 {
        train(&plan, &mut facts, &last_segment(&plan, 0, seed), 1);
    }
    for threads in [1, 2, 8] {
        let seconds = seconds(&facts, threads);
        let epochs = 9.0 * 2.0 / f64::from(threads);
        assert!((epochs..1.6 * epochs).contains(&seconds), "{seconds} on {threads} threads");
    }
}

#[test]
fn a_pace_goes_through_both_networks_that_were_measured() {
    let measured = |multiply_accumulates, activations, seconds| Measured { multiply_accumulates, activations, seconds };
    let pace = Pace::through(measured(10.0, 4.0, 24.0), measured(40.0, 8.0, 56.0));
    assert_eq!((pace.seconds_per_multiply_accumulate, pace.seconds_per_activation), (0.4, 5.0));
    // A wide network that was the faster one by noise does not make numbers pass through memory in no time.
    let noise = Pace::through(measured(10.0, 4.0, 24.0), measured(40.0, 8.0, 200.0));
    assert_eq!((noise.seconds_per_multiply_accumulate, noise.seconds_per_activation), (4.48, 0.0));
}

#[test]
fn tables_of_teachers_logits_make_the_expected_time_shorter() {
    let study = Study::from_toml(
        "title = \"?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 1\nstudent = { architecture = \"wrn-10-1\", epochs = 20 }\n\
         teacher = { architecture = \"wrn-16-2\", epochs = 1 }\ntreatment = { temperature = [1, 4, 16] }",
    )
    .unwrap();
    let images = planned().1.segments[0].dataset.clone();
    let plan = Plan::new(&study, &images, Numerics::CpuF32).unwrap();
    let seconds = |limit| {
        let machine = Machine { threads: 1, teacher_logits_limit: limit, ..machine(Some(1e9)) };
        estimate(&plan, &Facts::new(), &machine).unwrap().seconds
    };
    let teacher = plan.segments[0].architecture.multiply_accumulates(1, 28, 10) as f64;
    // Three temperatures ask for the same 20 epochs; of 162 views an image, 20 draws meet 18.86.
    let saved = 12e3 * (60.0 - 18.862) * teacher / 1e9;
    assert!((seconds(0) - seconds(4_000_000_000) - saved).abs() < 1e-3 * saved);
}

#[test]
fn seeds_that_share_their_views_are_said_to_where_intervals_are_shown() {
    let said = |text: &str| {
        let (study, plan) = planned_of(text);
        let remarks = compare(&study, &plan, &Facts::new(), false).remarks;
        remarks.iter().any(|remark| remark.contains("a little less independent"))
    };
    assert!(!said(STUDY));
    assert!(said(&format!("{STUDY}[recipe]\naugmentation_seed = \"shared\"")));
    assert!(!said(&format!("{STUDY}[recipe]\naugmentation_seed = \"shared\"\naugmentation = \"none\"")));
}

#[test]
fn a_finished_study_is_compared_by_arm_and_seed() {
    let (study, plan) = planned();
    let comparison = compare(&study, &plan, &trained(&plan, &ACCURACIES), false);
    assert_eq!(
        comparison.model,
        "arm + seed (randomised blocks), 3 arms × 3 seeds, 4 degrees of freedom; \
         p-values Holm-corrected over 2 comparisons, intervals not"
    );
    assert_eq!(comparison.degrees_of_freedom, Some(4));
    let best = &comparison.arms[1];
    assert_eq!((best.n, &best.seeds[..], best.runs.len()), (3, &[0, 1, 2][..], 3));
    assert_eq!(best.best_by_seed[0], Some((Epoch(3), 88.0)));
    let difference = best.difference.as_ref().unwrap();
    assert_eq!((difference.baseline, difference.verdict, difference.n), (0, Verdict::Better, 3));
    assert!(comparison.arms[0].difference.is_none());
    assert_eq!(comparison.arms[2].difference.as_ref().unwrap().verdict, Verdict::NotDistinguishable);
    assert!(comparison.arms[2].difference.as_ref().unwrap().seeds_needed.unwrap() > 3);
    assert_eq!(
        comparison.answer,
        "KD until 2, best of 2 arms on validation, beats labels only by 0.47\u{a0}±\u{202f}0.25 points (3\u{a0}seeds, p\u{a0}=\u{a0}0.013, \
         Holm-corrected for 2 comparisons)."
    );
    assert!(comparison.remarks[0].starts_with("One teacher (seed 0)"));
    assert!((comparison.test_sampling_error.unwrap() - 0.63).abs() < 0.01);
}

#[test]
fn what_cannot_be_told_apart_is_said_with_the_seeds_that_would_settle_it() {
    let (study, plan) = planned();
    let accuracies = [[0.8810, 0.8843, 0.8795], [0.8822, 0.8830, 0.8815], [0.8790, 0.8831, 0.8822]];
    let comparison = compare(&study, &plan, &trained(&plan, &accuracies), false);
    assert_eq!(
        comparison.answer,
        "KD until 2, best of 2 arms on validation, is not distinguishable from labels only: +0.06\u{a0}±\u{202f}0.34 points \
         (3\u{a0}seeds, p\u{a0}=\u{a0}1.00, Holm-corrected for 2 comparisons); about 88\u{a0}more\u{a0}seeds would settle a \
         difference this size."
    );
    let lower = [[0.8810, 0.8843, 0.8795], [0.8802, 0.8830, 0.8795], [0.8790, 0.8831, 0.8802]];
    let comparison = compare(&study, &plan, &trained(&plan, &lower), false);
    assert!(
        comparison.answer.contains(" is not distinguishable from labels only: −0.07\u{a0}±"),
        "{}",
        comparison.answer
    );
    let worse = [[0.8810, 0.8843, 0.8795], [0.8710, 0.8742, 0.8693], [0.8610, 0.8643, 0.8594]];
    let comparison = compare(&study, &plan, &trained(&plan, &worse), false);
    assert_eq!(
        comparison.answer,
        "KD until 2, best of 2 arms on validation, is worse than labels only by 1.010\u{a0}±\u{202f}0.012 points \
         (3\u{a0}seeds, p\u{a0}<\u{a0}0.001, Holm-corrected for 2 comparisons)."
    );
}

/// Test accuracies are looked at once a choice is made, never to make it.
#[test]
fn an_arm_is_chosen_on_validation_and_where_nothing_is_held_out_none_is() {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    for run in plan.runs.iter().filter(|run| run.arm == 2) {
        let last = run.legs.last().unwrap();
        let metrics = &mut facts.get_mut(&last.segment).unwrap().metrics;
        metrics.iter_mut().find(|metrics| metrics.epoch == last.until).unwrap().validation = Some(scores(0.9));
    }
    let comparison = compare(&study, &plan, &facts, false);
    let means: Vec<f64> = comparison.arms.iter().filter_map(|arm| arm.validation_mean).collect();
    assert_eq!(means, [85.0, 85.0, 90.0]);
    let expected = "KD to the end, best of 2 arms on validation, is not distinguishable from labels only: +0.13";
    assert!(comparison.answer.starts_with(expected), "{}", comparison.answer);

    for metrics in facts.values_mut().flat_map(|facts| &mut facts.metrics) {
        metrics.validation = None;
    }
    let comparison = compare(&study, &plan, &facts, false);
    assert!(comparison.arms.iter().all(|arm| arm.validation_mean.is_none()));
    assert_eq!(
        comparison.answer,
        "Of 2 arms compared with labels only 1 is better, 1 is not distinguishable (Holm-corrected for 2 comparisons); \
         no image was held out for validation to choose one by."
    );
}

#[test]
fn while_training_nothing_is_concluded() {
    let (study, plan) = planned();
    assert_eq!(compare(&study, &plan, &Facts::new(), false).answer, "Not started yet: 0 of 9 runs are done.");
    let mut facts = trained(&plan, &ACCURACIES);
    for seed in 1..3 {
        train(&plan, &mut facts, &last_segment(&plan, 0, seed), 2);
    }
    facts.get_mut(&last_segment(&plan, 0, 1)).unwrap().working = true;
    let comparison = compare(&study, &plan, &facts, false);
    assert_eq!(comparison.answer, "Still training: 7 of 9 runs are done.");
    assert_eq!(
        comparison.model,
        "arm + seed (least squares, 2 of 9 results missing), 3 arms × 3 seeds, 2 degrees of freedom"
    );
    // One seed gives no interval, neither of its arm nor of a difference to it.
    assert_eq!((comparison.arms[0].n, comparison.arms[0].interval), (1, None));
    assert_eq!((comparison.arms[1].n, comparison.arms[1].interval.is_some()), (3, true));
    let difference = comparison.arms[1].difference.as_ref().unwrap();
    assert_eq!((difference.n, difference.verdict, difference.p_value), (1, Verdict::TooFewSeeds, None));
    assert_eq!(compare(&study, &plan, &facts, true).answer, "Stopped: 7 of 9 runs are done.");
    let stopped = report(&study, &plan, &facts, true, &machine(None));
    assert_eq!(stopped.comparison.answer, "Stopped: 7 of 9 runs are done.");
}

fn fail(facts: &mut Facts, key: SegmentKey) {
    let lost = SegmentFacts { failure: Some(failure("the loss is not finite")), ..SegmentFacts::default() };
    facts.insert(key, lost);
}

#[test]
fn a_failed_run_takes_nothing_from_the_other_arms_and_is_said() {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    fail(&mut facts, last_segment(&plan, 0, 1));
    let comparison = compare(&study, &plan, &facts, false);
    assert_eq!(comparison.arms[0].by_seed[1], None);
    assert_eq!(comparison.arms.iter().map(|arm| arm.n).collect::<Vec<_>>(), [2, 3, 3]);
    assert_eq!(comparison.degrees_of_freedom, Some(3));
    assert_eq!(comparison.arms[1].difference.as_ref().unwrap().n, 2);
    // What statsmodels gives for ols("accuracy ~ C(arm) + C(seed, Sum)") on the eight results.
    let mean = |arm: usize| comparison.arms[arm].mean.unwrap();
    assert!((mean(0) - 88.06416666666667).abs() < 1e-9 && (mean(1) - 88.63).abs() < 1e-9, "{} {}", mean(0), mean(1));
    assert!(comparison.remarks.contains(&"1 of 9 runs failed.".to_owned()), "{:?}", comparison.remarks);
    let missing =
        "Results are missing of labels only (seed 1): means are adjusted to all seeds, and intervals are wider for it.";
    assert!(comparison.remarks.contains(&missing.to_owned()), "{:?}", comparison.remarks);

    // An arm that fails with all seeds but one: the other two are compared as if it were not there.
    for seed in [0, 2] {
        fail(&mut facts, last_segment(&plan, 1, seed));
    }
    let comparison = compare(&study, &plan, &facts, false);
    assert_eq!((comparison.arms[1].n, comparison.arms[1].interval), (1, None));
    assert!(comparison.arms[2].difference.as_ref().unwrap().p_value.is_some());
}

#[test]
fn a_baseline_that_failed_is_missed_by_name() {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    for seed in 0..3 {
        fail(&mut facts, last_segment(&plan, 0, seed));
    }
    let comparison = compare(&study, &plan, &facts, false);
    assert_eq!(
        comparison.answer,
        "KD until 2 reaches 88.63\u{a0}±\u{202f}0.19\u{202f}% on test images (3\u{a0}seeds), the best of 2 arms; its baseline, \
         labels only, has no result to compare it with."
    );
    assert!(
        comparison.remarks.iter().any(|remark| remark.contains("labels only (every seed)")),
        "{:?}",
        comparison.remarks
    );
    for seed in 0..3 {
        fail(&mut facts, last_segment(&plan, 1, seed));
    }
    let one = compare(&study, &plan, &facts, false).answer;
    assert!(one.ends_with("; its baseline, labels only, has no result to compare it with."), "{one}");
}

#[test]
fn one_arm_has_its_own_interval_and_one_seed_has_none() {
    let alone = STUDY.replace("[0, 2, 4]", "0");
    let (study, plan) = planned_of(&alone);
    let comparison = compare(&study, &plan, &trained(&plan, &ACCURACIES), false);
    assert_eq!(comparison.model, "arm + noise (each arm by its own t), n = 3, 2 degrees of freedom");
    assert_eq!(comparison.degrees_of_freedom, Some(2));
    assert_eq!(
        comparison.answer,
        "labels only reaches 88.16\u{a0}±\u{202f}0.61\u{202f}% on test images (3\u{a0}seeds)."
    );
    assert_eq!(comparison.remarks, [""; 0]);

    let (study, plan) = planned_of(&STUDY.replace("seeds = 3", "seeds = 1"));
    let comparison = compare(&study, &plan, &trained(&plan, &ACCURACIES), false);
    assert_eq!(comparison.model, "arm + noise, n = 1, which leaves no degree of freedom and no interval");
    assert_eq!(comparison.degrees_of_freedom, None);
    assert_eq!(
        comparison.answer,
        "KD until 2, best of 2 arms on validation, is 0.52 points above labels only with 1\u{a0}seed: too few to tell, at least 2 \
         are needed."
    );
    assert!(comparison.arms.iter().all(|arm| arm.interval.is_none()));

    // No seed ties the arms together: each stands for itself.
    let (study, plan) = planned_of(&STUDY.replace("[0, 2, 4]", "[0, 4]"));
    let mut facts = trained(&plan, &ACCURACIES);
    for (arm, seed) in [(0, 0), (1, 1), (1, 2)] {
        fail(&mut facts, last_segment(&plan, arm, seed));
    }
    let comparison = compare(&study, &plan, &facts, false);
    assert_eq!(comparison.model, "arm + noise (each arm by its own t), n = 1 to 2, 0 to 1 degree of freedom");
    assert_eq!((comparison.arms[0].interval.is_some(), comparison.arms[1].interval), (true, None));
}

/// Students that all learn alone are compared with the first of them.
#[test]
fn a_study_without_distillation_has_a_comparison() {
    let text = STUDY.replace("\"wrn-10-1\", epochs = 4", "[\"wrn-10-1\", \"wrn-10-2\"], epochs = 4");
    let (study, plan) = planned_of(&text.replace("[0, 2, 4]", "0"));
    let comparison = compare(&study, &plan, &trained(&plan, &ACCURACIES), false);
    assert_eq!(comparison.arms[1].difference.as_ref().unwrap().verdict, Verdict::Better);
    assert!(comparison.answer.starts_with("wrn-10-2 beats wrn-10-1 by 0.47"), "{}", comparison.answer);
}

#[test]
fn arms_that_are_equally_good_are_not_called_the_best() {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &[ACCURACIES[0], ACCURACIES[1], ACCURACIES[1]]);
    for seed in 0..3 {
        fail(&mut facts, last_segment(&plan, 0, seed));
    }
    let answer = compare(&study, &plan, &facts, false).answer;
    assert!(answer.contains("and 2 of 2 arms are equally good; its baseline, labels only"), "{answer}");
}

#[test]
fn a_difference_that_only_many_comparisons_make_doubtful_says_so() {
    let (study, plan) = planned();
    let doubtful = [[0.8810, 0.8843, 0.8795], [0.8827, 0.8852, 0.8835], [0.8795, 0.8831, 0.8792]];
    let comparison = compare(&study, &plan, &trained(&plan, &doubtful), false);
    let difference = comparison.arms[1].difference.as_ref().unwrap();
    assert!(difference.interval.unwrap().0 > 0.0, "{difference:?}");
    assert_eq!(difference.verdict, Verdict::NotDistinguishable, "{difference:?}");
    let expected = "; by itself this difference would be clear, among 2 comparisons it may be chance";
    assert!(comparison.answer.contains(expected), "{}", comparison.answer);
}

/// The same numbers as in the table, and none that binary fractions left behind.
#[test]
fn percentages_carry_no_dust() {
    let (study, plan) = planned();
    let dusty = [[0.5500, 0.5600, 0.7599], [0.5700, 0.5800, 0.2900], [0.1400, 0.0700, 0.2800]];
    let comparison = compare(&study, &plan, &trained(&plan, &dusty), false);
    let written = serde_json::to_string(&comparison.arms).unwrap();
    assert!((100.0 * 0.5500_f64).to_string().len() > 5, "which is 55.00000000000001 as it stands");
    assert!(written.contains("[55.0,56.0,75.99]"), "{written}");
    let decimals = |number: &str| number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let accuracies = comparison.arms.iter().flat_map(|arm| [arm.mean.unwrap(), arm.interval.unwrap().0]);
    assert!(accuracies.into_iter().all(|value| decimals(&value.to_string()) <= 10), "{written}");
}

#[test]
fn failures_are_told_while_others_go_on() {
    let (study, plan) = planned();
    let mut facts = Facts::new();
    for (arm, seed) in [(0, 0), (0, 1)] {
        fail(&mut facts, last_segment(&plan, arm, seed));
    }
    assert_eq!(compare(&study, &plan, &facts, false).answer, "Still training: 0 of 9 runs are done, 2 failed.");
    let one = planned_of(&STUDY.replace("[0, 2, 4]", "0").replace("seeds = 3", "seeds = 1"));
    let said = compare(&one.0, &one.1, &Facts::new(), false).answer;
    assert_eq!(said, "Not started yet: 0 of 1 run is done.");
}

#[test]
fn a_study_that_waits_says_for_what_and_promises_no_time() {
    let (study, plan) = planned();
    let waiting = |facts: &Facts, what| report(&study, &plan, facts, false, &machine(Some(1e9))).waiting_for(&what);
    let behind = waiting(&Facts::new(), WaitsFor::AnotherStudy);
    assert_eq!(behind.comparison.answer, "Waiting for another study: 0 of 9 runs are done.");
    assert_eq!((behind.progress.state, behind.progress.left), (State::Waiting, None));
    let images = waiting(&Facts::new(), WaitsFor::Images("mnist was not found".into()));
    assert_eq!(images.comparison.answer, "Waiting for its images, 0 of 9 runs are done: mnist was not found.");
    // One place that others left free trains: that is said, and how long it takes is not known.
    let mut facts = Facts::new();
    facts.entry(plan.segments[0].key.clone()).or_default().working = true;
    let some = waiting(&facts, WaitsFor::AnotherStudy);
    assert_eq!((some.comparison.answer.as_str(), some.progress.left), ("Still training: 0 of 9 runs are done.", None));
}

#[test]
fn no_time_is_left_where_only_the_last_evaluations_are() {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    let last = last_segment(&plan, 0, 0);
    let its = facts.get_mut(&last).unwrap();
    its.metrics.last_mut().unwrap().test = None;
    its.working = true;
    let now = progress(&study, &plan, &facts, false, &machine(Some(1e9)));
    assert_eq!((now.state, now.epochs_done, now.left), (State::Training, 34, None));
}

#[test]
fn what_failed_is_named_by_arm_and_seeds() {
    let (study, plan) = planned();
    let mut facts = Facts::new();
    fail(&mut facts, last_segment(&plan, 0, 0));
    fail(&mut facts, plan.segments[0].key.clone());
    let report = report(&study, &plan, &facts, false, &machine(None));
    let said: Vec<_> = report
        .incidents
        .iter()
        .map(|incident| (incident.trained(&report.arms, report.runs), incident.touched(&report.arms, report.runs)))
        .collect();
    let expected = [
        ("Teacher wrn-16-2, seed 0", "KD until 2, seeds 0, 1 and 2; KD to the end, seeds 0, 1 and 2"),
        ("labels only, seed 0", "labels only, seed 0"),
    ];
    assert_eq!(said, expected.map(|(trained, touched)| (trained.to_owned(), touched.to_owned())));
}

#[test]
fn a_teachers_accuracy_is_told_at_each_of_its_stops() {
    let (_, plan) = planned_of(&STUDY.replace("[0, 2, 4] }", "[0, 2, 4], teacher_stop_epoch = [1, 4] }"));
    let mut facts = Facts::new();
    let teacher = &plan.teachers()[0];
    assert_eq!(teacher.test_accuracies(&facts), []);
    train(&plan, &mut facts, &teacher.segment.key, 3);
    assert_eq!(teacher.test_accuracies(&facts), [(Epoch(1), 88.0)]);
}

#[test]
fn seeds_that_agree_to_the_last_image_prove_nothing() {
    let (study, plan) = planned();
    let level = [[0.8810, 0.8843, 0.8795], [0.8812, 0.8845, 0.8797], [0.8810, 0.8843, 0.8795]];
    let comparison = compare(&study, &plan, &trained(&plan, &level), false);
    let difference = comparison.arms[1].difference.as_ref().unwrap();
    assert!(difference.p_value.unwrap() > 0.0);
    let (low, high) = difference.interval.unwrap();
    assert!(high - low > 0.005, "{low} {high}");
}

#[test]
fn what_another_version_left_unfinished_says_so_and_what_to_do() {
    let (study, mut plan) = planned();
    plan.training_version += 1;
    let mut facts = trained(&plan, &ACCURACIES);
    let done = report(&study, &plan, &facts, false, &machine(None));
    assert_eq!(done.progress.state, State::Finished);
    assert!(
        done.comparison.answer.starts_with("KD until 2, best of 2 arms on validation, beats"),
        "{}",
        done.comparison.answer
    );
    assert!(done.comparison.remarks.iter().all(|remark| !remark.contains("another version")));

    facts.remove(&last_segment(&plan, 0, 1));
    let left = report(&study, &plan, &facts, false, &machine(Some(1e9)));
    assert_eq!((left.progress.state, left.progress.left), (State::Failed, None));
    assert_eq!(
        left.comparison.answer,
        "Left unfinished by another version of this program: 8 of 9 runs are done. Start it anew to train the rest."
    );
    assert!(left.comparison.remarks.iter().any(|remark| remark.contains("Start a new study")));
    let card = study::StudyCard::new(study::StudyId(1), 0, &left);
    assert_eq!((card.state, card.answer), (State::Failed, left.comparison.answer));
}

#[test]
fn the_best_epoch_is_the_earliest_of_the_highest_on_validation() {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    for metrics in facts.values_mut().flat_map(|facts| &mut facts.metrics) {
        metrics.validation = Some(scores(0.8));
    }
    let best = |facts: &Facts| compare(&study, &plan, facts, false).arms[1].best_by_seed[0];
    assert_eq!(best(&facts), Some((Epoch(1), 88.0)));
    for metrics in facts.values_mut().flat_map(|facts| &mut facts.metrics) {
        metrics.validation = None;
    }
    assert_eq!(best(&facts), None);
}

#[test]
fn the_metrics_of_a_run_are_those_of_its_legs() {
    let (_, plan) = planned();
    let facts = trained(&plan, &ACCURACIES);
    for run in &plan.runs {
        let epochs: Vec<u32> = run_metrics(run, &facts).iter().map(|metrics| metrics.epoch.0).collect();
        assert_eq!(epochs, [1, 2, 3, 4]);
    }
}

#[test]
fn a_teacher_is_seen_while_it_trains_and_keeps_its_accuracy_and_curve() {
    let (study, plan) = planned_of(&STUDY.replace("[0, 2, 4] }", "[0, 4], teacher_stop_epoch = [2, 4] }"));
    let teacher = plan.segments.iter().find(|it| it.architecture.to_string() == "wrn-16-2").unwrap().key.clone();
    let read = |facts: &Facts| report(&study, &plan, facts, false, &machine(None));
    let mut facts = Facts::new();
    let before = &read(&facts).teachers[0];
    assert_eq!((before.epochs_done, before.epochs_total, before.training), (Epoch(0), Epoch(4), false));

    train(&plan, &mut facts, &teacher, 3);
    let its = facts.get_mut(&teacher).unwrap();
    its.working = true;
    its.metrics[1].test = Some(scores(0.85));
    let seen = read(&facts);
    let [teacher] = seen.teachers.as_slice() else { panic!("one teacher") };
    assert_eq!((teacher.label.as_str(), teacher.epochs_done, teacher.training), ("wrn-16-2, seed 0", Epoch(3), true));
    assert_eq!(teacher.teaches_at, [(Epoch(2), Some(85.0)), (Epoch(4), None)]);
    assert_eq!(teacher.validation.points.len(), 3);
    // Another study had it trained further.
    let further = plan.segments.iter().find(|it| it.architecture.to_string() == "wrn-16-2").unwrap();
    let its = facts.get_mut(&further.key).unwrap();
    let last = its.metrics.last().unwrap().clone();
    its.metrics.extend([4, 5].map(|epoch| EpochMetrics { epoch: Epoch(epoch), ..last.clone() }));
    assert_eq!(read(&facts).teachers[0].validation.points.len(), 4);
    assert!(seen.training_seconds.is_some_and(|seconds| seconds > 0.0));
    assert_eq!(seen.images.as_ref().map(|images| (images.train, images.validation)), Some((12_000, 5_000)));

    let lengths = STUDY.replace("\"wrn-16-2\", epochs = 4 }", "\"wrn-16-2\", epochs = [4, 8], per_seed = true }");
    let (study, plan) = planned_of(&lengths);
    let labels: Vec<String> =
        report(&study, &plan, &Facts::new(), false, &machine(None)).teachers.into_iter().map(|it| it.label).collect();
    assert_eq!(labels.len(), 6);
    assert!(labels.contains(&"wrn-16-2 of 8 epochs, seed 1".to_owned()), "{labels:?}");
}

#[test]
fn a_snapshot_frozen_before_teachers_were_kept_is_still_read() {
    let mut old = serde_json::to_value(Snapshot::freeze(finished_report(), 0)).unwrap();
    let report = old["report"].as_object_mut().unwrap();
    for name in ["teachers", "images", "training_seconds", "conflicts"] {
        assert!(report.remove(name).is_some(), "{name}");
    }
    let read: Snapshot = serde_json::from_value(old).unwrap();
    assert!(read.report.teachers.is_empty() && read.report.images.is_none());
    assert!(read.report.conflicts.is_empty() && read.report.confusion.is_none());
}

#[test]
fn lines_told_before_these_measures_were_known_are_still_read() {
    let scores: Scores = serde_json::from_str(r#"{"cross_entropy": 1.5, "accuracy": 0.5}"#).unwrap();
    assert_eq!(scores.calibration_error, None);
    let old = r#"{"teacher": {"segment": "t", "epoch": 2}, "temperature": 4.0, "kd_loss_validation": 0.5}"#;
    let observer =
        Observer { teacher: CheckpointId { segment: SegmentKey("t".into()), epoch: Epoch(2) }, temperature: 4.0 };
    let expected = Fidelity { kd_loss_validation: Some(0.5), ..Fidelity::to(observer) };
    assert_eq!(serde_json::from_str::<Fidelity>(old).unwrap(), expected);
}

#[test]
fn a_cosine_is_written_in_decimals_and_read_as_it_was() {
    let cosine =
        GradientCosine { all: Some(0.12346.into()), groups: vec![Some((-1.0).into()), None, Some((1.0 / 3.0).into())] };
    let text = serde_json::to_string(&cosine).unwrap();
    assert_eq!(text, r#"{"all":0.124,"groups":[-1.0,null,0.334]}"#);
    assert_eq!(serde_json::from_str::<GradientCosine>(&text).unwrap(), cosine);
    assert!((-500..=500).all(|steps| Cosine::from(f64::from(Cosine { steps })).steps == steps));
    assert_eq!((Cosine::from(1.1).steps, Cosine::from(f64::NAN).steps), (500, 0));
}

#[test]
fn what_is_taken_for_what_is_summed_over_the_seeds_of_an_arm() {
    let (_, plan) = planned();
    let mut asked = Vec::new();
    let confusion = Confusion::of(&plan, |end| {
        asked.push(end.epoch);
        // The first seed's networks know one class alone; the last run is not at its end yet.
        match asked.len() {
            1 | 4 | 7 => Some(vec![vec![5, 0], vec![5, 0]]),
            9 => None,
            _ => Some(vec![vec![4, 1], vec![2, 3]]),
        }
    });
    assert_eq!(asked, [Epoch(4); 9]);
    let arms: Vec<_> = confusion.arms.iter().map(|it| (it.arm, it.label.as_str(), it.seeds.len())).collect();
    assert_eq!(arms, [(0, "labels only", 3), (1, "KD until 2", 3), (2, "KD to the end", 2)]);
    assert_eq!(confusion.arms[0].counts, [[13, 2], [9, 6]]);
    assert_eq!(confusion.arms[2].counts, [[9, 1], [7, 3]]);
    assert!(Confusion::of(&plan, |_| None).arms.is_empty());
}

fn finished_report() -> Report {
    let (study, plan) = planned();
    let mut facts = trained(&plan, &ACCURACIES);
    for (index, its) in facts.values_mut().enumerate() {
        its.provenance = Some(Provenance {
            version: "0.1.0".into(),
            training_version: 1,
            host: format!("bench-{}", index % 2),
            instruction_set: "avx2".into(),
            threads: 1,
            device: "cpu".into(),
            data_checksum: "of the images".into(),
        });
        its.failure = Some(failure("cannot write /home/jane doe/segments: no space left"));
        its.notes = vec!["checkpoint of epoch 3 in /home/jane doe is damaged".into()];
    }
    report(&study, &plan, &facts, false, &machine(Some(1e9)))
}

#[test]
fn a_report_has_everything_that_its_page_shows() {
    let report = finished_report();
    assert_eq!((report.runs, report.segments, report.epochs, report.epochs_without_sharing), (9, 10, 34, 40));
    let metrics: Vec<Metric> = report.curves.iter().map(|(metric, _)| *metric).collect();
    assert!(metrics.contains(&Metric::KdLossValidation) && !metrics.contains(&Metric::KdLossTrain));
    assert_eq!((report.provenance.len(), report.test_images), (2, 10_000));
}

#[test]
fn a_snapshot_names_no_machine_and_reads_back_as_it_was() {
    let snapshot = Snapshot::freeze(finished_report(), 1_700_000_000);
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
    assert!(!text.contains("bench-") && !text.contains("jane") && !text.contains("doe"));
    assert_eq!(snapshot.report.provenance.len(), 1);
    assert_eq!(snapshot.report.progress.failures[0].reason, "Training failed after 1 epoch.");

    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    let error = serde_json::from_str::<Snapshot>(&newer).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("version 1"), "{error}");
}
