//! What each method, chains and generations come to: arms, runs, segments, epochs, and what is learnt in each.

mod images;

use images::{fashion_mnist_12k, machine};
use study::{
    Arm, Choices, Epoch, Facts, Lesson, Machine, Method, Number, Numerics, Observer, Optimizer, Plan, Scheme, Seed,
    Snapshot, Speed, Study, Teacher, Term, cost,
    teacher_logits::{Usage, in_words, teacher_logits},
};

fn written(treatment: &str) -> String {
    format!(
        "title = \"Which?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 2\n\
         student = {{ architecture = \"wrn-10-1\", epochs = 20 }}\n\
         teacher = {{ architecture = \"wrn-16-2\", epochs = 20 }}\n[treatment]\n{treatment}\n"
    )
}

fn study(treatment: &str) -> Study {
    Study::from_toml(&written(treatment)).unwrap_or_else(|errors| panic!("{treatment}: {errors:#?}"))
}

fn plan(treatment: &str) -> Plan {
    Plan::new(&study(treatment), &fashion_mnist_12k(), Numerics::CpuF32).unwrap()
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.arms.iter().map(|arm| arm.label.as_str()).collect()
}

/// Arms, runs, segments, epochs and epochs without sharing.
fn counts(plan: &Plan) -> (usize, usize, usize, u64, u64) {
    (plan.arms.len(), plan.runs.len(), plan.segments.len(), plan.epochs, plan.epochs_without_sharing)
}

fn schemes(plan: &Plan) -> Vec<Option<Scheme>> {
    plan.arms.iter().map(|arm| arm.distillation.as_ref().map(|it| it.scheme)).collect()
}

fn first_lessons(treatment: &str) -> Vec<Lesson> {
    let study = study(treatment);
    let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap();
    let distils = plan.arms.iter().find(|arm| arm.distillation.is_some()).unwrap();
    Plan::training(&study, distils, Seed(1)).lessons
}

/// A lesson's terms with their weights, and their teachers left out.
fn terms(lesson: &Lesson) -> Vec<(f64, Term<()>)> {
    let without = |term: &Term| match *term {
        Term::CrossEntropy => Term::CrossEntropy,
        Term::Kd { temperature, .. } => Term::Kd { teacher: (), temperature },
        Term::StandardisedKd { temperature, .. } => Term::StandardisedKd { teacher: (), temperature },
        Term::Attention { .. } => Term::Attention { teacher: () },
        Term::Dkd { temperature, target_weight, non_target_weight, warm_up, .. } => {
            Term::Dkd { teacher: (), temperature, target_weight, non_target_weight, warm_up }
        }
        Term::Dist { temperature, between_weight, within_weight, .. } => {
            Term::Dist { teacher: (), temperature, between_weight, within_weight }
        }
    };
    lesson.terms.iter().map(|(weight, term)| (*weight, without(term))).collect()
}

const LABELS: Term<()> = Term::CrossEntropy;
const KD: Term<()> = Term::Kd { teacher: (), temperature: 4.0 };
const AT: Term<()> = Term::Attention { teacher: () };

#[test]
fn each_method_learns_by_its_papers_loss_and_afterwards_from_labels_alone() {
    let dkd =
        Term::Dkd { teacher: (), temperature: 4.0, target_weight: 1.0, non_target_weight: 8.0, warm_up: Epoch(20) };
    let dist = Term::Dist { teacher: (), temperature: 1.0, between_weight: 1.0, within_weight: 1.0 };
    let half = 1.0 - 0.9;
    let expected = [
        (Method::Kd, vec![(half, LABELS), (0.9, KD)]),
        (Method::StandardisedKd, vec![(0.1, LABELS), (9.0, Term::StandardisedKd { teacher: (), temperature: 2.0 })]),
        (Method::At, vec![(1.0, LABELS), (1000.0, AT)]),
        (Method::KdAt, vec![(half, LABELS), (0.9, KD), (1000.0, AT)]),
        (Method::Dkd, vec![(1.0, LABELS), (1.0, dkd)]),
        (Method::Dist, vec![(1.0, LABELS), (1.0, dist)]),
        (Method::Dot, vec![(half, LABELS), (0.9, KD)]),
    ];
    let sgd = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
    for (method, expected) in expected {
        let lessons = first_lessons(&format!("method = \"{method}\"\nkd_stop_epoch = 8"));
        let [distils, tail] = &lessons[..] else { panic!("{method}: {lessons:?}") };
        assert_eq!((terms(distils), distils.until), (expected, Epoch(8)), "{method}");
        let optimizer = match method {
            Method::Dot => Optimizer::Dot { momentum: 0.9, weight_decay: 5e-4, momentum_difference: 0.075 },
            _ => sgd,
        };
        assert_eq!(distils.optimizer, optimizer, "{method}");
        assert_eq!((terms(tail), tail.until, tail.optimizer), (vec![(1.0, LABELS)], Epoch(20), sgd), "{method}");
    }
}

