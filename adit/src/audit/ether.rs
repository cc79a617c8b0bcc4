//! What a chain of Ethash says of what was booked: the block of that name stands, and brought what the books say.
//!
//! Invariant: a node that has forgotten the balances of a block says nothing of its sum.

use super::chain::{Chain, Depths, judged};
use accounting::reward::{Reward, RewardState, Sighting};
use stratum::ether::{chain, node};
use stratum::source::ether::EtherSource;

/// The first node that may be believed and can say decides.
pub async fn reward(
    own: &EtherSource,
    reward: &Reward,
    state: RewardState,
    depths: Depths,
) -> Chain {
    for endpoint in &own.nodes {
        let mut rpc = node::rpc(endpoint);
        if own.gate.check(&mut rpc).await.is_err() {
            continue;
        }
        let sighting = chain::sighting(&mut rpc, reward.id, reward.height).await;
        if sighting == Sighting::Unknown {
            continue;
        }
        let miner = &own.gate.miner;
        let sum = chain::brought(&mut rpc, reward.id, reward.height, miner).await;
        if let (Ok(Some(sum)), true) = (&sum, state != RewardState::Orphaned)
            && *sum != reward.to_pool
        {
            let booked = reward.to_pool;
            return Chain::Differs(format!("its block brought {sum} wei, and {booked} are booked"));
        }
        return judged(state, sighting, depths);
    }
    Chain::Silent
}
