//! Teachers that were trained elsewhere, in study files and in plans.

mod images;

use images::fashion_mnist_12k;
use study::{Architecture, DatasetFacts, Epoch, ImportedTeacher, Machine, Numerics, Plan, Start, Study, growth};

const DIGEST: &str = "0123456789abcdef0123456789abcdef";

fn written(teacher: &str, treatment: &str) -> String {
    format!(
        "title = \"Which?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 2\n\
         student = {{ architecture = \"wrn-10-1\", epochs = 20 }}\nteacher = {{ {teacher} }}\n[treatment]\n{treatment}\n"
    )
}

fn plan(teacher: &str, treatment: &str) -> (Study, Plan) {
    let study = Study::from_toml(&written(teacher, treatment)).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let plan = Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap();
    (study, plan)
}

fn machine(channels: u32) -> Machine {
    let network = format!("wrn-40-2 from {DIGEST}").parse().unwrap();
    Machine {
        datasets: vec![DatasetFacts { validation: 0, train: 17_000, ..fashion_mnist_12k() }],
        imported: vec![ImportedTeacher { network, name: "mine".into(), channels, classes: 10 }],
        ..images::machine()
    }
}

#[test]
fn an_imported_teacher_is_a_segment_of_one_epoch_that_every_student_needs() {
    let (study, plan) = plan(&format!("architecture = \"wrn-40-2 from {DIGEST}\""), "kd_stop_epoch = [8, 20]");
    assert_eq!(Study::from_toml(&study.to_toml()), Ok(study));
    let imported = &plan.segments[0];
    assert_eq!(imported.start, Start::Imported(DIGEST.parse().unwrap()));
    assert_eq!((imported.until, imported.from()), (Epoch(1), Epoch(0)));
    assert_eq!(imported.architecture, Architecture::WideResNet { depth: 40, width: 2 });
    assert!(imported.needs().is_empty());
    let taught = plan.segments.iter().filter(|segment| segment.needs().iter().any(|need| need.segment == imported.key));
    assert_eq!(taught.count(), 2, "KD to the end of two seeds; that which stops at 8 is a part of it");
    assert_eq!(plan.teachers()[0].label, "wrn-40-2, imported 01234567");
    // Its epoch is that in which it is read.
    assert_eq!(plan.epochs, 1 + 2 * 20 + 2 * 12);
}

#[test]
fn trained_and_imported_teachers_are_compared_in_one_study() {
    let teachers = format!("architecture = [\"wrn-16-2\", \"wrn-40-2 from {DIGEST}\"], epochs = [8, 20]");
    let (_, plan) = plan(&teachers, "teacher_stop_epoch = [4, 8]");
    let labels: Vec<&str> = plan.arms.iter().map(|arm| arm.label.as_str()).collect();
    assert_eq!(plan.arms.len(), 5, "{labels:?}");
    assert_eq!(labels[4], "wrn-40-2 (imported 01234567) teaches");
    let stops = plan.arms.iter().map(|arm| arm.distillation.as_ref().unwrap().teacher_stop_epoch.0);
    assert_eq!(stops.collect::<Vec<_>>(), [4, 8, 4, 8, 1]);
}

#[test]
fn an_imported_teacher_is_called_by_its_name_wherever_it_is_told() {
    let teachers = format!("architecture = [\"wrn-16-2\", \"wrn-40-2 from {DIGEST}\"], epochs = 20");
    let ready = machine(1).ready(&Study::table(&written(&teachers, "")).unwrap()).unwrap();
    let labels = |plan: &Plan| plan.arms.iter().map(|arm| arm.label.clone()).collect::<Vec<_>>();
    let called = ["wrn-16-2 teaches, teacher of 20 epochs", "wrn-40-2 “mine” (imported 01234567) teaches"];
    assert_eq!(labels(&ready.plan), called);
    let of_teachers = |plan: &Plan| plan.teachers().iter().map(|teacher| teacher.label.clone()).collect::<Vec<_>>();
    assert_eq!(of_teachers(&ready.plan), ["wrn-16-2, seed 0", "wrn-40-2 “mine”, imported 01234567"]);
    // It keeps its name with more seeds, and where the plan is stored, also once its file is gone.
    let (_, longer) = growth::with_more_seeds(&ready.study, &ready.plan, &ready.dataset, 2).unwrap();
    assert_eq!((labels(&longer), of_teachers(&longer)), (labels(&ready.plan), of_teachers(&ready.plan)));
    let stored: Plan = serde_json::from_str(&serde_json::to_string(&ready.plan).unwrap()).unwrap();
    assert_eq!(stored, ready.plan);
    // What it is called makes no other training.
    let unnamed = Plan::new(&ready.study, &ready.dataset, Numerics::CpuF32).unwrap();
    assert_eq!(labels(&unnamed)[1], "wrn-40-2 (imported 01234567) teaches");
    assert_eq!((unnamed.segments, unnamed.runs), (ready.plan.segments, ready.plan.runs));
}

#[test]
fn what_was_not_imported_or_sees_other_images_is_refused_by_name() {
    let table = Study::table(&written(&format!("architecture = \"wrn-40-2 from {DIGEST}\""), "")).unwrap();
    assert!(machine(1).ready(&table).is_ok());
    let told = |machine: Machine| {
        let errors = machine.ready(&table).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    };
    let other = told(machine(3));
    assert!(other.contains("has 3 colour channels, and fashion-mnist-12k has 1"), "{other}");
    let unknown = told(Machine { imported: Vec::new(), ..machine(1) });
    assert!(unknown.contains("teacher.architecture") && unknown.contains("stillroom import-teacher"), "{unknown}");
    let without = written("architecture = \"wrn-40-2\"", "");
    let missing = Study::from_toml(&without).unwrap_err();
    assert_eq!(missing[0].field, "teacher.epochs");
}
