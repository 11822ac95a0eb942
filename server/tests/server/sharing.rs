//! Shared links, and servers that others can reach.

use crate::laboratory::{Bench, output, study, text};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_outlives_its_study_until_it_is_taken_back_and_then_looks_like_any_unknown_one() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&study("What was </title><b>shared</b>?", 2, "[0, 2]")).await;
    laboratory.until_finished(id).await;
    let comparison = laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await;

    let answer = laboratory
        .request(Method::POST, "/api/v1/shares")
        .json(&json!({ "study": id }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    let answer: Value = answer.json().await.expect("JSON");
    let token = answer["token"].as_str().expect("a token").to_owned();
    assert_eq!(answer["url"], format!("{}/s/{token}", laboratory.url));
    assert!(token.len() >= 22, "128 bits: {token}");

    assert_eq!(
        laboratory.status(laboratory.request(Method::DELETE, &format!("/api/v1/studies/{id}"))).await,
        StatusCode::NO_CONTENT
    );
    let open = async |path: String| {
        let answer = laboratory.request(Method::GET, &path).send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    };
    for path in [format!("/s/{token}"), format!("/s/{token}/download")] {
        let (status, page) = open(path.clone()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(
            page.contains("<title>What was &lt;/title&gt;&lt;b&gt;shared&lt;/b&gt;?")
                && !page.contains("<b>shared</b>"),
            "{path}"
        );
        for arm in comparison["arms"].as_array().expect("arms") {
            let label = arm["label"].as_str().expect("a label");
            let mean = format!("{:.1}", arm["mean"].as_f64().expect("a mean"));
            assert!(page.contains(label) && page.contains(&mean), "{path}: {label} {mean}");
        }
    }
    let (_, download) = open(format!("/s/{token}/download")).await;
    assert!(
        !download.contains("<script")
            && !download.contains("src=\"/")
            && !download.contains("<link rel=\"stylesheet\"")
    );

    let shares = laboratory.get("/api/v1/shares").await;
    let share = &shares[0];
    assert_eq!(share["title"], "What was </title><b>shared</b>?");
    assert!(share["last_opened_at"].is_i64() && share["revoked_at"].is_null());
    assert!(!shares.to_string().contains(&token), "the list cannot open anything");

    let revoke = laboratory.request(Method::DELETE, &format!("/api/v1/shares/{}", share["id"]));
    assert_eq!(laboratory.status(revoke).await, StatusCode::NO_CONTENT);
    // A page's nonce differs from answer to answer, and the page may say its own address.
    let same = |(status, page): (StatusCode, String), name: &str| {
        let mut parts = page.split("nonce=\"");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.split_once('"').map_or("", |(_, rest)| rest));
        (status, (first + &rest.collect::<String>()).replace(name, "TOKEN"))
    };
    let revoked = same(open(format!("/s/{token}")).await, &token);
    assert_eq!(revoked.0, StatusCode::NOT_FOUND);
    let unknown = "0".repeat(32);
    for other in [unknown.as_str(), "token", "1", &share["id"].to_string()] {
        let answer = same(open(format!("/s/{other}")).await, other);
        assert_eq!(answer.0, StatusCode::NOT_FOUND, "{other}");
        if other == unknown {
            assert_eq!(answer, revoked);
        }
        assert_eq!(open(format!("/s/{other}/download")).await, open(format!("/s/{token}/download")).await, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_for_others_asks_for_the_password_everywhere_but_at_shared_links() {
    let bench = Bench::new();
    let refused = output(bench.command("serve", "data").args(["--port", "0", "--bind", "0.0.0.0"]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("STILLROOM_PASSWORD"), "{}", text(&refused.stderr));
    let empty =
        output(bench.command("serve", "data").args(["--port", "0", "--bind", "0.0.0.0"]).env("STILLROOM_PASSWORD", ""));
    assert_eq!(empty.status.code(), Some(1));

    let laboratory = bench.serve_with("data", &[], &[("STILLROOM_PASSWORD", "copper still")]);
    let ask = |path: &str| laboratory.request(Method::GET, path);
    for path in ["/api/v1/studies", "/api/v1/datasets", "/events", "/api/studies"] {
        assert_eq!(laboratory.status(ask(path)).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/api/v1/datasets", "/api/v1/datasets/mnist/download", "/api/v1/studies"] {
        let changed = laboratory.request(Method::POST, path).header(header::ORIGIN, &laboratory.url);
        assert_eq!(laboratory.status(changed).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/data", "/data/fashion-mnist-12k/0.png"] {
        assert_eq!(laboratory.status(ask(path)).await, StatusCode::SEE_OTHER, "{path}");
    }
    let page = ask("/studies/new?from=1").send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()[header::LOCATION], "/login?next=/studies/new%3Ffrom%3D1");
    assert_eq!(laboratory.status(ask("/s/0000")).await, StatusCode::NOT_FOUND);
    assert_eq!(laboratory.status(ask("/login")).await, StatusCode::OK);

    assert_eq!(laboratory.status(ask("/api/v1/studies").bearer_auth("copper")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(laboratory.status(ask("/api/v1/studies").bearer_auth("copper still")).await, StatusCode::OK);

    let log_in = |password: &str| {
        let form = laboratory.request(Method::POST, "/login").header(header::ORIGIN, &laboratory.url);
        let form = form.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        form.body(format!("password={}&next=%2Fstudies%2Fnew", password.replace(' ', "+")))
    };
    assert_eq!(laboratory.status(log_in("copper")).await, StatusCode::UNAUTHORIZED);
    let entered = log_in("copper still").send().await.expect("an answer");
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    assert_eq!(entered.headers()[header::LOCATION], "/studies/new");
    let cookie = entered.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = cookie.split(';').next().expect("a session").to_owned();
    assert_eq!(laboratory.status(ask("/api/v1/studies").header(header::COOKIE, &session)).await, StatusCode::OK);
    let forged = session.replace(['1', '2', '3'], "4");
    assert_eq!(
        laboratory.status(ask("/api/v1/studies").header(header::COOKIE, forged)).await,
        StatusCode::UNAUTHORIZED
    );

    // What a password protects is kept in no browser's memory: after a log-out, "back" shows nothing.
    for path in ["/", "/api/v1/studies"] {
        let page = ask(path).header(header::COOKIE, &session).send().await.expect("an answer");
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-store", "{path}");
    }

    // Two wrong ones are behind us; after eight more, a wrong one has to wait, and the right one is let in.
    for _ in 0..8 {
        assert_eq!(laboratory.status(log_in("guess")).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(laboratory.status(log_in("guess")).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(laboratory.status(log_in("copper still")).await, StatusCode::SEE_OTHER);
    assert_eq!(laboratory.status(ask("/api/v1/studies").header(header::COOKIE, &session)).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_begin_with_the_public_url() {
    let bench = Bench::new();
    let wrong = output(bench.command("serve", "data").args(["--port", "0", "--public-url", "lab.example.org/x"]));
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    let laboratory = bench.serve_with("data", &["--public-url", "https://lab.example.org/"], &[]);
    let id = laboratory.create(&study("Where?", 1, "[0, 1]")).await;
    let share = laboratory.request(Method::POST, "/api/v1/shares").json(&json!({ "study": id }));
    let share = share.header(header::HOST, "lab.example.org").send().await.expect("an answer");
    assert_eq!(share.status(), StatusCode::CREATED);
    let share: Value = share.json().await.expect("JSON");
    let url = share["url"].as_str().expect("an address");
    assert!(url.starts_with("https://lab.example.org/s/"), "{url}");
}
