//! Whatever is killed, a study ends with the same numbers as if nothing had happened.

use crate::laboratory::{Bench, Laboratory, output, signal, study, text, timeless_metrics, weights};
use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use study::{Epoch, Event, SegmentKey};
use train::folder::weights_path;

/// Every weight that a study's runs end with, and everything that was measured on the way.
async fn found(laboratory: &Laboratory, id: u64) -> (Value, Value, Vec<(SegmentKey, Vec<u8>)>) {
    let comparison = laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await;
    let last = |key: &SegmentKey| {
        let finished = laboratory.events(key).into_iter().rev().find_map(|event| match event {
            Event::Finished { epoch } => Some(epoch),
            _ => None,
        });
        weights(&weights_path(&laboratory.segment_folder(key), finished.unwrap_or(Epoch(0))))
    };
    let weights = laboratory.segments().into_iter().map(|key| (key.clone(), last(&key))).collect();
    (comparison, timeless_metrics(laboratory, id).await, weights)
}

/// How often a worker began on each segment.
fn begun(laboratory: &Laboratory) -> BTreeMap<SegmentKey, usize> {
    let count = |key: SegmentKey| {
        let told = laboratory.events(&key);
        (key, told.iter().filter(|event| matches!(event, Event::Started { .. })).count())
    };
    laboratory.segments().into_iter().map(count).collect()
}

/// Kills workers, as many of them as still live; gives how many that were.
fn kill_all(workers: &BTreeMap<u32, SegmentKey>) -> usize {
    workers.keys().filter(|worker| signal(**worker, Signal::KILL).is_ok()).count()
}

