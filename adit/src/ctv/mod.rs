//! `adit ctv`: a coordination-free pool from the outside of any node, over its RPC.
//!
//! Invariant: nothing that pays to a template goes into a block unless the node itself says that its chain enforces BIP-119:
//! what makes such bytes asks [`follower::Follower::enforced`] first.

mod claims;
mod expand;
pub mod follower;
mod plan;
mod watch;

use crate::cli::ctv::CtvCommand;
use anyhow::{Context, bail};
use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, ScriptBuf};
use covenant::Rule;
use std::path::Path;

/// Carries a command out; false when a block claims to follow the rule and does not.
///
/// # Errors
/// When the node does not answer, the rule is none, or the chain does not enforce BIP-119 where it must.
pub async fn run(command: CtvCommand) -> anyhow::Result<bool> {
    match command {
        CtvCommand::Plan(args) => plan::plan(&args).await.map(|()| true),
        CtvCommand::Verify(args) => watch::verify(&args).await,
        CtvCommand::Watch(args) => watch::watch(&args).await.map(|()| true),
        CtvCommand::Expand(args) => expand::expand(&args).await.map(|()| true),
        CtvCommand::Claims(args) => claims::claims(&args).await.map(|()| true),
    }
}

/// A rule, from its file.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn read_rule(path: &Path) -> anyhow::Result<Rule> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let rule: Rule =
        toml::from_str(&text).with_context(|| format!("the rule in {}", path.display()))?;
    rule.check().with_context(|| format!("the rule in {}", path.display()))?;
    Ok(rule)
}

/// An address of the node's network, or an output script as hexadecimal.
fn script_of(text: &str, network: Option<Network>) -> anyhow::Result<ScriptBuf> {
    if let Ok(script) = ScriptBuf::from_hex(text) {
        return Ok(script);
    }
    let Some(network) = network else {
        bail!(
            "addresses of this node's network are not known here: give the output script as hexadecimal"
        );
    };
    let address: Address<NetworkUnchecked> = text.parse().with_context(|| {
        format!("\"{text}\" is neither an address nor an output script in hexadecimal")
    })?;
    let address = address.require_network(network);
    Ok(address
        .with_context(|| format!("\"{text}\" is of another network than the node"))?
        .script_pubkey())
}

/// A script as people know it.
fn shown(script: &bitcoin::Script, network: Option<Network>) -> String {
    let address = network.and_then(|network| Address::from_script(script, network).ok());
    address.map_or_else(|| script.to_hex_string(), |address| address.to_string())
}
