//! Full nodes: what they are asked, and which of several is believed.
//!
//! Invariant: a node that is not in step with its network, or on another one, is asked nothing that decides about money; an
//! answer that did not come is never read as "no".

pub mod rpc;

use crate::coin::{Coin, CoinSpend, SpendBundle};
use crate::hash::Bytes32;
use crate::network::Network;
use crate::verify::Signage;
use crate::wire::partial::Point;
use accounting::UnixMs;
use rpc::{Rpc, RpcError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Names in one question.
pub const NAMES_MAX: usize = 1000;

/// A node that is so many blocks behind the best is not asked: it does not know yet what the others say.
const BEHIND_MAX: u32 = 5;

/// What a node with a full mempool asks for each unit of cost, in mojo.
const FULL_MEMPOOL_RATE: u64 = 5;

/// A clock that differs by less is right: dates of answers have whole seconds, and answers take their time.
const CLOCK_OFF_S: u64 = 3;

/// A coin, and when it came and went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct CoinRecord {
    /// The coin.
    pub coin: Coin,
    /// The height that made it.
    #[serde(rename = "confirmed_block_index")]
    pub confirmed: u32,
    /// The height that spent it; 0 while it is not spent.
    #[serde(rename = "spent_block_index")]
    pub spent: u32,
    /// Was it made by consensus?
    pub coinbase: bool,
}

impl CoinRecord {
    /// Is it spent?
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent > 0
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The height of its tip.
    pub height: u32,
    /// The tip.
    pub peak: Bytes32,
    /// Is it in step with the network?
    pub is_synced: bool,
    /// The network's difficulty.
    pub difficulty: u64,
    /// Iterations of a sub-slot now.
    pub sub_slot_iters: u64,
    /// Does its mempool take transactions without a fee?
    pub is_mempool_full: bool,
}

/// What a node said to a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It has it.
    Taken,
    /// It will not take it, and why, such as `DOUBLE_SPEND`.
    Refused(String),
}

/// One node.
pub struct Node {
    rpc: Rpc,
}

impl Node {
    /// A node behind its RPC.
    #[must_use]
    pub fn new(rpc: Rpc) -> Self {
        Node { rpc }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        self.rpc.address()
    }

    /// Seconds that its clock is ahead of ours, by its newest answer.
    #[must_use]
    pub fn ahead_s(&self) -> i64 {
        self.rpc.ahead_s()
    }

