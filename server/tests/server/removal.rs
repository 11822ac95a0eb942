//! What was brought here leaves again, unless a study needs it; and downloads are given up.

use crate::{
    data::{STUDY, flowers, page, send},
    laboratory::{Bench, DEADLINE, Laboratory, study},
    teachers::{bring, whole_network},
};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};
use tokio::time::timeout;

async fn remove(laboratory: &Laboratory, what: &str) -> (StatusCode, String) {
    let answer = laboratory.request(Method::DELETE, &format!("/api/v1/{what}")).send().await.expect("an answer");
    let status = answer.status();
    let told: Value = answer.json().await.unwrap_or_default();
    (status, told["error"].as_str().unwrap_or_default().to_owned())
}

/// As a page's plain form asks.
async fn press(laboratory: &Laboratory, path: &str) -> Response {
    let request = laboratory.request(Method::POST, path).header(header::ACCEPT, "text/html");
    request.send().await.expect("an answer")
}

fn left(laboratory: &Laboratory, folder: &str) -> usize {
    fs::read_dir(laboratory.data_dir.join(folder)).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_leaves_once_no_study_needs_it() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    let shown = page(&laboratory, "/data").await;
    assert!(shown.contains("action=\"/api/v1/datasets/flowers@8/remove\""), "{shown}");
    // What is built in, and what lies where somebody said, has no such button.
    assert!(!shown.contains("fashion-mnist-12k/remove") && !shown.contains("fashion-mnist/remove"), "{shown}");
    for (name, status, said) in [
        ("fashion-mnist-12k", StatusCode::CONFLICT, "is built in, and cannot be removed"),
        ("fashion-mnist", StatusCode::CONFLICT, "lie where somebody said when Stillroom started"),
        ("mnist", StatusCode::NOT_FOUND, "Nothing of mnist is here"),
        ("no%20name", StatusCode::NOT_FOUND, "is no data set"),
    ] {
        let (found, told) = remove(&laboratory, &format!("datasets/{name}")).await;
        assert!(found == status && told.contains(said), "{name}: {found} {told}");
    }

    let id = laboratory.create(STUDY).await;
    let refused = press(&laboratory, "/api/v1/datasets/flowers@8/remove").await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let told = refused.text().await.expect("text");
    let needed = format!("flowers@8 is needed by a study: “Which flower?” (study {id}). Delete it first.");
    assert!(told.contains("This is not removed") && told.contains(&needed), "{told}");
    laboratory.until_finished(id).await;
    assert_eq!(remove(&laboratory, "datasets/flowers@8").await.0, StatusCode::CONFLICT, "seeds can be added to it");
    let deleted = laboratory.request(Method::DELETE, &format!("/api/v1/studies/{id}"));
    assert_eq!(laboratory.status(deleted).await, StatusCode::NO_CONTENT);

    let removed = press(&laboratory, "/api/v1/datasets/flowers@8/remove").await;
    assert_eq!(
        (removed.status(), &removed.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/data".parse().expect("a place"))
    );
    assert_eq!(left(&laboratory, "datasets"), 0);
    // Neither are its images kept unpacked, nor what was seen of them.
    let unpacked = fs::read_dir(laboratory.data_dir.join("images")).expect("a folder");
    let names: Vec<_> = unpacked.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".images")), "{names:?}");
    assert!(!page(&laboratory, "/data").await.contains("flowers@8/remove"));
    assert_eq!(remove(&laboratory, "datasets/flowers@8").await.0, StatusCode::NOT_FOUND);
    // Its name is free.
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    assert_eq!(remove(&laboratory, "datasets/flowers@8").await, (StatusCode::NO_CONTENT, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teacher_leaves_once_no_study_names_it() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let fields = [("architecture", "wrn-10-1"), ("mean", "0.5"), ("deviation", "0.2"), ("name", "Grey")];
    let answer = bring(&laboratory, &fields, &whole_network(), "*/*").await;
    let teacher: Value = answer.json().await.expect("JSON");
    let network = teacher["network"].as_str().expect("a name");
    let digest = network.strip_prefix("wrn-10-1 from ").expect("a digest");
    let written = study("Who teaches?", 1, "1").replace("\"wrn-10-1\"\n        epochs = 3", &format!("\"{network}\""));
    let id = laboratory.create(&written).await;
    let (status, told) = remove(&laboratory, &format!("teachers/{digest}")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(told, format!("This teacher is needed by a study: “Who teaches?” (study {id}). Delete it first."));
    let deleted = laboratory.request(Method::DELETE, &format!("/api/v1/studies/{id}"));
    assert_eq!(laboratory.status(deleted).await, StatusCode::NO_CONTENT);
    let path = format!("/api/v1/teachers/{digest}/remove");
    assert!(page(&laboratory, "/data").await.contains(&format!("action=\"{path}\"")));
    let removed = press(&laboratory, &path).await;
    assert_eq!(removed.status(), StatusCode::SEE_OTHER);
    assert_eq!((laboratory.get("/api/v1/teachers").await, left(&laboratory, "imported")), (json!([]), 0));
    for gone in [digest, "no digest"] {
        assert_eq!(remove(&laboratory, &format!("teachers/{gone}")).await.0, StatusCode::NOT_FOUND);
    }
}

/// A server that has the first file of MNIST: it sends its beginning, and goes on once it is told to.
fn slow() -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (go_on, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request's head");
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9912422\r\n\r\nbeginning").expect("it is sent");
        told.recv().expect("it goes on");
        // Whoever gave it up hangs up.
        while stream.write_all(&[0; 1 << 16]).is_ok() {}
    });
    (url, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_given_up_and_what_came_of_it_removed() {
    let bench = Bench::new();
    let (url, go_on) = slow();
    let laboratory = bench.serve_with("data", &["--download-from", &url], &[]);
    let until = async |state: &str| {
        let mut events = laboratory.request(Method::GET, "/events").send().await.expect("a stream");
        let waited = timeout(DEADLINE, async {
            while laboratory.get("/api/v1/datasets").await["downloads"]["mnist"]["state"] != state {
                events.chunk().await.expect("the stream goes on").expect("the server still runs");
            }
        });
        waited.await.unwrap_or_else(|_| panic!("it is never {state}"));
    };
    let cancel = || laboratory.request(Method::DELETE, "/api/v1/datasets/mnist/download");
    assert_eq!(laboratory.status(cancel()).await, StatusCode::NOT_FOUND, "nothing is downloaded");
    assert_eq!(press(&laboratory, "/api/v1/datasets/mnist/download").await.status(), StatusCode::SEE_OTHER);
    until("coming").await;
    let shown = page(&laboratory, "/data").await;
    assert!(shown.contains("action=\"/api/v1/datasets/mnist/download/cancel\""), "{shown}");
    assert_eq!(remove(&laboratory, "datasets/mnist").await.0, StatusCode::CONFLICT, "it is on its way");
    assert_eq!(laboratory.status(cancel()).await, StatusCode::ACCEPTED);
    assert_eq!(laboratory.status(cancel()).await, StatusCode::ACCEPTED, "asked for twice");
    go_on.send(()).expect("the server listens");
    until("cancelled").await;
    let came = laboratory.data_dir.join("datasets/mnist.part/train-images-idx3-ubyte.gz.part");
    assert!(fs::metadata(&came).expect("it is kept").len() > 0);
    assert!(page(&laboratory, "/data").await.contains("The download was cancelled. What has come is kept"));
    assert_eq!(remove(&laboratory, "datasets/mnist").await.0, StatusCode::NO_CONTENT);
    assert_eq!(left(&laboratory, "datasets"), 0);
    assert_eq!(laboratory.get("/api/v1/datasets").await["downloads"], json!({}));
}
