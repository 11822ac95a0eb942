//! Numbers that were made up to fill a page: nobody may take them for a result.

use crate::laboratory::{Bench, output, study, text};
use reqwest::Method;
use serde_json::{Value, json};

const NOTICE: &str = "This is no result.";

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_study_says_so_wherever_its_numbers_go_and_is_left_alone() {
    let bench = Bench::new();
    let filled = output(bench.command("fill-synthetic", "data").args(["--temperatures", "2", "--epochs", "8"]));
    assert!(filled.status.success(), "{}", text(&filled.stderr));
    assert_eq!(text(&filled.stdout), "study 1: 35 runs of 8 epochs, made up\n");

    let laboratory = bench.serve("data");
    let made_up = || async { laboratory.get("/api/v1/studies").await.as_array().expect("studies").last().cloned() };
    let before = made_up().await.expect("the study");
    assert_eq!(before["state"], "finished", "{before:#}");
    let is_marked = |words: &Value| words.as_str().is_some_and(|words| words.starts_with("Synthetic: "));
    assert!(is_marked(&before["title"]) && is_marked(&before["answer"]), "{before:#}");

    let get = async |path: String| {
        let answer = laboratory.request(Method::GET, &path).send().await.expect("an answer");
        answer.text().await.expect("text")
    };
    let page = get("/studies/1".into()).await;
    assert!(page.contains(NOTICE) && page.contains("class=\"line\""), "{page}");
    // Whoever has the page asks for what becomes another.
    let part = get("/studies/1?metric=train_accuracy&part=evidence".into()).await;
    assert!(part.contains("Running over the epoch") && part.contains("class=\"line\""), "{part}");
    assert!(!part.contains("arms-heading") && part.len() < page.len(), "{} of {} bytes", part.len(), page.len());
    let answer = laboratory.request(Method::POST, "/api/v1/shares").json(&json!({ "study": 1 })).send().await;
    let shared: Value = answer.expect("an answer").json().await.expect("JSON");
    let token = shared["token"].as_str().expect("a token");
    for path in [format!("/s/{token}"), format!("/s/{token}/download")] {
        let page = get(path.clone()).await;
        assert!(page.contains(NOTICE), "{path}");
    }
    let comparison = laboratory.get("/api/v1/studies/1/comparison").await;
    assert!(is_marked(&comparison["answer"]), "{comparison:#}");
    let arms = comparison["arms"].as_array().expect("arms");
    assert!(arms.iter().all(|arm| arm["label"].as_str().is_some_and(|label| label.starts_with("synthetic: "))));
    let lines = get("/api/v1/studies/1/metrics.csv".into()).await;
    // Labels alone are observed at both temperatures; the teacher's own epochs come last.
    assert_eq!(lines.lines().count(), 1 + (35 + 5 + 1) * 8);
    assert!(lines.lines().skip(1).all(|line| line.contains("synthetic: ")), "{lines}");

    // Once a real study is through, the runner has looked at both: it trained the one and touched nothing of the other.
    let real = laboratory.create(&study("Is the other one left alone?", 1, "0")).await;
    laboratory.until_finished(real).await;
    assert_eq!(laboratory.segments().len(), 2, "those of the real study");
    assert_eq!(made_up().await.expect("the study"), before);

    // What is gone is not answered as it was last.
    get("/studies/1".into()).await;
    laboratory.request(Method::DELETE, "/api/v1/studies/1").send().await.expect("an answer");
    let gone = laboratory.request(Method::GET, "/studies/1?part=evidence").send().await.expect("an answer");
    assert_eq!(gone.status().as_u16(), 404);
}
