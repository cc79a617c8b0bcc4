//! Following a plot NFT from spend to spend: pure; who asks the node is elsewhere.
//!
//! Invariant: only a travel changes the state, an absorption never does, and after each step the coin must carry the state; what
//! cannot be understood ends the following with a reason instead of a guess.

use super::puzzle::{Contract, LAUNCHER_HASH, inner_puzzle_hash};
use super::{Phase, PoolState, carries};
use crate::clvm::{Node, Tree};
use crate::coin::{Coin, CoinSpend};
use crate::hash::Bytes32;
use crate::network::Network;

/// Entries of a launcher's or travel's list that are looked at.
const ENTRIES_MAX: usize = 32;

/// The singleton's coin at some time, and what is needed to spend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The coin.
    pub coin: Coin,
    /// The height that made it.
    pub height: u32,
    /// What it carries.
    pub state: PoolState,
    /// How its parent proves where it comes from.
    pub proof: LineageProof,
}

/// Where a singleton's coin comes from, as its puzzle wants it proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineageProof {
    /// From the launcher: the launcher's parent and amount.
    Launcher {
        /// The coin that made the launcher.
        parent: Bytes32,
        /// The launcher's amount.
        amount: u64,
    },
    /// From another coin of the singleton: its parent, inner puzzle hash and amount.
    Singleton {
        /// Its parent.
        parent: Bytes32,
        /// What it carried.
        inner_puzzle_hash: Bytes32,
        /// Its amount.
        amount: u64,
    },
}

/// What a reward became when it was absorbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absorbed {
    /// The coin at the state's target.
    pub coin: Coin,
    /// The height of the block that was the reward's.
    pub reward_height: u32,
}

/// What a spend of the singleton did.
enum Done {
    Absorbed { amount: u64, reward_height: u32 },
    Travelled(PoolState),
}

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The launcher is no launcher, or launched something else.
    #[error("this is no plot NFT of version 1")]
    NotPlotNft,
    /// A spend that no plot NFT makes.
    #[error("the plot NFT was spent in a way that is not understood")]
    NotUnderstood,
    /// The coin has another puzzle than the state it is said to carry.
    #[error("the plot NFT's coin does not carry the state that was announced")]
    NotCarried,
}

/// Reads the spend of a launcher: what it fixed, and the first state.
///
/// # Errors
/// When it launched no plot NFT.
pub fn launched(spend: &CoinSpend, network: &Network) -> Result<(Contract, PoolState), Lost> {
    if spend.coin.puzzle_hash != LAUNCHER_HASH {
        return Err(Lost::NotPlotNft);
    }
    let mut tree = Tree::new();
    let solution = tree.read(&spend.solution.0).map_err(|_| Lost::NotPlotNft)?;
    let parts = tree.as_list(solution, 3).ok_or(Lost::NotPlotNft)?;
    let [_full_puzzle_hash, _amount, extra] = parts.as_slice() else {
        return Err(Lost::NotPlotNft);
    };
    let value = |name: &[u8]| value_of(&tree, *extra, name).ok_or(Lost::NotPlotNft);
    let state = tree.as_atom(value(b"p")?).and_then(PoolState::from_bytes);
    let contract = Contract {
        launcher_id: spend.coin.id(),
        delay_s: tree.as_number(value(b"t")?).ok_or(Lost::NotPlotNft)?,
        delay_puzzle_hash: tree.as_hash(value(b"h")?).ok_or(Lost::NotPlotNft)?,
        reward_prefix: network.pool_reward_prefix(),
    };
    Ok((contract, state.ok_or(Lost::NotPlotNft)?))
}

/// The tip that a launcher made, if the coin carries the first state.
///
/// # Errors
/// [`Lost::NotCarried`].
pub fn first(
    contract: &Contract,
    launcher: &Coin,
    state: PoolState,
    child: (Coin, u32),
) -> Result<Tip, Lost> {
    let proof = LineageProof::Launcher { parent: launcher.parent, amount: launcher.amount };
    tip(contract, state, child, proof)
}