#[test]
fn one_method_is_one_arm_and_its_stops_share_their_beginnings() {
    for method in Method::ALL.into_iter().filter(|method| *method != Method::Rco) {
        let to_the_end = plan(&format!("method = \"{method}\""));
        assert_eq!(counts(&to_the_end), (1, 2, 3, 60, 60), "{method}");
        assert_eq!(labels(&to_the_end), [format!("{} to the end", method.label())]);
        // The teacher; for each seed labels alone, a distilling segment that both stops share, and a tail.
        let stops = plan(&format!("method = \"{method}\"\nkd_stop_epoch = [0, 8, 20]"));
        assert_eq!(counts(&stops), (3, 6, 7, 20 + 2 * (20 + 20 + 12), 140), "{method}");
        assert_eq!(labels(&stops)[1..], ["until 8", "to the end"].map(|stop| format!("{} {stop}", method.label())));
    }
}

#[test]
fn mixed_methods_are_arms_side_by_side_each_with_its_own_numbers() {
    let all: Vec<String> = Method::ALL.iter().map(|method| format!("\"{method}\"")).collect();
    let plan = plan(&format!("method = [{}]\nkd_stop_epoch = [0, 8, 20]", all.join(", ")));
    // Seven methods as above. Of a curriculum until 8 (lessons of 2 epochs) and one to the end (of 5), each seed shares the first
    // lesson, by the teacher of 5 epochs: 5 + 6 + 12 + 15 epochs in 1 + 3 + 1 + 3 segments.
    let epochs = 20 + 2 * 20 + 7 * 2 * (20 + 12) + 2 * 38;
    assert_eq!(counts(&plan), (17, 34, 1 + 2 + 7 * 4 + 2 * 8, epochs, 20 + 34 * 20));
    assert_eq!(
        labels(&plan)[..6],
        [
            "labels only",
            "KD until 8",
            "KD to the end",
            "standardised KD until 8",
            "standardised KD to the end",
            "AT until 8"
        ]
    );
    assert!(plan.arms.iter().all(|arm| arm.baseline == 0));
    let remarks: Vec<&str> = plan.remarks.iter().filter_map(|remark| remark.split('’').next()).collect();
    assert_eq!(remarks, ["DKD", "RCO"], "of a warm-up that is cut and of anchors that follow faster");
    let temperatures: Vec<Option<f64>> =
        schemes(&plan).iter().map(|scheme| scheme.and_then(|it| it.number(Number::Temperature))).collect();
    assert_eq!(
        temperatures[1..].iter().step_by(2).map(|it| it.unwrap_or(0.0)).collect::<Vec<_>>(),
        [4.0, 2.0, 0.0, 4.0, 4.0, 1.0, 4.0, 4.0]
    );
}

#[test]
fn a_number_makes_arms_of_the_methods_that_have_it_and_says_so() {
    let swept = plan("method = [\"kd\", \"dist\", \"at\"]\ntemperature = [1, 4]\nanchors = [2, 4]");
    assert_eq!(
        labels(&swept),
        ["KD to the end, T 1", "KD to the end, T 4", "DIST to the end, T 1", "DIST to the end, T 4", "AT to the end"]
    );
    let weights = plan("method = \"dkd\"\nnon_target_weight = [1, 8]\nwarm_up_epochs = [0, 20]");
    assert_eq!(
        labels(&weights),
        [
            "non-target weight 1, warm-up 0",
            "non-target weight 1, warm-up 20",
            "non-target weight 8, warm-up 0",
            "non-target weight 8, warm-up 20"
        ]
    );
    let difference = plan("method = \"dot\"\nmomentum_difference = [0, 0.05, 0.09]");
    assert_eq!(labels(&difference)[2], "momentum difference 0.09");
}

