//! The command line, as a person or a script uses it.

use crate::laboratory::{Bench, object, output, signal, study, text};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};
use store::Store;
use study::{Dataset, Event, Numerics, Plan, Study};

const EXAMPLE: &str = include_str!("../../../examples/study.toml");

/// Keys as they first occur.
fn in_this_order(object: &str, keys: &[&str]) {
    let places: Vec<_> = keys.iter().map(|key| object.find(&format!("\"{key}\":")).expect(key)).collect();
    assert!(places.is_sorted(), "{keys:?} stand at {places:?} in {object}");
}

#[test]
fn the_example_comes_to_what_is_promised() {
    let bench = Bench::new();
    let file = bench.write("study.toml", EXAMPLE);
    let planned = output(bench.command("plan", "data").arg(&file).arg("--json"));
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    in_this_order(
        &text(&planned.stdout),
        &[
            "plan",
            "runs",
            "segments",
            "epochs",
            "epochs_without_sharing",
            "seconds_estimated",
            "arms",
            "label",
            "student",
            "teacher",
            "treatment",
            "seeds",
        ],
    );
    // Where there is no GPU, `auto` says so before the plan.
    let said = text(&planned.stderr);
    assert_eq!(said.starts_with("Training runs on the CPU: "), train::engine::devices().is_empty(), "{said}");
    let planned = object(&planned.stdout);
    let counts = ["runs", "segments", "epochs", "epochs_without_sharing"].map(|count| &planned["plan"][count]);
    assert_eq!(counts, [15, 16, 272, 320]);
    assert!(planned["plan"]["seconds_estimated"].as_f64() > Some(0.0));
    // Two teachers, each asked in 3 seeds × 20 epochs for views of 12,000 images: 162·(1 − (161/162)^60) of each.
    let teachers = &planned["plan"]["teacher_logits"];
    assert_eq!(teachers["forward_passes_without"], 2 * 60 * 12_000);
    assert_eq!(teachers["forward_passes"], 2 * 603_250);
    assert_eq!(teachers["bytes"], 2 * 12_000 * 162 * 44);
    let sentence = teachers["in_words"].as_str().expect("a sentence");
    assert!(sentence.contains("1.2 million forward passes of teachers are paid instead of 1.4 million"), "{sentence}");
    let arms = planned["arms"].as_array().expect("arms");
    assert_eq!(arms.len(), 5);
    let treatment = |stop: u32, teacher_stop: u32| {
        let mut treatment = json!({
            "method": "kd", "temperature": 4.0, "kd_weight": 0.9, "kd_stop_epoch": stop, "teacher_stop_epoch": teacher_stop,
        });
        if stop < 20 {
            treatment["cross_entropy_weight_after_stop"] = json!(1.0);
        }
        treatment
    };
    let treatments: Vec<_> = arms.iter().map(|arm| arm["treatment"].clone()).collect();
    let expected =
        [json!({ "kd_stop_epoch": 0 }), treatment(8, 8), treatment(8, 20), treatment(20, 8), treatment(20, 20)];
    assert_eq!(treatments, expected);
    for arm in arms {
        assert_eq!((&arm["student"], &arm["seeds"]), (&json!("wrn-10-1"), &json!([0, 1, 2])));
        assert_eq!(arm["runs"].as_array().expect("runs").len(), 3);
    }
    assert_eq!((&arms[0]["teacher"], &arms[1]["teacher"]), (&Value::Null, &json!("wrn-16-2")));
    assert!(!bench.data_dir("data").exists(), "planning makes nothing");

    let table = output(bench.command("plan", "data").arg(&file));
    assert!(text(&table.stdout).contains(sentence), "{}", text(&table.stdout));
    assert!(text(&table.stdout).contains("\nOn this machine it takes "), "{}", text(&table.stdout));
    let little = output(bench.command("plan", "data").arg(&file).args(["--teacher-logits-limit", "100MB"]));
    assert!(text(&little.stdout).contains("Those of one more teacher are not"), "{}", text(&little.stdout));
    assert!(
        text(&table.stdout).contains(
            "5 arms, 15 runs, 16 segments, 272 epochs instead of 320\n\
             fashion-mnist-12k: 12,000 images to train on, 5,000 to validate, 10,000 to test\n"
        ),
        "{}",
        text(&table.stdout)
    );
}

