use super::{Fields, fields};
use study::Study;

const EXAMPLE: &str = r#"
title = "When should distillation stop?"
dataset = "fashion-mnist-12k"
seeds = 3
[student]
architecture = "wrn-10-1"
epochs = 20
[teacher]
architecture = "wrn-16-2"
epochs = 20
[treatment]
method = "kd"
temperature = 4.0
kd_weight = 0.9
kd_stop_epoch = [0, 8, 20]
teacher_stop_epoch = [8, 20]
"#;

#[test]
fn a_new_form_is_the_example_study() {
    assert_eq!(Fields::first().study(), Study::from_toml(EXAMPLE));
}

#[test]
fn a_study_survives_the_form_and_comes_back_equal() {
    let everything = r#"
title = "Everything at once, \"quoted\", with a comma"
dataset = "cifar-10"
validation = 0
seeds = 7
[student]
architecture = ["wrn-10-1", "wrn-16-1"]
epochs = [20, 40]
[teacher]
architecture = ["wrn-16-2", "wrn-40-2"]
epochs = [35, 50]
per_seed = true
[treatment]
temperature = [1.0, 4.5, 16.0]
kd_weight = [0.5, 0.9]
kd_stop_epoch = [0, 8]
teacher_stop_epoch = [8, 20]
cross_entropy_weight_after_stop = [0.1, 1.0]
[recipe]
batch_size = 64
learning_rate = 0.05
learning_rate_decay = 0.1
drop_epochs = [10]
momentum = 0.8
weight_decay = 1e-4
augmentation = "crop"
device = "cpu"
evaluate_test = "every-epoch"
"#;
    let labels_alone = "title = \"x\"\ndataset = \"mnist\"\n[student]\narchitecture = \"wrn-10-1\"\nepochs = 2\n";
    for text in [EXAMPLE, everything, labels_alone, crate::SHORT_STUDY] {
        let study = Study::from_toml(text).unwrap();
        assert_eq!(Fields::of_study(&study).study(), Ok(study), "{text}");
    }
}

#[test]
fn every_wrong_field_is_told_at_once_under_a_path_that_the_form_has() {
    let mut form = Fields::first();
    for (path, text) in [
        ("title", ""),
        ("student.architecture", "wrn-11-1"),
        ("student.epochs", "many"),
        ("treatment.temperature", "4, -1"),
        ("treatment.teacher_stop_epoch", "30"),
        ("recipe.momentum", "1"),
    ] {
        form.set(path, text.into());
    }
    let errors = form.study().unwrap_err();
    let told: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    let expected = [
        "title",
        "student.architecture",
        "student.epochs",
        "treatment.temperature",
        "treatment.teacher_stop_epoch",
        "recipe.momentum",
    ];
    assert_eq!(told, expected);
    assert!(told.iter().all(|path| fields::all().any(|field| field.path == *path)));
    let beyond = errors.iter().find(|error| error.field == "treatment.teacher_stop_epoch").unwrap();
    assert_eq!((beyond.given.as_str(), beyond.allowed.as_str()), ("30", "1 to 20"));
}

#[test]
fn values_are_separated_by_commas_and_a_trailing_comma_waits() {
    let mut form = Fields::first();
    form.set("treatment.kd_stop_epoch", " 0,8 , 20, ".into());
    assert_eq!(form.study(), Study::from_toml(EXAMPLE));
    form.set("treatment.kd_stop_epoch", "[0, 8, 20]".into());
    assert_eq!(form.study(), Study::from_toml(EXAMPLE));
}

#[test]
fn labels_alone_leave_teacher_and_treatment_out() {
    let mut form = Fields::first();
    form.set("treatment.method", String::new());
    let study = form.study().unwrap();
    assert!(study.teacher.is_none() && study.treatment.is_none());
}

#[test]
fn an_address_carries_the_form_there_and_back() {
    let mut form = Fields::first();
    form.set("title", "50 % of what & why? ä".into());
    let address = form.address("/studies/new");
    assert!(address.starts_with("/studies/new?dataset=fashion-mnist-12k&"));
    assert!(address.contains("title=50%20%25%20of%20what%20%26%20why%3F%20%C3%A4"), "{address}");
    let pairs = form.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    assert_eq!(Fields::of_query(pairs), Some(form.clone()));
    assert_eq!(Fields::of_query([("from", "3")].into_iter()), None);
}

#[test]
fn every_field_of_the_form_has_its_own_path() {
    let mut paths: Vec<&str> = fields::all().map(|field| field.path).collect();
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count);
}
