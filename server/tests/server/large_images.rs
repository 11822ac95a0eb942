//! Networks for large images: how slow they are on the CPU is known where it matters, and not looked for elsewhere.

use crate::{
    data::{STUDY, flowers, page, send},
    laboratory::Bench,
};
use reqwest::{Method, StatusCode};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn how_slow_they_are_is_measured_once_large_images_come() {
    let bench = Bench::new();
    // The networks for small images see them too, as they see CIFAR-10's.
    let datasets = bench.data_dir("data").join("datasets/violets@64");
    fs::create_dir_all(&datasets).expect("a folder");
    fs::write(datasets.join("images.zip"), flowers()).expect("an archive");
    let laboratory = bench.serve("data");
    assert!(page(&laboratory, "/data").await.contains("violets@64"));
    let measured = laboratory.data_dir.join("candle-speed.json");
    assert!(!measured.exists());

    assert_eq!(send(&laboratory, "flowers@96", "a.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    let study = STUDY.replace("flowers@8", "flowers@96").replace("wrn-10-1", "resnet18");
    let id = laboratory.create(&study).await;
    let stop = laboratory.request(Method::POST, &format!("/api/v1/studies/{id}/stop"));
    assert_eq!(laboratory.status(stop).await, StatusCode::NO_CONTENT);
    // The page is told, and nobody has to start the server again.
    let is_told = |study: &serde_json::Value| {
        let slow = study["plan"]["slow"].as_str().expect("it is slow");
        slow.contains("resnet18 takes a thread about ")
    };
    laboratory.until(id, "how slow it is", is_told).await;
    assert!(measured.exists());
    let before = fs::read(&measured).expect("it is kept");
    laboratory.stop();
    // Once.
    let laboratory = bench.serve("data");
    assert!(is_told(&laboratory.get(&format!("/api/v1/studies/{id}")).await));
    assert_eq!(fs::read(&measured).expect("it is kept"), before);
}