#[test]
fn who_only_plans_leaves_nothing_in_a_data_folder_that_is_there() {
    let bench = Bench::new();
    let images = bench.folder.path().join("pictures");
    for (name, picture) in crate::data::pictures() {
        let path = images.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, picture).expect("it is written");
    }
    std::fs::create_dir(bench.data_dir("data")).expect("a folder");
    let file = bench.write("study.toml", crate::data::STUDY);
    let command = |name: &str| {
        let mut command = bench.command(name, "data");
        command.arg(&file).arg("--dataset").arg(format!("flowers@8={}", images.display()));
        output(&mut command)
    };
    let planned = command("plan");
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    assert!(text(&planned.stdout).contains("flowers@8: 36 images"), "{}", text(&planned.stdout));
    assert_eq!(std::fs::read_dir(bench.data_dir("data")).expect("a folder").count(), 0);
    let run = command("run");
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(bench.data_dir("data").join("images").is_dir(), "who trains keeps what was seen");
}

#[test]
fn a_wrong_study_is_refused_with_every_reason_on_a_line_of_its_own() {
    let bench = Bench::new();
    let file = bench.write("study.toml", &EXAMPLE.replace("seeds = 3", "seeds = 0").replace("[0, 8, 20]", "[0, 30]"));
    for command in ["plan", "run"] {
        let refused = output(bench.command(command, "data").arg(&file).arg("--json"));
        assert_eq!(refused.status.code(), Some(2));
        assert!(refused.stdout.is_empty());
        let said = text(&refused.stderr);
        let lines: Vec<_> = said.lines().filter(|line| line.contains("given") && line.contains("allowed")).collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("seeds: ") && lines[1].starts_with("treatment.kd_stop_epoch: "), "{said}");
    }
    let bytes = bench.folder.path().join("bytes.toml");
    std::fs::write(&bytes, b"title = \"\xff\"").expect("a file is written");
    let refused = output(bench.command("plan", "data").arg(&bytes));
    assert_eq!(refused.status.code(), Some(2), "what the API answers 422");
    assert!(text(&refused.stderr).starts_with("line 1 is not text in UTF-8; given: the byte 0xff"));
    let missing = output(bench.command("plan", "data").arg("nowhere.toml"));
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("nowhere.toml"));
    assert!(!bench.data_dir("data").exists());
}

#[test]
fn a_study_is_run_from_the_command_line_and_the_second_time_it_is_there_already() {
    let bench = Bench::new();
    let file = bench.write("study.toml", &study("Does it help?", 2, "[0, 1, 2]"));
    let run = || output(bench.command("run", "data").arg(&file).args(["--threads", "2", "--json"]));
    let first = run();
    assert!(first.status.success(), "{}", text(&first.stderr));
    in_this_order(
        &text(&first.stdout),
        &["plan", "arms", "label", "seeds", "test_accuracy", "mean", "low", "high", "by_seed", "difference", "seconds"],
    );
    let said = text(&first.stderr);
    assert!(said.contains("Intervals by the model arm + seed (randomised blocks), 3 arms × 2 seeds"), "{said}");
    assert!(said.contains("One teacher (seed 0) serves all seeds"), "{said}");
    let found = object(&first.stdout);
    assert_eq!(found["plan"]["runs"], 6);
    assert!(found["seconds"].as_f64() > Some(0.0) && found["plan"]["seconds_estimated"].as_f64() > Some(0.0));
    let arms = found["arms"].as_array().expect("arms");
    assert_eq!(arms.len(), 3);
    for (index, arm) in arms.iter().enumerate() {
        let accuracy = &arm["test_accuracy"];
        let numbers = ["mean", "low", "high"].map(|part| accuracy[part].as_f64().expect("a number"));
        assert!(numbers[1] <= numbers[0] && numbers[0] <= numbers[2], "{accuracy}");
        assert_eq!(accuracy["by_seed"].as_array().expect("seeds").len(), 2);
        let difference = &arm["difference"];
        match index {
            0 => assert_eq!(*difference, Value::Null),
            _ => {
                assert_eq!(difference["baseline"], arms[0]["label"]);
                let apart = numbers[0] - arms[0]["test_accuracy"]["mean"].as_f64().expect("a number");
                assert!((difference["mean"].as_f64().expect("a number") - apart).abs() < 1e-9);
                assert!((0.0..=1.0).contains(&difference["p_value"].as_f64().expect("a number")));
                assert!(difference["verdict"].is_string());
            }
        }
    }

    let mut second = object(&run().stdout);
    let labels: Vec<_> = arms.iter().map(|arm| arm["label"].as_str().expect("a label").to_owned()).collect();
    let mut found = found;
    for object in [&mut found, &mut second] {
        object.as_object_mut().expect("an object").remove("seconds");
    }
    assert_eq!(found, second);

    let table = output(bench.command("run", "data").arg(&file));
    assert!(table.status.success());
    let said = text(&table.stdout);
    assert!(labels.iter().all(|label| said.contains(label)), "{said}");
    let teacher = said.lines().last().expect("a line");
    assert!(
        teacher.starts_with("Teacher wrn-10-1, seed 0 on test images: ") && teacher.contains(" after 3 epochs ("),
        "{said}"
    );
}

