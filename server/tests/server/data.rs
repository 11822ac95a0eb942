//! Images of one's own: sent as an archive, shown, trained on, found again; and official files that are downloaded.

use crate::laboratory::{Bench, DEADLINE, Laboratory, output, text};
use image::{ImageFormat, Rgb, RgbImage};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;
use std::{
    fs,
    io::{Cursor, Read, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};
use tokio::{task, time::timeout};

/// Roses are red, violets are blue: 20 training and 4 test images of each.
fn flowers() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (split, count) in [("train", 20), ("test", 4)] {
        for index in 0..count {
            for (class, color) in [("rose", [200, 10 * index, 20]), ("violet", [20, 10 * index, 200])] {
                let mut png = Vec::new();
                let picture = RgbImage::from_pixel(24, 16, Rgb(color));
                picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).expect("a picture");
                let name = format!("flowers/{split}/{class}/{index}.png");
                zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
                zip.write_all(&png).expect("it is written");
            }
        }
    }
    zip.finish().expect("an archive").into_inner()
}

async fn send(laboratory: &Laboratory, name: &str, file: &str, archive: &[u8], accept: &str) -> Response {
    let part = |head: &str, bytes: &[u8]| {
        let head = format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n");
        [head.as_bytes(), bytes, b"\r\n"].concat()
    };
    let body = [
        part("name=\"name\"", name.as_bytes()),
        part(&format!("name=\"archive\"; filename=\"{file}\""), archive),
        b"--edge--\r\n".to_vec(),
    ];
    let request = laboratory.request(Method::POST, "/api/v1/datasets").body(body.concat());
    let request =
        request.header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge").header(header::ACCEPT, accept);
    request.send().await.expect("an answer")
}

async fn page(laboratory: &Laboratory, path: &str) -> String {
    let response =
        laboratory.request(Method::GET, path).header(header::ACCEPT, "text/html").send().await.expect("a page");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.text().await.expect("text")
}

const STUDY: &str = "title = \"Which flower?\"\ndataset = \"flowers@8\"\nseeds = 1\n\
                     student = { architecture = \"wrn-10-1\", epochs = 1 }\n\
                     recipe = { batch_size = 10, device = \"cpu\" }";

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_ones_own_is_shown_trained_on_and_found_again() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let before = page(&laboratory, "/data").await;
    assert!(
        before.contains("Fashion-MNIST, 12,000 images") && before.contains("/data/fashion-mnist-12k/9.png"),
        "{before}"
    );
    assert!(before.contains("stillroom fetch-data mnist") && !before.contains("flowers@8</h2>"), "{before}");

    let answer = send(&laboratory, "flowers@8", "Flowers.ZIP", &flowers(), "*/*").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let facts: Value = answer.json().await.expect("JSON");
    let counts =
        ["train", "validation", "test", "classes", "channels", "image_size"].map(|field| facts[field].as_u64());
    assert_eq!(counts, [36, 4, 8, 2, 3, 8].map(Some), "{facts}");
    let shown = page(&laboratory, "/data").await;
    assert!(shown.contains("36 images to train on, 4 held out for validation, 8 to test"), "{shown}");
    assert!(shown.contains("/data/flowers@8/1.png") && shown.contains(">violet</figcaption>"), "{shown}");
    assert!(page(&laboratory, "/studies/new").await.contains("<option value=\"flowers@8\""));
    let sample = laboratory.request(Method::GET, "/data/flowers@8/1.png").send().await.expect("a picture");
    assert_eq!(sample.headers()[header::CONTENT_TYPE], "image/png");
    let sample = image::load_from_memory(&sample.bytes().await.expect("bytes")).expect("a PNG").to_rgb8();
    assert_eq!((sample.width(), sample.height(), sample.get_pixel(4, 4)[2]), (8, 24, 200));
    for missing in ["/data/flowers@8/2.png", "/data/birds@8/0.png", "/data/flowers@8/1"] {
        assert_eq!(
            laboratory.status(laboratory.request(Method::GET, missing)).await,
            StatusCode::NOT_FOUND,
            "{missing}"
        );
    }

    let id = laboratory.create(STUDY).await;
    laboratory.until_finished(id).await;
    laboratory.stop();
    // Nobody has to name it when the server starts again.
    let laboratory = bench.serve("data");
    assert!(page(&laboratory, "/data").await.contains("36 images to train on, 4 held out"));
    let names: Vec<_> = fs::read_dir(laboratory.data_dir.join("datasets"))
        .expect("a folder")
        .map(|entry| text(entry.expect("an entry").file_name().as_encoded_bytes()))
        .collect();
    assert_eq!(names, ["flowers@8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_data_set_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let laboratory = bench.serve_with("data", &["--upload-limit", "100kB"], &[]);
    let whole = flowers();
    let cut = &whole[..whole.len() / 2];
    let large = vec![0; 200_000];
    let cases: [(&str, &str, &[u8], StatusCode, &str); 8] = [
        ("flowers", "a.zip", &whole, StatusCode::UNPROCESSABLE_ENTITY, "NAME@PIXELS"),
        ("../../flowers@8", "a.zip", &whole, StatusCode::UNPROCESSABLE_ENTITY, "NAME@PIXELS"),
        ("fashion-mnist-12k", "a.zip", &whole, StatusCode::UNPROCESSABLE_ENTITY, "NAME@PIXELS"),
        ("cifar-10", "a.zip", &whole, StatusCode::UNPROCESSABLE_ENTITY, "cannot be used"),
        ("flowers@8", "a.rar", &whole, StatusCode::UNPROCESSABLE_ENTITY, "must end with .zip"),
        ("flowers@8", "a.zip", cut, StatusCode::UNPROCESSABLE_ENTITY, "cannot be used"),
        ("flowers@8", "a.tar.gz", &whole, StatusCode::UNPROCESSABLE_ENTITY, "cannot be used"),
        ("flowers@8", "a.zip", &large, StatusCode::PAYLOAD_TOO_LARGE, "up to 100000 bytes"),
    ];
    for (name, file, archive, status, sentence) in cases {
        let answer = send(&laboratory, name, file, archive, "*/*").await;
        assert_eq!(answer.status(), status, "{name} {file}");
        let error: Value = answer.json().await.expect("JSON");
        assert!(error["error"].as_str().is_some_and(|error| error.contains(sentence)), "{error}");
        let left = fs::read_dir(laboratory.data_dir.join("datasets")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{name} {file}");
    }
    let answer = send(&laboratory, "<b>@8", "a.zip", &whole, "text/html").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.expect("text").starts_with("<!doctype html>"));
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &whole, "*/*").await.status(), StatusCode::CREATED);
    // One that is there is not overwritten.
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &whole, "*/*").await.status(), StatusCode::CONFLICT);
    // Another page's form is refused like any other change.
    let forged = laboratory.request(Method::POST, "/api/v1/datasets").header(header::ORIGIN, "https://evil.example");
    assert_eq!(laboratory.status(forged).await, StatusCode::FORBIDDEN);
}

