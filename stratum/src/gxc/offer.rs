//! What the node offers to build on, read once, and what of it can be built.
//!
//! Invariant: nothing that the chain has spent is built again, and what is built fits the node's one read.

use super::block;
use crate::template::{Template, branches, hash_from_hex};
use pow::Target;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Header bits where the node gives none that can be read.
const BITS: u32 = 0x1d00_ffff;
/// Smallest units of a coin.
const COIN: f64 = 1e8;

/// A coin of a transaction: its id and position.
pub type Outpoint = (String, u64);

/// Why nothing can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unminable {
    /// Not the JSON of a template.
    #[error("the node's template cannot be read: {0}")]
    Unreadable(String),
    /// The next block is a stake's.
    #[error(
        "the next block belongs to a validator (proof of stake): there is nothing to mine until it is made, and the pool waits"
    )]
    Stake,
    /// No hash can have so many zeros.
    #[error(
        "the network asks for {0} leading zeros of a hash that has 64 digits: no block can ever be mined there. Use GXC's test \
         network, or another chain"
    )]
    Impossible(u32),
}

/// What a block is made of, besides the header that nobody checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Height of the block.
    pub height: u64,
    /// Its parent, as the node writes it.
    pub previous: String,
    /// As the node wants it back.
    pub difficulty: f64,
    /// Whom the coinbase pays.
    pub miner: String,
    /// The coinbase first, as the node gave them.
    pub transactions: Vec<Value>,
}

#[derive(Deserialize)]
struct Raw {
    height: u64,
    previousblockhash: String,
    difficulty: f64,
    curtime: u32,
    #[serde(default)]
    mintime: Option<u32>,
    #[serde(default)]
    bits: String,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    block_type: String,
    #[serde(default)]
    consensus_type: String,
    transactions: Vec<Value>,
}

