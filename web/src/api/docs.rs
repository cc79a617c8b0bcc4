//! The API's description: as OpenAPI for tools, and as a page for people.

use crate::pages;
use crate::site::Site;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use minijinja::{Value, context};
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// The two routes.
pub fn routes(description: OpenApi) -> Router<Arc<Site>> {
    let document: Arc<serde_json::Value> =
        Arc::new(serde_json::to_value(&description).unwrap_or_default());
    let served = document.clone();
    Router::new()
        .route(
            "/api-docs/openapi.json",
            get(move || async move {
                ([(header::CACHE_CONTROL, "public, max-age=300")], Json((*served).clone()))
                    .into_response()
            }),
        )
        .route(
            "/api-docs",
            get(move |State(site): State<Arc<Site>>| async move {
                let api = Value::from_serialize(&*document);
                pages::render(&site, "api.html", context! { title => "API", api })
            }),
        )
}
