//! What people and programs see of the pool: pages, answers, events, metrics and notices.
//!
//! Invariant: readers never touch state. Everything is made from the writer's snapshot, the meters, the read-only store and
//! the web's own small database; an operator's acts go to the writer as orders, like everybody's.
//!
//! Reading order: [`outlook`] and [`history`] (what is seen), [`model`] (what is said), [`pages`] and [`live`] (to people),
//! [`server`] (through which sockets).

pub mod chart;
pub mod db;
pub mod format;
pub mod history;
pub mod live;
pub mod model;
pub mod outlook;
pub mod pages;
pub mod profiles;
pub mod rates;
pub mod readers;
pub mod server;
pub mod site;
pub mod theme;

use axum::Router;
use site::Site;
use std::sync::Arc;

/// All routes.
pub fn router(site: Arc<Site>) -> Router {
    Router::new().merge(pages::routes()).merge(live::routes()).with_state(site)
}
