//! What a study comes to, and what the planner promises of every study.

mod images;

use images::fashion_mnist_12k as dataset;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use study::{
    Architecture, Arm, AugmentationSeed, CheckpointId, Choices, Dataset, DatasetFacts, Device, Epoch, EvaluateTest,
    Facts, Method, Numerics, Observer, Plan, Recipe, Scheme, Seed, SegmentKey, Start, Student, Study, TeacherChoices,
    TeacherTraining, Term, Treatment, growth::with_more_seeds,
};

const EXAMPLE: &str = include_str!("../../../examples/study.toml");

fn plan_of(text: &str) -> Plan {
    plan(&Study::from_toml(text).unwrap())
}

fn plan(study: &Study) -> Plan {
    Plan::new(study, &dataset(), Numerics::CpuF32).unwrap()
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.arms.iter().map(|arm| arm.label.as_str()).collect()
}

fn keys(plan: &Plan) -> BTreeSet<SegmentKey> {
    plan.segments.iter().map(|segment| segment.key.clone()).collect()
}

#[test]
fn the_example_shares_its_teacher_and_its_prefixes() {
    let plan = plan_of(EXAMPLE);
    assert_eq!(plan.arms.len(), 5);
    assert_eq!(plan.runs.len(), 15);
    assert_eq!(plan.segments.len(), 16);
    assert_eq!((plan.epochs, plan.epochs_without_sharing), (272, 320));
    assert_eq!(
        labels(&plan),
        [
            "labels only",
            "KD until 8, teacher stopped at 8",
            "KD until 8, teacher stopped at 20",
            "KD to the end, teacher stopped at 8",
            "KD to the end, teacher stopped at 20",
        ]
    );
    assert!(plan.arms.iter().all(|arm| arm.baseline == 0));
    assert_eq!(plan.remarks, [""; 0]);

    let teacher = &plan.segments[0];
    assert_eq!(teacher.architecture.to_string(), "wrn-16-2");
    assert_eq!((teacher.until, &teacher.stops), (Epoch(20), &BTreeSet::from([Epoch(8), Epoch(20)])));
    assert!(teacher.ends.is_empty() && teacher.observers.is_empty());
}

#[test]
fn a_run_learns_from_teacher_and_labels_then_from_labels() {
    let plan = plan_of(EXAMPLE);
    let run = plan.runs.iter().find(|run| run.arm == 1 && run.seed == Seed(2)).unwrap();
    let [distils, tail] = &run.legs[..] else { panic!("{:?}", run.legs) };
    assert_eq!((distils.from, distils.until, tail.from, tail.until), (Epoch(0), Epoch(8), Epoch(8), Epoch(20)));
    let (distils, tail) = (plan.segment(&distils.segment).unwrap(), plan.segment(&tail.segment).unwrap());

    let teacher = CheckpointId { segment: plan.segments[0].key.clone(), epoch: Epoch(8) };
    assert_eq!(
        distils.terms,
        [(1.0 - 0.9, Term::CrossEntropy), (0.9, Term::Kd { teacher: teacher.clone(), temperature: 4.0 })]
    );
    assert_eq!(distils.stops, BTreeSet::from([Epoch(8), Epoch(20)]));
    assert_eq!(distils.ends, BTreeSet::from([Epoch(20)]), "only the run that distils to the end ends here");
    assert_eq!(tail.terms, [(1.0, Term::CrossEntropy)]);
    assert_eq!(tail.observers, [Observer { teacher: teacher.clone(), temperature: 4.0 }]);
    assert_eq!(tail.needs().len(), 1, "its start: who observes is no cause");
    assert_eq!(distils.needs(), [&teacher]);
    assert_eq!(distils.measured_against(), tail.measured_against());

    let alone = plan.segment(&plan.runs[2].legs[0].segment).unwrap();
    let watched_at: Vec<_> = alone.observers.iter().map(|observer| observer.teacher.epoch).collect();
    assert_eq!(watched_at, [Epoch(8), Epoch(20)], "labels alone are observed by every teacher");
}

#[test]
fn a_weight_of_zero_leaves_its_term_out() {
    let plan = plan_of(&EXAMPLE.replace("kd_weight = 0.9", "kd_weight = [0, 1]"));
    let distils = plan.segments.iter().find(|segment| segment.terms.iter().any(|(_, term)| term.teacher().is_some()));
    assert_eq!(distils.unwrap().terms.len(), 1);
    assert_eq!(plan.arms.iter().filter(|arm| arm.distillation.is_none()).count(), 1);
}