#[test]
fn what_comes_to_the_same_training_is_one_arm() {
    let swept = plan(
        "method = [\"kd\", \"at\", \"kd-at\"]\ntemperature = [1, 4]\nkd_weight = [0, 0.9]\nattention_weight = [0, 1000]",
    );
    let (kd, at) =
        (|temperature| Some(Scheme::Kd { temperature, kd_weight: 0.9 }), Some(Scheme::At { attention_weight: 1000.0 }));
    let both = |temperature| Some(Scheme::KdAt { temperature, kd_weight: 0.9, attention_weight: 1000.0 });
    assert_eq!(schemes(&swept), [None, kd(1.0), kd(4.0), at, both(1.0), both(4.0)]);

    let curricula = "teacher_stop_epoch = [3, 20]\nanchors = [1, 2, 4, 8]";
    for methods in ["\"rco\"", "[\"rco\", \"kd\"]"] {
        let curricula = plan(&format!("method = {methods}\n{curricula}"));
        let anchors: Vec<(u32, Option<f64>)> = curricula
            .arms
            .iter()
            .filter_map(|arm| arm.distillation.as_ref())
            .map(|it| (it.teacher_stop_epoch.0, it.scheme.number(Number::Anchors)))
            .collect();
        // One anchor is KD; a teacher of 3 epochs has 3 at most.
        let two = [(3, Some(2.0)), (20, Some(2.0)), (3, Some(3.0)), (20, Some(4.0)), (20, Some(8.0))];
        assert_eq!(anchors, [&[(3, None), (20, None)], &two[..]].concat(), "{methods}");
    }
}

#[test]
fn a_method_whose_weights_are_all_zero_is_labels_alone_and_needs_no_teacher() {
    for zero in [
        "kd_weight = 0",
        "method = \"standardised-kd\"\nkd_weight = 0",
        "method = \"at\"\nattention_weight = 0",
        "method = \"kd-at\"\nkd_weight = 0\nattention_weight = 0",
        "method = \"dkd\"\ntarget_weight = 0\nnon_target_weight = 0",
        "method = \"dist\"\nbetween_weight = 0\nwithin_weight = 0",
        "method = [\"dot\", \"rco\"]\nkd_weight = 0",
    ] {
        let without_teacher = written(zero).replace("teacher = { architecture = \"wrn-16-2\", epochs = 20 }\n", "");
        let study = Study::from_toml(&without_teacher).unwrap_or_else(|errors| panic!("{zero}: {errors:#?}"));
        let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap();
        assert_eq!(labels(&plan), ["labels only"], "{zero}");
    }
    let one_weighs = plan("method = \"dist\"\nbetween_weight = [0, 1]\nwithin_weight = [0, 1]");
    assert_eq!(one_weighs.arms.len(), 4);
}

#[test]
fn a_curriculum_goes_through_its_anchors_in_equal_parts_and_never_through_none() {
    let stages = |treatment: &str| -> Vec<(u32, u32)> {
        let lessons = first_lessons(&format!("method = \"rco\"\n{treatment}"));
        let stage = |lesson: &Lesson| {
            let teacher = lesson.terms.iter().find_map(|(_, term)| term.teacher())?;
            let Teacher::Trained { stopped_at, .. } = teacher else { panic!("it is trained here") };
            Some((lesson.until.0, stopped_at.0))
        };
        lessons.iter().filter_map(stage).collect()
    };
    assert_eq!(stages(""), [(5, 5), (10, 10), (15, 15), (20, 20)]);
    assert_eq!(stages("kd_stop_epoch = 7\nteacher_stop_epoch = 10"), [(1, 2), (3, 5), (5, 7), (7, 10)]);
    assert_eq!(stages("anchors = 100\nkd_stop_epoch = 3"), [(1, 6), (2, 13), (3, 20)]);

    let plan = plan("method = \"rco\"\nkd_stop_epoch = 8");
    let teacher = &plan.segments[0];
    assert_eq!(teacher.stops, [5, 10, 15, 20].map(Epoch).into());
    // Measured all the way against the teacher that it ends with, and in each lesson against that lesson's.
    let observer = |epoch| Observer { teacher: plan.teachers()[0].checkpoint(Epoch(epoch)), temperature: 4.0 };
    let measured: Vec<Vec<Observer>> =
        plan.runs[0].legs.iter().map(|leg| plan.segment(&leg.segment).unwrap().measured_against()).collect();
    let by = |epochs: &[u32]| epochs.iter().map(|epoch| observer(*epoch)).collect::<Vec<_>>();
    assert_eq!(measured, [by(&[5, 20]), by(&[10, 20]), by(&[15, 20]), by(&[20]), by(&[20])]);
    assert_eq!(plan.measured_against(), [Some(observer(20)), Some(observer(20))]);
}

