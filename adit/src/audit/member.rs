//! Blocks by a coordination-free pool's rule, and what others' blocks paid for them: does the chain say the same?
//!
//! Invariant: who earned what is read from the chain again, by the rule alone; nothing of what the pool computed is used but what is
//! compared. A node that does not answer says nothing.

use super::chain::{self, Chain, Depths};
use crate::ctv::follower::Follower;
use accounting::membership::{MemberBlock, MemberPayment, Membership, Place};
use accounting::reward::{Reward, RewardState};
use accounting::{Amount, RewardId};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, ScriptBuf, Txid};
use covenant::{Member, Rule, marker};
use serde_json::{Value, json};
use std::collections::HashMap;
use stratum::node;
use stratum::rpc::{Endpoint, Rpc, RpcError};
use stratum::template::to_hex;

/// What a coinbase with these outputs (scripts in hexadecimal digits, smallest units) lacks of what the books say of it, in words.
pub fn missing(reward: &Reward, outputs: &[(String, i128)]) -> Option<String> {
    let Some(Membership::Block(own)) = &reward.member else { return None };
    let Some((rule, script)) = read(&own.rule, &own.script) else {
        return Some("the rule it is said to follow cannot be read".to_owned());
    };
    let to = to_hex(script.as_bytes());
    let paid: i128 =
        outputs.iter().filter(|(script, _)| *script == to).map(|(_, units)| units).sum();
    if paid != reward.to_pool.units() {
        let booked = reward.to_pool;
        return Some(format!("its coinbase pays the pool {paid} at {to}, {booked} in the books"));
    }
    let marker = to_hex(marker::output(rule.id(), &script).script_pubkey.as_bytes());
    let marked = outputs.iter().any(|(script, _)| *script == marker);
    (!marked).then(|| format!("its coinbase does not name {to} by the rule {}", rule.id()))
}

/// A rule, and a script that its blocks can pay.
fn read(rule: &str, script: &[u8]) -> Option<(Rule, ScriptBuf)> {
    let rule: Rule = serde_json::from_str(rule).ok()?;
    let script = ScriptBuf::from_bytes(script.to_vec());
    (rule.check().is_ok() && marker::is_payable(&script)).then_some((rule, script))
}

/// Is a payment where it stands, as it was booked? Where it is not said to stand in the chain, its block decides.
///
/// # Errors
/// When the node does not answer.
pub async fn stands(
    node: &Endpoint,
    (reward, payment): (&Reward, &MemberPayment),
    state: RewardState,
    place: Place,
    depths: Depths,
) -> Result<Chain, RpcError> {
    let mut rpc = Rpc::new(node.clone());
    let sighting = node::sighting(&mut rpc, place.block, place.height).await;
    let said = chain::judged(state, sighting, depths);
    if said != Chain::Agrees || state == RewardState::Orphaned {
        return Ok(said);
    }
    let asked = json!([reward.id.to_string(), 1, place.block.to_string()]);
    let found: Value = match rpc.call("getrawtransaction", asked).await {
        Ok(found) => found,
        Err(RpcError::Refused { message, .. }) if message.contains("No such transaction") => {
            return Ok(Chain::Differs(format!("block {} does not have it", place.block)));
        }
        // Blocks that are not kept any more.
        Err(RpcError::Refused { .. }) => return Ok(Chain::Silent),
        Err(error) => return Err(error),
    };
    let wanted = (to_hex(&payment.script), reward.to_pool.units());
    let paid = found["vout"].get(payment.output as usize).map(chain::output);
    Ok(match paid == Some(wanted) {
        true => Chain::Agrees,
        false => Chain::Differs("its transaction does not pay the pool what was booked".to_owned()),
    })
}

/// Chains as rules see them, each read from its beginning once in an audit.
#[derive(Default)]
pub struct Traces {
    known: HashMap<(String, Vec<u8>), Trace>,
}

/// A chain as a rule sees it, and what it pays a script.
struct Trace {
    follower: Follower,
    member: Member,
}

impl Traces {
    /// Is what a coordination-free pool has to do with a reward what its rule makes of the chain? `is_known` says which blocks the
    /// pool has. What was found before stands where it is no agreement.
    pub async fn compare(
        &mut self,
        nodes: &[Endpoint],
        reward: &Reward,
        state: RewardState,
        is_known: impl Fn(RewardId) -> bool,
        said: Chain,
    ) -> Chain {
        let Some(member) = &reward.member else { return said };
        if said != Chain::Agrees || state == RewardState::Orphaned {
            return said;
        }
        let (rule, script) = match member {
            Membership::Block(MemberBlock { rule, script, .. }) => (rule, script),
            Membership::Payment(MemberPayment { rule, script, .. }) => (rule, script),
        };
        let key = (rule.clone(), script.clone());
        if !self.known.contains_key(&key) {
            let Some(trace) = Trace::of(nodes, rule, script).await else { return Chain::Silent };
            self.known.insert(key.clone(), trace);
        }
        let Some(trace) = self.known.get_mut(&key) else { return Chain::Silent };
        // The chain goes on while an audit runs.
        if trace.read().await.is_err() {
            self.known.remove(&key);
            return Chain::Silent;
        }
        let differs = match member {
            Membership::Block(_) => trace.block(reward),
            Membership::Payment(payment) => trace.payment(reward, payment, is_known),
        };
        differs.map_or(Chain::Agrees, |text| Chain::Differs(text.to_owned()))
    }
}

