//! Images of one's own: sent as an archive, shown, trained on, found again; and official files that are downloaded.

use crate::laboratory::{Bench, DEADLINE, Laboratory, output, text};
use image::{ImageFormat, Rgb, RgbImage};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Cursor, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};
use tokio::{task, time::timeout};

/// Roses are red, violets are blue: 20 training and 4 test images of each.
pub fn pictures() -> Vec<(String, Vec<u8>)> {
    let mut pictures = Vec::new();
    for (split, count) in [("train", 20), ("test", 4)] {
        for index in 0..count {
            for (class, color) in [("rose", [200, 10 * index, 20]), ("violet", [20, 10 * index, 200])] {
                let mut png = Vec::new();
                let picture = RgbImage::from_pixel(24, 16, Rgb(color));
                picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).expect("a picture");
                pictures.push((format!("flowers/{split}/{class}/{index}.png"), png));
            }
        }
    }
    pictures
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(bytes).expect("it is written");
    }
    zip.finish().expect("an archive").into_inner()
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).expect("an entry");
    }
    tar.into_inner().expect("an archive")
}

pub fn flowers() -> Vec<u8> {
    zip(&pictures())
}

pub async fn send(laboratory: &Laboratory, name: &str, file: &str, archive: &[u8], accept: &str) -> Response {
    let fields = [("name", name)];
    send_form(laboratory, "/api/v1/datasets", &fields, ("archive", file, archive), accept).await
}

/// A form with `fields` and behind them a file: its field, its name, and what is in it.
pub async fn send_form(
    laboratory: &Laboratory,
    path: &str,
    fields: &[(&str, &str)],
    (field, name, bytes): (&str, &str, &[u8]),
    accept: &str,
) -> Response {
    let part = |head: &str, bytes: &[u8]| {
        let head = format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n");
        [head.as_bytes(), bytes, b"\r\n"].concat()
    };
    let mut body: Vec<u8> =
        fields.iter().flat_map(|(name, text)| part(&format!("name=\"{name}\""), text.as_bytes())).collect();
    body.extend(part(&format!("name=\"{field}\"; filename=\"{name}\""), bytes));
    body.extend(b"--edge--\r\n");
    let request = laboratory.request(Method::POST, path).body(body);
    let request =
        request.header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge").header(header::ACCEPT, accept);
    request.send().await.expect("an answer")
}

pub async fn page(laboratory: &Laboratory, path: &str) -> String {
    let response =
        laboratory.request(Method::GET, path).header(header::ACCEPT, "text/html").send().await.expect("a page");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.text().await.expect("text")
}

pub const STUDY: &str = "title = \"Which flower?\"\ndataset = \"flowers@8\"\nseeds = 1\n\
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
    assert!(before.contains("stillroom download mnist") && !before.contains("flowers@8</h2>"), "{before}");

    let answer = send(&laboratory, "flowers@8", "Flowers.ZIP", &flowers(), "*/*").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let facts: Value = answer.json().await.expect("JSON");
    let counts =
        ["train", "validation", "test", "classes", "channels", "image_size"].map(|field| facts[field].as_u64());
    assert_eq!(counts, [36, 4, 8, 2, 3, 8].map(Some), "{facts}");
    let shown = page(&laboratory, "/data").await;
    assert!(shown.contains("36 images to train on, 4 held out for validation, 8 to test"), "{shown}");
    assert!(shown.contains("/data/flowers@8/1.png") && shown.contains(">violet</figcaption>"), "{shown}");
    assert!(shown.contains("flowers@8</h2>"), "{shown}");
    let told = laboratory.get("/api/v1/datasets").await;
    let names: Vec<_> =
        told["datasets"].as_array().expect("data sets").iter().map(|it| it["dataset"].clone()).collect();
    assert!(names.contains(&json!("flowers@8")) && names.contains(&json!("fashion-mnist-12k")), "{told}");
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
async fn a_tar_of_the_same_pictures_is_the_same_data_set() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let mut checksums = Vec::new();
    for (name, file, archive) in [("flowers@8", "a.zip", flowers()), ("others@8", "a.tar", tar(&pictures()))] {
        let answer = send(&laboratory, name, file, &archive, "*/*").await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{file}");
        let facts: Value = answer.json().await.expect("JSON");
        checksums.push(facts["checksum"].clone());
    }
    assert_eq!(checksums[0], checksums[1]);
}

