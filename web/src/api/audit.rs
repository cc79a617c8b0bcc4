//! Audit without trust: everything a split follows from.

use super::ask::{self, Segment, Written};
use super::problem::{Answer, Problem, Refusals};
use crate::model::audit::{self as model, Audit};
use crate::site::Site;
use axum::extract::State;
use axum::http::{HeaderName, header};
use std::sync::Arc;

/// The frozen window, the rule and the split of a block: with the slices, everything it can be recomputed from.
#[utoipa::path(get, path = "/api/v1/rewards/{hash}/audit", tag = "blocks",
    params(("hash" = String, Path, description = "The block's hash, as explorers print it", pattern = "^[0-9a-f]{64}$")),
    responses(
        (status = 200, description = "The record", body = Audit), Refusals,
    ))]
pub async fn audit(
    State(site): State<Arc<Site>>,
    Segment(hash): Segment<String>,
) -> Answer<([(HeaderName, String); 1], Written)> {
    let id = ask::block(&hash)?;
    let found = site.readers.read(move |reader| {
        let Some(record) = model::of(reader, id)? else { return Ok(None) };
        // What was frozen never changes; only the block's standing does.
        let block = record.block.get(32..).unwrap_or_default();
        let place = record.place.map(|place| format!("-{}", place.block)).unwrap_or_default();
        let tag = format!("\"{block}-{}-{}{place}\"", record.state, record.returns);
        Ok(Some(([(header::ETAG, tag)], Written::of(&record)?)))
    });
    found.await?.ok_or_else(|| Problem::not_found("The pool did not find this block."))
}