impl Trace {
    /// By the first node that reads to its tip.
    async fn of(nodes: &[Endpoint], rule: &str, script: &[u8]) -> Option<Trace> {
        let (rule, script) = read(rule, script)?;
        for node in nodes {
            let Ok(follower) = Follower::at(rule, node.clone()).await else { continue };
            let mut trace = Trace { follower, member: Member::new(script.clone()) };
            if trace.read().await.is_ok() {
                return Some(trace);
            }
        }
        None
    }

    /// Up to the node's tip.
    async fn read(&mut self) -> anyhow::Result<()> {
        let Trace { follower, member } = self;
        follower.catch_up(|chain, event| event.tell(chain, member)).await
    }

    /// What is wrong with a block of the pool's.
    fn block(&self, reward: &Reward) -> Option<&'static str> {
        let chain = &self.follower.chain;
        let position =
            u32::try_from(reward.height).ok().and_then(|height| chain.position_at(height));
        let qualified = position.and_then(|at| Some((chain.hash(at)?, chain.slots().get(at)?)));
        let Some((hash, slot)) = qualified else {
            return Some("by the rule it does not qualify: later blocks owe it nothing");
        };
        let is_it = hash == BlockHash::from_byte_array(reward.id.0)
            && *chain.script(slot.payee) == *self.member.script();
        (!is_it).then_some("another block than it qualifies at its height")
    }

    /// What is wrong with a payment.
    fn payment(
        &self,
        reward: &Reward,
        booked: &MemberPayment,
        is_known: impl Fn(RewardId) -> bool,
    ) -> Option<&'static str> {
        let Some(payment) = self.member.payment(Txid::from_byte_array(reward.id.0)) else {
            return Some("by the rule no block of the chain pays it");
        };
        let same = RewardId(payment.by.to_byte_array()) == booked.by
            && u64::from(payment.height) == reward.height
            && payment.output == booked.output
            && i128::from(payment.amount) == reward.to_pool.units();
        if !same {
            return Some("by the rule another block pays it, or another amount");
        }
        let earned = payment.earned(|block| is_known(RewardId(block.to_byte_array())));
        let expected = earned.iter().map(|(block, sat)| {
            (RewardId(block.to_byte_array()), Amount::from_units((*sat).into()))
        });
        let booked = booked.earned.iter().map(|earned| (earned.block, earned.amount));
        (!expected.eq(booked)).then_some("by the rule other blocks earned it, or other parts of it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::{AccountId, AssetId, PoolId, Scheme, ShareSeq};

    const RULE: &str = r#"{"start":2,"window":{"kind":"last","blocks":6},"weights":{"kind":"sats"},"share_permille":1000,
        "bootstrap":{"kind":"finder"},"halving":{"kind":"ignore"},"floor":10000,"small":"others",
        "tree":{"shape":{"kind":"flat"},"fee":{"per_transaction":400}}}"#;

    fn reward(rule: &str) -> Reward {
        let script = [&[0, 20][..], &[7; 20]].concat();
        let elsewhere = Amount::from_units(60);
        Reward {
            id: RewardId([1; 32]),
            pool: PoolId(1),
            asset: AssetId(1),
            height: 7,
            finder: AccountId(1),
            to_pool: Amount::from_units(40),
            to_miners: Amount::ZERO,
            window_end: ShareSeq(100),
            as_of: ShareSeq(100),
            scheme: Scheme::Tides,
            network_work: 9,
            window: None,
            shared: None,
            by_block: None,
            budget: None,
            member: Some(Membership::Block(MemberBlock {
                rule: rule.to_owned(),
                script,
                elsewhere,
            })),
            split: None,
        }
    }

    #[test]
    fn a_coinbase_must_name_the_pool_by_the_rule_and_pay_it_what_was_booked() {
        let reward = reward(RULE);
        assert_eq!(
            reward.on_chain().units(),
            100,
            "what went elsewhere is no income of the pool's"
        );
        let Some(Membership::Block(own)) = &reward.member else { unreachable!() };
        let (rule, script) = read(&own.rule, &own.script).unwrap();
        let to = to_hex(script.as_bytes());
        let marker = to_hex(marker::output(rule.id(), &script).script_pubkey.as_bytes());
        let outputs = |kept: i128, marker: &str| {
            vec![("20aab3".to_owned(), 100 - kept), (to.clone(), kept), (marker.to_owned(), 0)]
        };
        assert_eq!(missing(&reward, &outputs(40, &marker)), None);
        assert!(missing(&reward, &outputs(39, &marker)).unwrap().contains("40 in the books"));
        assert!(missing(&reward, &outputs(40, "6a")).unwrap().contains("does not name"));
        let broken = self::reward("{}");
        assert!(missing(&broken, &outputs(40, &marker)).unwrap().contains("cannot be read"));
    }
}
