//! `adit ctv expand`: the transactions of a qualified block's tree, shown or sent.
//!
//! Invariant: nothing is sent before its coinbase is mature, nor on a chain that does not enforce BIP-119; sending again is safe,
//! because the bytes are always the same.

use super::follower::{Follower, Found};
use super::script_of;
use crate::cli::ctv::ExpandArgs;
use anyhow::{Context, bail};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use covenant::shape::Child;
use covenant::tree::Tree;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use stratum::rpc::RpcError;

/// What became of sending a transaction.
enum Sent {
    /// The node has it now.
    Now,
    /// It had it, or the chain has.
    Before,
    /// It may be sent when others have been mined, or its height has come.
    Later(String),
}

pub async fn expand(args: &ExpandArgs) -> anyhow::Result<()> {
    let mut follower = Follower::open(&args.chain).await?;
    if args.broadcast {
        follower.enforced().await?;
    }
    follower.catch_up(|_, _| {}).await?;
    let (height, found) = follower.block(&args.block)?;
    let (found, mature) = (found.clone(), follower.is_mature(height));
    let only = match &args.only {
        Some(text) => Some(script_of(text, follower.network)?),
        None => None,
    };
    let chosen = chosen(&found, only.as_ref())?;
    if args.broadcast && !mature {
        let at = height + super::follower::MATURITY;
        bail!(
            "the coinbase of block {height} cannot be spent before block {at}; the next block is {}",
            follower.chain.next_height()
        );
    }
    let mut told = Vec::new();
    for (transaction, pays) in chosen {
        let mut line = json!({
            "txid": transaction.compute_txid().to_string(),
            "vsize": transaction.vsize(),
            "pays": pays,
            "hex": serialize_hex(&transaction),
        });
        if args.broadcast {
            let (state, why) = match send(&mut follower, &transaction).await? {
                Sent::Now => ("sent", None),
                Sent::Before => ("known", None),
                Sent::Later(why) => ("later", Some(why)),
            };
            line["state"] = json!(state);
            line["why"] = json!(why);
        }
        told.push(line);
    }
    let answer = json!({ "height": height, "mature": mature, "transactions": told });
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(())
}

/// The transactions to show, parents first, each with what it pays.
fn chosen(found: &Found, only: Option<&ScriptBuf>) -> anyhow::Result<Vec<(Transaction, Value)>> {
    let mut list = Vec::new();
    if let Some(tree) = &found.qualified.tree {
        let transactions = tree.transactions(found.root());
        let wanted: BTreeSet<usize> = match only {
            None => (0..transactions.len()).collect(),
            Some(script) => tree
                .payees()
                .iter()
                .position(|payee| payee.script == *script)
                .map(|payee| tree.path(payee).into_iter().collect())
                .unwrap_or_default(),
        };
        // Children stand before their parents.
        for at in wanted.into_iter().rev() {
            let transaction = transactions.get(at).context("a tree has all its transactions")?;
            list.push((transaction.clone(), paid(tree, at)));
        }
    }
    if let Some((forward, output)) = &found.qualified.forward
        && only.is_none_or(|script| *script == forward.output.script_pubkey)
    {
        let output = u32::try_from(*output).context("an output's number")?;
        let transaction = forward.transaction(OutPoint::new(found.coinbase, output));
        let amount = forward.output.value.to_sat();
        list.push((
            transaction,
            json!([{ "to": forward.output.script_pubkey.to_hex_string(), "amount": amount }]),
        ));
    }
    if list.is_empty() {
        bail!("this block pays nothing of the kind");
    }
    Ok(list)
}

fn paid(tree: &Tree, at: usize) -> Value {
    let payees = tree.nodes()[at].children.iter().filter_map(|child| match child {
        Child::Payee(payee) => tree.payees().get(*payee as usize),
        Child::Transaction(_) => None,
    });
    let told = payees.map(|p| json!({ "to": p.script.to_hex_string(), "amount": p.amount }));
    Value::Array(told.collect())
}

async fn send(follower: &mut Follower, transaction: &Transaction) -> anyhow::Result<Sent> {
    // A transaction that is in the chain, and whose outputs are all spent, is not found by its outputs: its parent is gone then.
    let answer = follower.call("sendrawtransaction", json!([serialize_hex(transaction)])).await;
    match answer {
        Ok(_) => Ok(Sent::Now),
        Err(RpcError::Refused { code: -27, .. }) => Ok(Sent::Before),
        Err(RpcError::Refused { message, .. }) if message.contains("txn-already") => {
            Ok(Sent::Before)
        }
        Err(RpcError::Refused { message, .. })
            if ["too-long-mempool-chain", "non-final", "too many"]
                .iter()
                .any(|m| message.contains(m)) =>
        {
            Ok(Sent::Later(message))
        }
        // Its parent waits too, or all of it is spent already.
        Err(RpcError::Refused { message, .. })
            if message.contains("missingorspent") || message.contains("missing-inputs") =>
        {
            Ok(Sent::Later(message))
        }
        Err(error) => Err(error.into()),
    }
}
