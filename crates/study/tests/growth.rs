//! Seeds that are added to a study: when that is refused, what they come to, and what is told of them.

mod images;

use images::{fashion_mnist_12k, machine};
use study::{
    Epoch, EpochMetrics, Facts, Growth, Machine, Numerics, Plan, Report, Scores, SeedAddition, SpecError, Speed, State,
    Study, Verdict,
    cost::Pace,
    growth::{remark, runs_seen, with_more_seeds},
    report::report,
    search::asked,
};

const STUDY: &str = r#"
title = "When should distillation stop?"
dataset = "fashion-mnist-12k"
seeds = 3
student = { architecture = "wrn-10-1", epochs = 4 }
teacher = { architecture = "wrn-16-2", epochs = 4 }
treatment = { kd_stop_epoch = [0, 4] }
"#;

const SEARCHED: &str = r#"
title = "Which teacher, and when to stop?"
dataset = "fashion-mnist-12k"
seeds = 2
student = { architecture = "wrn-10-1", epochs = 16 }
teacher = { architecture = ["wrn-10-2", "wrn-16-2"], epochs = 16 }
treatment = { kd_stop_epoch = [0, 4, 12, 16] }
search = { budget_epochs = 130 }
"#;

fn planned_of(text: &str) -> (Study, Plan) {
    let study = Study::from_toml(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap_or_else(|errors| panic!("{errors:#?}"));
    (study, plan)
}

fn more_of(study: &Study, plan: &Plan, more: u32) -> Result<(Study, Plan), Vec<SpecError>> {
    with_more_seeds(study, plan, &fashion_mnist_12k(), more)
}

/// Why no seed, or not so many, can be added.
fn refused(study: &Study, plan: &Plan, more: u32) -> SpecError {
    let mut errors = more_of(study, plan, more).expect_err("it is refused");
    assert_eq!((errors.len(), errors[0].field.as_str()), (1, "seeds"), "{errors:?}");
    errors.remove(0)
}

fn scores(accuracy: f64) -> Scores {
    Scores { cross_entropy: 1.0 - accuracy, accuracy, calibration_error: None }
}

/// The whole plan trained, with test accuracies by arm and seed.
fn trained(plan: &Plan, accuracies: &[[f64; 3]]) -> Facts {
    let mut facts = Facts::new();
    for segment in &plan.segments {
        let run = plan.runs.iter().find(|run| run.legs.iter().any(|leg| leg.segment == segment.key));
        let accuracy = run.map_or(0.9, |run| accuracies[run.arm][run.seed.0 as usize]);
        let metrics = (segment.from().0 + 1..=segment.until.0).map(|epoch| EpochMetrics {
            epoch: Epoch(epoch),
            learning_rate: 0.1,
            train: scores(0.5),
            train_clean: None,
            validation: Some(scores(accuracy)),
            test: segment.stops.contains(&Epoch(epoch)).then(|| scores(accuracy)),
            fidelity: Vec::new(),
            seconds: 2.0,
            images_per_second: 6_000.0,
        });
        facts.entry(segment.key.clone()).or_default().metrics = metrics.collect();
    }
    facts
}

/// A machine whose one engine was measured.
fn measured() -> Machine {
    let pace = |passes: f64| Pace { seconds_per_multiply_accumulate: passes * 1e-9, seconds_per_activation: 0.0 };
    Machine { speed: Some(Speed { step: pace(3.0), evaluation: pace(1.0) }), ..machine() }
}

fn report_of(study: &Study, plan: &Plan, facts: &Facts) -> Report {
    report(study, &asked(study, plan, facts), facts, false, &measured())
}

fn growth_of(report: &Report, plan: &Plan, facts: &Facts) -> Option<Growth> {
    Growth::of(report, plan, &fashion_mnist_12k(), facts, &measured())
}

/// Too far apart within each arm for three seeds to tell the arms apart.
const UNCLEAR: [[f64; 3]; 2] = [[0.881, 0.884, 0.879], [0.884, 0.883, 0.885]];
/// The second is better, beyond doubt.
const CLEAR: [[f64; 3]; 2] = [[0.880, 0.882, 0.884], [0.890, 0.8921, 0.8942]];

#[test]
fn there_may_be_as_many_seeds_as_a_new_study_may_have() {
    let (study, plan) = planned_of(STUDY);
    let (grown, longer) = more_of(&study, &plan, 97).expect("a hundred");
    assert_eq!((grown.seeds, longer.runs.len()), (100, 200));
    for more in [0, 98, u32::MAX] {
        let error = refused(&study, &plan, more);
        assert_eq!(error.allowed, "1 to 97 more", "{error}");
    }
    assert_eq!(refused(&study, &plan, 0).given, "0 more seeds");
    assert!(refused(&grown, &longer, 1).problem.contains("as many as there may be"));

    // 10,000 runs are reached first where there are many arms: 151 of them, with one seed each.
    let weights: Vec<String> = (1u32..=50).map(|weight| (f64::from(weight) / 100.0).to_string()).collect();
    let many = STUDY.replace("seeds = 3", "seeds = 1").replace(
        "treatment = { kd_stop_epoch = [0, 4] }",
        &format!(
            "treatment = {{ kd_stop_epoch = [0, 4], temperature = [1, 2, 4], kd_weight = [{}] }}",
            weights.join(", ")
        ),
    );
    let (study, plan) = planned_of(&many);
    assert_eq!(plan.runs.len(), 151);
    assert_eq!(refused(&study, &plan, 66).allowed, "1 to 65 more");
}

#[test]
fn what_could_not_go_on_is_given_no_seeds() {
    let (study, plan) = planned_of(STUDY);
    let another = Plan { training_version: plan.training_version + 1, ..plan.clone() };
    assert!(refused(&study, &another, 1).problem.contains("another version"));

    let mut otherwise = plan.clone();
    otherwise.runs[4].legs[0].until.0 -= 1;
    assert!(refused(&study, &otherwise, 1).problem.contains("plans the study otherwise"));
    let mut stops = plan.clone();
    stops.segments[0].stops.insert(Epoch(3));
    assert!(refused(&study, &stops, 1).problem.contains("plans the study otherwise"));
    // What an arm is called is no reason.
    let mut named = plan.clone();
    named.arms[1].label = "distilled".into();
    assert!(more_of(&study, &named, 1).is_ok());

    let (study, plan) = planned_of(SEARCHED);
    assert!(refused(&study, &plan, 1).problem.contains("search"));
    let facts = Facts::new();
    assert_eq!(growth_of(&report_of(&study, &plan, &facts), &plan, &facts), None);
}

#[test]
fn a_run_is_seen_once_it_was_scored_on_images_it_does_not_train_on() {
    let (_, plan) = planned_of(STUDY);
    let mut facts = trained(&plan, &UNCLEAR);
    assert_eq!(runs_seen(&plan, &facts), 6);
    assert_eq!(runs_seen(&plan, &Facts::new()), 0);
    // The teacher alone says nothing of an arm.
    let last = plan.runs[5].legs[0].segment.clone();
    facts.retain(|key, _| *key == last || !plan.runs.iter().any(|run| run.legs.iter().any(|leg| leg.segment == *key)));
    assert_eq!((facts.len(), runs_seen(&plan, &facts)), (2, 1));
    let of_last = facts.get_mut(&last).expect("its facts");
    of_last.metrics.truncate(1);
    assert_eq!(runs_seen(&plan, &facts), 1, "an epoch on the way is enough");
    facts.get_mut(&last).expect("its facts").metrics[0].validation = None;
    assert_eq!(runs_seen(&plan, &facts), 0);
}

#[test]
fn that_seeds_came_after_a_look_is_told_before_all_else() {
    let added = |seeds_before: u32, runs_seen: u32| SeedAddition {
        seeds_before,
        seeds_after: seeds_before + 2,
        added_at: 1_796_083_200 + 86_400 * i64::from(seeds_before),
        runs_seen,
    };
    assert_eq!(remark(&[]), None);
    assert_eq!(remark(&[added(1, 0), added(3, 0)]), None, "nobody looked");
    let told = remark(&[added(1, 0), added(3, 1), added(5, 1_000)]).expect("two looks");
    assert_eq!(
        told,
        "Seeds were added on 2026-12-04 (3 to 5, when 1 run could be seen), on 2026-12-06 (5 to 7, when 1,000 runs could be seen): \
         p-values do not know that. Who adds seeds until a difference is clear finds one where there is none more often than once \
         in twenty."
    );

    let (study, plan) = planned_of(STUDY);
    let before = report_of(&study, &plan, &trained(&plan, &CLEAR));
    let after = before.clone().with_seed_additions(&[added(1, 2)]);
    assert!(after.comparison.remarks[0].starts_with("Seeds were added on"));
    assert_eq!(after.comparison.remarks[1..], before.comparison.remarks[..]);
    assert_eq!(before.clone().with_seed_additions(&[added(1, 0)]), before);
}

#[test]
fn as_many_seeds_are_proposed_as_the_answer_says_would_settle_it() {
    let (study, plan) = planned_of(STUDY);
    let facts = trained(&plan, &UNCLEAR);
    let report = report_of(&study, &plan, &facts);
    let difference = report.comparison.arms[1].difference.clone().expect("a difference");
    assert_eq!(difference.verdict, Verdict::NotDistinguishable);
    let more = difference.more_seeds_needed().expect("a number");
    assert!((1..=20).contains(&more), "{more}");
    assert!(
        report.comparison.answer.contains(&format!("about {more}\u{a0}more\u{a0}seed")),
        "{}",
        report.comparison.answer
    );

    let growth = growth_of(&report, &plan, &facts).expect("seeds can be added");
    assert_eq!((growth.proposed, growth.most), (more, 97));
    assert_eq!((growth.runs, growth.epochs), (u64::from(2 * more), u64::from(2 * 4 * more)));
    assert!(growth.estimate.expect("its engine was measured").seconds > 0.0);

    // As long as results come in they would change the number; where it is settled none is needed.
    let mut training = report.clone();
    training.progress.state = State::Training;
    assert_eq!(growth_of(&training, &plan, &facts).map(|it| it.proposed), Some(2));
    let facts = trained(&plan, &CLEAR);
    let clear = report_of(&study, &plan, &facts);
    assert_eq!(growth_of(&clear, &plan, &facts).map(|it| it.proposed), Some(2));

    // One that would take very many is not what a person should be led to.
    let mut report = report;
    report.comparison.arms[1].difference.as_mut().expect("a difference").seeds_needed = Some(5_000);
    assert_eq!(growth_of(&report, &plan, &facts).map(|it| it.proposed), Some(20));
}