/// How many data sets lie there for workers.
fn unpacked(laboratory: &Laboratory) -> usize {
    let all = fs::read_dir(laboratory.data_dir.join("images")).into_iter().flatten();
    all.filter(|entry| entry.as_ref().expect("an entry").path().extension().is_some_and(|it| it == "images")).count()
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
        ("flowers@8", "a.zip", &large, StatusCode::PAYLOAD_TOO_LARGE, "up to 100 kB"),
    ];
    for (name, file, archive, status, sentence) in cases {
        let answer = send(&laboratory, name, file, archive, "*/*").await;
        assert_eq!(answer.status(), status, "{name} {file}");
        let error: Value = answer.json().await.expect("JSON");
        let told = error["error"].as_str().expect("a sentence");
        assert!(told.contains(sentence), "{told}");
        // What was sent is named, and not where this server put it.
        assert!(!told.contains(".upload") && !told.contains("/images."), "{told}");
        assert_eq!(told.contains(file), sentence == "cannot be used", "{told}");
        let left = fs::read_dir(laboratory.data_dir.join("datasets")).map_or(0, Iterator::count);
        assert_eq!((left, unpacked(&laboratory)), (0, 0), "{name} {file}");
    }
    // What it says of a file stands in the page as text.
    let named = |class: &str| (format!("train/{class}/0.png"), b"no picture".to_vec());
    let marked = zip(&[named("<i>a"), named("b"), ("test/b/0.png".into(), b"no picture".to_vec())]);
    let answer = send(&laboratory, "flowers@8", "a.zip", &marked, "text/html").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.expect("text");
    assert!(page.starts_with("<!doctype html>") && page.contains("&lt;i&gt;a") && !page.contains("<i>a"), "{page}");
    assert!(
        page.contains("a.zip: holds images") && page.contains("train/&lt;i&gt;a/0.png") && !page.contains(".upload"),
        "{page}"
    );
    // What nobody asked for is let come, though it is longer than what may be held.
    let long = "x".repeat(80_000);
    let fields = [("picture", &*long), ("name", "flowers@8")];
    let answer = send_form(&laboratory, "/api/v1/datasets", &fields, ("archive", "a.zip", &whole), "*/*").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(unpacked(&laboratory), 1);
    // One that is there is not overwritten.
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &whole, "*/*").await.status(), StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_form_is_refused_in_words() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let endless = vec![0; 3 << 20];
    let form = "multipart/form-data; boundary=edge";
    let cases: [(&str, &[u8], StatusCode, &str); 4] = [
        (form, &endless, StatusCode::BAD_REQUEST, "has no end"),
        (form, b"--edge--\r\n", StatusCode::UNPROCESSABLE_ENTITY, "has no archive"),
        ("multipart/form-data", b"", StatusCode::UNPROCESSABLE_ENTITY, "fields name and, behind it, archive"),
        ("application/zip", &flowers(), StatusCode::UNPROCESSABLE_ENTITY, "fields name and, behind it, archive"),
    ];
    for (kind, body, status, sentence) in cases {
        let request = laboratory.request(Method::POST, "/api/v1/datasets").header(header::CONTENT_TYPE, kind);
        let answer = request.body(body.to_vec()).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{sentence}");
        let error: Value = answer.json().await.expect("JSON");
        assert!(error["error"].as_str().is_some_and(|error| error.contains(sentence)), "{error}");
    }
    laboratory.stop();
    let laboratory = bench.serve_with("data", &["--upload-limit", "0"], &[]);
    assert!(!page(&laboratory, "/data").await.contains("type=\"file\""));
    assert_eq!(send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_comes_in_one_way_at_a_time_and_who_goes_away_blocks_nobody() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let address = laboratory.url.strip_prefix("http://").expect("http").to_owned();
    let mut client = TcpStream::connect(&address).expect("a connection");
    let head = format!(
        "POST /api/v1/datasets HTTP/1.1\r\nhost: {address}\r\ncontent-length: 900000000\r\n\
         content-type: multipart/form-data; boundary=edge\r\n\r\n\
         --edge\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nflowers@8\r\n\
         --edge\r\ncontent-disposition: form-data; name=\"archive\"; filename=\"a.zip\"\r\n\r\n"
    );
    // More than lies between the two: once it is sent, some of it was received.
    let client = task::spawn_blocking(move || {
        client.write_all(head.as_bytes()).expect("it is sent");
        (0..64).for_each(|_| client.write_all(&vec![0; 1 << 20]).expect("it is sent"));
        client
    });
    let mut client = client.await.expect("a thread");
    let meanwhile = send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await;
    assert_eq!(meanwhile.status(), StatusCode::CONFLICT);
    assert!(meanwhile.text().await.expect("text").contains("on its way here already"));
    // How far it is stands on the page, and programs are told.
    let told = laboratory.get("/api/v1/datasets").await["downloads"]["flowers@8"].clone();
    assert_eq!((&told["state"], &told["total"]), (&json!("sent"), &json!(900_000_000)), "{told}");
    assert!(page(&laboratory, "/data").await.contains(" of 900 MB has come."));
    // Another one comes all the same.
    assert_eq!(send(&laboratory, "birds@8", "a.zip", &flowers(), "*/*").await.status(), StatusCode::CREATED);
    let closed = task::spawn_blocking(move || {
        client.shutdown(Shutdown::Write).expect("it is closed");
        // The server has let go of it when there is nothing more to hear.
        client.read_to_end(&mut Vec::new()).map(drop)
    });
    // However the server says so.
    let _ = closed.await.expect("a thread");
    let again = async {
        loop {
            let status = send(&laboratory, "flowers@8", "a.zip", &flowers(), "*/*").await.status();
            if status != StatusCode::CONFLICT {
                return status;
            }
        }
    };
    assert_eq!(timeout(DEADLINE, again).await.expect("it is free again"), StatusCode::CREATED);
    let left = fs::read_dir(laboratory.data_dir.join("datasets")).expect("a folder").count();
    assert_eq!(left, 2);
    assert_eq!(laboratory.get("/api/v1/datasets").await["downloads"], json!({}));
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
    command.args(["download", "cifar-100", "--from", &url, "--data-dir"]).arg(bench.data_dir("downloaded"));
    let output = output(&mut command);
    assert!(asked.recv().expect("it was asked").starts_with("GET /files/cifar-100-binary.tar.gz HTTP/1.1"));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("is not the file that was published: its length is 5; expected 168513733"), "{said}");
    let folder = bench.data_dir("downloaded").join("datasets");
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 0, "nothing of it is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_downloads_and_says_how_that_ended() {
    let bench = Bench::new();
    let (url, asked) = other_files();
    let laboratory = bench.serve_with("data", &["--download-from", &url], &[]);
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
    // Files of several data sets have the same names.
    assert!(first.starts_with("GET /files/mnist/train-images-idx3-ubyte.gz HTTP/1.1"), "{first}");
    let told = timeout(DEADLINE, async {
        let mut events = laboratory.request(Method::GET, "/events").send().await.expect("a stream");
        loop {
            let page = page(&laboratory, "/data").await;
            if page.contains("is not the file that was published") {
                return page;
            }
            events.chunk().await.expect("the stream goes on").expect("the server still runs");
        }
    });
    assert!(told.await.expect("it ends").contains("Download MNIST"));
    let told = laboratory.get("/api/v1/datasets").await;
    assert_eq!(told["downloads"]["mnist"]["state"], "ended", "{told}");
    let unusable = told["unusable"].as_array().expect("data sets");
    assert!(unusable.iter().any(|it| it["dataset"] == "mnist" && it["found"] == false), "{told}");
    // It stands in nobody's way: neither in that of an archive nor in that of another attempt.
    assert_eq!(fs::read_dir(laboratory.data_dir.join("datasets")).expect("a folder").count(), 0);
    let archive = send(&laboratory, "mnist", "a.zip", &flowers(), "*/*").await;
    assert_eq!(archive.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let again = begin("mnist").send().await.expect("an answer");
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()[header::LOCATION], "/api/v1/datasets");
    // Whoever presses a button of a page that is not up to date is led to what is here.
    let stale = begin("fashion-mnist").header(header::ACCEPT, "text/html").send().await.expect("an answer");
    assert_eq!(stale.status(), StatusCode::SEE_OTHER);
    assert_eq!(stale.headers()[header::LOCATION], "/data#fashion-mnist");
}
