//! What a study that goes on waits for is said, and no time is promised that depends on others.

use crate::{
    data::{STUDY, flowers, page, send},
    laboratory::{Bench, PROGRAM, study},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{fs, process::Command};

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

    // Told of a place where they are not what they should be: it waits too, and nothing is tried in vain.
    let empty = bench.folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg("--data-dir").arg(bench.data_dir("data"));
    command.arg("--dataset").arg(format!("fashion-mnist={}", empty.display()));
    let laboratory = bench.start(command, "data");
    let waiting = laboratory.get(&format!("/api/v1/studies/{id}")).await;
    let progress = &waiting["progress"];
    assert_eq!((&progress["state"], &progress["failures"]), (&json!("waiting"), &json!([])));
    let comparison = laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await;
    assert!(comparison["answer"].as_str().is_some_and(|answer| answer.contains("fashion-mnist cannot be used")));
    laboratory.stop();

    let laboratory = bench.serve("data");
    laboratory.until_finished(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_waits_for_images_goes_on_once_they_were_sent() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    // More epochs than are trained before it is stopped.
    let id = laboratory.create(&STUDY.replace("epochs = 1 ", "epochs = 200 ")).await;
    let press = |laboratory: &crate::laboratory::Laboratory, button: &str| {
        laboratory.request(Method::POST, &format!("/api/v1/studies/{id}/{button}"))
    };
    assert_eq!(laboratory.status(press(&laboratory, "stop")).await, StatusCode::NO_CONTENT);
    laboratory.stop();

    let datasets = bench.data_dir("data").join("datasets");
    fs::remove_dir_all(datasets.join("flowers@8")).expect("it was there");
    // What was on its way when a server was killed, and a person's own.
    let uploads = bench.data_dir("data/uploads");
    for folder in [datasets.join("birds@8.upload"), uploads.join("0"), datasets.join("old.upload")] {
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("weights.safetensors"), b"").expect("a file");
    }
    let laboratory = bench.serve("data");
    let left = fs::read_dir(&datasets).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["old.upload"]);
    assert!(!uploads.exists());
    assert_eq!(laboratory.status(press(&laboratory, "resume")).await, StatusCode::NO_CONTENT);
    // It is in no list of data sets that could be here, and is missed all the same: on its page, and among all.
    let waits = "Waiting for its images, 0 of 1 run is done: flowers@8 was not found";
    for _ in 0..2 {
        let shown = page(&laboratory, &format!("/studies/{id}")).await;
        assert!(shown.contains(waits) && shown.contains("--dataset flowers@8=FOLDER"), "{shown}");
    }
    let cards = laboratory.get("/api/v1/studies").await;
    assert!(cards[0]["answer"].as_str().is_some_and(|answer| answer.starts_with(waits)), "{cards}");
    let waiting = laboratory.get(&format!("/api/v1/studies/{id}")).await;
    let progress = &waiting["progress"];
    assert_eq!((&progress["state"], &progress["left"]), (&json!("waiting"), &Value::Null));

    // The server goes on running, and nobody presses anything.
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    assert!(!page(&laboratory, &format!("/studies/{id}")).await.contains("Waiting for its images"));
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