#[test]
fn one_seed_has_no_interval_and_no_p_value() {
    let bench = Bench::new();
    let one = study("Is one enough?", 1, "[0, 1]").replace("seeds = 2", "seeds = 1").replace("\"cpu\"", "\"auto\"");
    let run = output(bench.command("run", "data").arg(bench.write("study.toml", &one)).arg("--json"));
    assert!(run.status.success(), "{}", text(&run.stderr));
    let found = object(&run.stdout);
    let arms = found["arms"].as_array().expect("arms");
    for arm in arms {
        let accuracy = &arm["test_accuracy"];
        assert!(accuracy["mean"].is_number());
        assert_eq!((&accuracy["low"], &accuracy["high"]), (&Value::Null, &Value::Null));
    }
    let difference = &arms[1]["difference"];
    assert!(difference["mean"].is_number());
    assert_eq!(["low", "high", "p_value"].map(|part| &difference[part]), [&Value::Null; 3]);
    assert_eq!(difference["verdict"], "too_few_seeds");
    let said = text(&run.stderr);
    assert!(said.contains("Intervals by the model arm + noise, n = 1, which leaves no degree of freedom"), "{said}");
    if train::engine::devices().is_empty() {
        let message = said.find("Training runs on the CPU: ").expect("a message");
        assert!(message < said.find("2 arms, 2 runs").expect("the plan"), "{said}");
    }
}

#[test]
fn a_run_that_cannot_succeed_says_why_and_the_others_end() {
    let bench = Bench::new();
    let wild = study("Too fast?", 2, "0").replace("batch_size = 50", "batch_size = 50\nlearning_rate = 1e30");
    let file = bench.write("study.toml", &wild);
    let run = output(bench.command("run", "data").arg(&file).arg("--json"));
    assert_eq!(run.status.code(), Some(1));
    // Whom it touches and why, a line each, and no log between.
    let said = text(&run.stderr);
    let end = said.lines().skip_while(|line| *line != "Not every run came to its end.").skip(1);
    let lines: Vec<&str> = end.collect();
    assert_eq!(lines.len(), 2, "{said}");
    for (line, seed) in lines.iter().zip([0, 1]) {
        assert!(line.starts_with(&format!("labels only, seed {seed}: the loss was not finite at step ")), "{said}");
        assert!(line.ends_with(" of epoch 1: lower the learning rate"), "{said}");
    }
    assert!(!said.contains("INFO"), "{said}");
    let arm = &object(&run.stdout)["arms"][0];
    assert_eq!(arm["test_accuracy"], json!({ "mean": null, "low": null, "high": null, "by_seed": [null, null] }));
    assert_eq!(arm["difference"], Value::Null);
}