/// The tip that follows when this one is spent, and the reward that was absorbed with it.
///
/// # Errors
/// See [`Lost`].
pub fn next(
    contract: &Contract,
    before: &Tip,
    spend: &CoinSpend,
    child: (Coin, u32),
) -> Result<(Tip, Option<Absorbed>), Lost> {
    let (state, absorbed) = match done(before.state.phase, spend)? {
        Done::Travelled(state) => (state, None),
        Done::Absorbed { amount, reward_height } => {
            let coin = Coin { parent: before.coin.id(), puzzle_hash: before.state.target, amount };
            (before.state.clone(), Some(Absorbed { coin, reward_height }))
        }
    };
    let proof = LineageProof::Singleton {
        parent: before.coin.parent,
        inner_puzzle_hash: inner_puzzle_hash(contract, &before.state),
        amount: before.coin.amount,
    };
    Ok((tip(contract, state, child, proof)?, absorbed))
}

fn tip(
    contract: &Contract,
    state: PoolState,
    (coin, height): (Coin, u32),
    proof: LineageProof,
) -> Result<Tip, Lost> {
    if !carries(contract, &state, &coin.puzzle_hash) {
        return Err(Lost::NotCarried);
    }
    Ok(Tip { coin, height, state, proof })
}

/// The amount and the height of the reward that a spend absorbs, if that is what it does.
pub(super) fn absorption(before: Phase, spend: &CoinSpend) -> Option<(u64, u32)> {
    match done(before, spend) {
        Ok(Done::Absorbed { amount, reward_height }) => Some((amount, reward_height)),
        Ok(Done::Travelled(_)) | Err(_) => None,
    }
}

fn done(before: Phase, spend: &CoinSpend) -> Result<Done, Lost> {
    let mut tree = Tree::new();
    let solution = tree.read(&spend.solution.0).map_err(|_| Lost::NotUnderstood)?;
    let parts = tree.as_list(solution, 3).ok_or(Lost::NotUnderstood)?;
    let [_lineage, _amount, inner] = parts.as_slice() else { return Err(Lost::NotUnderstood) };
    let inner = tree.as_list(*inner, 3).ok_or(Lost::NotUnderstood)?;
    let extra = match (before, inner.as_slice()) {
        (Phase::Farming, [extra, height]) if is_nil(&tree, *height) => extra,
        (Phase::Farming, [amount, height]) => return absorbed(&tree, *amount, *height),
        (Phase::SelfPooling | Phase::Leaving, [how, amount, height]) if is_nil(&tree, *how) => {
            return absorbed(&tree, *amount, *height);
        }
        (Phase::SelfPooling | Phase::Leaving, [_, extra, _]) => extra,
        _ => return Err(Lost::NotUnderstood),
    };
    let announced = value_of(&tree, *extra, b"p").and_then(|node| tree.as_atom(node));
    announced.and_then(PoolState::from_bytes).map(Done::Travelled).ok_or(Lost::NotUnderstood)
}

fn absorbed(tree: &Tree, amount: Node, height: Node) -> Result<Done, Lost> {
    let amount = tree.as_number(amount).ok_or(Lost::NotUnderstood)?;
    let height = tree.as_number(height).and_then(|height| u32::try_from(height).ok());
    Ok(Done::Absorbed { amount, reward_height: height.ok_or(Lost::NotUnderstood)? })
}

fn is_nil(tree: &Tree, node: Node) -> bool {
    tree.as_atom(node).is_some_and(<[u8]>::is_empty)
}

