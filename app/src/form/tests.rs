use super::{Fields, Form, fields, preview};
use leptos::prelude::*;
use study::{
    Architecture, Dataset, DatasetFacts, ImportedTeacher, Machine, Method, Speed, Study, TeacherNetwork, Unusable,
    cost::Pace,
};

const EXAMPLE: &str = include_str!("../../../examples/study.toml");

/// What the example says of KD's numbers is what KD takes where nobody says anything.
fn example() -> Study {
    let mut study = Study::from_toml(EXAMPLE).unwrap();
    let treatment = study.treatment.as_mut().unwrap();
    let written = Method::Kd.numbers().iter().map(|(number, _)| treatment.values(Method::Kd, *number));
    let usual = Method::Kd.numbers().iter().map(|(_, usual)| vec![*usual]);
    assert_eq!(written.collect::<Vec<_>>(), usual.collect::<Vec<_>>());
    (treatment.temperature, treatment.kd_weight) = (None, None);
    study
}

#[test]
fn a_new_form_is_the_example_study() {
    assert_eq!(Fields::first().study(), Ok(example()));
}

#[test]
fn a_study_survives_the_form_and_comes_back_equal() {
    let everything = r#"
title = "Everything at once, \"quoted\", with a comma"
dataset = "cifar-10"
validation = 0
seeds = 2
[student]
architecture = ["wrn-10-1", "wrn-16-1"]
epochs = [20, 40]
[teacher]
architecture = ["wrn-16-2", "wrn-40-2"]
epochs = [35, 50]
per_seed = true
[treatment]
method = ["rco", "kd", "dot", "dist", "dkd", "at"]
temperature = [1.0, 4.5, 16.0]
kd_weight = [0.5, 0.9]
attention_weight = [100.0, 1000.0]
target_weight = 1.0
non_target_weight = [1.0, 8.0]
warm_up_epochs = [0, 20]
between_weight = 1.0
within_weight = 0.5
momentum_difference = 0.05
anchors = 3
kd_stop_epoch = [0, 8]
teacher_stop_epoch = 8
chain = ["", "wrn-28-2@8 > wrn-22-1"]
generations = 2
generation_stop_epoch = 8
cross_entropy_weight_after_stop = [0.1, 1.0]
[recipe]
batch_size = 64
learning_rate = 0.05
learning_rate_decay = 0.1
drop_epochs = [10]
momentum = 0.8
weight_decay = 1e-4
augmentation = "crop"
augmentation_seed = "shared"
device = "cpu"
evaluate_test = "every-epoch"
"#;
    let no_chain = format!("{EXAMPLE}chain = \"\"");
    let labels_alone = "title = \"x\"\ndataset = \"mnist\"\n[student]\narchitecture = \"wrn-10-1\"\nepochs = 2\n";
    for text in [EXAMPLE, everything, &no_chain, labels_alone, crate::SHORT_STUDY] {
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
    assert_eq!(form.study(), Ok(example()));
    form.set("treatment.kd_stop_epoch", "[0, 8, 20]".into());
    assert_eq!(form.study(), Ok(example()));
}

#[test]
fn numbers_are_told_as_they_were_typed() {
    let mut form = Fields::first();
    form.set("seeds", "99999999999999999999".into());
    form.set("student.epochs", "1e3".into());
    form.set("recipe.batch_size", "1e5".into());
    let told: Vec<_> =
        form.study().unwrap_err().into_iter().map(|error| (error.field, error.problem, error.given)).collect();
    let expected =
        [("seeds", "is out of range", "99999999999999999999"), ("recipe.batch_size", "is out of range", "100000")];
    assert_eq!(told, expected.map(|(field, problem, given)| (field.into(), problem.into(), given.into())));
}

#[test]
fn labels_alone_leave_teacher_and_treatment_out() {
    let mut form = Fields::first();
    form.set("treatment.method", String::new());
    let study = form.study().unwrap();
    assert!(study.teacher.is_none() && study.treatment.is_none());
}

#[test]
fn numbers_that_no_chosen_method_has_are_left_out_whatever_stands_in_them() {
    let mut form = Fields::first();
    form.set("treatment.method", "at, dist".into());
    form.set("treatment.temperature", "2".into());
    form.set("treatment.kd_weight", "far too much".into());
    form.set("treatment.anchors", "0".into());
    let treatment = form.study().unwrap().treatment.unwrap();
    assert_eq!((treatment.temperature, treatment.kd_weight), (Some(2.0.into()), None));
    form.set("treatment.method", "rco".into());
    let told: Vec<String> = form.study().unwrap_err().into_iter().map(|error| error.field).collect();
    assert_eq!(told, ["treatment.kd_weight", "treatment.anchors"]);
    // A method that there is not is told, and none of its numbers.
    form.set("treatment.method", "at, kl".into());
    let told: Vec<String> = form.study().unwrap_err().into_iter().map(|error| error.given).collect();
    assert_eq!(told, ["\"kl\""]);
}

#[test]
fn ticked_methods_come_as_boxes_and_are_a_list() {
    let sent = |ticked: &[&str]| {
        let boxes = ticked.iter().map(|method| (format!("treatment.method.{method}"), "true".to_owned()));
        Fields::from(boxes.collect::<std::collections::BTreeMap<_, _>>())
    };
    assert_eq!(sent(&["dist", "at", "kd"]).get("treatment.method"), "kd, at, dist");
    assert_eq!(sent(&[]).get("treatment.method"), "", "from labels alone");
    assert_eq!(sent(&["dist"]), Fields([("treatment.method".to_owned(), "dist".to_owned())].into()));

    let fields::Entry::AnyOf(choices) = fields::METHOD.entry else { panic!("methods are boxes") };
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, Method::ALL.map(Method::name));
    let mut form = Fields::first();
    form.choose("treatment.method", choices, "dist", true);
    form.choose("treatment.method", choices, "at", true);
    assert_eq!(form.get("treatment.method"), "kd, at, dist");
    form.choose("treatment.method", choices, "kd", false);
    assert_eq!(form.get("treatment.method"), "at, dist");
}

