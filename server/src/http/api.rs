//! `/api/v1`: for programs what the pages are for people. Each route is one of the laboratory's functions.
//!
//! Errors are JSON: a study that is wrong is answered 422 with `{"errors": [{"field", "problem", "given", "allowed"}]}`,
//! everything else with `{"error": "a sentence"}`.

use super::{Site, metrics};
use crate::{process, summary};
use app::{error::ApiError, laboratory};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::json;
use std::str::FromStr;
use store::StoredStudy;
use study::{Facts, Snapshot, SpecError, Study, StudyId, progress::progress};

pub fn routes() -> Router<Site> {
    Router::new()
        .route("/studies", get(list).post(create))
        .route("/studies/{id}", get(read).delete(remove))
        .route("/studies/{id}/stop", post(stop))
        .route("/studies/{id}/resume", post(resume))
        .route("/studies/{id}/study.toml", get(study_file))
        .route("/studies/{id}/comparison", get(comparison))
        .route("/studies/{id}/snapshot.json", get(snapshot))
        .route("/studies/{id}/metrics.csv", get(metrics_csv))
        .route("/studies/{id}/metrics.json", get(metrics_json))
        .route("/shares", get(shares).post(share))
        .route("/shares/{id}", delete(revoke))
        .fallback(|| async { Refused(ApiError::NotFound("address".into())) })
}

/// An error on its way out.
struct Refused(ApiError);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Refused(error)
    }
}

impl From<store::StoreError> for Refused {
    fn from(error: store::StoreError) -> Self {
        Refused(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = match &self.0 {
            ApiError::Spec(errors) => json!({ "errors": errors }),
            other => json!({ "error": other.to_string() }),
        };
        (self.0.status(), Json(body)).into_response()
    }
}

/// What a client names is a number. Anything else names nothing.
fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| Refused(ApiError::NotFound(what.into())))
}

async fn stored(site: &Site, study: &str) -> Result<StoredStudy, Refused> {
    Ok(laboratory::stored(&site.laboratory, id(study, "study")?).await?)
}

async fn facts(site: &Site, stored: &StoredStudy) -> Result<Facts, Refused> {
    Ok(site.laboratory.store.facts(&stored.plan).await?)
}

/// A study as TOML, or as JSON where the request says so or it begins like one.
async fn create(State(site): State<Site>, headers: HeaderMap, body: String) -> Result<Response, Refused> {
    let is_json =
        headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    let study = if is_json || body.trim_start().starts_with('{') { from_json(&body) } else { Study::from_toml(&body) };
    let study = study.map_err(ApiError::Spec)?;
    let id = laboratory::create(&site.laboratory, &study).await?;
    let place = [(header::LOCATION, format!("/api/v1/studies/{id}"))];
    Ok((StatusCode::CREATED, place, Json(json!({ "id": id }))).into_response())
}

fn from_json(body: &str) -> Result<Study, Vec<SpecError>> {
    let table: toml::Table = serde_json::from_str(body).map_err(|error| {
        vec![SpecError {
            field: String::new(),
            problem: format!("is not a study in JSON: {error}"),
            given: "the request's body".into(),
            allowed: "an object with the fields of a study file".into(),
        }]
    })?;
    Study::from_table(&table)
}

async fn list(State(site): State<Site>) -> Result<Response, Refused> {
    Ok(Json(laboratory::list(&site.laboratory).await?).into_response())
}

async fn read(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let stored = stored(&site, &study).await?;
    let facts = facts(&site, &stored).await?;
    let stopped = stored.stopped_at.is_some();
    let mut object = summary::plan_object(&stored.plan);
    object["id"] = json!(stored.id);
    object["created_at"] = json!(stored.created_at);
    object["study"] = json!(stored.study);
    object["remarks"] = json!(stored.plan.remarks);
    object["working"] = json!(facts.values().filter(|facts| facts.working).count());
    object["progress"] = json!(progress(&stored.plan, &facts, stopped, &site.laboratory.machine()));
    Ok(Json(object).into_response())
}

async fn study_file(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let text = stored(&site, &study).await?.study.to_toml();
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

async fn remove(State(site): State<Site>, Path(study): Path<String>) -> Result<StatusCode, Refused> {
    laboratory::delete(&site.laboratory, id(&study, "study")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn comparison(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let stored = stored(&site, &study).await?;
    let facts = facts(&site, &stored).await?;
    Ok(Json(study::comparison::compare(&stored.study, &stored.plan, &facts)).into_response())
}

/// Everything its page shows, frozen now: what an example is made of.
async fn snapshot(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let report = laboratory::report(&site.laboratory, id(&study, "study")?).await?;
    Ok(Json(Snapshot::freeze(report, process::now())).into_response())
}

async fn metrics_csv(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let stored = stored(&site, &study).await?;
    let facts = facts(&site, &stored).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"study-{}-metrics.csv\"", stored.id)),
    ];
    Ok((headers, metrics::csv(&stored.plan, &facts)).into_response())
}

async fn metrics_json(State(site): State<Site>, Path(study): Path<String>) -> Result<Response, Refused> {
    let stored = stored(&site, &study).await?;
    let facts = facts(&site, &stored).await?;
    Ok(Json(metrics::object(&stored.plan, &facts)).into_response())
}

async fn shares(State(site): State<Site>) -> Result<Response, Refused> {
    Ok(Json(laboratory::shares(&site.laboratory).await?).into_response())
}

#[derive(Deserialize)]
struct ToShare {
    study: StudyId,
}

/// Freezes a study's comparison. The answer is the only place where its link ever stands.
async fn share(State(site): State<Site>, headers: HeaderMap, Json(asked): Json<ToShare>) -> Result<Response, Refused> {
    let token = laboratory::share(&site.laboratory, asked.study).await?;
    let host = || headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    let base = site.laboratory.public_url.clone().or_else(host).unwrap_or_default();
    Ok((StatusCode::CREATED, Json(json!({ "token": token, "url": format!("{base}/s/{token}") }))).into_response())
}

async fn revoke(State(site): State<Site>, Path(share): Path<String>) -> Result<StatusCode, Refused> {
    laboratory::revoke(&site.laboratory, id(&share, "shared link")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
