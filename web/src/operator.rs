//! The operator's hand on the pool: sessions, and acts that go to the writer as orders.
//!
//! Invariant: nothing sensitive without a session; a session only over TLS or from this machine; every act carries the
//! session's own token, so that no other page can make a browser act.

mod pages;
mod revenue;
mod sessions;
mod support;

pub use sessions::{Operators, Session};

use crate::site::Site;
use ::pool::command::Command;
use axum::Router;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The operator's routes.
pub fn routes() -> Router<Arc<Site>> {
    pages::routes().merge(revenue::routes()).merge(support::routes())
}

/// How acts are carried out: who, what, and what came of it.
type ActFn = dyn Fn(String, Command) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>
    + Send
    + Sync;

/// Carries acts out; given by the binary, which knows nodes and wallets.
#[derive(Clone)]
pub struct Hand(Arc<ActFn>);

impl Hand {
    /// From the function that does it.
    pub fn new<F, Out>(act: F) -> Self
    where
        F: Fn(String, Command) -> Out + Send + Sync + 'static,
        Out: Future<Output = Result<Value, String>> + Send + 'static,
    {
        Hand(Arc::new(move |who, command| Box::pin(act(who, command))))
    }

    /// Carries an act out.
    ///
    /// # Errors
    /// What the pool said.
    pub async fn act(&self, who: &str, command: Command) -> Result<Value, String> {
        (self.0)(who.to_owned(), command).await
    }
}