#[test]
fn a_study_of_labels_alone_is_one_arm() {
    for text in [
        EXAMPLE.replace("[0, 8, 20]", "0"),
        EXAMPLE.replace("kd_weight = 0.9", "kd_weight = 0"),
        EXAMPLE.split("[teacher]").next().unwrap().to_owned(),
    ] {
        let plan = plan_of(&text);
        assert_eq!(labels(&plan), ["labels only"]);
        assert_eq!((plan.segments.len(), plan.epochs, plan.epochs_without_sharing), (3, 60, 60));
        assert!(plan.segments.iter().all(|segment| segment.observers.is_empty()));
    }
}

#[test]
fn labels_say_what_varies_and_only_that() {
    let swept = EXAMPLE.replace("[0, 8, 20]", "20").replace("teacher_stop_epoch = [8, 20]", "");
    assert_eq!(labels(&plan_of(&swept)), ["KD to the end"]);
    assert_eq!(labels(&plan_of(&swept.replace("4.0", "[1, 4, 16.5]"))), ["T 1", "T 4", "T 16.5"]);
    assert_eq!(
        labels(&plan_of(&swept.replace("\"wrn-16-2\"", "[\"wrn-16-2\", \"wrn-16-4\"]"))),
        ["wrn-16-2 teaches", "wrn-16-4 teaches"]
    );
    let compressed = swept.replace("\"wrn-16-2\"\nepochs = 20", "\"wrn-16-2\"\nepochs = [5, 20]");
    assert_eq!(labels(&plan_of(&compressed)), ["teacher of 5 epochs", "teacher of 20 epochs"]);
    assert!(plan_of(&compressed).remarks.iter().any(|remark| remark.contains("share nothing")));
    let weights =
        swept.replace("kd_stop_epoch = 20", "kd_stop_epoch = [8, 20]\ncross_entropy_weight_after_stop = [0.1, 1]");
    assert_eq!(
        labels(&plan_of(&weights)),
        ["KD until 8, CE weight 0.1 after", "KD until 8, CE weight 1 after", "KD to the end"]
    );
    let students = swept.replace("\"wrn-10-1\"\nepochs = 20", "[\"wrn-10-1\", \"wrn-16-1\"]\nepochs = [20, 30]");
    assert_eq!(
        labels(&plan_of(&students))[..2],
        ["wrn-10-1, 20 epochs, KD to the end", "wrn-10-1, 30 epochs, KD until 20"]
    );
}

#[test]
fn arms_stand_in_the_files_order_the_last_field_fastest() {
    let text = EXAMPLE
        .replace("\"wrn-10-1\"", "[\"wrn-16-1\", \"wrn-10-1\"]")
        .replace("temperature = 4.0", "temperature = [4, 1]")
        .replace("kd_weight = 0.9", "kd_weight = [0.9, 0.5]")
        .replace("[0, 8, 20]", "[8, 0]")
        .replace(
            "teacher_stop_epoch = [8, 20]",
            "teacher_stop_epoch = [20, 8]\ncross_entropy_weight_after_stop = [1, 0.1]",
        );
    let mut expected = Vec::new();
    for student in ["wrn-16-1", "wrn-10-1"] {
        let first = expected.len();
        for temperature in [4.0, 1.0] {
            for kd_weight in [0.9, 0.5] {
                for teacher_stop in [20, 8] {
                    for after_stop in [1.0, 0.1] {
                        expected.push((student.to_owned(), Some((temperature, kd_weight, teacher_stop, after_stop))));
                    }
                }
                // Labels alone are one arm, where they occur first.
                if expected.len() == first + 4 {
                    expected.push((student.to_owned(), None));
                }
            }
        }
    }
    let arms: Vec<_> = plan_of(&text)
        .arms
        .iter()
        .map(|arm| {
            let treatment = arm.distillation.as_ref().map(|it| {
                let Scheme::Kd { temperature, kd_weight } = it.scheme else { panic!("{:?}", it.scheme) };
                let after_stop = it.cross_entropy_weight_after_stop.unwrap();
                (temperature, kd_weight, it.teacher_stop_epoch.0, after_stop)
            });
            (arm.student.to_string(), treatment)
        })
        .collect();
    assert_eq!(arms, expected);
}

