//! Pages and their files: rendered by `app`, with what a page needs put into its context.

use super::{Site, To, headers};
use crate::assets;
use app::laboratory;
use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use leptos::{context::provide_context, nonce::use_nonce, prelude::use_context};
use leptos_axum::{
    LeptosRoutes, ResponseOptions, generate_route_list_with_exclusions_and_ssg_and_context as route_list,
};
use study::Dataset;

pub fn routes(site: &Site) -> Router<Site> {
    let context = {
        let laboratory = site.laboratory.clone();
        move || {
            provide_context(laboratory.clone());
            // The nonce is made with the page's context, before this: only here can the header say the same one.
            if let Some(response) = use_context::<ResponseOptions>() {
                let nonce = use_nonce();
                let policy = headers::content_security_policy(nonce.as_ref().map(|nonce| nonce.as_inner().as_ref()));
                if let Ok(policy) = HeaderValue::from_str(&policy) {
                    response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
                }
            }
        }
    };
    let shell = {
        let has_password = site.password.is_some();
        move || app::shell(versions(), has_password)
    };
    let (paths, _) = route_list(app::App, None, context.clone());
    Router::new()
        .route("/pkg/{*file}", get(file))
        .route("/favicon.svg", get(file))
        .route("/s/{token}/download", get(shared_file))
        .route("/data/{dataset}/{class}", get(sample))
        .leptos_routes_with_context(site, paths, context.clone(), shell)
        .fallback(leptos_axum::render_app_to_stream_with_context(context, shell))
}

fn versions() -> app::AssetVersions {
    let assets::Versions { js, wasm, css } = assets::versions();
    app::AssetVersions { js, wasm, css }
}

async fn file(request: Request) -> Response {
    assets::serve(request.uri().clone(), request.headers().clone()).await
}

/// Some images of one class, as a PNG: `/data/cifar-10/3.png`.
async fn sample(State(site): State<Site>, Path((dataset, class)): Path<(String, String)>) -> Response {
    let class = class.strip_suffix(".png").and_then(|class| class.parse::<u32>().ok());
    let all = site.laboratory.samples.get();
    let dataset = dataset.parse::<Dataset>().ok();
    let of = all.iter().find(|samples| Some(samples.dataset) == dataset);
    let sample = of.and_then(|of| of.samples.iter().find(|sample| Some(sample.class) == class));
    match sample {
        // Others may lie under this name once the program is started again.
        Some(sample) => {
            ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-cache")], sample.png.clone())
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A shared comparison as one file to be sent by mail. Unknown, expired and revoked links are told apart by nobody.
async fn shared_file(State(site): State<Site>, Path(token): Path<String>) -> Response {
    match laboratory::shared(&site.laboratory, &token).await {
        Ok(Some(snapshot)) => {
            let disposition = format!("attachment; filename=\"{}\"", app::snapshot_file_name(&snapshot));
            let headers = [
                (header::CONTENT_DISPOSITION, disposition),
                (header::CONTENT_SECURITY_POLICY, headers::STANDALONE_POLICY.to_owned()),
            ];
            (headers, Html(app::snapshot_html(&snapshot, &assets::style()))).into_response()
        }
        Ok(None) => super::refusal(
            To::Page,
            StatusCode::NOT_FOUND,
            "This link opens nothing",
            "It was mistyped, or its owner took it back, or its time is over. Ask whoever sent it for a new one.",
        ),
        Err(error) => (error.status(), error.to_string()).into_response(),
    }
}