/// The value under a name in a list of pairs.
fn value_of(tree: &Tree, list: Node, name: &[u8]) -> Option<Node> {
    let entries = tree.as_list(list, ENTRIES_MAX)?;
    let pairs = entries.into_iter().filter_map(|entry| tree.as_pair(entry));
    pairs.into_iter().find(|(key, _)| tree.as_atom(*key) == Some(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    fn spends() -> Vec<(Coin, u32, Option<CoinSpend>)> {
        let lineage = vectors()["singleton"]["lineage"].as_array().unwrap().iter();
        lineage
            .map(|step| {
                let record = &step["coin_record"];
                let height = record["confirmed_block_index"].as_u64().unwrap();
                let spend = step.get("spend").filter(|spend| !spend.is_null());
                (
                    serde_json::from_value(record["coin"].clone()).unwrap(),
                    u32::try_from(height).unwrap(),
                    spend.map(|spend| serde_json::from_value(spend.clone()).unwrap()),
                )
            })
            .collect()
    }

    /// The whole life of a real plot NFT: launched into a pool, two absorptions, leaving, self-pooling.
    fn life() -> (Contract, Vec<Tip>, Vec<Absorbed>) {
        let spends = spends();
        let network = Network::simulator();
        let (contract, state) = launched(spends[0].2.as_ref().unwrap(), &network).unwrap();
        let child = |index: usize| (spends[index].0, spends[index].1);
        let mut tips = vec![first(&contract, &spends[0].0, state, child(1)).unwrap()];
        let mut income = Vec::new();
        for index in 1..spends.len() - 1 {
            let spend = spends[index].2.as_ref().unwrap();
            let (tip, absorbed) =
                next(&contract, &tips[index - 1], spend, child(index + 1)).unwrap();
            tips.push(tip);
            income.extend(absorbed);
        }
        (contract, tips, income)
    }

    #[test]
    fn a_real_plot_nft_is_followed_from_its_launcher_to_its_end() {
        let (contract, tips, income) = life();
        assert_eq!(contract.delay_s, 604_800);
        let heights: Vec<u32> = income.iter().map(|absorbed| absorbed.reward_height).collect();
        assert_eq!(heights, [19, 22]);
        let at_target = &crate::vectors::answers()["node_target_coin_records"]["response"];
        for absorbed in income {
            let real = at_target["coin_records"].as_array().unwrap().iter();
            let coin = serde_json::to_value(absorbed.coin).unwrap();
            assert!(real.into_iter().any(|record| record["coin"] == coin), "{coin}");
        }
        let phases: Vec<Phase> = tips.iter().map(|tip| tip.state.phase).collect();
        use Phase::{Farming, Leaving, SelfPooling};
        assert_eq!(phases, [Farming, Farming, Farming, Leaving, SelfPooling]);
        let announced: Vec<_> = vectors()["singleton"]["lineage"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|step| step["pool_state_hex"].as_str())
            .map(|text| PoolState::from_bytes(&hex::decode(text).unwrap()).unwrap())
            .collect();
        assert_eq!(
            [&tips[0].state, &tips[3].state, &tips[4].state],
            [&announced[0], &announced[1], &announced[2]]
        );
        assert_eq!(tips[4].state.pool_url, None);
    }

    #[test]
    fn a_forged_announcement_is_not_believed() {
        let (contract, tips, _) = life();
        let spends = spends();
        // The travel of step 3 announces that it goes to the waiting room; say that it announced something else.
        let mut spend = spends[3].2.clone().unwrap();
        let honest = tips[3].state.to_bytes();
        let forged = PoolState { phase: Phase::Farming, ..tips[3].state.clone() }.to_bytes();
        let at =
            spend.solution.0.windows(honest.len()).position(|window| window == honest).unwrap();
        spend.solution.0[at..at + honest.len()].copy_from_slice(&forged);
        let child = (spends[4].0, spends[4].1);
        assert_eq!(next(&contract, &tips[2], &spend, child), Err(Lost::NotCarried));
        let other = Coin { puzzle_hash: Bytes32([8; 32]), ..spends[4].0 };
        let honest = spends[3].2.as_ref().unwrap();
        assert_eq!(next(&contract, &tips[2], honest, (other, 33)), Err(Lost::NotCarried));
    }

    #[test]
    fn what_is_no_plot_nft_is_not_followed() {
        let network = Network::simulator();
        let spends = spends();
        let launcher = spends[0].2.clone().unwrap();
        let mut other = launcher.clone();
        other.coin.puzzle_hash = Bytes32([5; 32]);
        assert_eq!(launched(&other, &network), Err(Lost::NotPlotNft));
        for solution in [vec![], vec![0x80], vec![0xff], vec![0xff, 1, 0x80]] {
            let mut other = launcher.clone();
            other.solution.0 = solution;
            assert_eq!(launched(&other, &network), Err(Lost::NotPlotNft));
        }
        let second = &crate::vectors::answers()["v2_launcher_spend"]["response"]["coin_solution"];
        let second: CoinSpend = serde_json::from_value(second.clone()).unwrap();
        assert_eq!(launched(&second, &network), Err(Lost::NotPlotNft), "the second version");
        let (contract, tips, _) = life();
        let mut spend = spends[1].2.clone().unwrap();
        spend.solution.0 = vec![0x80];
        assert_eq!(next(&contract, &tips[0], &spend, (spends[2].0, 31)), Err(Lost::NotUnderstood));
    }
}