#[test]
fn an_arm_is_compared_with_labels_alone_of_the_same_student_else_with_the_first() {
    let two = EXAMPLE.replace("\"wrn-10-1\"", "[\"wrn-10-1\", \"wrn-16-1\"]");
    let baselines: Vec<_> = plan_of(&two).arms.iter().map(|arm| arm.baseline).collect();
    assert_eq!(baselines, [0, 0, 0, 0, 0, 5, 5, 5, 5, 5]);
    let none = plan_of(&EXAMPLE.replace("[0, 8, 20]", "[20, 8]"));
    assert!(none.arms.iter().all(|arm| arm.baseline == 0));
}

#[test]
fn students_that_all_learn_alone_are_compared_with_the_first() {
    let alone = "title = \"Which?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 2\n\
                 student = { architecture = [\"wrn-10-1\", \"wrn-10-2\"], epochs = [1, 2] }";
    let plan = plan_of(alone);
    assert_eq!(plan.arms.iter().map(|arm| arm.baseline).collect::<Vec<_>>(), [0; 4]);
    assert_eq!(plan.remarks, ["No arm distils: every arm is compared with the first (wrn-10-1, 1 epoch)."]);
    // Also where a teacher is there that nobody learns from.
    let unused = EXAMPLE.replace("\"wrn-10-1\"", "[\"wrn-10-1\", \"wrn-16-1\"]").replace("[0, 8, 20]", "0");
    assert_eq!(plan_of(&unused).arms.iter().map(|arm| arm.baseline).collect::<Vec<_>>(), [0, 0]);
    let one = plan_of(&alone.replace("[\"wrn-10-1\", \"wrn-10-2\"]", "\"wrn-10-1\"").replace("[1, 2]", "1"));
    assert_eq!(one.remarks, [""; 0]);
}

/// What to add is told as it is written, beside what stands there already, in a file as in the form.
#[test]
fn what_adds_labels_alone_is_said_and_does_so() {
    for (from, to, said) in [
        ("[0, 8, 20]", "[20, 8]", "kd_stop_epoch = [0, 8, 20]"),
        ("kd_stop_epoch = [0, 8, 20]\n", "", "kd_stop_epoch = [0, 20]"),
    ] {
        let without = EXAMPLE.replace(from, to);
        let remark = &plan_of(&without).remarks[0];
        assert!(
            remark.starts_with("No arm learns from labels alone: every arm is compared with the first ("),
            "{remark}"
        );
        assert!(remark.contains(&format!("With {said} each student")), "{remark}");
        let with = without.lines().filter(|line| !line.starts_with("kd_stop_epoch")).collect::<Vec<_>>().join("\n");
        assert_eq!(plan_of(&format!("{with}\n{said}")).remarks, [""; 0]);
    }
    let lengths = EXAMPLE.replace("kd_stop_epoch = [0, 8, 20]\n", "").replacen("epochs = 20", "epochs = [10, 20]", 1);
    assert!(plan_of(&lengths).remarks[0].contains("With kd_weight = [0, 0.9] each student"));
    assert_eq!(plan_of(&lengths.replace("kd_weight = 0.9", "kd_weight = [0, 0.9]")).remarks, [""; 0]);
    let one = EXAMPLE.replace("[0, 8, 20]", "20").replace("teacher_stop_epoch = [8, 20]", "");
    assert!(
        plan_of(&one).remarks[0].starts_with("One arm has nothing to be compared with. With kd_stop_epoch = [0, 20]")
    );
}

#[test]
fn how_many_images_are_trained_on_is_said_where_it_is_not_as_usual() {
    let remarks = |validation: u32| plan_of(&format!("validation = {validation}\n{EXAMPLE}")).remarks;
    assert_eq!(remarks(5_000), [""; 0]);
    assert_eq!(remarks(100), ["Training is on 16,900 images: 100 are held out for validation."]);
    assert_eq!(remarks(1), ["Training is on 16,999 images: 1 image is held out for validation."]);
    assert!(remarks(0)[0].starts_with("No image is held out for validation: training is on 17,000 images"));
    assert_eq!(remarks(16_999), ["Only 1 image is left to train on, which is less than one batch of 128."]);
    assert!(remarks(16_873)[0].starts_with("Only 127 images are left"));
}

