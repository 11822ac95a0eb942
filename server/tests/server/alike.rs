//! The form, the API and the command line say the same of the same study.

use crate::laboratory::{Bench, Laboratory, output, text};
use app::form::{Fields, preview};
use reqwest::{Method, StatusCode, header};
use study::{Machine, SpecError, Study};

const WRONG_IN_EVERY_WAY: &str = r#"
    title = "What is wrong?"
    dataset = "cifar-10"
    validation = -1
    seeds = 0
    [student]
    architecture = "wrn-11-1"
    epochs = 4
    [teacher]
    architecture = "wrn-10-1"
    epochs = 3
    [treatment]
    kd_stop_epoch = [0, 9]
    teacher_stop_epoch = 4
    [recipe]
    batch_size = 0
    momentum = 1.5
    device = "cuda:9"
"#;

/// Right by itself; but the images here are 500, and none would be left.
const TOO_FEW_IMAGES: &str = r#"
    title = "How few are enough?"
    dataset = "fashion-mnist"
    [student]
    architecture = "wrn-10-1"
    epochs = 4
    [recipe]
    device = "cuda:9"
"#;

/// As a form is sent.
fn sent(fields: &Fields) -> Vec<(String, String)> {
    fields.0.iter().map(|(path, text)| (format!("fields[{path}]"), text.clone())).collect()
}

async fn by_the_api(laboratory: &Laboratory, body: String) -> Vec<SpecError> {
    let answer = laboratory.request(Method::POST, "/api/v1/studies").body(body).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let mut answer: serde_json::Value = answer.json().await.expect("JSON");
    serde_json::from_value(answer["errors"].take()).expect("errors")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_study_is_refused_alike_by_form_api_and_command_line() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let machine: Machine = serde_json::from_value(laboratory.get("/api/machine").await).expect("this machine");
    for (wrong, fields_told) in [
        (
            WRONG_IN_EVERY_WAY,
            &[
                "dataset",
                "validation",
                "seeds",
                "student.architecture",
                "treatment.kd_stop_epoch",
                "treatment.teacher_stop_epoch",
                "recipe.batch_size",
                "recipe.momentum",
                "recipe.device",
            ][..],
        ),
        (TOO_FEW_IMAGES, &["validation", "recipe.device"]),
    ] {
        let errors = by_the_api(&laboratory, wrong.to_owned()).await;
        assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), fields_told, "{errors:#?}");
        let table = Study::table(wrong).expect("TOML");
        assert_eq!(by_the_api(&laboratory, serde_json::to_string(&table).expect("JSON")).await, errors, "as JSON");

        let file = bench.write("study.toml", wrong);
        for command in ["plan", "run"] {
            let refused = output(bench.command(command, "elsewhere").arg(&file));
            assert_eq!(refused.status.code(), Some(2));
            let said: Vec<String> = text(&refused.stderr).lines().map(str::to_owned).collect();
            assert_eq!(said, errors.iter().map(SpecError::to_string).collect::<Vec<_>>(), "by {command}");
        }

        let fields = Fields::of_table(&table);
        assert_eq!(preview(&fields, &machine).errors, errors, "as one types");
        let own = || laboratory.request(Method::POST, "/api/start").header(header::ORIGIN, &laboratory.url);
        let start = || own().form(&sent(&fields));
        let refused = start().header(header::ACCEPT, "application/json").send().await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let mut refused: serde_json::Value = refused.json().await.expect("JSON");
        let detail: Vec<SpecError> = serde_json::from_value(refused["detail"].take()).expect("errors");
        assert_eq!(detail, errors, "by the form's button");

        // Without scripts one is led back to the form, which says the same.
        let led_back = start().header(header::ACCEPT, "text/html").send().await.expect("an answer");
        let address = led_back.headers()[header::LOCATION].to_str().expect("an address").to_owned();
        let page = laboratory.request(Method::GET, &address).send().await.expect("a page").text().await.expect("text");
        for told in fields_told {
            let field = page.split(&format!("id=\"{}\"", told.replace(['.', '_'], "-"))).nth(1).expect("the field");
            let field = &field[..field.find("class=\"hint\"").expect("its hint")];
            assert!(
                field.contains("aria-invalid=\"true\"") && field.contains("class=\"error-line\""),
                "{told}: {field}"
            );
        }
    }
    assert_eq!(laboratory.get("/api/v1/studies").await, serde_json::json!([]));
    assert!(laboratory.segments().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_study_is_stopped_wherever_it_is_compared() {
    let bench = Bench::new();
    let laboratory = bench.serve("data");
    let id = laboratory.create(&crate::laboratory::study("Who stops?", 200, "0")).await;
    laboratory.until(id, "an epoch", |study| study["progress"]["epochs_done"].as_u64() >= Some(1)).await;
    let stop = laboratory.request(Method::POST, &format!("/api/v1/studies/{id}/stop"));
    assert_eq!(laboratory.status(stop).await, StatusCode::NO_CONTENT);
    let comparison = laboratory.get(&format!("/api/v1/studies/{id}/comparison")).await;
    assert_eq!(comparison["answer"], "Stopped: 0 of 2 runs are done.");
    let report = laboratory.get(&format!("/api/report?id={id}")).await;
    assert_eq!(report["comparison"], comparison);
}
