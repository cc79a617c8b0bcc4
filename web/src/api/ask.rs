//! What questions have in common: a query read once, with errors in words.

use super::problem::Problem;
use crate::model::account::Named;
use crate::model::{ROWS, ROWS_MAX};
use crate::outlook::{Outlook, PoolOutlook};
use crate::site::Site;
use accounting::{PoolId, RewardId};
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::StoreError;
use store::sqlite::Cut;
use utoipa::IntoParams;

/// A query string, or a problem in words.
pub struct Ask<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(query)| Ask(query)).map_err(|error| {
            Problem::bad(format!("The query cannot be read: {}", error.body_text()))
        })
    }
}

/// A path's segment, or a problem in words.
pub struct Segment<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(segment)| Segment(segment)).map_err(|error| {
            Problem::bad(format!("The path cannot be read: {}", error.body_text()))
        })
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// `next` of the page before; the first page without.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// Rows of the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u64>,
}

impl Paging {
    /// As the store reads it.
    ///
    /// # Errors
    /// When the cursor is none that a page gave, or the limit is out of range.
    pub fn cut(&self) -> Result<Cut, Problem> {
        let limit = self.limit.unwrap_or(ROWS);
        if limit == 0 || limit > ROWS_MAX {
            return Err(Problem::bad(format!("limit is a number from 1 to {ROWS_MAX}")));
        }
        let well_formed =
            |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let from = match self.cursor.as_deref() {
            None => None,
            Some(text) if well_formed(text) => text.parse().ok(),
            Some(_) => return Err(Problem::bad("cursor is the `next` of the page before")),
        };
        Ok(Cut { from, limit })
    }
}

/// The pool of a name or number.
///
/// # Errors
/// When there is none.
pub fn pool<'a>(outlook: &'a Outlook, name: &str) -> Result<&'a PoolOutlook, Problem> {
    crate::model::pools::named(outlook, name)
        .ok_or_else(|| Problem::not_found("There is no such pool; /api/v1/pools lists them."))
}

/// The pool, or the pot beside one, whose blocks or slices are asked for.
///
/// # Errors
/// When there is none.
pub fn pot(outlook: &Outlook, name: &str) -> Result<PoolId, Problem> {
    crate::model::pools::pot_named(outlook, name)
        .map_or_else(|| pool(outlook, name).map(|pool| pool.id), Ok)
}

/// A block's hash.
///
/// # Errors
/// When it is none.
pub fn block(hash: &str) -> Result<RewardId, Problem> {
    hash.parse().map_err(|_| Problem::bad("A block is named by its hash of 64 hexadecimal digits."))
}

/// A number that names something.
///
/// # Errors
/// When it is none, or beyond what JavaScript's numbers hold.
pub fn number(text: &str) -> Result<u64, Problem> {
    let number = text.parse::<u64>().ok().filter(|number| *number < 1 << 53);
    number.ok_or_else(|| Problem::bad("That is named by a whole number below 2^53."))
}

/// An answer that was written as JSON where it was read: long ones take a while, and others are answered meanwhile.
pub struct Written(Bytes);

impl Written {
    /// From whatever the answer is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn of(answer: &impl Serialize) -> Result<Self, StoreError> {
        let text = serde_json::to_vec(answer);
        text.map(|text| Written(text.into()))
            .map_err(|error| StoreError::Damaged(error.to_string()))
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// The account of an address.
///
/// # Errors
/// When it is none of this pool's assets.
pub async fn account(site: &Arc<Site>, address: &str) -> Result<Named, Problem> {
    site.named(address).await?.map_err(Problem::not_found)
}