#[test]
fn teachers_are_named_by_network_and_seed_and_by_their_length_where_that_differs() {
    let name = |teacher: TeacherTraining<'_>| teacher.name(&Facts::new());
    let names = |text: &str| plan_of(text).teachers().into_iter().map(name).collect::<Vec<_>>();
    assert_eq!(names(EXAMPLE), ["teacher wrn-16-2, seed 0"]);
    let lengths = EXAMPLE.replace("\"wrn-16-2\"\nepochs = 20", "\"wrn-16-2\"\nepochs = [20, 35]\nper_seed = true");
    let expected = ["20 epochs, seed 0", "35 epochs, seed 0", "20 epochs, seed 1", "35 epochs, seed 1"];
    let named = names(&lengths);
    for expected in expected {
        assert!(named.contains(&format!("teacher wrn-16-2 of {expected}")), "{named:?}");
    }
    assert_eq!(names(&EXAMPLE.replace("[0, 8, 20]", "0")), [""; 0]);
}

#[test]
fn a_checkpoint_is_named_one_way() {
    let plan = plan_of(EXAMPLE);
    let checkpoint = plan.teachers()[0].checkpoint(Epoch(8));
    assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint.clone()));
    let key = &checkpoint.segment.0;
    for wrong in [
        "",
        "@8",
        key,
        &format!("{key}@"),
        &format!("{key}@-1"),
        &format!("../../{}@8", &key[6..]),
        &format!("{}@8", key.to_uppercase()),
    ] {
        assert!(wrong.parse::<CheckpointId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_student_that_equals_the_teachers_training_is_that_training() {
    let text = EXAMPLE.replace("architecture = \"wrn-10-1\"", "architecture = \"wrn-16-2\"");
    let plan = plan_of(&text);
    // One segment less: seed 0 from labels alone is the teacher.
    assert_eq!((plan.segments.len(), plan.epochs, plan.epochs_without_sharing), (15, 252, 320));
    let teacher = &plan.segments[0];
    assert_eq!(teacher.ends, BTreeSet::from([Epoch(20)]));
    // As every other run from labels alone, by each teacher: here itself at its two stops.
    let own = |epoch| Observer { teacher: CheckpointId { segment: teacher.key.clone(), epoch }, temperature: 4.0 };
    assert_eq!(teacher.observers, [own(Epoch(8)), own(Epoch(20))]);
    assert!(teacher.needs().is_empty(), "nothing waits for itself");
    for run in plan.runs.iter().filter(|run| plan.arms[run.arm].distillation.is_none()) {
        assert_eq!(plan.segment(&run.legs[0].segment).unwrap().observers, teacher.observers);
    }
}

#[test]
fn networks_that_teach_each_other_wait_for_nothing_in_a_circle() {
    let text = EXAMPLE.replace("architecture = \"wrn-10-1\"", "architecture = [\"wrn-10-1\", \"wrn-16-2\"]").replace(
        "[teacher]\narchitecture = \"wrn-16-2\"",
        "[teacher]\nper_seed = true\narchitecture = [\"wrn-16-2\", \"wrn-10-1\"]",
    );
    let plan = plan_of(&text);
    needs_come_first(&plan);
}

#[test]
fn with_per_seed_each_student_has_its_own_teacher() {
    let plan = plan_of(&EXAMPLE.replace("[teacher]", "[teacher]\nper_seed = true"));
    assert_eq!((plan.segments.len(), plan.epochs, plan.epochs_without_sharing), (18, 312, 360));
    for run in &plan.runs {
        for leg in &run.legs {
            for observer in plan.segment(&leg.segment).unwrap().measured_against() {
                assert_eq!(plan.segment(&observer.teacher.segment).unwrap().seed, run.seed);
            }
        }
    }
}

#[test]
fn a_study_may_hold_out_another_number_of_images() {
    let mut study = Study::from_toml(EXAMPLE).unwrap();
    study.validation = Some(0);
    let without = plan(&study);
    let split = &without.segments[0].dataset;
    assert_eq!((split.train, split.validation), (17_000, 0));
    assert!(without.remarks.iter().any(|remark| remark.contains("no validation curve")));
    assert!(keys(&without).is_disjoint(&keys(&plan_of(EXAMPLE))));

    study.validation = Some(17_000);
    let errors = Plan::new(&study, &dataset(), Numerics::CpuF32).unwrap_err();
    assert_eq!((errors[0].field.as_str(), errors[0].allowed.as_str()), ("validation", "0 to 16999"));
    let other = DatasetFacts { dataset: Dataset::Mnist, ..dataset() };
    study.validation = None;
    assert_eq!(Plan::new(&study, &other, Numerics::CpuF32).unwrap_err()[0].field, "dataset");
}

/// Trainings that are stored are found by their keys: a change here orphans them.
#[test]
fn keys_stay_what_they_were() {
    let plan = plan_of(EXAMPLE);
    assert_eq!(study::TRAINING_VERSION, 2);
    assert_eq!(plan.segments[0].key.0, "b2861753c8ce6d4cfd8699b699e81eb6");
    assert_eq!(plan.segments[15].key.0, "4c18e5da38883aad1ee7f918e28266b8");
    assert_eq!(plan.runs[14].id.0, "d515dc3f5df7f83a");
}

#[test]
fn the_key_holds_what_decides_the_bits() {
    let base = plan_of(EXAMPLE);
    let study = Study::from_toml(EXAMPLE).unwrap();
    let changes: [fn(&mut Study); 7] = [
        |study| study.recipe.batch_size = 64,
        |study| study.recipe.learning_rate = 0.05,
        |study| study.recipe.learning_rate_decay = 0.1,
        |study| study.recipe.drop_every = Some(5),
        |study| study.recipe.momentum = 0.0,
        |study| study.recipe.weight_decay = 0.0,
        |study| study.recipe.augmentation = Some(study::Augmentation::Crop),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = study.clone();
        change(&mut changed);
        assert!(keys(&base).is_disjoint(&keys(&plan(&changed))), "{index}");
    }
    let candle = Plan::new(&study, &dataset(), Numerics::CandleF32).unwrap();
    assert!(keys(&base).is_disjoint(&keys(&candle)));
    let other = DatasetFacts { checksum: "of others".into(), ..dataset() };
    assert!(keys(&base).is_disjoint(&keys(&Plan::new(&study, &other, Numerics::CpuF32).unwrap())));
    // Said explicitly, what is in force anyway changes nothing.
    let mut said = study.clone();
    said.recipe.augmentation = Some(study::Augmentation::CropFlip);
    said.recipe.drop_epochs = Some(vec![6, 12, 18]);
    assert_eq!(plan(&said).segments, base.segments);
}

#[test]
fn seeds_that_share_their_views_share_keys_where_that_changes_no_bits() {
    let own = Study::from_toml(EXAMPLE).unwrap();
    let mut shared = own.clone();
    shared.recipe.augmentation_seed = AugmentationSeed::Shared;
    let (before, after) = (plan(&own), plan(&shared));
    for (own, shared) in before.segments.iter().zip(&after.segments) {
        assert_eq!(shared.views_seed(), Seed(0));
        // Seed 0 sees its own views either way: the teacher and a third of the students are those that there were.
        assert_eq!(own.key == shared.key, own.seed == Seed(0), "{own:?}");
    }
    assert!(before.segments.iter().all(|segment| segment.views_seed() == segment.seed));
    shared.recipe.augmentation = Some(study::Augmentation::None);
    let mut unvaried = own.clone();
    unvaried.recipe.augmentation = Some(study::Augmentation::None);
    assert_eq!(plan(&shared).segments, plan(&unvaried).segments);
    assert_eq!(Study::from_toml(&shared.to_toml()), Ok(shared));
}

fn needs_come_first(plan: &Plan) {
    let mut stops: BTreeMap<&SegmentKey, &BTreeSet<Epoch>> = BTreeMap::new();
    for segment in &plan.segments {
        for need in segment.needs() {
            let there = stops.get(&need.segment).unwrap_or_else(|| panic!("{} is not there yet", need.segment));
            assert!(there.contains(&need.epoch), "{need:?} is no stop");
        }
        assert!(stops.insert(&segment.key, &segment.stops).is_none(), "a key twice");
    }
    for observer in plan.segments.iter().flat_map(|segment| &segment.observers) {
        assert!(stops[&observer.teacher.segment].contains(&observer.teacher.epoch), "{observer:?} is no stop");
    }
}

fn values<T: Clone + std::fmt::Debug + 'static>(from: Vec<T>, most: usize) -> impl Strategy<Value = Choices<T>> {
    proptest::sample::subsequence(from, 1..=most).prop_shuffle().prop_map(Choices)
}

fn wrn(depth: u32, width: u32) -> Architecture {
    Architecture::WideResNet { depth, width }
}

fn seldom<T: Clone + std::fmt::Debug + 'static>(from: Vec<T>) -> impl Strategy<Value = Option<Choices<T>>> {
    proptest::option::weighted(0.3, values(from, 2))
}