#[test]
fn fields_of_methods_are_marked_for_the_style_sheet_which_shows_them_without_scripts() {
    let html = page(Fields::first());
    for expected in [
        "data-methods=\"kd standardised-kd kd-at dot rco\"",
        "data-methods=\"at kd-at\"",
        "data-methods=\"dkd\"",
        "name=\"fields[treatment.method.standardised-kd]\"",
    ] {
        assert!(html.contains(expected), "{expected} is not in the page");
    }
    // One is ticked: the others' are not to be seen, which the style sheet says for each.
    let style = include_str!("../../../style/40-parts.css");
    for method in Method::ALL {
        let rule = format!(".form:has([data-choice=\"{method}\"]:checked) [data-methods~=\"{method}\"]");
        assert!(style.contains(&rule), "{rule}");
        let field = html.split(&format!("data-choice=\"{method}\"")).nth(1).unwrap();
        let field = &field[..field.find('>').unwrap()];
        assert_eq!(field.contains("checked"), method == Method::Kd, "{method}: {field}");
    }
}

#[test]
fn an_address_carries_the_form_there_and_back() {
    let mut form = Fields::first();
    form.set("title", "50 % of what & why? ä".into());
    let address = form.address("/studies/new");
    assert!(address.starts_with("/studies/new?dataset=fashion-mnist-12k&"));
    assert!(!address.contains("=&") && Fields::default().address("/studies/new").len() == "/studies/new?".len());
    let empty = Fields([("title".to_owned(), String::new())].into());
    assert_eq!(empty.address("/studies/new"), "/studies/new?title=", "nothing typed is not a new form");
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

#[test]
fn every_data_set_that_is_known_can_be_chosen_by_its_title() {
    let fields::Entry::OneOf(choices) = fields::DATASET.entry else { panic!("data sets are a list") };
    assert_eq!(choices.iter().map(|(name, _)| *name).collect::<Vec<_>>(), Dataset::KNOWN.map(String::from));
    for (dataset, (_, label)) in Dataset::KNOWN.into_iter().zip(choices) {
        assert!(label.starts_with(&dataset.title()), "{label}");
    }
}

/// What was pasted may name the images of another machine.
#[test]
fn images_that_are_not_here_stand_in_the_list_and_are_chosen() {
    let mut form = Fields::first();
    form.set("dataset", "flowers@64".into());
    let html = page(form);
    assert_eq!(html.matches("<option value=\"flowers@64\" selected>").count(), 1, "{html}");
    assert!(!page(Fields::first()).contains("flowers@64\""));
}

#[test]
fn a_teacher_from_elsewhere_is_offered_by_its_name() {
    let network: TeacherNetwork = "wrn-40-2 from 0123456789abcdef0123456789abcdef".parse().unwrap();
    let imported = vec![ImportedTeacher { network, name: "mine & yours".into(), channels: 1, classes: 10 }];
    let machine = Machine { imported, ..machine() };
    let html = Owner::new().with(|| view! { <Form first=Fields::first() machine=machine/> }.to_html());
    let option = format!("<option value=\"{network}\" label=\"mine &amp; yours\">");
    assert_eq!(html.matches(&option).count(), 1, "{html}");
}

#[test]
fn every_network_that_is_suggested_can_be_chosen() {
    for field in fields::all().filter(|field| field.path.ends_with(".architecture")) {
        let fields::Entry::Values(suggested) = field.entry else { panic!("{} suggests nothing", field.path) };
        for kind in ["wrn-", "resnet", "densenet-", "densenet-bc-"] {
            assert!(suggested.iter().any(|name| name.starts_with(kind)), "{} suggests no {kind}", field.path);
        }
        for name in suggested {
            assert!(name.parse::<Architecture>().is_ok(), "{name}");
        }
    }
}

const PACE: Pace = Pace { seconds_per_multiply_accumulate: 5e-11, seconds_per_activation: 0.0 };

fn machine() -> Machine {
    Machine {
        threads: 2,
        speed: Some(Speed { step: PACE, evaluation: PACE }),
        speed_of_candle: None,
        instruction_set: "avx2".into(),
        memory: Some(8_000_000_000),
        teacher_logits_limit: 4_000_000_000,
        devices: Vec::new(),
        no_gpu: Some("no GPU with a working driver was found".into()),
        datasets: vec![DatasetFacts {
            dataset: Dataset::FashionMnist12k,
            checksum: "d".repeat(64),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 17_000,
            validation: 0,
            test: 10_000,
        }],
        unusable: vec![Unusable {
            dataset: Dataset::Cifar10,
            reason: "was not found on this machine; start again with its path".into(),
            found: false,
        }],
        imported: Vec::new(),
    }
}

fn page(form: Fields) -> String {
    Owner::new().with(|| view! { <Form first=form machine=machine()/> }.to_html())
}

#[test]
fn the_example_comes_to_the_numbers_that_sharing_promises() {
    let (plan, _) = preview(&Fields::first(), &machine()).planned.unwrap();
    let counts = (plan.arms.len(), plan.runs.len(), plan.segments.len(), plan.epochs, plan.epochs_without_sharing);
    assert_eq!(counts, (5, 15, 16, 272, 320));
    let html = page(Fields::first());
    for expected in [
        "15 runs, 16 segments, 272 epochs instead of 320",
        "15 runs, 272 epochs",
        "On this machine it takes about ",
        "Trains on 12,000 images, with 5,000 held out",
        " logits are kept (171 MB on disk): ",
        "labels only",
        "no GPU with a working driver",
    ] {
        assert!(html.contains(expected), "{expected} is not in the page");
    }
    assert!(!html.contains("aria-invalid") && !html.contains("to be put right"));
    let first = html.find("<button").unwrap();
    assert!(html[first..].starts_with("<button type=\"submit\" disabled hidden"), "Enter in a field starts nothing");
}

#[test]
fn a_network_that_is_slow_here_is_told_with_its_cost() {
    let flowers = DatasetFacts {
        dataset: "flowers@64".parse().unwrap(),
        channels: 3,
        image_size: 64,
        ..machine().datasets[0].clone()
    };
    let slow = Pace { seconds_per_multiply_accumulate: 1e-9, ..PACE };
    let speed_of_candle = Some(Speed { step: slow, evaluation: slow });
    let machine = Machine { datasets: vec![flowers], speed_of_candle, ..machine() };
    let mut form = Fields::first();
    form.set("dataset", "flowers@64".into());
    let outlook = |form: &Fields| preview(form, &machine).planned.unwrap().1;
    assert_eq!(outlook(&form).slow, None);
    form.set("teacher.architecture", "resnet18".into());
    let shown = outlook(&form);
    let expected = "resnet18 takes a thread about 148 ms an image in training and 148 ms in evaluation.";
    assert!(shown.estimate.is_some() && shown.slow.as_ref().is_some_and(|it| it.contains(expected)), "{shown:?}");
    let html = Owner::new().with(|| view! { <Form first=form.clone() machine=machine.clone()/> }.to_html());
    assert!(html.contains(expected));
    // Its maps do not pair with the student's.
    form.set("treatment.method", "kd, at".into());
    let told: Vec<_> = preview(&form, &machine).errors.into_iter().map(|error| (error.field, error.given)).collect();
    assert_eq!(told, [("treatment.method".to_owned(), "\"at\"".to_owned())]);
}

#[test]
fn a_search_is_told_by_what_it_comes_to_at_most() {
    let mut form = Fields::first();
    let outlook = |form: &Fields| preview(form, &machine()).planned.unwrap().1;
    let grid = outlook(&form);
    form.set("search.budget_epochs", "200".into());
    let searched = outlook(&form);
    let at_most = searched.at_most.unwrap();
    assert!(at_most.epochs <= 200, "{}", at_most.epochs);
    assert!(searched.estimate.unwrap().seconds < grid.estimate.unwrap().seconds && grid.at_most.is_none());
    let html = page(form);
    assert_eq!(html.matches("of a grid of 15 runs and 272 epochs").count(), 2, "in the panel and beside the button");
    let counts = format!("at most {} epochs, of a grid", at_most.epochs);
    for expected in ["On this machine it takes about ", " · about ", &counts] {
        assert!(html.contains(expected), "{expected} is not in the page");
    }
    assert!(!html.contains("272 epochs instead of"));
}

#[test]
fn numbers_are_told_where_the_method_is_not_known() {
    let mut form = Fields::first();
    form.set("treatment.temperature", "-4".into());
    let wrong = |form: &Fields| -> Vec<String> {
        preview(form, &machine()).errors.into_iter().map(|error| error.field).collect()
    };
    assert_eq!(wrong(&form), ["treatment.temperature"]);
    form.set("treatment.method", "kdd".into());
    assert_eq!(wrong(&form), ["treatment.method", "treatment.temperature"]);
    form.set("treatment.method", "at".into());
    assert_eq!(wrong(&form), [""; 0], "it has no temperature");
}

#[test]
fn errors_stand_beside_their_fields_without_scripts() {
    let mut form = Fields::first();
    form.set("treatment.kd_stop_epoch", "0, 30".into());
    form.set("recipe.device", "cuda:0".into());
    let html = page(form.clone());
    assert!(html.contains("value=\"0, 30\""), "what was typed stays");
    let field = html.split("id=\"treatment-kd-stop-epoch\"").nth(1).unwrap();
    let field = &field[..field.find("class=\"hint\"").unwrap()];
    assert!(field.contains("aria-invalid=\"true\"") && field.contains("treatment-kd-stop-epoch-error"), "{field}");
    assert!(field.contains("Allowed: 0 to 20"), "{field}");
    // All together at the top, each with a way to its field.
    let summary = html.split("class=\"summary\"").nth(1).unwrap();
    let summary = &summary[..summary.find("</ul>").unwrap()];
    for place in ["#treatment-kd-stop-epoch", "#recipe-device"] {
        assert!(summary.contains(place), "{place} is not in {summary}");
    }
    assert!(html.contains("2 things are to be put right first") && html.contains("2 fields are to be put right first"));

    form.set("dataset", "cifar-10".into());
    form.set("seeds", "0".into());
    let told: Vec<String> = preview(&form, &machine()).errors.into_iter().map(|error| error.field).collect();
    let expected = ["dataset", "seeds", "treatment.kd_stop_epoch", "recipe.device"];
    assert_eq!(told, expected, "what this machine lacks is told with what is wrong");
}
