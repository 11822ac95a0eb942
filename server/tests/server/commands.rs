//! The command line, as a person or a script uses it.

use crate::laboratory::{Bench, output, study, text};
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../../examples/study.toml");

fn object(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", text(bytes)))
}

#[test]
fn the_example_comes_to_what_is_promised() {
    let bench = Bench::new();
    let file = bench.write("study.toml", EXAMPLE);
    let planned = output(bench.command("plan", "data").arg(&file).arg("--json"));
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    let planned = object(&planned.stdout);
    assert_eq!(planned["plan"], json!({ "runs": 15, "segments": 16, "epochs": 272, "epochs_without_sharing": 320 }));
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
    assert!(
        text(&table.stdout).contains("5 arms, 15 runs, 16 segments, 272 epochs instead of 320"),
        "{}",
        text(&table.stdout)
    );
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
    let found = object(&first.stdout);
    assert_eq!(found["plan"]["runs"], 6);
    assert!(found["seconds"].as_f64() > Some(0.0));
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
}

#[test]
fn a_run_that_cannot_succeed_says_why_and_the_others_end() {
    let bench = Bench::new();
    let wild = study("Too fast?", 2, "0").replace("batch_size = 50", "batch_size = 50\nlearning_rate = 1e30");
    let file = bench.write("study.toml", &wild);
    let run = output(bench.command("run", "data").arg(&file).arg("--json"));
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains("not finite"), "{}", text(&run.stderr));
    assert_eq!(object(&run.stdout)["arms"][0]["test_accuracy"]["by_seed"], json!([null, null]));
}

#[test]
fn a_training_step_is_measured() {
    let bench = Bench::new();
    let mut command = bench.command("plan", "data");
    let program = command.get_program().to_owned();
    command = std::process::Command::new(program);
    let step = ["bench", "step", "--architecture", "wrn-10-1", "--batch", "16", "--threads", "1", "--json"];
    let measured = output(command.args(step));
    assert!(measured.status.success(), "{}", text(&measured.stderr));
    let measured = object(&measured.stdout);
    let milliseconds = ["min", "median"].map(|part| measured["milliseconds"][part].as_f64().expect("a number"));
    assert!(0.0 < milliseconds[0] && milliseconds[0] <= milliseconds[1], "{measured}");
    assert!(measured["images_per_second"].as_f64() > Some(0.0) && measured["instruction_set"].is_string());
}
