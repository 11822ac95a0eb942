//! A network that was trained elsewhere, sent from a page or by a program.

use crate::{
    data::{STUDY, flowers, page, send, send_form},
    laboratory::{Bench, Laboratory, output, text},
};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::fs;

pub async fn bring(laboratory: &Laboratory, fields: &[(&str, &str)], weights: &[u8], accept: &str) -> Response {
    send_form(laboratory, "/api/v1/teachers", fields, ("weights", "my <b>teacher.safetensors", weights), accept).await
}

/// How many files lie where those that are sent do for as long as they are looked at.
fn left(laboratory: &Laboratory) -> usize {
    fs::read_dir(laboratory.data_dir.join("uploads")).map_or(0, Iterator::count)
}

/// Numbers of this shape, all zeros, as a safetensors file's header has them from byte `begin` on, and where they end.
fn tensor(name: &str, shape: &[usize], begin: usize) -> (String, usize) {
    let end = begin + 4 * shape.iter().product::<usize>();
    (format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#), end)
}

/// A safetensors file: eight bytes with the header's length, the header, the numbers.
fn file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut end = 0;
    let mut place = |(name, shape): &(&str, &[usize])| {
        let (said, behind) = tensor(name, shape, end);
        end = behind;
        said
    };
    let header = format!("{{{}}}", tensors.iter().map(&mut place).collect::<Vec<_>>().join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; end]].concat()
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
    assert_eq!(left(&laboratory), 0, "what came on the way is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_teacher_is_refused_with_all_that_is_wrong() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let one = file(&[("conv1.weight", &[1, 1, 1, 1])]);
    let grey = [("architecture", "wrn-10-1"), ("mean", "0.5"), ("deviation", "0.2")];
    let with = |mean: &'static str, deviation: &'static str| [grey[0], ("mean", mean), ("deviation", deviation)];
    let ended = |channels: usize, classes: usize| {
        file(&[("conv1.weight", &[16, channels, 3, 3]), ("fc.weight", &[classes, 64]), ("fc.bias", &[classes])])
    };
    // Whatever is in it, no more of it is told than a page has room for.
    let names: Vec<String> =
        (0..50_000).map(|n| format!("a tensor that is none of this network's, number {n}")).collect();
    let of_others: Vec<(&str, &[usize])> = names.iter().map(|name| (name.as_str(), &[0][..])).collect();
    let two: [(&str, &[usize]); 2] = [("conv1.weight", &[16, 1, 3, 3]), ("fc.weight", &[10, 64])];
    let many = file(&[&two[..], &of_others[..]].concat());
    /// Its fields, its file, and a part of what is answered.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a str);
    let cases: [Case<'_>; 15] = [
        (&[("architecture", "wrn-11-1")], &one, "\"wrn-11-1\" is not a network; allowed: wrn-DEPTH-WIDTH"),
        (&[("architecture", "vgg8"), ("mean", "a lot")], b"short", "mean: \"a lot\" is no list of numbers"),
        (&[], &one, "; does not say how its inputs are normalised"),
        (&[("mean", "a lot")], &one, "mean: \"a lot\" is no list of numbers"),
        (&[("mean", "0.5")], &one, "mean and deviation are given both or not at all."),
        (&[], &one, "does not say which network it is"),
        (&grey[..1], &one, "does not say how its inputs are normalised"),
        (&grey, &one, "fc.weight is missing"),
        (&grey, &ended(0, 10), "is for images of 0 colours; allowed: 1 (grey) or 3."),
        (&grey, &ended(3, 1), "knows 1 classes; allowed: 2 to 256."),
        (&grey, &ended(1, 300), "knows 300 classes; allowed: 2 to 256."),
        (&grey, &ended(1, 10), "block1.layer.0.bn1.weight is missing; "),
        (&grey, &many, "number 10000 is not in this network; "),
        (&grey, b"short", "is not a safetensors file: it has no header."),
        (&grey, b"no tensors", "is not a safetensors file: its header would have "),
    ];
    for (fields, weights, said) in cases {
        let answer = bring(&laboratory, fields, weights, "*/*").await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        let error: Value = answer.json().await.expect("JSON");
        let sentence = error["error"].as_str().expect("a sentence");
        assert!(sentence.contains(said) && sentence.len() < 12_000, "{said}: {sentence}");
        assert_eq!(left(&laboratory), 0, "{said}");
    }
    // A whole network, of which somebody says what no number is.
    let whole = whole_network();
    // Fields may stand behind the file: an unknown network is told before what is wrong with the file.
    let behind = |architecture: &str, weights: &[u8]| {
        let part = |head: &str, bytes: &[u8]| {
            let head = format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n");
            [head.as_bytes(), bytes, b"\r\n"].concat()
        };
        let fields = [("architecture", architecture), ("mean", "0.5"), ("deviation", "0.2")];
        let mut body = part("name=\"weights\"; filename=\"a.safetensors\"", weights);
        body.extend(fields.iter().flat_map(|(name, text)| part(&format!("name=\"{name}\""), text.as_bytes())));
        body.extend(b"--edge--\r\n");
        let request = laboratory.request(Method::POST, "/api/v1/teachers").body(body);
        request.header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge").send()
    };
    let told = behind("vgg8", &one).await.expect("an answer").text().await.expect("text");
    assert!(told.contains("architecture: \\\"vgg8\\\" is not a network") && !told.contains("missing"), "{told}");
    let told = behind("wrn-10-1", &one).await.expect("an answer").text().await.expect("text");
    assert!(told.contains("fc.weight is missing"), "{told}");
    assert_eq!(left(&laboratory), 0);
    for (mean, deviation) in
        [("nan", "0.2"), ("inf", "0.2"), ("0.5", "nan"), ("0.5", "inf"), ("0.5", "0"), ("0.5,1", "1,1")]
    {
        let answer = bring(&laboratory, &with(mean, deviation), &whole, "*/*").await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{mean} {deviation}");
        let said = answer.text().await.expect("text");
        assert!(
            said.contains("has 1 colours: give 1 means, and as many deviations above 0, all of them finite"),
            "{said}"
        );
    }
    let answer = bring(&laboratory, &grey, &whole[..whole.len() - 4], "*/*").await;
    assert!(answer.text().await.expect("text").contains("is not a safetensors file: it has "));

    let answer = bring(&laboratory, &[("architecture", "wrn-10-1")], b"no tensors", "text/html").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.expect("text").contains("This is not taken"));
    assert_eq!(laboratory.get("/api/v1/teachers").await, json!([]));
    let imported = fs::read_dir(laboratory.data_dir.join("imported")).map_or(0, Iterator::count);
    assert_eq!((left(&laboratory), imported), (0, 0));

    // What nobody asked for is let come, and the same network is taken where all is said as it should be.
    let picture = "x".repeat(100_000);
    let fields = [("picture", &*picture), grey[0], grey[1], grey[2], ("name", "one\r\n\u{7}two")];
    let answer = bring(&laboratory, &fields, &whole, "*/*").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let teacher: Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&teacher["name"], &teacher["channels"], &teacher["classes"]),
        (&json!("onetwo"), &json!(1), &json!(10))
    );
    assert_eq!(left(&laboratory), 0);
}

/// wrn-10-1 of grey images and ten classes, all zeros.
pub fn whole_network() -> Vec<u8> {
    let architecture = "wrn-10-1".parse().expect("a network");
    let shape = train::engine::NetworkShape { architecture, channels: 1, image_size: 32, classes: 10 };
    let tensors = shape.tensors();
    let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|it| (it.name.as_str(), &it.shape[..])).collect();
    file(&tensors)
}
