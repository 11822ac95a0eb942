//! A network that was trained elsewhere, sent from a page or by a program.

use crate::{
    data::{STUDY, flowers, page, send, send_form},
    laboratory::{Bench, Laboratory, output, text},
};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};
use std::fs;

async fn bring(laboratory: &Laboratory, fields: &[(&str, &str)], weights: &[u8], accept: &str) -> Response {
    send_form(laboratory, "/api/v1/teachers", fields, ("weights", "my <b>teacher.safetensors", weights), accept).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_from_elsewhere_is_sent_checked_listed_and_teaches() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    assert_eq!(send(&laboratory, "flowers@8", "flowers.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    assert_eq!(laboratory.get("/api/v1/teachers").await, json!([]));
    assert!(page(&laboratory, "/data").await.contains("None was brought here yet."));

    let id = laboratory.create(STUDY).await;
    laboratory.until_finished(id).await;
    let study = laboratory.get(&format!("/api/v1/studies/{id}")).await;
    let run = study["arms"][0]["runs"][0].as_str().expect("a run's id");
    let file = bench.folder.path().join("weights.safetensors");
    let export = output(bench.command("export", "data").args([run, "--weights"]).arg(&file));
    assert!(export.status.success(), "{}", text(&export.stderr));
    let weights = fs::read(&file).expect("it was exported");

    // What this program wrote says all of itself.
    let answer = bring(&laboratory, &[], &weights, "*/*").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let teacher: Value = answer.json().await.expect("JSON");
    assert_eq!((&teacher["channels"], &teacher["classes"]), (&json!(3), &json!(2)));
    assert_eq!(teacher["name"], "my <b>teacher");
    let network = teacher["network"].as_str().expect("a name").to_owned();
    assert!(network.starts_with("wrn-10-1 from "), "{network}");
    assert_eq!(laboratory.get("/api/v1/teachers").await, json!([teacher]));

    // The same again is the same teacher; what a person says of it counts.
    let fields =
        [("architecture", " wrn-10-1 "), ("mean", "0.5,0.5, 0.5"), ("deviation", "0.2,0.2,0.2"), ("name", "Grey")];
    let answer = bring(&laboratory, &fields, &weights, "text/html").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], "/data#teachers");
    let shown = page(&laboratory, "/data").await;
    assert!(shown.contains("my &lt;b&gt;teacher") && shown.contains("Grey"), "{shown}");
    assert!(shown.contains(&network), "{shown}");

    let taught = format!("{STUDY}\nteacher = {{ architecture = \"{network}\" }}\ntreatment = {{ kd_stop_epoch = 1 }}");
    let id = laboratory.create(&taught).await;
    laboratory.until_finished(id).await;
    let left = fs::read_dir(bench.folder.path().join("data/uploads")).expect("a folder").count();
    assert_eq!(left, 0, "what came on the way is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_teacher_is_refused_with_all_that_is_wrong() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    // A safetensors file of one tensor: eight bytes with the header's length, the header, the numbers.
    let head = br#"{"conv1.weight":{"dtype":"F32","shape":[1,1,1,1],"data_offsets":[0,4]}}"#;
    let one = [&(head.len() as u64).to_le_bytes()[..], head, &[0; 4]].concat();
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("architecture", "wrn-11-1")], "architecture: \"wrn-11-1\" is not a network; allowed: wrn-DEPTH-WIDTH"),
        (&[("mean", "a lot")], "mean: \"a lot\" is no list of numbers"),
        (&[("mean", "0.5")], "mean and deviation are given both or not at all."),
        (&[], "does not say which network it is"),
        (&[("architecture", "wrn-10-1")], "does not say how its inputs are normalised"),
        (&[("architecture", "wrn-10-1"), ("mean", "0.5"), ("deviation", "0.2")], "has no fc.weight"),
    ];
    for (fields, said) in cases {
        let answer = bring(&laboratory, fields, &one, "*/*").await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        let error: Value = answer.json().await.expect("JSON");
        assert!(error["error"].as_str().is_some_and(|error| error.contains(said)), "{said}: {error}");
    }
    let answer = bring(&laboratory, &[("architecture", "wrn-10-1")], b"no tensors", "text/html").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.expect("text").contains("This is not taken"));
    assert_eq!(laboratory.get("/api/v1/teachers").await, json!([]));
}
