//! A study file is read whole, and everything wrong with it is told at once, in the file's order.

mod images;

use images::fashion_mnist_12k;
use proptest::prelude::*;
use study::{Architecture, Augmentation, Choices, Device, Numerics, Plan, SpecError, Study};

const EXAMPLE: &str = include_str!("../../../examples/study.toml");

const LABELS_ONLY: &str = r#"
title = "How good is it alone?"
dataset = "mnist"
[student]
architecture = "wrn-10-1"
epochs = 2
"#;

fn errors(text: &str) -> Vec<SpecError> {
    Study::from_toml(text).expect_err("the study is wrong")
}

/// The example with one line replaced, or with lines added under a table's heading.
fn with(line: &str, replacement: &str) -> String {
    assert!(EXAMPLE.contains(line), "{line}");
    EXAMPLE.replacen(line, replacement, 1)
}

fn only(text: &str) -> SpecError {
    let mut errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

fn error(field: &str, problem: &str, given: &str, allowed: &str) -> SpecError {
    SpecError { field: field.into(), problem: problem.into(), given: given.into(), allowed: allowed.into() }
}

#[test]
fn the_example_is_read_as_it_stands() {
    let study = Study::from_toml(EXAMPLE).unwrap();
    assert_eq!(study.seeds, 3);
    assert_eq!(study.student.architecture.0, [Architecture::WideResNet { depth: 10, width: 1 }]);
    let treatment = study.treatment.as_ref().unwrap();
    assert_eq!(treatment.kd_stop_epoch, Some(Choices(vec![0, 8, 20])));
    assert_eq!(treatment.cross_entropy_weight_after_stop, Choices(vec![1.0]));
    assert_eq!(study.augmentation(), Augmentation::CropFlip);
    assert_eq!(study.check(), []);
}

#[test]
fn labels_alone_need_no_teacher_and_get_the_defaults() {
    let study = Study::from_toml(LABELS_ONLY).unwrap();
    assert_eq!((study.seeds, &study.teacher, &study.treatment), (5, &None, &None));
    assert_eq!(study.augmentation(), Augmentation::Crop);
    assert_eq!(study.recipe, study::Recipe::default());
}

#[test]
fn writing_and_reading_again_gives_an_equal_study() {
    for text in [
        EXAMPLE.to_owned(),
        LABELS_ONLY.to_owned(),
        with("temperature = 4.0", "temperature = [1, 4, 16.5]"),
        with("[student]", "validation = 0\n[student]")
            + "[recipe]\nlearning_rate = 1e29\ndrop_epochs = []\ndevice = \"cuda:1\"",
    ] {
        let study = Study::from_toml(&text).unwrap();
        assert_eq!(Study::from_toml(&study.to_toml()).unwrap(), study);
        let wire = serde_json::to_string(&study).unwrap();
        assert_eq!(serde_json::from_str::<Study>(&wire).unwrap(), study);
    }
}

#[test]
fn whole_numbers_stand_for_real_ones_but_not_the_other_way_round() {
    let study = Study::from_toml(&with("temperature = 4.0", "temperature = 4")).unwrap();
    assert_eq!(study.treatment.unwrap().temperature, Some(Choices(vec![4.0])));
    assert_eq!(only(&with("seeds = 3", "seeds = 3.0")), error("seeds", "is not a whole number", "3.0", "1 to 100"));
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = r#"
        titel = "?"
        dataset = "imagenet"
        seeds = 0
        [recipe]
        momentum = 1
        learning_rate = nan
        drop_every = 5
        drop_epochs = [3, 3]
        device = "cuda:x"
        [treatment]
        temprature = 4
        temperature = [1, 0, "hot", 1001]
        kd_weight = [0.5, 0.5]
        kd_stop_epoch = [30, -1]
        [student]
        architecture = ["wrn-10-1", "wrn-11-1"]
        epochs = 20
        [teacher]
        architecture = "wrn-16-2"
    "#;
    let fields: Vec<_> = errors(text).into_iter().map(|error| (error.field, error.given)).collect();
    let expected = [
        ("title", "nothing"),
        ("dataset", "\"imagenet\""),
        ("seeds", "0"),
        ("student.architecture", "\"wrn-11-1\""),
        ("teacher.epochs", "nothing"),
        ("treatment.temperature", "0"),
        ("treatment.temperature", "\"hot\""),
        ("treatment.temperature", "1001"),
        ("treatment.kd_weight", "0.5"),
        ("treatment.kd_stop_epoch", "30"),
        ("treatment.kd_stop_epoch", "-1"),
        ("treatment.temprature", "4"),
        ("recipe.learning_rate", "nan"),
        ("recipe.drop_epochs", "[3, 3]"),
        ("recipe.drop_epochs", "[3, 3]"),
        ("recipe.momentum", "1"),
        ("recipe.device", "\"cuda:x\""),
        ("titel", "\"?\""),
    ];
    assert_eq!(fields, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
}

/// A wrong value hides nothing of what the right ones beside it forbid.
#[test]
fn a_stop_beyond_the_epochs_that_can_be_read_is_told_with_those_that_cannot() {
    let text = with("epochs = 20\n[teacher]", "epochs = [0, 2]\n[teacher]");
    let told: Vec<_> = errors(&text).into_iter().map(|error| (error.field, error.given)).collect();
    let expected = [("student.epochs", "0"), ("treatment.kd_stop_epoch", "8"), ("treatment.kd_stop_epoch", "20")];
    assert_eq!(told, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
}

#[test]
fn a_stop_beyond_its_training_is_an_error_of_its_field() {
    assert_eq!(
        only(&with("[0, 8, 20]", "30")),
        error("treatment.kd_stop_epoch", "is beyond the student's last epoch", "30", "0 to 20")
    );
    assert_eq!(
        only(&with("teacher_stop_epoch = [8, 20]", "teacher_stop_epoch = 21")),
        error("treatment.teacher_stop_epoch", "is beyond the teacher's last epoch", "21", "1 to 20")
    );
    assert_eq!(
        only(&with("teacher_stop_epoch = [8, 20]", "teacher_stop_epoch = 0")),
        error("treatment.teacher_stop_epoch", "is out of range", "0", "1 to 20")
    );
    // The shortest of several trainings sets the limit.
    let lists = with("epochs = 20\n[teacher]", "epochs = [10, 20]\n[teacher]");
    let beyond = only(&lists);
    assert_eq!((beyond.given.as_str(), beyond.allowed.as_str()), ("20", "0 to 10"));
}

#[test]
fn a_teacher_is_needed_exactly_where_an_arm_distils() {
    let without = with("[teacher]\narchitecture = \"wrn-16-2\"\nepochs = 20\n", "");
    let fields: Vec<_> = errors(&without).into_iter().map(|error| error.field).collect();
    assert_eq!(fields, ["teacher.architecture", "teacher.epochs"]);
    for never in [("kd_weight = 0.9", "kd_weight = 0"), ("kd_stop_epoch = [0, 8, 20]", "kd_stop_epoch = 0")] {
        assert!(Study::from_toml(&without.replacen(never.0, never.1, 1)).is_ok(), "{never:?}");
    }
    // A teacher that does not count may be absurd, as long as it is well formed.
    let unused = with("kd_stop_epoch = [0, 8, 20]", "kd_stop_epoch = 0").replace("wrn-16-2", "wrn-604-20");
    let unused = unused.replace("teacher_stop_epoch = [8, 20]", "teacher_stop_epoch = 9999");
    assert!(Study::from_toml(&unused).is_ok());
    assert!(Study::from_toml(&unused.replace("wrn-604-20", "wrn-605-20")).is_err());
}

#[test]
fn unknown_fields_are_refused_with_the_nearest_names_first() {
    let unknown = only(&with("kd_weight = 0.9", "kd_wieght = 0.9"));
    assert_eq!((unknown.field.as_str(), unknown.given.as_str()), ("treatment.kd_wieght", "0.9"));
    assert!(unknown.allowed.starts_with("kd_weight, "), "{}", unknown.allowed);
    let many: String = (0..1000).map(|index| format!("x{index} = 1\n")).collect();
    assert_eq!(errors(&format!("{many}{EXAMPLE}")).len(), 11);
}

#[test]
fn absurd_numbers_are_refused_before_anything_is_made() {
    for (line, absurd, field) in [
        ("seeds = 3", "seeds = 1_000_000_000".to_owned(), "seeds"),
        ("seeds = 3", "seeds = -9223372036854775808".to_owned(), "seeds"),
        ("epochs = 20", "epochs = 1_000_000_000".to_owned(), "student.epochs"),
        ("\"wrn-10-1\"", "\"wrn-1000000000-1\"".to_owned(), "student.architecture"),
        ("\"wrn-10-1\"", format!("\"{}\"", "w".repeat(1_000_000)), "student.architecture"),
        ("temperature = 4.0", format!("temperature = [{}]", "1, ".repeat(1_000_000)), "treatment.temperature"),
        ("temperature = 4.0", "temperature = []".to_owned(), "treatment.temperature"),
        ("temperature = 4.0", "temperature = inf".to_owned(), "treatment.temperature"),
        ("temperature = 4.0", "temperature = [[1]]".to_owned(), "treatment.temperature"),
        ("kd_weight = 0.9", "kd_weight = -0.1".to_owned(), "treatment.kd_weight"),
        ("title = \"When", "title = \"\\u0000When".to_owned(), "title"),
    ] {
        let error = only(&with(line, &absurd));
        assert_eq!(error.field, field);
        assert!(error.given.chars().count() < 80, "{}", error.given.len());
    }
}

#[test]
fn a_number_beyond_all_hides_nothing_else_and_is_told_as_it_was_written() {
    let text = with("seeds = 3", "seeds = 99999999999999999999999")
        .replace("temperature = 4.0", "temperature = [4, 1e400]")
        .replace("[0, 8, 20]", "[-99999999999999999999, 99999999999999999999]")
        + "[recipe]\nmomentum = 7";
    let told: Vec<_> = errors(&text).into_iter().map(|error| (error.field, error.problem, error.given)).collect();
    let expected = [
        ("seeds", "is out of range", "99999999999999999999999"),
        ("treatment.temperature", "is out of range (number 2 of the list)", "1e400"),
        ("treatment.kd_stop_epoch", "is out of range (number 1 of the list)", "-99999999999999999999"),
        (
            "treatment.kd_stop_epoch",
            "is beyond the student's last epoch (number 2 of the list)",
            "99999999999999999999",
        ),
        ("recipe.momentum", "is out of range", "7"),
    ];
    assert_eq!(told, expected.map(|(field, problem, given)| (field.into(), problem.into(), given.into())));
}

#[test]
fn what_was_given_is_told_as_it_was_written_and_kept_short() {
    let given = |line: &str, replacement: &str| only(&with(line, replacement)).given;
    assert_eq!(given("temperature = 4.0", "temperature = []"), "[]");
    assert_eq!(given("seeds = 3", "seeds = [3, 5]"), "[3, 5]");
    assert_eq!(given("seeds = 3", "seeds = { n = [3, \"a b\"] }"), "{ n = [3, \"a b\"] }");
    assert_eq!(given("seeds = 3", "seeds = {}"), "{ }");
    let long = given("seeds = 3", &format!("seeds = [{}]", "1, ".repeat(100_000)));
    assert!(long.starts_with("[1, 1, 1, ") && long.ends_with('…') && long.chars().count() < 80, "{long}");
}

#[test]
fn a_stop_is_beyond_an_epoch_only_where_that_is_known() {
    let told: Vec<_> = errors(&with("[8, 20]", "20000").replace("wrn-16-2\"\nepochs = 20", "wrn-16-2\"\nepochs = []"))
        .into_iter()
        .map(|error| (error.field, error.problem, error.allowed))
        .collect();
    let expected = ("treatment.teacher_stop_epoch", "is out of range", "1 to 10000");
    assert_eq!((told.len(), told[0].0.as_str()), (2, "teacher.epochs"));
    assert_eq!(told[1], (expected.0.into(), expected.1.into(), expected.2.into()));
}

#[test]
fn bytes_that_are_no_text_are_an_error_of_the_file() {
    assert_eq!(Study::text(EXAMPLE.as_bytes()), Ok(EXAMPLE));
    let errors = Study::text(b"title = \"?\"\ndataset = \"\xff\"").expect_err("no text");
    assert_eq!(
        errors,
        [error("", "line 2 is not text in UTF-8", "the byte 0xff", "a study file in TOML, written in UTF-8")]
    );
}

#[test]
fn lists_that_multiply_to_too_many_runs_are_refused_unbuilt() {
    let hundred = |from: f64, step: f64| {
        (0..100).map(|i| format!("{}", from + step * f64::from(i))).collect::<Vec<_>>().join(", ")
    };
    let text = with("temperature = 4.0", &format!("temperature = [{}]", hundred(1.0, 1.0)))
        .replace("kd_weight = 0.9", &format!("kd_weight = [{}]", hundred(0.001, 0.001)));
    let error = only(&text);
    assert_eq!(error.field, "");
    // 100 temperatures × 100 weights × 2 teachers × 2 stops, and labels only.
    assert_eq!(error.given, "120003 runs (40001 arms × 3 seeds)");
    assert_eq!(error.allowed, "up to 10000 runs");
}

#[test]
fn too_many_runs_are_told_with_whatever_else_is_wrong() {
    let hundred = |from: u32| (from..from + 100).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let text = with("temperature = 4.0", &format!("temperature = [{}]", hundred(1)))
        .replace("\"wrn-10-1\"\nepochs = 20", &format!("\"wrn-11-1\"\nepochs = [{}]", hundred(20)))
        .replace("seeds = 3", "seeds = 0");
    let told: Vec<_> = errors(&text).into_iter().map(|error| (error.field, error.given)).collect();
    // 100 lengths, each with 100 temperatures × 2 stops of the teacher × 2 stops, and labels only.
    let expected = [("seeds", "0"), ("student.architecture", "\"wrn-11-1\""), ("", "40100 arms")];
    assert_eq!(told, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
}

#[test]
fn what_was_given_cannot_break_a_line_nor_reach_a_terminal() {
    let hostile = "\\u001b[2J\\n\\u202ered\\u0085é";
    let quoted = format!("\"{hostile}\"");
    for text in [
        with("\"wrn-10-1\"", &quoted),
        with("method = \"kd\"", &format!("method = {quoted}")),
        with("kd_weight = 0.9", &format!("{quoted} = 0.9")),
        format!("{quoted} = 1\n{EXAMPLE}"),
    ] {
        let said = only(&text).to_string();
        assert!(said.contains("\\u{1b}[2J\\n\\u{202e}red\\u{85}é"), "{said}");
        assert!(!said.contains(|it: char| it.is_control() || it == '\u{202e}'), "{said:?}");
    }
    let twice = format!("{quoted} = 1\n{quoted} = 2");
    let raw = "title = \"\u{1b}[2J\u{7}\"";
    for text in [twice.as_str(), raw] {
        let said = only(text).to_string();
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let error = only("title = \"?\"\ndataset = mnist\n");
    assert_eq!((error.field.as_str(), error.given.as_str()), ("", "dataset = mnist"));
    assert!(error.problem.starts_with("line 2 "), "{}", error.problem);
    assert!(!only("seeds = 1\nseeds = 2").problem.is_empty());
    assert!(!only(&"[".repeat(100_000)).problem.is_empty());
    assert!(!only(&format!("a = {}", "[".repeat(100_000))).problem.is_empty());
    assert!(!only(&format!("{}a = 1", "a.".repeat(100_000))).problem.is_empty());
    assert!(!only(&format!("[{}a]", "a.".repeat(100_000))).problem.is_empty());
}

#[test]
fn a_study_made_by_hand_is_checked_by_the_same_rules() {
    let mut study = Study::from_toml(EXAMPLE).unwrap();
    study.seeds = 0;
    study.treatment.as_mut().unwrap().temperature = Some(Choices(vec![]));
    study.treatment.as_mut().unwrap().kd_weight = Some(Choices(vec![f64::NAN, f64::INFINITY]));
    study.student.architecture = Choices(vec![Architecture::WideResNet { depth: 5, width: 1 }]);
    let fields: Vec<_> = study.check().into_iter().map(|error| error.field).collect();
    let expected =
        ["seeds", "student.architecture", "treatment.temperature", "treatment.kd_weight", "treatment.kd_weight"];
    assert_eq!(fields, expected);
}

#[test]
fn a_methods_number_must_do_for_every_method_that_has_it() {
    let methods = |methods: &str, field: &str| {
        with("method = \"kd\"", &format!("method = {methods}")).replace("kd_weight = 0.9\n", &format!("{field}\n"))
    };
    let allowed = "a number from 0 to 1";
    for both in ["[\"kd\", \"standardised-kd\"]", "[\"standardised-kd\", \"rco\"]", "\"dot\"", "\"kd-at\""] {
        assert_eq!(
            only(&methods(both, "kd_weight = [0.5, 9]")),
            error("treatment.kd_weight", "is out of range (number 2 of the list)", "9", allowed),
            "{both}"
        );
    }
    // One that no method has must only be a number that some method could have.
    for alone in ["\"standardised-kd\"", "[\"at\", \"dist\"]"] {
        assert!(Study::from_toml(&methods(alone, "kd_weight = 9")).is_ok(), "{alone}");
    }
    assert_eq!(only(&methods("\"at\"", "kd_weight = 1001")).field, "treatment.kd_weight");
    assert_eq!(
        only(&methods("\"kl\"", "kd_weight = 9")),
        error("treatment.method", "is none of these", "\"kl\"", "kd, standardised-kd, at, kd-at, dkd, dist, dot, rco")
    );
    assert_eq!(only(&methods("\"kd\"", "warm_up_epochs = 1.5")).problem, "is not a whole number");
    assert_eq!(only(&methods("\"kd\"", "anchors = 0")).allowed, "1 to 100");
}

#[test]
fn dots_momenta_stay_between_0_and_1() {
    let dot = |difference: &str, momentum: &str| {
        let method = format!("method = \"dot\"\n{difference}");
        with("method = \"kd\"", &method) + &format!("[recipe]\nmomentum = {momentum}")
    };
    assert!(Study::from_toml(&dot("momentum_difference = [0, 0.099]", "0.9")).is_ok());
    assert_eq!(
        only(&dot("momentum_difference = 0.1", "0.9")),
        error("treatment.momentum_difference", "is out of range", "0.1", "a number from 0, below 0.1")
    );
    assert_eq!(only(&dot("momentum_difference = 0.3", "0.2")).allowed, "a number from 0 to 0.2");
    assert!(Study::from_toml(&dot("momentum_difference = 0.2", "0.2")).is_ok());
    assert_eq!(
        only(&dot("", "0.95")),
        error(
            "treatment.momentum_difference",
            "is missing: the usual 0.075 does not go with a momentum of 0.95",
            "nothing",
            "a number from 0, below 0.05"
        )
    );
    assert!(Study::from_toml(&dot("momentum_difference = 0.04", "0.95")).is_ok());
    // Whose momentum is wrong is told of that alone.
    assert_eq!(only(&dot("momentum_difference = 0.5", "2")).field, "recipe.momentum");
}

#[test]
fn chains_and_generations_lie_within_the_students_training() {
    let treatment = |fields: &str| with("kd_weight = 0.9", &format!("kd_weight = 0.9\n{fields}"));
    let allowed = "networks in teaching order, such as \"wrn-28-2 > wrn-16-2@8\" (@8: stopped at 8 epochs), or \"\" for none, stopped \
                   at 1 to 20";
    assert_eq!(
        only(&treatment("chain = [\"\", \"wrn-28-2 > wrn-11-2\"]")),
        error(
            "treatment.chain",
            "has a member that is not a network known here (number 2 of the list)",
            "\"wrn-28-2 > wrn-11-2\"",
            allowed
        )
    );
    assert_eq!(
        only(&treatment("chain = \"wrn-28-2@21\"")).problem,
        "has a member that is stopped beyond the student's last epoch"
    );
    assert_eq!(only(&treatment("chain = 3")).problem, "is not a text");
    assert_eq!(
        only(&treatment("generations = 21")),
        error("treatment.generations", "is out of range", "21", "1 to 20")
    );
    assert_eq!(only(&treatment("generations = [1, 2]")).problem, "is not a whole number");
    assert_eq!(
        only(&treatment("generations = 2\ngeneration_stop_epoch = 21")),
        error("treatment.generation_stop_epoch", "is beyond the student's last epoch", "21", "1 to 20")
    );
    // Where one generation has none before it, the stop does not count.
    assert!(Study::from_toml(&treatment("generation_stop_epoch = 21")).is_ok());
    assert_eq!(
        only(&treatment("generations = 2\nchain = \"wrn-16-1 > wrn-10-1\"")),
        error(
            "treatment.chain",
            "ends in a student's own network, which is what generations are",
            "\"wrn-16-1 > wrn-10-1\"",
            "a chain that ends in another network, or one generation"
        )
    );
    assert!(Study::from_toml(&treatment("chain = \"wrn-16-1 > wrn-10-1\"")).is_ok());
}

#[test]
fn digits_are_not_mirrored() {
    let flipped = format!("{LABELS_ONLY}[recipe]\naugmentation = \"crop-flip\"");
    assert_eq!(only(&flipped), error("recipe.augmentation", "would mirror digits", "\"crop-flip\"", "none, crop"));
}

#[test]
fn sections_must_be_tables() {
    let fields = |text: &str| errors(text).into_iter().map(|error| error.field).collect::<Vec<_>>();
    let text = "title = \"?\"\ndataset = \"mnist\"\nstudent = 3\nrecipe = []";
    assert_eq!(fields(text), ["student", "student.architecture", "student.epochs", "recipe"]);
}

#[test]
fn devices_are_written_one_way() {
    for (text, device) in [("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda:0", Device::Cuda(0))] {
        assert_eq!(Device::try_from(text.to_owned()), Ok(device));
        assert_eq!(String::from(device), text);
    }
    for text in ["", "gpu", "cuda", "cuda:", "cuda:00", "cuda:+1", "cuda:-1", "cuda:4294967296"] {
        assert!(Device::try_from(text.to_owned()).is_err(), "{text}");
    }
}

#[test]
fn an_error_reads_as_one_sentence() {
    let text = only(&with("[0, 8, 20]", "30")).to_string();
    assert_eq!(text, "treatment.kd_stop_epoch: is beyond the student's last epoch; given: 30; allowed: 0 to 20");
}

const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "20",
    "9223372036854775807",
    "0.0",
    "-0.0",
    "1e308",
    "nan",
    "-inf",
    "true",
    "\"\"",
    "\"wrn-10-1\"",
    "\"kd\"",
    "[]",
    "[[]]",
    "[0, 0]",
    "[1, 2, 3]",
    "[\"wrn-16-1\", \"wrn-22-1\"]",
    "{}",
    "{ epochs = 1 }",
    "1979-05-27",
];

proptest! {
    /// Whatever stands in a file, it is read or refused with reasons; what is read can be planned or is refused by the plan.
    #[test]
    fn no_file_brings_the_reader_down(changes in proptest::collection::vec((0usize..20, 0usize..VALUES.len()), 0..4)) {
        let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
        for (line, value) in changes {
            let line = &mut lines[line % EXAMPLE.lines().count()];
            if let Some((field, _)) = line.split_once('=') {
                *line = format!("{field}= {}", VALUES[value]);
            }
        }
        match Study::from_toml(&lines.join("\n")) {
            Err(errors) => prop_assert!(errors.iter().all(|error| !error.problem.is_empty() && !error.allowed.is_empty())),
            Ok(study) => {
                prop_assert_eq!(study.check(), []);
                let dataset = fashion_mnist_12k();
                prop_assert!(Plan::new(&study, &dataset, Numerics::CpuF32).is_ok());
            }
        }
    }

    #[test]
    fn no_text_brings_the_reader_down(text in "\\PC{0,200}") {
        prop_assert!(Study::from_toml(&text).is_err());
    }
}
