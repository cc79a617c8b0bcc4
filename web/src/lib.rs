//! What people and programs see of the pool: pages, answers, events, metrics and notices.
//!
//! Invariant: readers never touch state. Everything is made from the writer's snapshot, the meters, the read-only store and
//! the web's own small database; an operator's acts go to the writer as orders, like everybody's.
//!
//! Reading order: [`outlook`] with [`leased`], and [`history`] (what is seen), [`model`] (what is said), [`pages`] and [`live`] (to people),
//! [`server`] (through which sockets).

pub mod api;
#[cfg(test)]
mod certified;
pub mod chart;
pub mod compat;
pub mod db;
pub mod format;
pub mod history;
pub mod http;
pub mod keys;
pub mod leased;
pub mod live;
pub mod measure;
pub mod metrics;
pub mod model;
pub mod news;
pub mod node;
pub mod notices;
pub mod operator;
pub mod outlook;
pub mod pages;
pub mod profiles;
pub mod prospects;
pub mod rates;
pub mod readers;
pub mod registration;
pub mod remote;
pub mod secrets;
pub mod server;
pub mod site;
pub mod sponsored;
pub mod support;
pub mod theme;
pub mod watch;

use axum::Router;
use site::Site;
use std::sync::Arc;

/// All routes.
pub fn router(site: Arc<Site>) -> Router {
    let guard = axum::middleware::from_fn_with_state(site.clone(), api::guard::guard);
    Router::new()
        .merge(pages::routes())
        .merge(live::routes())
        .merge(api::routes())
        .merge(compat::routes())
        .merge(metrics::routes())
        .merge(operator::routes())
        .fallback(pages::nothing)
        .layer(guard)
        .with_state(site)
}
