//! A study gets more seeds: these alone are trained, and that they came after a look is told.

use crate::{
    data::page,
    laboratory::{Bench, Laboratory, study},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};
use study::{Event, SegmentKey};

/// What the worker of each segment said, byte by byte.
fn said(laboratory: &Laboratory) -> BTreeMap<SegmentKey, Vec<u8>> {
    let read = |key: SegmentKey| {
        let events = fs::read(laboratory.segment_folder(&key).join("events.jsonl")).expect("events");
        (key, events)
    };
    laboratory.segments().into_iter().map(read).collect()
}

/// Epochs that were trained in these segments.
fn trained<'a>(laboratory: &Laboratory, segments: impl Iterator<Item = &'a SegmentKey>) -> usize {
    let epochs = |key| {
        let trained = laboratory.events(key).into_iter().filter_map(|event| match event {
            Event::Epoch(metrics) => Some(metrics.epoch),
            _ => None,
        });
        trained.collect::<BTreeSet<_>>().len()
    };
    segments.map(epochs).sum()
}

async fn add_seeds(laboratory: &Laboratory, id: u64, body: &str) -> (StatusCode, String) {
    let asked = laboratory.request(Method::POST, &format!("/api/v1/studies/{id}/seeds")).body(body.to_owned());
    let answer = asked.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("text"))
}

async fn comparison(laboratory: &Laboratory, id: u64) -> Value {
    laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await
}

fn remarks(comparison: &Value) -> Vec<&str> {
    comparison["remarks"].as_array().expect("remarks").iter().filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_study_gets_one_more_seed_and_nothing_is_trained_twice() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("Do more seeds help?", 2, "[0, 2]").replace("seeds = 2", "seeds = 1")).await;
    laboratory.until_finished(id).await;
    let before = comparison(&laboratory, id).await;
    let said_before = said(&laboratory);
    assert!(remarks(&before).iter().all(|remark| !remark.contains("Seeds were added")));
    let share = laboratory.request(Method::POST, "/api/v1/shares").json(&json!({ "study": id })).send().await;
    let share: Value = share.expect("an answer").json().await.expect("JSON");
    let shared = format!("/s/{}/download", share["token"].as_str().expect("a token"));
    let shared_before = page(&laboratory, &shared).await;
    let offered = page(&laboratory, &format!("/studies/{id}")).await;
    assert!(offered.contains("Add seeds …") && offered.contains("2 more seeds are 4 runs and 8 epochs"), "{offered}");

    assert_eq!(add_seeds(&laboratory, id, "{\"more\": 1}").await, (StatusCode::NO_CONTENT, String::new()));
    let grown = laboratory.until_finished(id).await;
    assert_eq!((&grown["study"]["seeds"], &grown["plan"]["runs"]), (&json!(2), &json!(4)));
    // The teacher for three epochs, and two arms for two with each seed.
    assert_eq!(grown["plan"]["epochs"], 3 + 2 * 2 * 2);

    let said_after = said(&laboratory);
    assert_eq!(said_after.len(), said_before.len() + 2);
    for (key, said) in &said_before {
        assert!(said_after[key] == *said, "a worker was sent to {key} again");
    }
    let new = || said_after.keys().filter(|key| !said_before.contains_key(*key));
    assert_eq!(trained(&laboratory, new()), 4);

    let after = comparison(&laboratory, id).await;
    for arm in 0..2 {
        let (before, after) = (&before["arms"][arm], &after["arms"][arm]);
        assert_eq!(after["seeds"], json!([0, 1]));
        assert_eq!(after["n"], 2);
        assert_eq!(after["by_seed"][0], before["by_seed"][0], "bit by bit");
        assert_eq!(after["runs"][0], before["runs"][0]);
    }
    let first = remarks(&after)[0];
    assert!(
        first.starts_with("Seeds were added on ") && first.contains("(1 to 2, when 2 runs could be seen)"),
        "{first}"
    );
    assert!(page(&laboratory, &format!("/studies/{id}")).await.contains("when 2 runs could be seen"));
    let snapshot = laboratory.get(&format!("/api/v1/studies/{id}/snapshot.json")).await;
    assert_eq!(snapshot["report"]["comparison"]["remarks"][0], first);
    // What was frozen before says what it said.
    assert!(page(&laboratory, &shared).await == shared_before);
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_that_were_added_are_trained_whatever_becomes_of_the_server() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("Who remembers?", 1, "0")).await;
    laboratory.until_finished(id).await;
    let stop = laboratory.request(Method::POST, &format!("/api/v1/studies/{id}/stop"));
    assert_eq!(laboratory.status(stop).await, StatusCode::NO_CONTENT);
    assert_eq!(add_seeds(&laboratory, id, "{\"more\": 2}").await.0, StatusCode::NO_CONTENT);
    laboratory.kill();

    let laboratory = bench.serve("data");
    laboratory.until_finished(id).await;
    let after = comparison(&laboratory, id).await;
    assert_eq!((&after["arms"][0]["n"], after["arms"][0]["by_seed"].as_array().map(Vec::len)), (&json!(4), Some(4)));
    assert!(remarks(&after)[0].contains("(2 to 4, when 2 runs could be seen)"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_that_cannot_be_added_change_nothing() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("How many?", 1, "0")).await;
    for (body, field) in [
        ("", "more"),
        ("{}", "more"),
        ("{\"more\": 1.5}", "more"),
        ("{\"more\": -1}", "more"),
        ("{\"more\": 1, \"arms\": 2}", "arms"),
        ("{\"more\": 0}", "seeds"),
        ("{\"more\": 99}", "seeds"),
    ] {
        let (status, answer) = add_seeds(&laboratory, id, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["errors"][0]["field"], field, "{body}: {answer}");
    }
    assert_eq!(add_seeds(&laboratory, id + 1, "{\"more\": 1}").await.0, StatusCode::NOT_FOUND);
    let study = laboratory.until_finished(id).await;
    assert_eq!(study["study"]["seeds"], 2);
    assert!(remarks(&comparison(&laboratory, id).await).iter().all(|remark| !remark.contains("Seeds were added")));
}
