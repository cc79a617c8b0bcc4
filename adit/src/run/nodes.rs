//! The nodes that programs with a key may ask, and how.
//!
//! Invariant: the first node that answers is the one; one that says no is not contradicted by another.

use crate::config::{AssetKind, Settings, WebSettings};
use serde_json::Value;
use stratum::gxc;
use stratum::rpc::{Endpoint, Rpc, RpcError};
use web::node::{NodeDoor, NodeTrouble, Nodes};

/// What the configuration offers.
pub(super) fn offered(settings: &Settings, web: &WebSettings) -> Nodes {
    let mut nodes = Nodes::default();
    for (name, methods) in &web.nodes {
        let asset = settings.assets.iter().find(|asset| asset.config.name == *name);
        let door = match asset.map(|asset| &asset.kind) {
            Some(AssetKind::Coin(own)) => {
                door(own.source.nodes.iter().map(|node| Node::Coin(node.endpoint.clone())))
            }
            Some(AssetKind::Gxc(own)) => {
                door(own.nodes.iter().map(|node| Node::Gxc(gxc::rpc::Node::at(node))))
            }
            Some(AssetKind::Ether(own)) => door(own.nodes.iter().cloned().map(Node::Ether)),
            Some(AssetKind::Chia(_) | AssetKind::External(_)) | None => continue,
        };
        nodes.offer(name, methods.iter().cloned(), door);
    }
    nodes
}

#[derive(Clone)]
enum Node {
    Coin(Endpoint),
    Gxc(gxc::rpc::Node),
    Ether(Endpoint),
}

impl Node {
    async fn ask(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        match self {
            Node::Coin(endpoint) => Rpc::new(endpoint.clone()).call(method, params).await,
            Node::Ether(endpoint) => Rpc::v2(endpoint.clone())
                .call::<Option<Value>>(method, params)
                .await
                .map(Option::unwrap_or_default),
            Node::Gxc(node) => {
                node.call::<Option<Value>>(method, params).await.map(Option::unwrap_or_default)
            }
        }
    }
}

fn door(nodes: impl Iterator<Item = Node>) -> NodeDoor {
    let nodes: Vec<Node> = nodes.collect();
    NodeDoor::new(move |method, params| {
        let nodes = nodes.clone();
        async move {
            let mut trouble = "there is no node".to_owned();
            for node in &nodes {
                match node.ask(&method, params.clone()).await {
                    Ok(result) => return Ok(result),
                    Err(RpcError::Refused { code, message }) => {
                        return Err(NodeTrouble::Refused { code, message });
                    }
                    Err(error) => trouble = error.to_string(),
                }
            }
            Err(NodeTrouble::Silent(trouble))
        }
    })
}