    /// What signatures of spends commit to on its network.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn signature_domain(&self) -> Result<Bytes32, RpcError> {
        #[derive(Deserialize)]
        struct Answer {
            additional_data: Bytes32,
        }
        let answer: Answer = self.rpc.call("get_aggsig_additional_data", &json!({})).await?;
        Ok(answer.additional_data)
    }

    /// The network it is on; one that nobody here knows is taken for a simulated one with its genesis.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn network(&self) -> Result<Network, RpcError> {
        let info = self.network_info().await?;
        let known = [Network::mainnet(), Network::testnet11()];
        let mut known = known.into_iter().filter(|known| info.is_of(known));
        Ok(known.next().unwrap_or_else(|| {
            let simulator = Network::simulator();
            let genesis = info.genesis_challenge.unwrap_or(simulator.genesis_challenge);
            Network { genesis_challenge: genesis, signature_domain: genesis, ..simulator }
        }))
    }

    async fn network_info(&self) -> Result<NetworkJson, RpcError> {
        self.rpc.call("get_network_info", &json!({})).await
    }

    /// Where it stands; an error too where it is on another network than the pool.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn standing(&self, network: &Network) -> Result<Standing, RpcError> {
        let info = self.network_info().await?;
        if !info.is_of(network) {
            return Err(RpcError::Unknown(format!(
                "{} is on {}, and this pool is on {}: name a node of {}",
                self.address(),
                info.network_name,
                network.name,
                network.name
            )));
        }
        let answer: StateAnswer = self.rpc.call("get_blockchain_state", &json!({})).await?;
        Ok(answer.blockchain_state.into())
    }

    /// A signage point or end of sub-slot; none if the node does not know it (any more).
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn signage(&self, point: &Point) -> Result<Option<Signage>, RpcError> {
        let question = match point {
            Point::Signage(hash) => json!({ "sp_hash": hash }),
            Point::EndOfSubSlot(hash) => json!({ "challenge_hash": hash }),
        };
        let answer = self.rpc.call("get_recent_signage_point_or_eos", &question).await;
        match answer {
            Ok(answer) => {
                let signage = read_signage(&answer, point)?;
                Ok(Some(Signage {
                    appeared: by_our_clock(signage.appeared, self.rpc.ahead_s()),
                    ..signage
                }))
            }
            Err(error)
                if error.says("SP_NOT_IN_CACHE", "Did not find sp")
                    || error.says("EOS_NOT_IN_CACHE", "Did not find eos") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A coin by its name; none if the chain has none.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn coin(&self, name: &Bytes32) -> Result<Option<CoinRecord>, RpcError> {
        #[derive(Deserialize)]
        struct Answer {
            coin_record: CoinRecord,
        }
        let question = json!({ "name": name });
        match self.rpc.call::<Answer>("get_coin_record_by_name", &question).await {
            Ok(answer) if answer.coin_record.coin.id() == *name => Ok(Some(answer.coin_record)),
            Ok(_) => Err(RpcError::Unknown("the node answered with another coin".into())),
            Err(error) if error.says("COIN_RECORD_NOT_FOUND", "not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Those of these coins that the chain has, spent or not.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn coins(&self, names: &[Bytes32]) -> Result<Vec<CoinRecord>, RpcError> {
        let mut found = Vec::new();
        for names in names.chunks(NAMES_MAX) {
            let question = json!({ "names": names, "include_spent_coins": true });
            let mut some = self.records("get_coin_records_by_names", &question).await?;
            some.retain(|record| names.contains(&record.coin.id()));
            found.extend(some);
        }
        Ok(found)
    }

    /// What coins made.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn children(&self, parents: &[Bytes32]) -> Result<Vec<CoinRecord>, RpcError> {
        let mut found = Vec::new();
        for parents in parents.chunks(NAMES_MAX) {
            let question = json!({ "parent_ids": parents, "include_spent_coins": true });
            let mut some = self.records("get_coin_records_by_parent_ids", &question).await?;
            some.retain(|record| parents.contains(&record.coin.parent));
            found.extend(some);
        }
        Ok(found)
    }

    /// Coins at these places, made at these heights.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn coins_at(
        &self,
        places: &[Bytes32],
        heights: Range<u32>,
        include_spent: bool,
    ) -> Result<Vec<CoinRecord>, RpcError> {
        self.coins_like(places, heights, include_spent, |_| true).await
    }

    /// Coins at these places that consensus made at these heights and that nobody spent.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn rewards_at(
        &self,
        places: &[Bytes32],
        heights: Range<u32>,
    ) -> Result<Vec<CoinRecord>, RpcError> {
        self.coins_like(places, heights, false, |record| record.coinbase).await
    }

    /// Anybody may send crumbs to any place: an answer that is too long is asked for in halves.
    async fn coins_like(
        &self,
        places: &[Bytes32],
        heights: Range<u32>,
        include_spent: bool,
        is_wanted: impl Fn(&CoinRecord) -> bool,
    ) -> Result<Vec<CoinRecord>, RpcError> {
        let mut found = Vec::new();
        let mut questions: Vec<(&[Bytes32], Range<u32>)> =
            places.chunks(NAMES_MAX).map(|places| (places, heights.clone())).collect();
        questions.reverse();
        while let Some((places, heights)) = questions.pop() {
            let question = json!({
                "puzzle_hashes": places,
                "include_spent_coins": include_spent,
                "start_height": heights.start,
                "end_height": heights.end,
            });
            match self.records("get_coin_records_by_puzzle_hashes", &question).await {
                Ok(some) => found.extend(some.into_iter().filter(|record| {
                    places.contains(&record.coin.puzzle_hash) && is_wanted(record)
                })),
                Err(RpcError::TooLong(_)) if places.len() > 1 => {
                    let (first, second) = places.split_at(places.len() / 2);
                    questions.extend([(second, heights.clone()), (first, heights)]);
                }
                Err(RpcError::TooLong(_)) if heights.len() > 1 => {
                    let middle = heights.start.midpoint(heights.end);
                    questions
                        .extend([(places, middle..heights.end), (places, heights.start..middle)]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn records(&self, method: &str, question: &Value) -> Result<Vec<CoinRecord>, RpcError> {
        #[derive(Deserialize)]
        struct Answer {
            coin_records: Vec<CoinRecord>,
        }
        Ok(self.rpc.call::<Answer>(method, question).await?.coin_records)
    }

    /// How a coin was opened.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn spend(&self, coin: &Bytes32, height: u32) -> Result<CoinSpend, RpcError> {
        #[derive(Deserialize)]
        struct Answer {
            coin_solution: CoinSpend,
        }
        let question = json!({ "coin_id": coin, "height": height });
        let answer: Answer = self.rpc.call("get_puzzle_and_solution", &question).await?;
        if answer.coin_solution.coin.id() != *coin {
            return Err(RpcError::Unknown("the node answered with another coin".into()));
        }
        Ok(answer.coin_solution)
    }

    /// The mojo a bundle of this cost should pay to be in within five minutes.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn fee_mojo(&self, cost: u64) -> Result<u64, RpcError> {
        #[derive(Deserialize)]
        struct Answer {
            estimates: Vec<u64>,
        }
        let question = json!({ "cost": cost, "target_times": [300] });
        let answer: Answer = self.rpc.call("get_fee_estimate", &question).await?;
        answer.estimates.first().copied().ok_or_else(|| RpcError::Unknown("no estimate".into()))
    }

    /// Does its mempool hold the bundle of this name?
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn has_in_mempool(&self, bundle: &Bytes32) -> Result<bool, RpcError> {
        let question = json!({ "tx_id": bundle });
        match self.rpc.call::<Value>("get_mempool_item_by_tx_id", &question).await {
            Ok(_) => Ok(true),
            Err(error) if error.says("TX_NOT_IN_MEMPOOL", "not in the mempool") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives it a bundle.
    ///
    /// # Errors
    /// See [`RpcError`]: then nobody knows whether it has it.
    pub async fn push(&self, bundle: &SpendBundle) -> Result<Pushed, RpcError> {
        match self.rpc.call::<Value>("push_tx", &json!({ "spend_bundle": bundle })).await {
            Ok(_) => Ok(Pushed::Taken),
            Err(RpcError::Refused { message, .. }) if message.contains("ALREADY_INCLUDING") => {
                Ok(Pushed::Taken)
            }
            Err(RpcError::Refused { message, .. }) => Ok(Pushed::Refused(message)),
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct NetworkJson {
    /// Older nodes do not tell it.
    #[serde(default)]
    genesis_challenge: Option<Bytes32>,
    network_name: String,
}

impl NetworkJson {
    fn is_of(&self, network: &Network) -> bool {
        match self.genesis_challenge {
            Some(genesis) => genesis == network.genesis_challenge,
            None => self.network_name == network.name,
        }
    }
}

#[derive(Deserialize)]
struct StateAnswer {
    blockchain_state: StateJson,
}

#[derive(Deserialize)]
struct StateJson {
    peak: Option<PeakJson>,
    sync: SyncJson,
    difficulty: u64,
    sub_slot_iters: u64,
    #[serde(default)]
    mempool_cost: u64,
    #[serde(default)]
    mempool_max_total_cost: u64,
}

#[derive(Deserialize)]
struct PeakJson {
    height: u32,
    header_hash: Bytes32,
}

#[derive(Deserialize)]
struct SyncJson {
    synced: bool,
}

impl From<StateJson> for Standing {
    fn from(state: StateJson) -> Self {
        let (height, peak) =
            state.peak.map_or((0, Bytes32::default()), |peak| (peak.height, peak.header_hash));
        Standing {
            height,
            peak,
            is_synced: state.sync.synced,
            difficulty: state.difficulty,
            sub_slot_iters: state.sub_slot_iters,
            // From four fifths on, somebody without a fee waits long.
            is_mempool_full: state.mempool_max_total_cost > 0
                && state.mempool_cost / 4 >= state.mempool_max_total_cost / 5,
        }
    }
}

/// A time of a clock that is so far ahead. What could be rounding is left alone.
fn by_our_clock(time: UnixMs, ahead_s: i64) -> UnixMs {
    if ahead_s.unsigned_abs() < CLOCK_OFF_S {
        return time;
    }
    let millis = ahead_s.unsigned_abs().saturating_mul(1000);
    match ahead_s > 0 {
        true => UnixMs(time.0.saturating_sub(millis)),
        false => UnixMs(time.0.saturating_add(millis)),
    }
}

fn read_signage(answer: &Value, point: &Point) -> Result<Signage, RpcError> {
    let other = || RpcError::Unknown("the node described no signage point".into());
    let hash = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let challenge = match point {
        Point::Signage(_) => hash(&answer["signage_point"]["cc_vdf"]["challenge"]),
        // Proofs for the end of a sub-slot answer the challenge chain's own hash, which is how it was asked for.
        Point::EndOfSubSlot(challenge) => answer["eos"].is_object().then_some(*challenge),
    };
    let seconds = answer["time_received"].as_f64().filter(|time| (0.0..1e12).contains(time));
    Ok(Signage {
        challenge: challenge.ok_or_else(other)?,
        appeared: UnixMs((seconds.ok_or_else(other)? * 1000.0) as u64),
        is_reverted: answer["reverted"].as_bool().ok_or_else(other)?,
    })
}

/// Several nodes of one network.
pub struct Nodes {
    network: Network,
    nodes: Vec<(Node, Mutex<Result<Standing, String>>)>,
}

impl Nodes {
    /// Nodes in the order in which they are preferred.
    #[must_use]
    pub fn new(network: Network, nodes: Vec<Node>) -> Self {
        let unasked = || Mutex::new(Err("not asked yet".to_owned()));
        Nodes { network, nodes: nodes.into_iter().map(|node| (node, unasked())).collect() }
    }

    /// Asks every node where it stands.
    pub async fn refresh(&self) {
        for (node, known) in &self.nodes {
            let standing = node.standing(&self.network).await.map_err(|error| error.to_string());
            let ahead_s = node.rpc.ahead_s();
            if ahead_s.unsigned_abs() >= CLOCK_OFF_S {
                tracing::warn!(
                    node = node.address(),
                    ahead_s,
                    "a node's clock and ours differ; set both by NTP"
                );
            }
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Ok(before), Err(error)) = (&*known, &standing) {
                tracing::warn!(node = node.address(), height = before.height, %error, "a node is gone");
            }
            *known = standing;
        }
    }

    /// Every node's address and what it said last.
    #[must_use]
    pub fn standings(&self) -> Vec<(String, Result<Standing, String>)> {
        let of = |known: &Mutex<Result<Standing, String>>| {
            known.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.nodes.iter().map(|(node, known)| (node.address().to_owned(), of(known))).collect()
    }

    /// The highest tip among those in step.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let synced = self.standings().into_iter().filter_map(|(_, known)| known.ok());
        synced.filter(|known| known.is_synced).max_by_key(|known| known.height)
    }

    /// The nodes in step, the preferred ones first.
    pub fn believed(&self) -> impl Iterator<Item = &Node> {
        self.in_step().map(|(node, _)| node)
    }

    /// The nodes in step and where they stood last, the preferred ones first. One that says so and is behind the best is not: for some
    /// minutes a node does not notice.
    pub fn in_step(&self) -> impl Iterator<Item = (&Node, Standing)> {
        let best = self.standing().map_or(0, |best| best.height);
        self.nodes.iter().filter_map(move |(node, known)| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let is_in_step = |standing: &&Standing| {
                standing.is_synced && standing.height.saturating_add(BEHIND_MAX) >= best
            };
            Some((node, *known.as_ref().ok().filter(is_in_step)?))
        })
    }

    /// A coin as all nodes in step know it: there if one has it; not there only if each has the block of this height and none has the
    /// coin.
    ///
    /// # Errors
    /// When one that may have it could not be asked, or does not have the block.
    pub async fn coin(&self, name: &Bytes32, since: u32) -> Result<Option<CoinRecord>, RpcError> {
        let mut answer = Err(RpcError::Unknown("no node is in step with the network".into()));
        let mut is_sure = true;
        for (node, standing) in self.in_step() {
            match node.coin(name).await {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) if standing.height >= since => {
                    if is_sure {
                        answer = Ok(None);
                    }
                }
                Ok(None) => {
                    is_sure = false;
                    let text = format!("{} does not have block {since} yet", node.address());
                    answer = Err(RpcError::Unknown(text));
                }
                Err(error) => {
                    is_sure = false;
                    answer = Err(error);
                }
            }
        }
        answer
    }

    /// A signage point as the nodes in step know it: the first that knows it as standing, else as reverted; none if none knows
    /// it.
    ///
    /// # Errors
    /// When nobody could be asked.
    pub async fn signage(&self, point: &Point) -> Result<Option<Signage>, RpcError> {
        let mut answer = Err(RpcError::Unknown("no node is in step with the network".into()));
        for node in self.believed() {
            match node.signage(point).await {
                Ok(Some(signage)) if !signage.is_reverted => return Ok(Some(signage)),
                Ok(Some(reverted)) => answer = Ok(Some(reverted)),
                Ok(None) if !matches!(answer, Ok(Some(_))) => answer = Ok(None),
                Err(error) if answer.is_err() => answer = Err(error),
                Ok(None) | Err(_) => {}
            }
        }
        answer
    }

    /// Asks the nodes in step, one after the other, until one answers.
    ///
    /// # Errors
    /// The last one's, or that none is in step. A refusal is an answer.
    pub async fn ask<'a, T, F>(&'a self, question: impl Fn(&'a Node) -> F) -> Result<T, RpcError>
    where
        F: Future<Output = Result<T, RpcError>>,
    {
        let mut last = RpcError::Unknown("no node is in step with the network".into());
        for node in self.believed() {
            match question(node).await {
                Err(RpcError::Unknown(error)) => last = RpcError::Unknown(error),
                answer => return answer,
            }
        }
        Err(last)
    }

    /// The mojo that a bundle of this cost should pay: what a node thinks, and while blocks are full, what its mempool asks for at
    /// least. A node without an opinion sees no fees: then none is needed.
    pub async fn fee_mojo(&self, cost: u64) -> u64 {
        let asked = self.ask(|node| node.fee_mojo(cost)).await.unwrap_or(0);
        let is_full = self.standing().is_some_and(|standing| standing.is_mempool_full);
        asked.max(if is_full { cost.saturating_mul(FULL_MEMPOOL_RATE) } else { 0 })
    }

    /// Gives a bundle to every node in step.
    ///
    /// # Errors
    /// When none took it: the last one's reason.
    pub async fn push(&self, bundle: &SpendBundle) -> Result<Pushed, RpcError> {
        let mut answer = Err(RpcError::Unknown("no node is in step with the network".into()));
        for node in self.believed() {
            match (node.push(bundle).await, &answer) {
                (Ok(Pushed::Taken), _) => answer = Ok(Pushed::Taken),
                (_, Ok(Pushed::Taken)) => {}
                (said, _) => answer = said,
            }
        }
        answer
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{answers, bytes, vectors};

    #[test]
    fn a_real_nodes_state_is_read() {
        let answer = answers()["node_get_blockchain_state"]["response"].clone();
        let state: StateAnswer = serde_json::from_value(answer).unwrap();
        let standing = Standing::from(state.blockchain_state);
        assert_eq!((standing.height, standing.difficulty), (30, 1024));
        assert!(!standing.is_mempool_full);
    }

    #[test]
    fn real_signage_points_and_ends_of_sub_slots_are_read() {
        for partial in vectors()["partials_with_context"].as_array().unwrap() {
            let body = partial["body"].as_str().unwrap().as_bytes();
            let submission = crate::wire::partial::Submission::parse(body).unwrap();
            let signage = read_signage(&partial["full_node_response"], &submission.point).unwrap();
            assert_eq!(signage.challenge.0, bytes::<32>(&partial["challenge_hash"]));
            assert!(!signage.is_reverted);
        }
        let reverted = &answers()["node_sp_reverted"];
        let point = Point::Signage(Bytes32(bytes(&reverted["sp_hash"])));
        assert!(read_signage(&reverted["response"], &point).unwrap().is_reverted);
    }

    #[test]
    fn a_node_that_lies_about_its_signage_point_is_not_read() {
        let point = Point::Signage(Bytes32::default());
        let eos = Point::EndOfSubSlot(Bytes32::default());
        let good = answers()["node_sp_found"]["response"].clone();
        assert!(read_signage(&good, &point).is_ok());
        assert!(read_signage(&good, &eos).is_err(), "not what was asked for");
        for (key, value) in [
            ("time_received", json!(-1)),
            ("time_received", json!(1e300)),
            ("time_received", json!("now")),
            ("reverted", json!(null)),
            ("signage_point", json!({})),
        ] {
            let mut answer = good.clone();
            answer[key] = value;
            assert!(read_signage(&answer, &point).is_err(), "{key}");
        }
    }

    #[test]
    fn real_coin_records_and_spends_are_read() {
        let record = answers()["node_launcher_coin_record"]["response"]["coin_record"].clone();
        let record: CoinRecord = serde_json::from_value(record).unwrap();
        assert!(record.is_spent() && !record.coinbase);
        let records = answers()["node_p2_coin_records"]["response"]["coin_records"].clone();
        let records: Vec<CoinRecord> = serde_json::from_value(records).unwrap();
        assert!(records.iter().all(|record| record.coinbase && !record.is_spent()));
        let rewards = records
            .iter()
            .filter_map(|record| Network::simulator().height_of_pool_coin(&record.coin.parent));
        assert!(rewards.count() > 0 && records.len() > 1);
        let spend = answers()["node_launcher_spend"]["response"]["coin_solution"].clone();
        let spend: CoinSpend = serde_json::from_value(spend).unwrap();
        assert_eq!(spend.coin, record.coin);
    }
}