/// So many zeros must lead the hash.
#[must_use]
pub fn zeros(difficulty: f64) -> u32 {
    // As the node: rounded down, and never below none.
    difficulty.floor().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Reads a template; `spent` are coins that mined transactions have spent already.
///
/// # Errors
/// See [`Unminable`].
pub fn read(raw: Value, miner: &str, spent: &HashSet<Outpoint>) -> Result<Template, Unminable> {
    let raw: Raw =
        serde_json::from_value(raw).map_err(|error| Unminable::Unreadable(error.to_string()))?;
    if raw.block_type == "pos" || raw.consensus_type == "pos" {
        return Err(Unminable::Stake);
    }
    let unreadable = |what: &str| Unminable::Unreadable(what.to_owned());
    let zeros = zeros(raw.difficulty);
    let target = Target::of_leading_zeros(zeros).ok_or(Unminable::Impossible(zeros))?;
    let prev_hash =
        hash_from_hex(&raw.previousblockhash).ok_or_else(|| unreadable("its parent is no hash"))?;
    let (coinbase, others) =
        raw.transactions.split_first().ok_or_else(|| unreadable("it has no coinbase"))?;
    let paid = &coinbase["outputs"][0];
    if paid["address"] != miner {
        return Err(unreadable("its coinbase pays somebody else than the pool"));
    }
    let value = paid["amount"].as_f64().map(|coins| (coins * COIN).round());
    let coinbase_value = value
        .filter(|units| (0.0..9e18).contains(units))
        .ok_or_else(|| unreadable("its coinbase pays no amount"))? as u64;
    let mut offer = Offer {
        height: raw.height,
        previous: raw.previousblockhash,
        difficulty: raw.difficulty,
        miner: miner.to_owned(),
        transactions: vec![coinbase.clone()],
    };
    add_what_fits(&mut offer, others, spent);
    let leaf = |tx: &Value| tx["txid"].as_str().and_then(hash_from_hex);
    let leaves: Option<Vec<_>> = offer.transactions.iter().skip(1).map(leaf).collect();
    let bits = u32::from_str_radix(&raw.bits, 16).unwrap_or(BITS);
    Ok(Template {
        version: raw.version,
        min_time: raw.mintime.unwrap_or(raw.curtime),
        coinbase_value,
        branches: branches(&leaves.ok_or_else(|| unreadable("a transaction has no id"))?),
        gxc: Some(Arc::new(offer)),
        ..Template::empty(raw.height, prev_hash, bits, target, raw.curtime)
    })
}

/// Takes transactions in the node's order while the block can still be handed over.
fn add_what_fits(offer: &mut Offer, others: &[Value], spent: &HashSet<Outpoint>) {
    let mut used = HashSet::new();
    for tx in others {
        let inputs = inputs(tx);
        let is_fresh = inputs.iter().all(|input| !spent.contains(input) && !used.contains(input));
        if !is_fresh || tx["txid"].as_str().and_then(hash_from_hex).is_none() {
            continue;
        }
        offer.transactions.push(tx.clone());
        if block::fits(offer) {
            used.extend(inputs);
        } else {
            offer.transactions.pop();
        }
    }
}

/// The coins that a transaction spends.
#[must_use]
pub fn inputs(tx: &Value) -> Vec<Outpoint> {
    let list = tx["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |input: &Value| {
        let id = input["txHash"].as_str().or(input["txid"].as_str())?;
        let at = input["outputIndex"].as_u64().or(input["vout"].as_u64())?;
        Some((id.to_owned(), at))
    };
    list.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet::gxc::{Ledger, Net};
    use serde_json::json;

    const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
    const NOW: u64 = 1_700_000_100;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(Net::Test);
        ledger.wallet.insert(POOL.into());
        ledger
    }

    #[test]
    fn a_template_of_the_node_becomes_work() {
        let template = read(ledger().template(POOL, NOW), POOL, &HashSet::new()).unwrap();
        assert_eq!((template.height, template.coinbase_value), (1, 5_000_000_000));
        assert_eq!(Some(template.target), Target::of_leading_zeros(1));
        let hash = |first: u8| {
            let mut hash = [0xff; 32];
            hash[31] = first;
            hash
        };
        assert!(template.target.is_met_by(&hash(0x0f)) && !template.target.is_met_by(&hash(0x10)));
    }

    #[test]
    fn stakes_are_waited_for_and_the_main_network_is_refused_with_the_reason() {
        let mut stake = ledger();
        stake.stakes = true;
        assert_eq!(read(stake.template(POOL, NOW), POOL, &HashSet::new()), Err(Unminable::Stake));
        let address = "GXC751e76e8199196d454941c45d1b3a323f1";
        let main = Ledger::new(Net::Main).template(address, NOW);
        let refused = read(main, address, &HashSet::new()).unwrap_err();
        assert_eq!(refused, Unminable::Impossible(1000));
        assert!(refused.to_string().contains("no block can ever be mined"));
        assert_eq!(Target::of_leading_zeros(64), None);
        // The digest's last digit alone: as the header's hash has it, that is the first byte.
        let mut last = [0; 32];
        last[0] = 15;
        assert!(Target::of_leading_zeros(63).unwrap().is_met_by(&last));
    }

    #[test]
    fn what_was_mined_is_not_built_again_and_what_does_not_fit_waits() {
        let mut ledger = ledger();
        for _ in 0..40 {
            ledger.mine_to(POOL, NOW);
        }
        for _ in 0..20 {
            ledger.send("tGXC0000000000000000000000000000000001", 100, POOL, NOW).unwrap();
        }
        let first = read(ledger.template(POOL, NOW), POOL, &HashSet::new()).unwrap();
        let offer = first.gxc.unwrap();
        assert!((3..20).contains(&offer.transactions.len()), "{}", offer.transactions.len());
        assert!(block::fits(&offer));
        let spent: HashSet<Outpoint> = offer.transactions.iter().flat_map(inputs).collect();
        let next = read(ledger.template(POOL, NOW), POOL, &spent).unwrap().gxc.unwrap();
        assert!(next.transactions.iter().flat_map(inputs).all(|input| !spent.contains(&input)));
        assert!(next.transactions.len() > 1);
    }

    #[test]
    fn nonsense_is_refused_and_never_a_panic() {
        let good = ledger().template(POOL, NOW);
        for (key, value) in [
            ("transactions", json!([])),
            ("transactions", json!([{ "outputs": [] }])),
            ("transactions", json!([{ "outputs": [{ "address": POOL, "amount": -1.0 }] }])),
            ("previousblockhash", json!("00")),
            ("difficulty", json!("x")),
            ("difficulty", json!(1e300)),
            ("height", json!(-1)),
        ] {
            let mut bad = good.clone();
            bad[key] = value.clone();
            assert!(read(bad, POOL, &HashSet::new()).is_err(), "{key} {value}");
        }
        let mut odd = good.clone();
        odd["difficulty"] = json!(-5.0);
        assert!(read(odd, POOL, &HashSet::new()).is_ok(), "every hash meets it");
        assert!(read(good, "tGXCsomebodyelse0000000000000", &HashSet::new()).is_err());
    }
}
