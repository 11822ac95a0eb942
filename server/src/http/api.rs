//! `/api/v1`: for programs what the pages are for people. Each route is one of the laboratory's functions, but for those by which data
//! sets and teachers come here and leave ([`upload`], [`download`], [`teachers`], [`removal`]): they are this server's own. What a page's
//! plain form asks for has a `POST` beside its `DELETE`.
//!
//! Errors are JSON: a study that is wrong is answered 422 with `{"errors": [{"field", "problem", "given", "allowed"}]}`,
//! everything else with `{"error": "a sentence"}`.
//!
//! `comparison` says accuracies in percent and differences in points; `metrics` say what was measured, from 0 to 1.

use super::{Site, download, json, metrics, removal, teachers, upload};
use crate::{process, summary};
use app::{error::ApiError, laboratory};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};
use std::str::FromStr;
use study::{Outlook, Report, Snapshot, Study};

/// What the paths of all routes begin with.
pub const ROOT: &str = "/api/v1";
/// Below [`ROOT`]: where a form with a file may be posted, which its route reads itself.
pub const WITH_A_FILE: [&str; 2] = [DATASETS, TEACHERS];
const DATASETS: &str = "/datasets";
const TEACHERS: &str = "/teachers";

pub fn routes() -> Router<Site> {
    let unbounded = DefaultBodyLimit::disable;
    Router::new()
        .route("/studies", get(list).post(create))
        .route("/studies/{id}", get(read).delete(remove))
        .route("/studies/{id}/stop", post(stop))
        .route("/studies/{id}/resume", post(resume))
        .route("/studies/{id}/seeds", post(add_seeds))
        .route("/studies/{id}/study.toml", get(study_file))
        .route("/studies/{id}/comparison", get(comparison))
        .route("/studies/{id}/snapshot.json", get(snapshot))
        .route("/studies/{id}/confusion.json", get(confusion))
        .route("/studies/{id}/metrics.csv", get(metrics_csv))
        .route("/studies/{id}/metrics.json", get(metrics_json))
        .route(DATASETS, get(datasets).post(upload::upload).layer(unbounded()))
        .route(TEACHERS, get(teachers::list).post(teachers::bring).layer(unbounded()))
        .route("/datasets/{name}", delete(removal::dataset))
        .route("/datasets/{name}/remove", post(removal::dataset))
        .route("/datasets/{name}/download", post(download::begin).delete(download::cancel))
        .route("/datasets/{name}/download/cancel", post(download::cancel))
        .route("/teachers/{digest}", delete(removal::teacher))
        .route("/teachers/{digest}/remove", post(removal::teacher))
        .route("/shares", get(shares).post(share))
        .route("/shares/{id}", delete(revoke))
        .fallback(|| async { Refused::from(ApiError::NotFound("address".into())) })
}

/// An error on its way out.
struct Refused {
    status: StatusCode,
    body: Value,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        let body = match &error {
            ApiError::Spec(errors) => json!({ "errors": errors }),
            other => json!({ "error": other.to_string() }),
        };
        Refused { status: error.status(), body }
    }
}