#[test]
fn every_teacher_is_measured_at_its_methods_temperature() {
    let temperatures = |treatment: &str| {
        let plan = plan(treatment);
        let leg = &plan.runs.last().unwrap().legs[0];
        let measured = plan.segment(&leg.segment).unwrap().measured_against();
        measured.iter().map(|observer| observer.temperature).collect::<Vec<_>>()
    };
    assert_eq!(temperatures("method = \"at\""), [4.0]);
    assert_eq!(temperatures("method = \"kd-at\"\ntemperature = 2"), [2.0]);
    assert_eq!(temperatures("method = \"dist\""), [1.0]);
    assert_eq!(temperatures("method = \"standardised-kd\""), [2.0]);
    assert_eq!(temperatures("method = \"dkd\""), [4.0]);
}

#[test]
fn a_warm_up_rises_in_equal_steps_to_the_whole_weight() {
    let dkd = |warm_up| Term::Dkd {
        teacher: (),
        temperature: 4.0,
        target_weight: 1.0,
        non_target_weight: 8.0,
        warm_up: Epoch(warm_up),
    };
    let ramp = |warm_up: u32| (0..6).map(|complete| dkd(warm_up).ramp(Epoch(complete))).collect::<Vec<_>>();
    assert_eq!(ramp(4), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    assert_eq!(ramp(0), [1.0; 6]);
    assert_eq!(ramp(1), [1.0; 6]);
    assert_eq!([KD.ramp(Epoch(0)), LABELS.ramp(Epoch(0))], [1.0, 1.0]);
}

#[test]
fn a_chain_is_taught_from_the_teacher_to_the_student() {
    let chains = "chain = [\"\", \"wrn-16-1\", \"wrn-22-1@8 > wrn-16-1\"]";
    let plan = plan(chains);
    assert_eq!(labels(&plan), ["no chain", "through wrn-16-1", "through wrn-22-1@8 > wrn-16-1"]);
    // The teacher, wrn-16-1 for the second arm, wrn-22-1 for 8 epochs and another wrn-16-1 for the third, and six students.
    assert_eq!(counts(&plan), (3, 6, 10, 20 + 20 + 8 + 20 + 120, 188));
    let names: Vec<String> = plan.teachers().iter().map(|teacher| teacher.label.clone()).collect();
    assert_eq!(
        names,
        [
            "wrn-16-2, seed 0",
            "wrn-16-1, seed 0, taught by wrn-16-2",
            "wrn-22-1, seed 0, taught by wrn-16-2",
            "wrn-16-1, seed 0, taught by wrn-16-2 > wrn-22-1@8",
        ]
    );
    let own_teachers = Plan::new(
        &Study::from_toml(&written(chains).replace("epochs = 20 }\n[", "epochs = 20, per_seed = true }\n[")).unwrap(),
        &fashion_mnist_12k(),
        Numerics::CpuF32,
    );
    assert_eq!(counts(&own_teachers.unwrap()), (3, 6, 2 * 4 + 6, 2 * 68 + 120, 2 * 68 + 120));
}

#[test]
fn a_chains_members_stop_distilling_as_the_student_does() {
    let plan = plan("chain = [\"wrn-16-1\", \"wrn-16-1@4\", \"wrn-16-1@20\"]\nkd_stop_epoch = 8");
    // "@20" is the end: the same arm as without.
    assert_eq!(labels(&plan), ["through wrn-16-1", "through wrn-16-1@4"]);
    // The teacher; the member until 8, of which the other arm needs 4 epochs, and its tail; for each arm and seed the same two.
    assert_eq!(counts(&plan), (2, 4, 1 + 2 + 8, 20 + 20 + 80, 20 + 20 + 80));
    // What teaches early and again at its end is there once.
    let [teacher, member] = &plan.teachers()[..] else { panic!("{:?}", plan.teachers()) };
    assert_eq!(teacher.label, "wrn-16-2, seed 0");
    assert_eq!(
        (member.label.as_str(), &member.teaches_at),
        ("wrn-16-1, seed 0, taught by wrn-16-2", &[4, 20].map(Epoch).into())
    );
}

#[test]
fn generations_are_arms_each_trained_once_a_seed_and_seed_0_teaches() {
    let plan = plan("generations = 3");
    assert_eq!(labels(&plan), ["generation 1", "generation 2", "generation 3"]);
    // The teacher, and six students, of which two teach as well.
    assert_eq!(counts(&plan), (3, 6, 7, 20 + 120, 20 + 40 + 120));
    let run = |arm: usize, seed: u32| plan.runs.iter().find(|run| run.arm == arm && run.seed == Seed(seed)).unwrap();
    for generation in 1..3 {
        for seed in 0..2 {
            let taught = plan.segment(&run(generation, seed).legs[0].segment).unwrap();
            let teacher = taught.terms.iter().find_map(|(_, term)| term.teacher()).unwrap();
            assert_eq!(teacher.segment, run(generation - 1, 0).legs[0].segment);
            assert_eq!(teacher.epoch, Epoch(20));
        }
    }
    let names: Vec<String> = plan.teachers().iter().map(|teacher| teacher.label.clone()).collect();
    assert_eq!(
        names,
        ["wrn-16-2, seed 0", "wrn-10-1, seed 0, taught by wrn-16-2", "wrn-10-1, seed 0, taught by wrn-16-2 > wrn-10-1",]
    );
    // Whoever learns from labels alone is not kept waiting for the line.
    let compared = self::plan("generations = 3\nkd_stop_epoch = [0, 20]");
    let alone = compared.segment(&compared.runs[0].legs[0].segment).unwrap();
    assert_eq!(alone.observers, [Observer { teacher: compared.teachers()[0].checkpoint(Epoch(20)), temperature: 4.0 }]);
}

#[test]
fn a_generation_may_be_frozen_early_and_lines_may_follow_a_chain() {
    let plan = plan("generations = 3\ngeneration_stop_epoch = [4, 20]\nchain = \"wrn-16-1\"");
    assert_eq!(
        labels(&plan),
        [
            "generation 1",
            "generation 2, generations stopped at 4",
            "generation 2, generations stopped at 20",
            "generation 3, generations stopped at 4",
            "generation 3, generations stopped at 20",
        ]
    );
    assert_eq!((plan.segments.len(), plan.epochs), (2 + 10, 40 + 200));
    let line = &plan.arms[3].distillation.as_ref().unwrap().line;
    assert_eq!(
        (line.chain.to_string().as_str(), line.generation, line.generation_stop_epoch),
        ("wrn-16-1", 3, Some(Epoch(4)))
    );
}

#[test]
fn the_longest_lines_of_methods_with_several_teachers_are_planned_at_once() {
    let plan = plan("method = [\"kd-at\", \"rco\"]\ngenerations = 20\nanchors = 4");
    // Each generation of a curriculum has four lessons.
    assert_eq!((plan.arms.len(), plan.segments.len()), (40, 1 + 2 * 20 + 2 * 20 * 4));
}

#[test]
fn two_teachers_of_one_kind_are_told_apart_by_how_they_learnt() {
    let plan = plan("chain = \"wrn-16-1\"\ntemperature = [1, 4]\nkd_stop_epoch = 8");
    let names: Vec<String> = plan.teachers().iter().map(|teacher| teacher.label.clone()).collect();
    assert_eq!(
        names,
        [
            "wrn-16-2, seed 0",
            "wrn-16-1, seed 0, taught by wrn-16-2 (0.9 KD (T 1) until 8, then 1 CE)",
            "wrn-16-1, seed 0, taught by wrn-16-2 (0.9 KD (T 4) until 8, then 1 CE)",
        ]
    );
}

#[test]
fn a_taught_teacher_is_followed_from_its_first_epoch() {
    let plan = plan("chain = \"wrn-16-1\"\nkd_stop_epoch = 8");
    let [_, member] = &plan.teachers()[..] else { panic!("{:?}", plan.teachers()) };
    assert_eq!((member.segment.from(), &member.teaches_at), (Epoch(8), &[Epoch(20)].into()));
    assert_eq!(member.stops(), [Epoch(8), Epoch(20)].into());
    assert_ne!(member.checkpoint(Epoch(8)).segment, member.checkpoint(Epoch(20)).segment);
    assert_eq!(member.checkpoint(Epoch(20)).segment, member.segment.key);
    assert_eq!(member.epochs(&Facts::new()).count(), 0);
}

/// Trainings that are stored are found by their keys: a change here orphans them.
#[test]
fn keys_of_all_methods_stay_what_they_were() {
    let last = |method: &str| {
        let plan = plan(&format!("method = \"{method}\""));
        plan.segments.last().unwrap().key.0.clone()
    };
    let keys = Method::ALL.map(|method| (method.name(), last(method.name())));
    let expected = [
        ("kd", "5817feffd497fb9b9c4e1e1e22c01192"),
        ("standardised-kd", "76ecd09b2dfd5e81d0b6e5d8df5516a7"),
        ("at", "d602707816e722b251ac77f00c3ab6d3"),
        ("kd-at", "98e7528785a0b960136eaaa37fa8888c"),
        ("dkd", "eddcf9f51819c04dde2b1e742f843288"),
        ("dist", "608a4311d36512a2ab10bf1160ac6c33"),
        ("dot", "b5b4cfe34442ac0417a58bee1633f5a7"),
        ("rco", "ab17691b0130e73ad9e01439e3953894"),
    ];
    assert_eq!(keys, expected.map(|(method, key)| (method, key.to_owned())));
    // Said explicitly, a default changes nothing.
    assert_eq!(plan("temperature = 4\nkd_weight = 0.9").segments, plan("").segments);
}

#[test]
fn each_number_of_a_method_is_part_of_its_key() {
    for (method, changes) in [
        ("dkd", &["temperature = 2", "target_weight = 2", "non_target_weight = 2", "warm_up_epochs = 2"][..]),
        ("dist", &["temperature = 2", "between_weight = 2", "within_weight = 2"]),
        ("standardised-kd", &["temperature = 4", "kd_weight = 1"]),
        ("at", &["attention_weight = 2"]),
        ("dot", &["momentum_difference = 0.05"]),
    ] {
        let key = |treatment: &str| plan(treatment).segments.last().unwrap().key.clone();
        let method = format!("method = \"{method}\"");
        for change in changes {
            assert_ne!(key(&method), key(&format!("{method}\n{change}")), "{method} {change}");
        }
    }
}

#[test]
fn attention_transfer_asks_its_teachers_every_time() {
    let limit = 4_000_000_000;
    let at = plan("method = \"at\"\nattention_weight = [100, 1000]");
    let [teacher] = &teacher_logits(&at.segments, limit)[..] else { panic!("one teacher") };
    assert_eq!((teacher.usage, teacher.passes(), teacher.passes_for_maps), (Usage::NeedsMaps, 960_000, 960_000));
    assert_eq!(
        in_words(&teacher_logits(&at.segments, limit)).unwrap(),
        "Attention transfer learns from attention maps too, which are not kept: it asks its teachers' networks at every step, \
         960,000 forward passes."
    );
    // Students that need its logits alone share the table all the same.
    let both = plan("method = [\"kd\", \"at\"]\ntemperature = [1, 4]");
    let [teacher] = &teacher_logits(&both.segments, limit)[..] else { panic!("one teacher") };
    assert_eq!((teacher.usage, teacher.passes_without), (Usage::Used, 12_000 * 20 * 2 * 3));
    assert_eq!((teacher.distinct_epochs, teacher.passes_for_maps), (40, 480_000));
    let said = in_words(&teacher_logits(&both.segments, limit)).unwrap();
    assert!(said.starts_with("Teachers' logits are kept (86 MB on disk)"), "{said}");
    assert!(said.ends_with("at every step, 480,000 forward passes."), "{said}");
}

#[test]
fn dot_pays_for_two_backward_passes() {
    let machine = Machine {
        threads: 1,
        speed: Some(Speed {
            step: cost::Pace { seconds_per_multiply_accumulate: 1e-9, seconds_per_activation: 0.0 },
            evaluation: cost::Pace { seconds_per_multiply_accumulate: 0.0, seconds_per_activation: 0.0 },
        }),
        ..machine()
    };
    let seconds = |treatment: &str| cost::estimate(&plan(treatment), &Facts::new(), &machine).unwrap().seconds;
    let (student, images) = (plan("").arms[0].student, fashion_mnist_12k());
    let steps = machine.speed.unwrap().step.seconds(student, &images) * 12_000.0 * 20.0 * 2.0;
    let more = seconds("method = \"dot\"") - seconds("method = \"kd\"");
    assert!((more - steps * 2.0 / 3.0).abs() < 1e-6 * steps, "{more} of {steps}");
}

/// What was stored when there was one method is read, and written again as it was.
#[test]
fn an_older_comparison_reads_as_it_was_written() {
    let text = include_str!("../../../examples/when-should-distillation-stop.json");
    let snapshot: Snapshot = serde_json::from_str(text).unwrap();
    let arms = &snapshot.report.arms;
    assert_eq!(arms[1].distillation.as_ref().unwrap().scheme, Scheme::Kd { temperature: 4.0, kd_weight: 0.9 });
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(arms).unwrap(), value["report"]["arms"]);
    assert_eq!(serde_json::to_value(&snapshot.report.study).unwrap(), value["report"]["study"]);
}