/// Waits until so many epochs are trained of a study that goes on.
async fn until_reached(laboratory: &Laboratory, id: u64, epochs: u64) {
    let reached = move |study: &Value| study["progress"]["epochs_done"].as_u64() >= Some(epochs);
    let study = laboratory.until(id, "more epochs", reached).await;
    assert_ne!(study["progress"]["state"], "finished", "what is to be disturbed must still go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_ends_with_the_same_numbers_whatever_is_killed_on_the_way() {
    let bench = Bench::new();
    let spec = study("What survives?", 24, "[0, 14, 24]");

    let undisturbed = bench.serve("undisturbed");
    let id = undisturbed.create(&spec).await;
    undisturbed.until_finished(id).await;
    let expected = found(&undisturbed, id).await;
    assert!(begun(&undisturbed).into_values().all(|times| times == 1));
    undisturbed.stop();

    let disturbed = bench.serve("disturbed");
    let id = disturbed.create(&spec).await;

    // A worker dies in the middle of its training.
    until_reached(&disturbed, id, 1).await;
    let hit = |study: &Value| {
        assert_ne!(study["progress"]["state"], "finished");
        kill_all(&disturbed.workers()) > 0
    };
    disturbed.until(id, "a worker to kill", hit).await;
    until_reached(&disturbed, id, 6).await;

    // The server dies; its workers go on, and the next one takes them up and starts none of them again.
    let workers = disturbed.workers();
    let before = begun(&disturbed);
    disturbed.kill();
    let second = bench.serve("disturbed");
    let mut adopted = second.workers();
    adopted.retain(|process, _| workers.contains_key(process));
    assert!(!adopted.is_empty(), "no worker outlived its server");
    until_reached(&second, id, 16).await;
    let after = begun(&second);
    assert!(adopted.values().all(|key| after[key] == before[key]), "{before:?} {after:?}");

    // Both die at once.
    let workers = second.workers();
    second.kill();
    assert!(kill_all(&workers) > 0, "no worker was there to kill");
    let third = bench.serve("disturbed");
    until_reached(&third, id, 26).await;

    // The server is asked to stop: its workers write a checkpoint and leave with it.
    third.stop();
    let fourth = bench.serve("disturbed");
    let study = fourth.until_finished(id).await;
    assert_eq!(study["progress"]["failures"], Value::Array(Vec::new()));
    let begun = begun(&fourth);
    assert!(begun.values().sum::<usize>() > begun.len(), "nothing was begun again: {begun:?}");
    let actual = found(&fourth, id).await;
    assert_eq!(actual.0, expected.0, "the comparison");
    assert_eq!(actual.1, expected.1, "the metrics");
    assert!(actual.2 == expected.2, "the weights");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_leaves_no_worker_behind() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("Who stays?", 200, "[0, 200]")).await;
    laboratory.until(id, "a worker", |study| study["progress"]["epochs_done"].as_u64() >= Some(1)).await;
    let (data_dir, segments) = (laboratory.data_dir.clone(), laboratory.segments());
    // A page that is open must not hold up the server.
    let mut open = laboratory.request(Method::GET, "/events").send().await.expect("a stream");
    laboratory.stop();
    while open.chunk().await.expect("the stream ends as it should").is_some() {}
    for key in &segments {
        let folder = data_dir.join("segments").join(&key.0);
        assert!(!train::worker::is_working(&folder));
        let (events, _) = train::folder::read_events(&folder, 0).expect("events can be read");
        let last = events.last().expect("it said something");
        assert!(matches!(last, Event::Left { .. } | Event::Finished { .. }), "{last:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_used_by_one_process_at_a_time() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let file = bench.write("study.toml", &study("Who else?", 2, "[0, 2]"));
    let second = output(bench.command("serve", "data").args(["--port", "0"]));
    let run = output(bench.command("run", "data").arg(file));
    for refused in [second, run] {
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("is in use by the server at") && said.contains(&laboratory.url), "{said}");
        assert!(said.contains("--data-dir"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn studies_are_stopped_resumed_and_deleted_and_what_another_one_uses_stays() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let short = laboratory.create(&study("Short?", 3, "[0, 3]")).await;
    laboratory.until_finished(short).await;
    let of_short = laboratory.segments();

    // Shares the teacher, and nothing else: its students have another schedule.
    let long = laboratory.create(&study("Long?", 400, "[0, 400]")).await;
    let begun = laboratory.get(&format!("/api/v1/studies/{long}")).await["progress"]["epochs_done"].as_u64();
    let further = move |study: &Value| study["progress"]["epochs_done"].as_u64() > begun;
    laboratory.until(long, "an epoch", further).await;
    let post = |path: String| laboratory.request(Method::POST, &path);
    assert_eq!(laboratory.status(post(format!("/api/v1/studies/{long}/stop"))).await, StatusCode::NO_CONTENT);
    let stopped = laboratory.until(long, "workers to leave", |_| laboratory.workers().is_empty()).await;
    assert_eq!(stopped["progress"]["state"], "stopped");

    assert_eq!(laboratory.status(post(format!("/api/v1/studies/{long}/resume"))).await, StatusCode::NO_CONTENT);
    let done = stopped["progress"]["epochs_done"].as_u64();
    assert!(done > begun);
    laboratory.until(long, "it to go on", move |study| study["progress"]["epochs_done"].as_u64() > done).await;

    let delete = |id: u64| laboratory.request(Method::DELETE, &format!("/api/v1/studies/{id}"));
    assert_eq!(laboratory.status(delete(long)).await, StatusCode::NO_CONTENT);
    // Folders go when their workers have left; what only the deleted study used goes, and the rest stays.
    laboratory.until(short, "folders to go", |_| laboratory.segments() == of_short).await;
    assert_eq!(laboratory.get(&format!("/api/v1/studies/{short}")).await["progress"]["state"], "finished");
    assert_eq!(laboratory.status(delete(long)).await, StatusCode::NOT_FOUND);
    assert!(laboratory.workers().is_empty());

    // What is deleted can be asked for again.
    assert_eq!(laboratory.status(delete(short)).await, StatusCode::NO_CONTENT);
    let again = laboratory.create(&study("Short?", 3, "[0, 3]")).await;
    laboratory.until_finished(again).await;
    assert_eq!(laboratory.segments(), of_short);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_a_reason_that_may_pass_goes_on_when_a_person_says_so() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("What is missing?", 6, "[0, 6]")).await;
    laboratory.until(id, "an epoch", |study| study["progress"]["epochs_done"].as_u64() >= Some(1)).await;
    let press = |laboratory: &Laboratory, button: &str| {
        laboratory.request(Method::POST, &format!("/api/v1/studies/{id}/{button}"))
    };
    assert_eq!(laboratory.status(press(&laboratory, "stop")).await, StatusCode::NO_CONTENT);
    // Whoever is still at work has the images.
    let stopped = laboratory.until(id, "the workers to leave", |_| laboratory.workers().is_empty()).await;
    assert_eq!(stopped["progress"]["state"], "stopped");

    let (images, elsewhere) = (bench.folder.path().join("images"), bench.folder.path().join("elsewhere"));
    std::fs::rename(&images, &elsewhere).expect("the images are moved away");
    // With what was unpacked of them for all workers nobody would miss them.
    std::fs::remove_dir_all(bench.folder.path().join("data/images")).expect("unpacked images");
    assert_eq!(laboratory.status(press(&laboratory, "resume")).await, StatusCode::NO_CONTENT);
    let failed = laboratory.until(id, "a failure", |study| study["progress"]["state"] == "failed").await;
    let failure = &failed["progress"]["failures"][0];
    assert_eq!(failure["may_succeed_again"], true);
    let place = images.display().to_string();
    assert!(failure["reason"].as_str().is_some_and(|reason| reason.contains(&place)), "{failure}");

    // Neither the images nor another server set it going again.
    std::fs::rename(&elsewhere, &images).expect("the images are back");
    laboratory.stop();
    let laboratory = bench.serve("data");
    let study = laboratory.get(&format!("/api/v1/studies/{id}")).await;
    assert_eq!(study["progress"]["state"], "failed", "{:#}", study["progress"]);
    assert_eq!(laboratory.status(press(&laboratory, "resume")).await, StatusCode::NO_CONTENT);
    let study = laboratory.until_finished(id).await;
    assert_eq!(study["progress"]["failures"], Value::Array(Vec::new()));
}
