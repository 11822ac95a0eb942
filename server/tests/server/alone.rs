//! One binary, and nothing beside it.

use crate::laboratory::{Bench, PROGRAM, study, text};
use reqwest::{Method, StatusCode};
use std::{fs, process::Command};

#[tokio::test(flavor = "multi_thread")]
async fn the_program_needs_no_folder_beside_it() {
    let bench = Bench::new();
    let empty = bench.folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let copy = empty.join("stillroom");
    fs::copy(PROGRAM, &copy).expect("the program is copied");

    let usual = bench.command("serve", "data");
    let mut command = Command::new(&copy);
    command.args(usual.get_args()).current_dir(&empty);
    for (variable, value) in usual.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    let laboratory = bench.start(command, "data");
    // A page, rendered; the example, built in; the database, migrated; the built-in images, planned with.
    let page = laboratory.request(Method::GET, "/").send().await.expect("a page");
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.expect("text");
    assert!(page.contains("Start a short study") && page.contains("trained beforehand by this program"), "{page}");
    let machine = laboratory.get("/api/machine").await;
    assert_eq!(machine["datasets"][0]["dataset"], "fashion-mnist-12k", "{machine:#}");
    // A worker is this program too, started from where it lies.
    let id = laboratory.create(&study("Does it run alone?", 1, "0")).await;
    laboratory.until_finished(id).await;
    laboratory.stop();
    let left: Vec<String> = fs::read_dir(&empty)
        .expect("the folder")
        .map(|entry| text(entry.expect("an entry").file_name().as_encoded_bytes()))
        .collect();
    assert_eq!(left, ["stillroom"], "it leaves nothing beside it either");
}