#[test]
fn an_arm_is_written_flat_and_read_back() {
    let plan = plan("method = [\"dkd\", \"rco\"]\nchain = \"wrn-16-1@8\"\ngenerations = 2\nkd_stop_epoch = 8");
    let written = serde_json::to_value(&plan.arms[1].distillation).unwrap();
    let expected = serde_json::json!({
        "method": "dkd", "temperature": 4.0, "target_weight": 1.0, "non_target_weight": 8.0, "warm_up_epochs": 20,
        "kd_stop_epoch": 8, "cross_entropy_weight_after_stop": 1.0,
        "teacher": "wrn-16-2", "teacher_epochs": 20, "teacher_stop_epoch": 20,
        "chain": "wrn-16-1@8", "generation": 2, "generation_stop_epoch": 20,
    });
    assert_eq!(written, expected);
    let arms: Vec<Arm> = serde_json::from_str(&serde_json::to_string(&plan.arms).unwrap()).unwrap();
    assert_eq!(arms, plan.arms);
    let whole: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(whole, plan);
}

#[test]
fn every_field_comes_back_from_the_file_and_from_json() {
    let everything = study(
        "method = [\"kd\", \"standardised-kd\", \"at\", \"kd-at\", \"dkd\", \"dist\", \"dot\", \"rco\"]\n\
         temperature = [1, 4]\nkd_weight = 0.9\nattention_weight = [100, 1000]\ntarget_weight = 1\nnon_target_weight = [2, 8]\n\
         warm_up_epochs = [0, 5]\nbetween_weight = 1\nwithin_weight = 2\nmomentum_difference = [0.05, 0.075]\nanchors = 3\n\
         kd_stop_epoch = [0, 8]\nteacher_stop_epoch = [8, 20]\nchain = [\"\", \"wrn-28-2@8 > wrn-16-1\"]\ngenerations = 2\n\
         generation_stop_epoch = [4, 20]\ncross_entropy_weight_after_stop = 0.5",
    );
    assert_eq!(Study::from_toml(&everything.to_toml()), Ok(everything.clone()));
    assert_eq!(serde_json::from_str::<Study>(&serde_json::to_string(&everything).unwrap()).unwrap(), everything);
    assert_eq!(everything.check(), []);
    let bare = study("method = [\"kd\", \"dist\"]");
    assert!(!bare.to_toml().contains("temperature"), "{}", bare.to_toml());
    assert_eq!(bare.treatment.unwrap().method, Choices(vec![Method::Kd, Method::Dist]));
}
