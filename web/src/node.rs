//! The pool's nodes, for programs that have a key: some of their questions, counted.
//!
//! Invariant: nothing is passed on but what the operator offers by name, and never more at a time than [`AT_ONCE`]: the nodes
//! are there for the miners.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Questions that nodes are asked at a time, of all keys.
pub const AT_ONCE: usize = 4;

/// Why a node gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeTrouble {
    /// It said no.
    Refused {
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// It did not answer.
    Silent(String),
}

type Asked = Pin<Box<dyn Future<Output = Result<Value, NodeTrouble>> + Send>>;

/// How a node is asked; given by the binary, which knows nodes.
#[derive(Clone)]
pub struct NodeDoor(Arc<dyn Fn(String, Value) -> Asked + Send + Sync>);

impl NodeDoor {
    /// From the function that asks: a method, and its parameters.
    pub fn new<F, Out>(ask: F) -> Self
    where
        F: Fn(String, Value) -> Out + Send + Sync + 'static,
        Out: Future<Output = Result<Value, NodeTrouble>> + Send + 'static,
    {
        NodeDoor(Arc::new(move |method, params| Box::pin(ask(method, params))))
    }
}

/// One asset's.
#[derive(Clone)]
struct Offered {
    methods: BTreeSet<String>,
    door: NodeDoor,
}

/// All that may be asked.
#[derive(Clone)]
pub struct Nodes {
    by_asset: BTreeMap<String, Offered>,
    seats: Arc<Semaphore>,
}

impl Default for Nodes {
    fn default() -> Self {
        Nodes { by_asset: BTreeMap::new(), seats: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Nodes {
    /// Offers methods of an asset's node.
    pub fn offer(
        &mut self,
        asset: &str,
        methods: impl IntoIterator<Item = String>,
        door: NodeDoor,
    ) {
        let offered = Offered { methods: methods.into_iter().collect(), door };
        self.by_asset.insert(asset.to_owned(), offered);
    }

    /// What may be asked about an asset; `None` where nothing may.
    #[must_use]
    pub fn methods(&self, asset: &str) -> Option<&BTreeSet<String>> {
        self.by_asset.get(asset).map(|offered| &offered.methods)
    }

    /// Asks; `None` for a method that is not offered.
    ///
    /// # Errors
    /// Inside: the node's.
    pub async fn ask(
        &self,
        asset: &str,
        method: &str,
        params: Value,
    ) -> Option<Result<Value, NodeTrouble>> {
        let offered = self.by_asset.get(asset).filter(|own| own.methods.contains(method))?;
        // It is never closed.
        let _seat = self.seats.acquire().await.ok()?;
        Some((offered.door.0)(method.to_owned(), params).await)
    }
}