prop_compose! {
    /// What KD is swept by.
    fn treatment()(
        temperature in values(vec![1.0, 2.0, 4.0, 16.0], 2),
        kd_weight in values(vec![0.0, 0.5, 0.9, 1.0], 2),
        kd_stop_epoch in proptest::option::of(values((0..=6).collect(), 4)),
        teacher_stop_epoch in proptest::option::of(values((1..=5).collect(), 3)),
        cross_entropy_weight_after_stop in values(vec![0.1, 1.0], 2),
    ) -> Treatment {
        Treatment {
            temperature: Some(temperature),
            kd_weight: Some(kd_weight),
            kd_stop_epoch,
            teacher_stop_epoch,
            cross_entropy_weight_after_stop,
            ..Treatment::default()
        }
    }
}

prop_compose! {
    /// Any methods, with few values of their numbers, and who stands between teacher and student.
    fn mixed_treatment()(
        method in values(Method::ALL.to_vec(), 3),
        temperature in seldom(vec![1.0, 4.0]),
        kd_weight in seldom(vec![0.0, 0.5, 0.9]),
        attention_weight in seldom(vec![0.0, 100.0, 1000.0]),
        (target_weight, non_target_weight, warm_up_epochs) in
            (seldom(vec![0.0, 1.0]), seldom(vec![0.0, 8.0]), seldom(vec![0, 3])),
        (between_weight, within_weight) in (seldom(vec![0.0, 1.0]), seldom(vec![0.0, 2.0])),
        momentum_difference in seldom(vec![0.05, 0.09]),
        anchors in seldom(vec![1, 2, 3, 4, 100]),
        (kd_stop_epoch, teacher_stop_epoch) in (seldom((0..=6).collect()), seldom((1..=5).collect())),
        chain in seldom(["", "wrn-22-1", "wrn-16-2@2 > wrn-22-2", "wrn-22-1@6"].map(|it| it.parse().unwrap()).to_vec()),
        generations in proptest::option::weighted(0.3, 1u32..=3),
        generation_stop_epoch in seldom(vec![1, 2, 6]),
    ) -> Treatment {
        Treatment {
            method, temperature, kd_weight, attention_weight, target_weight, non_target_weight, warm_up_epochs,
            between_weight, within_weight, momentum_difference, anchors, kd_stop_epoch, teacher_stop_epoch, chain,
            generations, generation_stop_epoch,
            ..Treatment::default()
        }
    }
}