/// A body that is too large or broke off.
impl From<BytesRejection> for Refused {
    fn from(rejection: BytesRejection) -> Self {
        Refused { status: rejection.status(), body: json!({ "error": rejection.body_text() }) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// What a client names is a number. Anything else names nothing.
fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| ApiError::NotFound(what.into()).into())
}

/// A body as it was sent, or why it cannot be read.
type Body = Result<Bytes, BytesRejection>;

/// Read as a study file is, where the command line reads one.
fn text(body: &[u8]) -> Result<&str, Refused> {
    Study::text(body).map_err(|errors| ApiError::Spec(errors).into())
}

/// A study as TOML, or as JSON where the request says so or it begins like one.
async fn create(State(site): State<Site>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let body = body?;
    let body = text(&body)?;
    let is_json =
        headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    let table = if is_json || body.trim_start().starts_with('{') { json::table(body) } else { Study::table(body) };
    let id = laboratory::create(&site.laboratory, &table.map_err(ApiError::Spec)?).await?;
    let place = [(header::LOCATION, format!("/api/v1/studies/{id}"))];
    Ok((StatusCode::CREATED, place, Json(json!({ "id": id }))).into_response())
}

async fn list(State(site): State<Site>) -> Result<Response, Refused> {
    Ok(Json(laboratory::list(&site.laboratory).await?).into_response())
}

async fn read(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let known = laboratory::known(&site.laboratory, id(&study, "study")?).await?;
    let stored = &known.stored;
    let machine = site.laboratory.machine.get();
    let (asked, outlook) = (known.asked(), Outlook::of(&stored.study, &stored.plan, &machine));
    let mut object = json!(summary::object(&stored.plan, Some(&*asked.so_far), &outlook, None));
    object["id"] = json!(stored.id);
    object["created_at"] = json!(stored.created_at);
    object["study"] = json!(stored.study);
    object["remarks"] = json!(stored.plan.remarks);
    object["working"] = json!(known.facts.values().filter(|facts| facts.working).count());
    object["progress"] = json!(known.progress(&asked, &machine));
    Ok(Json(object).into_response())
}

async fn study_file(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let text = laboratory::stored(&site.laboratory, id(&study, "study")?).await?.study.to_toml();
    Ok(([(header::CONTENT_TYPE, "application/toml; charset=utf-8")], text).into_response())
}

async fn stop(State(site): State<Site>, Path(study): Path<String>) -> Result<StatusCode, Refused> {
    laboratory::stop(&site.laboratory, id(&study, "study")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(State(site): State<Site>, Path(study): Path<String>) -> Result<StatusCode, Refused> {
    laboratory::resume(&site.laboratory, id(&study, "study")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{"more": 5}` trains five more seeds of each arm.
async fn add_seeds(State(site): State<Site>, Path(study): Path<String>, body: Body) -> Result<StatusCode, Refused> {
    let study = id(&study, "study")?;
    let more = json::more_seeds(text(&body?)?).map_err(ApiError::Spec)?;
    laboratory::add_seeds(&site.laboratory, study, more).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(site): State<Site>, Path(study): Path<String>) -> Result<StatusCode, Refused> {
    laboratory::delete(&site.laboratory, id(&study, "study")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn comparison(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let report = laboratory::report(&site.laboratory, id(&study, "study")?).await?;
    Ok(Json(&report.comparison).into_response())
}

/// Everything its page shows, frozen now: what an example is made of.
async fn snapshot(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let report = laboratory::report(&site.laboratory, id(&study, "study")?).await?;
    Ok(Json(Snapshot::freeze(Report::clone(&report), process::now())).into_response())
}

/// What is taken for what on the test images, by arm, as far as runs are at their end.
async fn confusion(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let confusion = laboratory::confusion(&site.laboratory, id(&study, "study")?).await?;
    Ok(Json(confusion).into_response())
}

async fn metrics_csv(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let known = laboratory::known(&site.laboratory, id(&study, "study")?).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"study-{}-metrics.csv\"", known.stored.id)),
    ];
    Ok((headers, metrics::csv(&known.asked().so_far, &known.facts)).into_response())
}

async fn metrics_json(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let known = laboratory::known(&site.laboratory, id(&study, "study")?).await?;
    Ok(Json(metrics::object(&known.asked().so_far, &known.facts)).into_response())
}

/// Which data sets are here, which are not and why, and how far downloads are.
async fn datasets(State(site): State<Site>) -> Response {
    Json(laboratory::datasets(&site.laboratory)).into_response()
}

async fn shares(State(site): State<Site>) -> Result<Response, Refused> {
    Ok(Json(laboratory::shares(&site.laboratory).await?).into_response())
}

/// Freezes a study's comparison. The answer is the only place where its link ever stands.
async fn share(State(site): State<Site>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let study = json::study_id(text(&body?)?).map_err(ApiError::Spec)?;
    let token = laboratory::share(&site.laboratory, study).await?;
    let host = || headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    let base = site.laboratory.public_url.clone().or_else(host).unwrap_or_default();
    Ok((StatusCode::CREATED, Json(json!({ "token": token, "url": format!("{base}/s/{token}") }))).into_response())
}

async fn revoke(State(site): State<Site>, Path(share): Path<String>) -> Result<StatusCode, Refused> {
    laboratory::revoke(&site.laboratory, id(&share, "shared link")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
