//! What a study that goes on waits for is said, and no time is promised that depends on others.

use crate::laboratory::{Bench, PROGRAM, study};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_study_whose_images_are_gone_waits_for_them_and_goes_on_when_they_are_back() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("Where are they?", 60, "0")).await;
    laboratory.until(id, "an epoch", |study| study["progress"]["epochs_done"].as_u64() >= Some(1)).await;
    laboratory.stop();

    // Started again without being told where the images are.
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg("--data-dir").arg(bench.data_dir("data")).env_remove("STILLROOM_DATASET_FASHION_MNIST");
    let laboratory = bench.start(command, "data");
    let comparison = laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await;
    let answer = comparison["answer"].as_str().expect("an answer").to_owned();
    assert!(
        answer.starts_with("Waiting for its images, 0 of 2 runs are done: fashion-mnist was not found"),
        "{answer}"
    );
    assert!(answer.contains("--dataset fashion-mnist=PATH"), "{answer}");
    let waiting = laboratory.get(&format!("/api/v1/studies/{id}")).await;
    let progress = &waiting["progress"];
    assert_eq!(
        (&progress["state"], &progress["left"], &progress["failures"]),
        (&json!("waiting"), &Value::Null, &json!([]))
    );
    laboratory.stop();

    let laboratory = bench.serve("data");
    laboratory.until_finished(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_behind_another_says_so_and_promises_no_time() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let first = laboratory.create(&study("Who is first?", 10_000, "0")).await;
    laboratory.until(first, "both seeds to train", |study| study["working"] == 2).await;
    let second =
        laboratory.create(&study("Who is second?", 1, "0").replace("batch_size = 50", "batch_size = 40")).await;
    let comparison = laboratory.get(&format!("/api/v1/studies/{second}/comparison")).await;
    assert_eq!(comparison["answer"], "Waiting for another study: 0 of 2 runs are done.");
    let waiting = laboratory.get(&format!("/api/v1/studies/{second}")).await;
    assert_eq!((&waiting["progress"]["state"], &waiting["progress"]["left"]), (&json!("waiting"), &Value::Null));
    let cards = laboratory.get("/api/v1/studies").await;
    assert_eq!(cards[0]["answer"], comparison["answer"]);
    // The first is not held up by it, and knows its time once an epoch is measured.
    let known = |study: &Value| study["progress"]["left"]["seconds"].as_f64() > Some(0.0);
    laboratory.until(first, "an estimate", known).await;

    let stop = laboratory.request(Method::POST, &format!("/api/v1/studies/{first}/stop"));
    assert_eq!(laboratory.status(stop).await, StatusCode::NO_CONTENT);
    laboratory.until(second, "its end", |study| study["progress"]["state"] == "finished").await;
}