/// Studies that are right, and not too large to be planned.
fn studies() -> impl Strategy<Value = Study> {
    any_studies().prop_filter("has too many runs", |study| study.check().is_empty())
}

prop_compose! {
    fn any_studies()(
        seeds in 1u32..=3,
        architecture in values(vec![wrn(10, 1), wrn(16, 1), wrn(16, 2)], 2),
        epochs in values(vec![6, 7, 40], 2),
        teachers in values(vec![wrn(10, 1), wrn(16, 2), wrn(22, 1)], 2),
        teacher_epochs in values(vec![5, 6, 40], 2),
        per_seed in any::<bool>(),
        shared_views in any::<bool>(),
        treatment in proptest::option::weighted(0.9, prop_oneof![treatment(), mixed_treatment()]),
    ) -> Study {
        Study {
            title: "?".into(),
            dataset: Dataset::FashionMnist12k,
            validation: None,
            seeds,
            student: Student { architecture, epochs },
            teacher: Some(TeacherChoices { architecture: Choices(teachers.0.into_iter().map(Into::into).collect()), epochs: teacher_epochs, per_seed }),
            treatment,
            recipe: Recipe {
                augmentation_seed: if shared_views { AugmentationSeed::Shared } else { AugmentationSeed::Own },
                ..Recipe::default()
            },
            search: None,
        }
    }
}

fn arm_without_names(arm: &Arm) -> String {
    format!("{:?}", Arm { label: String::new(), baseline: 0, ..arm.clone() })
}