/// A server that answers every request with five bytes, and tells what it was asked for first.
fn other_files() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/files/", listener.local_addr().expect("an address"));
    let (tell, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a request");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request's head");
                head.push(byte[0]);
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nother")
                .expect("an answer");
            // Nobody may want to know any more.
            let _ = tell.send(text(&head));
        }
    });
    (url, asked)
}

#[test]
fn a_download_that_is_not_what_was_published_is_refused() {
    let bench = Bench::new();
    let (url, asked) = other_files();
    let mut command = std::process::Command::new(crate::laboratory::PROGRAM);
    command.args(["fetch-data", "cifar-100", "--from", &url, "--data-dir"]).arg(bench.data_dir("fetched"));
    let output = output(&mut command);
    assert!(asked.recv().expect("it was asked").starts_with("GET /files/cifar-100-binary.tar.gz HTTP/1.1"));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("is not the file that was published") && said.contains("58a81ae192c23a4b"), "{said}");
    let folder = bench.data_dir("fetched").join("datasets/cifar-100");
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_downloads_and_says_how_that_ended() {
    let bench = Bench::new();
    let (url, asked) = other_files();
    let laboratory = bench.serve_with("data", &["--fetch-from", &url], &[]);
    let before = page(&laboratory, "/data").await;
    assert!(
        before.contains("action=\"/api/v1/datasets/mnist/download\"") && before.contains("Download MNIST"),
        "{before}"
    );
    let begin = |name: &str| laboratory.request(Method::POST, &format!("/api/v1/datasets/{name}/download"));
    for (name, status) in [
        ("mnist", StatusCode::ACCEPTED),
        ("fashion-mnist-12k", StatusCode::NOT_FOUND),
        ("a@32", StatusCode::NOT_FOUND),
        ("fashion-mnist", StatusCode::CONFLICT),
    ] {
        assert_eq!(laboratory.status(begin(name)).await, status, "{name}");
    }
    let first = task::spawn_blocking(move || asked.recv()).await.expect("a thread").expect("it was asked");
    assert!(first.starts_with("GET /files/train-images-idx3-ubyte.gz HTTP/1.1"), "{first}");
    let told = timeout(DEADLINE, async {
        loop {
            let page = page(&laboratory, "/data").await;
            if page.contains("is not the file that was published") {
                return page;
            }
        }
    });
    assert!(told.await.expect("it ends").contains("Download MNIST"));
}