#[test]
fn an_interrupted_run_goes_on_from_where_it_was() {
    let bench = Bench::new();
    let long = study("What stays?", 100, "0").replace("seeds = 2", "seeds = 1");
    let file = bench.write("study.toml", &long);
    let mut first = bench
        .command("run", "data")
        .arg(&file)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(first.stderr.take().expect("its errors")).lines();
    let some_epochs = |line: &String| line.ends_with(" of 100 epochs") && !line.starts_with("0 ");
    said.by_ref().map(|line| line.expect("text")).find(some_epochs).expect("it trains");
    signal(first.id(), Signal::INT).expect("it is interrupted");
    let rest: Vec<String> = said.map(|line| line.expect("text")).collect();
    assert_eq!(first.wait().expect("it ends").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("the same command goes on from there")), "{rest:?}");

    let second = output(bench.command("run", "data").arg(&file).arg("--json"));
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("This study was begun before"), "{}", text(&second.stderr));
    assert!(object(&second.stdout)["arms"][0]["test_accuracy"]["mean"].is_number());
    let mut folders = std::fs::read_dir(bench.data_dir("data").join("segments")).expect("segments");
    let folder = folders.next().expect("one segment").expect("an entry").path();
    assert!(folders.next().is_none());
    let starts: Vec<u32> = train::folder::read_events(&folder, 0)
        .expect("events")
        .0
        .into_iter()
        .filter_map(|event| match event {
            Event::Started { epoch, .. } => Some(epoch.0),
            _ => None,
        })
        .collect();
    assert!(starts.len() == 2 && starts[0] == 0 && starts[1] > 0, "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_was_planned_otherwise_is_not_waited_for() {
    let bench = Bench::new();
    let spec = study("Which plan?", 1, "0").replace("seeds = 2", "seeds = 1");
    let images = bench.folder.path().join("images");
    let dataset = train::dataset::facts(Dataset::FashionMnist, Some(&images), Some(100)).expect("the images");
    let same = Study::from_toml(&spec).expect("a study");
    let other = Plan::new(&same, &dataset, Numerics::CandleF32).expect("a plan");
    let store = Store::open(&bench.data_dir("data")).await.expect("a store");
    store.create_study(&same, &other, &dataset, 0).await.expect("it is stored");
    store.close().await;

    let run = output(bench.command("run", "data").arg(bench.write("study.toml", &spec)).arg("--json"));
    assert!(run.status.success(), "{}", text(&run.stderr));
    let store = Store::open(&bench.data_dir("data")).await.expect("a store");
    assert_eq!(store.studies().await.expect("studies").len(), 2);
    assert!(store.facts(&other).await.expect("facts").values().all(|facts| facts.metrics.is_empty()));
}

#[test]
fn nothing_is_exported_from_where_nothing_was_trained() {
    let bench = Bench::new();
    let export = output(bench.command("export", "mistyped").args(["0123456789abcdef", "--weights", "none"]));
    assert_eq!(export.status.code(), Some(1));
    assert!(text(&export.stderr).contains("there is no database"), "{}", text(&export.stderr));
    assert!(!bench.data_dir("mistyped").exists(), "asking makes nothing");
}

#[test]
fn steps_evaluations_augmentation_and_products_are_measured() {
    let bench = Bench::new();
    let program = bench.command("plan", "data").get_program().to_owned();
    let measured = |arguments: &[&str]| {
        let measured = output(std::process::Command::new(&program).arg("bench").args(arguments).arg("--json"));
        assert!(measured.status.success(), "{}", text(&measured.stderr));
        let measured = object(&measured.stdout);
        assert!(measured["instruction_set"].is_string(), "{measured}");
        measured
    };
    let network = ["--architecture", "wrn-10-1", "--batch", "16", "--threads", "1"];
    let rising = |milliseconds: &Value| {
        let [least, median] = ["min", "median"].map(|part| milliseconds[part].as_f64().expect("a number"));
        assert!(0.0 < least && least <= median, "{milliseconds}");
    };
    for what in ["step", "evaluate"] {
        let measured = measured(&[&[what], &network[..]].concat());
        rising(&measured["milliseconds"]);
        assert!(measured["images_per_second"].as_f64() > Some(0.0), "{measured}");
    }
    let augmentation = measured(&[&["augmentation", "--colour"], &network[..]].concat());
    rising(&augmentation["milliseconds"]);
    rising(&augmentation["step_milliseconds"]);
    let measured = measured(&["product", "--threads", "2", "--instruction-set", "portable", "--precision", "fp32"]);
    let gflops = ["median", "max"].map(|part| measured["gflops"][part].as_f64().expect("a number"));
    assert!(0.0 < gflops[0] && gflops[0] <= gflops[1], "{measured}");
    assert_eq!((&measured["instruction_set"], &measured["precision"]), (&json!("portable"), &json!("fp32")));
}
