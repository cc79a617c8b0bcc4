//! The API's description: as OpenAPI for tools, and as a page for people.

use crate::pages;
use crate::site::Site;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::{Value, context};
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// The two routes.
pub fn routes(description: OpenApi) -> Router<Arc<Site>> {
    let document = serde_json::to_value(&description).unwrap_or_default();
    // Both are made once: they never change.
    let (served, api) = (Bytes::from(document.to_string()), Value::from_serialize(&document));
    Router::new()
        .route(
            "/api-docs/openapi.json",
            get(move || async move {
                let headers = [
                    (header::CACHE_CONTROL, "public, max-age=300"),
                    (header::CONTENT_TYPE, "application/json"),
                ];
                (headers, served.clone()).into_response()
            }),
        )
        .route(
            "/api-docs",
            get(move |State(site): State<Arc<Site>>| async move {
                pages::render(&site, "api.html", context! { title => "API", api => api.clone() })
            }),
        )
}