/// Every field of a study that may be a list, with one more value: applied, it adds arms or nothing.
fn grow(study: &mut Study, field: usize) {
    if let Some(treatment) = &mut study.treatment {
        match field {
            0 => treatment.temperature.iter_mut().for_each(|temperatures| temperatures.0.push(8.0)),
            1 => treatment.kd_weight.iter_mut().for_each(|weights| weights.0.push(0.7)),
            2 => treatment.cross_entropy_weight_after_stop.0.push(0.3),
            3 => treatment.kd_stop_epoch.iter_mut().for_each(|stops| {
                stops.0.extend((0..=6).find(|stop| !stops.0.contains(stop)));
            }),
            4 => treatment.teacher_stop_epoch.iter_mut().for_each(|stops| {
                stops.0.extend((1..=5).find(|stop| !stops.0.contains(stop)));
            }),
            10 => {
                treatment.method.0.extend(Method::ALL.into_iter().find(|method| !treatment.method.0.contains(method)))
            }
            11 => treatment.anchors.iter_mut().for_each(|anchors| anchors.0.push(5)),
            12 => treatment.chain.iter_mut().for_each(|chains| chains.0.push("wrn-28-4".parse().unwrap())),
            13 => treatment.generations = Some(treatment.generations.map_or(2, |generations| generations + 1)),
            14 => treatment.generation_stop_epoch.iter_mut().for_each(|stops| stops.0.push(3)),
            _ => {}
        }
    }
    match field {
        5 => study.seeds += 1,
        6 => study.student.architecture.0.push(wrn(28, 1)),
        7 => study.student.epochs.0.push(9),
        8 => study.teacher.iter_mut().for_each(|teacher| teacher.architecture.0.push(wrn(28, 2).into())),
        9 => study.teacher.iter_mut().for_each(|teacher| teacher.epochs.0.push(8)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_plan_keeps_its_promises(study in studies()) {
        let plan = plan(&study);
        needs_come_first(&plan);

        prop_assert_eq!(plan.runs.len(), plan.arms.len() * study.seeds as usize);
        for run in &plan.runs {
            let arm = &plan.arms[run.arm];
            let mut from = Epoch(0);
            for leg in &run.legs {
                let segment = plan.segment(&leg.segment).unwrap();
                prop_assert_eq!(leg.from, from);
                prop_assert!(leg.from < leg.until && segment.stops.contains(&leg.until));
                prop_assert_eq!(segment.from(), leg.from);
                prop_assert_eq!((segment.seed, segment.architecture), (run.seed, arm.student));
                from = leg.until;
            }
            prop_assert_eq!(from, arm.epochs);
            prop_assert!(plan.segment(&run.legs.last().unwrap().segment).unwrap().ends.contains(&arm.epochs));
        }

        let epochs: u64 = plan.segments.iter().map(|segment| u64::from(segment.until.0 - segment.from().0)).sum();
        prop_assert_eq!(plan.epochs, epochs);
        prop_assert!(plan.epochs <= plan.epochs_without_sharing);
        for segment in &plan.segments {
            prop_assert_eq!(segment.stops.last(), Some(&segment.until));
            prop_assert!(segment.ends.is_subset(&segment.stops));
            prop_assert!(segment.from() < segment.until);
            prop_assert_eq!(matches!(segment.start, Start::Initialisation), segment.from() == Epoch(0));
        }

        let distinct: BTreeSet<_> = plan.arms.iter().map(arm_without_names).collect();
        let names: BTreeSet<_> = labels(&plan).into_iter().collect();
        let ids: BTreeSet<_> = plan.runs.iter().map(|run| run.id.clone()).collect();
        prop_assert_eq!(distinct.len(), plan.arms.len());
        prop_assert_eq!(names.len(), plan.arms.len(), "{:?}", labels(&plan));
        prop_assert_eq!(ids.len(), plan.runs.len());
        for arm in &plan.arms {
            let baseline = &plan.arms[arm.baseline];
            let alone = |other: &&Arm| {
                other.distillation.is_none() && other.student == arm.student && other.epochs == arm.epochs
            };
            // Where nobody distils, all are compared with the first.
            let distils = plan.arms.iter().any(|arm| arm.distillation.is_some());
            match plan.arms.iter().find(alone).filter(|_| distils) {
                Some(alone) => prop_assert_eq!(baseline, alone),
                None => prop_assert_eq!(arm.baseline, 0),
            }
        }
    }

    #[test]
    fn arms_are_counted_before_they_are_made(study in studies()) {
        let arms = plan(&study).arms.len() as u64;
        let mut too_many = study;
        // The seeds that bring the count over the limit bring the refusal, and name the number of arms.
        too_many.seeds = 100;
        match Plan::new(&too_many, &dataset(), Numerics::CpuF32) {
            Ok(plan) => prop_assert!(plan.runs.len() as u64 == arms * 100 && arms * 100 <= Plan::RUNS_MAX),
            Err(errors) => {
                prop_assert!(arms * 100 > Plan::RUNS_MAX);
                prop_assert_eq!(&errors[0].given, &format!("{} runs ({arms} arms × 100 seeds)", arms * 100));
            }
        }
    }

    #[test]
    fn adding_an_arm_a_seed_or_a_value_changes_no_key(study in studies(), field in 0usize..15) {
        let before = plan(&study);
        let mut grown = study.clone();
        grow(&mut grown, field);
        prop_assume!(grown.check().is_empty());
        let after = plan(&grown);
        prop_assert!(keys(&before).is_subset(&keys(&after)));
        prop_assert!(before.epochs <= after.epochs);
        let ids = |plan: &Plan| plan.runs.iter().map(|run| run.id.clone()).collect::<BTreeSet<_>>();
        prop_assert!(ids(&before).is_subset(&ids(&after)));
    }

    /// What was trained, who looked on and where runs end: all of it is there as it was, and nothing else is new than other seeds.
    #[test]
    fn seeds_that_come_later_leave_runs_and_segments_as_they_were(study in studies(), more in 1u32..=3) {
        let before = plan(&study);
        prop_assume!(before.arms.len() as u64 * u64::from(study.seeds + more) <= Plan::RUNS_MAX);
        let (grown, after) = with_more_seeds(&study, &before, &dataset(), more).unwrap();
        prop_assert_eq!(&grown, &Study { seeds: study.seeds + more, ..study.clone() });
        prop_assert_eq!(&after, &plan(&grown));
        prop_assert!(after.extends(&before));
        prop_assert!(!before.extends(&after));

        prop_assert_eq!(&after.arms, &before.arms);
        let of_before: Vec<_> = after.runs.iter().filter(|run| run.seed.0 < study.seeds).collect();
        prop_assert_eq!(of_before, before.runs.iter().collect::<Vec<_>>());
        prop_assert_eq!(after.runs.len(), before.runs.len() + before.arms.len() * more as usize);
        for segment in &before.segments {
            prop_assert_eq!(after.segment(&segment.key), Some(segment));
        }
        let there = keys(&before);
        for new in after.segments.iter().filter(|segment| !there.contains(&segment.key)) {
            prop_assert!(new.seed.0 >= study.seeds);
        }
    }

    #[test]
    fn keys_do_not_know_the_device_nor_what_is_evaluated_when(study in studies(), ordinal in 0u32..8) {
        let before = plan(&study);
        let mut other = study.clone();
        other.recipe.device = Device::Cuda(ordinal);
        other.recipe.evaluate_test = EvaluateTest::EveryEpoch;
        other.title = "Another question".into();
        prop_assert_eq!(plan(&other), before);
    }

    #[test]
    fn a_shorter_study_is_a_prefix_of_a_longer_one(study in studies()) {
        // The same treatments stopped elsewhere: what a segment trains does not depend on where it ends, nor on who observes. A
        // curriculum is divided by the stop, and whoever stands between learns until the same stop.
        let Some(treatment) = &study.treatment else { return Ok(()) };
        prop_assume!(!treatment.method.0.contains(&Method::Rco));
        prop_assume!(treatment.chain.is_none() && treatment.generations.is_none());
        let stops = |stop: u32| {
            let mut stopped = study.clone();
            let treatment = Treatment { kd_stop_epoch: Some(Choices(vec![stop])), ..treatment.clone() };
            stopped.treatment = Some(treatment);
            plan(&stopped)
        };
        let firsts = |plan: &Plan| {
            plan.runs.iter().map(|run| run.legs[0].segment.clone()).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(firsts(&stops(2)), firsts(&stops(4)));
    }

    #[test]
    fn reading_what_was_written_gives_the_study(study in studies()) {
        prop_assert_eq!(Study::from_toml(&study.to_toml()).unwrap(), study);
    }
}
