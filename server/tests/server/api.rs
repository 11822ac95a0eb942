//! What programs ask over HTTP, and what is refused.

use crate::laboratory::{Bench, output, study, text};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use study::Event;

#[tokio::test(flavor = "multi_thread")]
async fn a_study_is_created_trained_and_compared() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("Does it help?", 4, "[0, 2, 4]")).await;
    let study = laboratory.until_finished(id).await;

    // The teacher once; two seeds from labels alone; two distilled to the end; two tails after the stop.
    let counts = ["runs", "segments", "epochs", "epochs_without_sharing"].map(|count| &study["plan"][count]);
    assert_eq!(counts, [6, 7, 3 + 8 + 8 + 4, 3 + 24]);
    // Two seeds, four epochs each, of 400 images: too few views are met twice for their logits to be kept.
    assert_eq!(study["plan"]["teacher_logits"]["forward_passes"], 8 * 400);
    assert_eq!(study["study"]["title"], "Does it help?");
    assert_eq!(study["progress"]["epochs_done"], 23);

    // What was promised is what was trained: no epoch twice, no worker started twice.
    let (mut epochs, mut starts) = (0, 0);
    for key in laboratory.segments() {
        let mut trained: Vec<_> = Vec::new();
        for event in laboratory.events(&key) {
            match event {
                Event::Epoch(metrics) => trained.push(metrics.epoch),
                Event::Started { .. } => starts += 1,
                _ => {}
            }
        }
        trained.sort();
        trained.dedup();
        epochs += trained.len();
    }
    assert_eq!((epochs, starts), (23, 7));

    let comparison = laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await;
    let arms = comparison["arms"].as_array().expect("arms");
    assert_eq!(arms.len(), 3);
    for arm in arms {
        let by_seed: Vec<f64> =
            arm["by_seed"].as_array().expect("seeds").iter().map(|one| one.as_f64().expect("an accuracy")).collect();
        assert_eq!(by_seed.len(), 2);
        assert!(by_seed.iter().all(|accuracy| (0.0..=100.0).contains(accuracy)));
        let mean = arm["mean"].as_f64().expect("a mean");
        assert!((mean - by_seed.iter().sum::<f64>() / 2.0).abs() < 1e-9);
    }
    assert_eq!(arms[0]["difference"], Value::Null);
    let difference = arms[1]["difference"]["mean"].as_f64().expect("a difference");
    let means = [&arms[1]["mean"], &arms[0]["mean"]].map(|mean| mean.as_f64().expect("a mean"));
    assert!((difference - (means[0] - means[1])).abs() < 1e-9);

    let csv =
        laboratory.request(Method::GET, &format!("/api/v1/studies/{id}/metrics.csv")).send().await.expect("an answer");
    assert_eq!(csv.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let csv = csv.text().await.expect("text");
    let columns = csv.lines().next().expect("a head").split(',').count();
    // Each run is measured against the one teacher there is, whose own three epochs stand at the end.
    assert_eq!(csv.lines().count(), 1 + 6 * 4 + 3);
    assert!(csv.lines().filter(|line| !line.contains('"')).all(|line| line.split(',').count() == columns));
    let metrics = laboratory.get(&format!("/api/v1/studies/{id}/metrics.json")).await;
    assert_eq!(metrics["runs"].as_array().expect("runs").len(), 6);
    assert_eq!(metrics["runs"][0]["epochs"].as_array().expect("epochs").len(), 4);
    // Labels alone wait for the teacher, so that the conflict is known of each epoch of each run.
    for epoch in
        metrics["runs"].as_array().expect("runs").iter().flat_map(|run| run["epochs"].as_array().expect("epochs"))
    {
        let cosine = &epoch["fidelity"][0]["gradient_cosine"];
        assert!(cosine["all"].is_number() && cosine["groups"].as_array().is_some_and(|it| it.len() == 5), "{epoch:#}");
        assert!(epoch["validation"]["calibration_error"].is_number(), "{epoch:#}");
    }

    let confusion = laboratory.get(&format!("/api/v1/studies/{id}/confusion.json")).await;
    assert_eq!(confusion["classes"][9], "Ankle boot");
    for (arm, compared) in confusion["arms"].as_array().expect("arms").iter().zip(arms) {
        let counts: Vec<Vec<u64>> = serde_json::from_value(arm["counts"].clone()).expect("counts");
        assert_eq!((&arm["label"], &arm["seeds"]), (&compared["label"], &json!([0, 1])));
        assert_eq!(counts.iter().flatten().sum::<u64>(), 2 * 100);
        let right: u64 = (0..10).map(|class| counts[class][class]).sum();
        assert!((right as f64 / 2.0 - compared["mean"].as_f64().expect("a mean")).abs() < 1e-9, "{arm:#}");
    }
    assert_eq!(confusion["arms"].as_array().map(Vec::len), Some(3));
    let snapshot = laboratory.get(&format!("/api/v1/studies/{id}/snapshot.json")).await;
    assert_eq!(snapshot["report"]["confusion"], confusion);
    let page = laboratory.request(Method::GET, &format!("/studies/{id}?arm=2")).send().await.expect("an answer");
    let page = page.text().await.expect("text");
    assert!(page.contains("Where the two losses conflict") && page.contains(">Ankle boot</"), "{page}");

    let toml =
        laboratory.request(Method::GET, &format!("/api/v1/studies/{id}/study.toml")).send().await.expect("an answer");
    let again = laboratory.create(&toml.text().await.expect("text")).await;
    let again = laboratory.get(&format!("/api/v1/studies/{again}")).await;
    assert_eq!(again["progress"]["state"], "finished", "the same study is trained already");
    let cards = laboratory.get("/api/v1/studies").await;
    assert_eq!(cards.as_array().expect("cards").len(), 2);

    let run = study["arms"][1]["runs"][1].as_str().expect("a run's id").to_owned();
    let file = bench.folder.path().join("weights.safetensors");
    let export = output(
        bench
            .command("export", "data")
            .arg(&run)
            .args(["--weights", "weights.safetensors"])
            .current_dir(bench.folder.path()),
    );
    assert!(export.status.success(), "{}", text(&export.stderr));
    assert!(file.metadata().expect("a file").len() > 0);

    // No run ends at a teacher: its weights are named by what made them, in the metrics.
    let teacher = &metrics["teachers"][0];
    assert_eq!(
        (&teacher["name"], teacher["epochs"].as_array().map(Vec::len)),
        (&json!("teacher wrn-10-1, seed 0"), Some(3))
    );
    assert!(teacher["epochs"][2]["test"]["accuracy"].is_number(), "{teacher}");
    let checkpoint = teacher["checkpoints"][0].as_str().expect("a checkpoint").to_owned();
    assert!(csv.lines().last().expect("a line").starts_with(&checkpoint), "{csv}");
    let export = |of: &str| output(bench.command("export", "data").args([of, "--weights"]).arg(&file));
    std::fs::remove_file(&file).expect("it was exported");
    assert!(export(&checkpoint).status.success());
    assert!(file.metadata().expect("a file").len() > 0);
    let nobody = export(&format!("{}@3", "0".repeat(32)));
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("nothing was trained as 0000"), "{}", text(&nobody.stderr));
    let unknown = output(bench.command("export", "data").args(["0123456789abcdef", "--weights", "none"]));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("no run is called 0123456789abcdef"), "{}", text(&unknown.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_study_is_told_all_at_once_and_nothing_is_begun() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let wrong = study("What is wrong?", 4, "[0, 9]")
        .replace("batch_size = 50", "batch_size = 0")
        .replace("seeds = 2", "seeds = -1");
    let table: toml::Table = toml::from_str(&wrong).expect("TOML");
    let as_json = serde_json::to_string(&table).expect("JSON");
    let mut said = Vec::new();
    for body in [wrong, as_json] {
        let answer = laboratory.request(Method::POST, "/api/v1/studies").body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let answer: Value = answer.json().await.expect("JSON");
        let fields: Vec<_> =
            answer["errors"].as_array().expect("errors").iter().map(|error| error["field"].clone()).collect();
        assert_eq!(fields, ["seeds", "treatment.kd_stop_epoch", "recipe.batch_size"], "{answer:#}");
        assert!(answer["errors"].as_array().expect("errors").iter().all(|error| {
            ["problem", "given", "allowed"].iter().all(|part| error[part].as_str().is_some_and(|text| !text.is_empty()))
        }));
        said.push(answer);
    }
    assert_eq!(said[0], said[1], "TOML and JSON are refused alike");

    let gone =
        study("Where?", 4, "[0, 4]").replace("\"fashion-mnist\"", "\"cifar-10\"").replace("\"cpu\"", "\"cuda:9\"");
    let answer = laboratory.request(Method::POST, "/api/v1/studies").body(gone).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let answer: Value = answer.json().await.expect("JSON");
    let fields: Vec<_> =
        answer["errors"].as_array().expect("errors").iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["dataset", "recipe.device"], "{answer:#}");

    for nonsense in
        ["", "{", "[[[[", "title = 1\ntitle = 2", "{\"title\": null}", &"[".repeat(100_000), &"a=".repeat(1000)]
    {
        let answer = laboratory
            .request(Method::POST, "/api/v1/studies")
            .body(nonsense.to_owned())
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{nonsense:.20}");
    }
    for (body, field) in [("", "study"), ("{\"study\": \"x\"}", "study"), ("[", "study")] {
        let asked = laboratory.request(Method::POST, "/api/v1/shares").body(body).send().await.expect("an answer");
        assert_eq!(asked.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(asked.json::<Value>().await.expect("JSON")["errors"][0]["field"], field);
    }
    let no_text =
        laboratory.request(Method::POST, "/api/v1/studies").body(vec![0xff, 0xfe]).send().await.expect("an answer");
    assert_eq!(no_text.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let no_text = no_text.json::<Value>().await.expect("JSON");
    assert_eq!(no_text["errors"][0]["problem"], "line 1 is not text in UTF-8", "{no_text}");
    let large = laboratory.request(Method::POST, "/api/v1/studies").body("a".repeat(2 * 1024 * 1024));
    assert_eq!(laboratory.status(large).await, StatusCode::PAYLOAD_TOO_LARGE);

    assert_eq!(laboratory.get("/api/v1/studies").await, json!([]));
    assert!(laboratory.segments().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_whatever_it_is_called() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    for name in ["1", "-1", "18446744073709551616", "..", "%2e%2e", "%00", ":id", "1%2F..", "NaN"] {
        for path in ["", "/comparison", "/metrics.csv", "/metrics.json", "/study.toml"] {
            let asked = laboratory.request(Method::GET, &format!("/api/v1/studies/{name}{path}"));
            let status = laboratory.status(asked).await;
            // `..` is resolved by the client before it is sent: that is another address.
            assert!(status == StatusCode::NOT_FOUND || name == ".." || name == "%2e%2e", "{name}{path}: {status}");
        }
        let deleted = laboratory.request(Method::DELETE, &format!("/api/v1/shares/{name}"));
        let status = laboratory.status(deleted).await;
        assert!(status.is_client_error(), "{name}: {status}");
    }
    assert_eq!(laboratory.status(laboratory.request(Method::GET, "/api/v1/nothing")).await, StatusCode::NOT_FOUND);
    assert_eq!(laboratory.status(laboratory.request(Method::GET, "/pkg/nothing.js")).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_other_origins_are_refused_on_every_route() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let own = laboratory.url.strip_prefix("http://").expect("http").to_owned();
    let routes = [
        (Method::GET, "/"),
        (Method::GET, "/api/v1/studies"),
        (Method::POST, "/api/v1/studies"),
        (Method::POST, "/api/v1/studies/1/stop"),
        (Method::POST, "/api/v1/studies/1/resume"),
        (Method::POST, "/api/v1/studies/1/seeds"),
        (Method::DELETE, "/api/v1/studies/1"),
        (Method::GET, "/api/v1/datasets"),
        (Method::POST, "/api/v1/datasets"),
        (Method::POST, "/api/v1/datasets/mnist/download"),
        (Method::GET, "/data/fashion-mnist-12k/0.png"),
        (Method::POST, "/api/v1/shares"),
        (Method::DELETE, "/api/v1/shares/1"),
        (Method::POST, "/login"),
        (Method::POST, "/api/start"),
        (Method::GET, "/events"),
        (Method::GET, "/s/00000000000000000000000000000000"),
        (Method::GET, "/pkg/stillroom.css"),
    ];
    for (method, path) in routes {
        for host in ["evil.example", "evil.example:80", "127.0.0.1:1", "localhost.evil.example"] {
            let asked = laboratory.request(method.clone(), path).header(header::HOST, host);
            assert_eq!(laboratory.status(asked).await, StatusCode::MISDIRECTED_REQUEST, "{method} {path} for {host}");
        }
        for origin in ["null", "https://evil.example", "http://127.0.0.1:1", "file://"] {
            let asked =
                laboratory.request(method.clone(), path).header(header::ORIGIN, origin).header(header::HOST, &own);
            let status = laboratory.status(asked).await;
            if method == Method::GET {
                assert_ne!(status, StatusCode::FORBIDDEN, "{method} {path} from {origin}");
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} from {origin}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_the_browser_what_it_may_not_do() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    for path in ["/", "/studies/new", "/studies/1", "/api/v1/studies", "/s/0000", "/nothing", "/pkg/nothing.js"] {
        let answer = laboratory.request(Method::GET, path).send().await.expect("an answer");
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        let expected = if path.starts_with("/s/") { ("no-referrer", "noindex, nofollow") } else { ("same-origin", "") };
        assert_eq!((header("referrer-policy").as_str(), header("x-robots-tag").as_str()), expected, "{path}");
        let body = answer.text().await.expect("text");
        for script in body.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap_or_default();
            let nonce = tag.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            assert!(!nonce.is_empty() && policy.contains(&format!("'nonce-{nonce}'")), "{path}: <script{tag}>");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trickles_its_request_is_sent_away() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let address = laboratory.url.strip_prefix("http://").expect("http");
    let mut slow = tokio::net::TcpStream::connect(address).await.expect("a connection");
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.expect("it begins");
    // Nor may one hold a place that says nothing at all.
    let mut silent = tokio::net::TcpStream::connect(address).await.expect("a connection");
    for connection in [&mut slow, &mut silent] {
        // The server ends it: without that, this would wait for ever.
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), connection.read_to_end(&mut rest));
        ended.await.expect("the connection is closed").expect("it is closed in order");
    }
    assert_eq!(laboratory.get("/api/v1/studies").await, json!([]));
}
