//! Following a plot NFT from spend to spend: pure; who asks the node is elsewhere.
//!
//! What happened is read from the coins, which nobody can dispute: a coin with the same puzzle carries the same state, and what else
//! the spend made at the state's target is a reward. A solution is somebody's words: anybody may absorb, nobody signs for it, and the
//! puzzles pass over what is too much and accept a number in many forms.
//!
//! Invariant: after each step the coin must carry the state; what cannot be understood ends the following with a reason instead of a
//! guess.

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
    /// The height from which it farms to where it farms now.
    pub since: u32,
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
    /// The height from which the plot NFT farmed to that target when it was absorbed.
    pub since: u32,
}

impl Absorbed {
    /// Is it its farmer's own: farmed before it came to this pool?
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.reward_height < self.since
    }
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
    let [_full_puzzle_hash, _amount, extra] =
        tree.as_arguments(solution).ok_or(Lost::NotPlotNft)?;
    let value = |name: &[u8]| value_of(&tree, extra, name).ok_or(Lost::NotPlotNft);
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
    (coin, height): (Coin, u32),
) -> Result<Tip, Lost> {
    if !carries(contract, &state, &coin.puzzle_hash) {
        return Err(Lost::NotCarried);
    }
    let proof = LineageProof::Launcher { parent: launcher.parent, amount: launcher.amount };
    Ok(Tip { coin, height, state, proof, since: height })
}

/// The tip that follows when this one is spent, and the reward that was absorbed with it: from the singleton's next coin, and all
/// coins that the spend made.
///
/// # Errors
/// See [`Lost`].
pub fn next(
    contract: &Contract,
    before: &Tip,
    spend: &CoinSpend,
    (coin, height): (Coin, u32),
    made: &[Coin],
) -> Result<(Tip, Option<Absorbed>), Lost> {
    let proof = LineageProof::Singleton {
        parent: before.coin.parent,
        inner_puzzle_hash: inner_puzzle_hash(contract, &before.state),
        amount: before.coin.amount,
    };
    if carries(contract, &before.state, &coin.puzzle_hash) {
        let at_target = |made: &&Coin| made.puzzle_hash == before.state.target && **made != coin;
        let absorbed = made.iter().find(at_target).map(|made| Absorbed {
            coin: *made,
            // No chain has an absorption that does not say its height; if one had, the reward would be everybody's.
            reward_height: absorption(before.state.phase, spend).map_or(height, |(_, at)| at),
            since: before.since,
        });
        let state = before.state.clone();
        return Ok((Tip { coin, height, state, proof, since: before.since }, absorbed));
    }
    let announced = announced(before.state.phase, spend);
    let is_silent = announced.is_none();
    // Whoever sets out goes to the waiting room of the same pool, whatever is said.
    let waiting = (before.state.phase == Phase::Farming)
        .then(|| PoolState { phase: Phase::Leaving, ..before.state.clone() });
    let mut states = announced.into_iter().chain(waiting);
    let state = states.find(|state| carries(contract, state, &coin.puzzle_hash));
    let state = state.ok_or(if is_silent { Lost::NotUnderstood } else { Lost::NotCarried })?;
    let since = if is_same_stay(&before.state, &state) { before.since } else { height };
    Ok((Tip { coin, height, state, proof, since }, None))
}

/// Is a plot NFT that goes from one of these states to the other still in the same pool?
fn is_same_stay(before: &PoolState, after: &PoolState) -> bool {
    let is_pooled = |state: &PoolState| state.phase != Phase::SelfPooling;
    before.target == after.target && is_pooled(before) && is_pooled(after)
}

/// What a spend tells the puzzle of its state: how to go on, and with what.
struct Told {
    tree: Tree,
    /// Is it to absorb, rather than to travel?
    absorbs: bool,
    first: Node,
    second: Node,
}

/// The first arguments, as the puzzles look at them: what follows is passed over.
fn told(phase: Phase, spend: &CoinSpend) -> Option<Told> {
    let mut tree = Tree::new();
    let solution = tree.read(&spend.solution.0).ok()?;
    let [_lineage, _amount, inner] = tree.as_arguments(solution)?;
    match phase {
        // (amount, height) absorbs, (state, nil) travels.
        Phase::Farming => {
            let [first, second] = tree.as_arguments(inner)?;
            let absorbs = !is_nil(&tree, second);
            Some(Told { absorbs, first, second, tree })
        }
        // (nil, amount, height) absorbs, (how, state, to) travels.
        Phase::SelfPooling | Phase::Leaving => {
            let [how, first, second] = tree.as_arguments(inner)?;
            let absorbs = is_nil(&tree, how);
            Some(Told { absorbs, first, second, tree })
        }
    }
}

/// The amount and the height of the reward that a spend absorbs, if that is what it does.
pub(super) fn absorption(before: Phase, spend: &CoinSpend) -> Option<(u64, u32)> {
    let told = told(before, spend).filter(|told| told.absorbs)?;
    let height = u32::try_from(told.tree.as_low_bits(told.second)?).ok()?;
    Some((told.tree.as_number(told.first)?, height))
}

/// The state that a travel announces.
fn announced(before: Phase, spend: &CoinSpend) -> Option<PoolState> {
    let told = told(before, spend).filter(|told| !told.absorbs)?;
    let value = value_of(&told.tree, told.first, b"p")?;
    PoolState::from_bytes(told.tree.as_atom(value)?)
}

/// What the puzzles take for no: the empty atom, and no other.
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

    /// All coins that the real node showed of this parent.
    fn children(parent: &Coin) -> Vec<Coin> {
        let at_target = &crate::vectors::answers()["node_target_coin_records"]["response"];
        let lineage = vectors()["singleton"]["lineage"].as_array().unwrap().iter();
        let all = lineage.map(|step| &step["coin_record"]["coin"]).chain(
            at_target["coin_records"].as_array().unwrap().iter().map(|record| &record["coin"]),
        );
        all.map(|coin| serde_json::from_value::<Coin>(coin.clone()).unwrap())
            .filter(|coin| coin.parent == parent.id())
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
            let made = children(&spends[index].0);
            let (tip, absorbed) =
                next(&contract, &tips[index - 1], spend, child(index + 1), &made).unwrap();
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
        let child = |index: usize| (spends[index].0, spends[index].1);
        let go = |from: usize, spend: &CoinSpend, child| {
            next(&contract, &tips[from], spend, child, &[]).map(|(tip, _)| tip.state)
        };
        let lies = |index: usize, forged: &PoolState| {
            let mut spend = spends[index].2.clone().unwrap();
            let (honest, forged) = (tips[index].state.to_bytes(), forged.to_bytes());
            let at = spend.solution.0.windows(honest.len()).position(|window| window == honest);
            spend.solution.0.splice(at.unwrap()..at.unwrap() + honest.len(), forged);
            spend
        };
        // The travel of step 3 goes to the waiting room and says that it goes nowhere.
        let stays = PoolState { phase: Phase::Farming, ..tips[3].state.clone() };
        assert_eq!(go(2, &lies(3, &stays), child(4)), Ok(tips[3].state.clone()), "as its coin");
        // That of step 4 takes it out, and says that it stays.
        let solution = lies(4, &PoolState { pool_url: None, ..tips[4].state.clone() });
        assert!(go(3, &solution, child(5)).is_ok());
        let target = Bytes32([8; 32]);
        let elsewhere = PoolState { target, ..tips[4].state.clone() };
        assert_eq!(go(3, &lies(4, &elsewhere), child(5)), Err(Lost::NotCarried));
        let other = Coin { puzzle_hash: Bytes32([8; 32]), ..spends[4].0 };
        let honest = spends[3].2.as_ref().unwrap();
        assert_eq!(go(2, honest, (other, 33)), Err(Lost::NotCarried));
    }

    #[test]
    fn a_spend_that_nobody_can_read_is_followed_by_its_coins_and_what_it_made_is_everybodys() {
        let (contract, tips, income) = life();
        let spends = spends();
        let child = (spends[2].0, spends[2].1);
        let made = children(&spends[1].0);
        let mut mute = spends[1].2.clone().unwrap();
        mute.solution.0 = vec![0x80];
        let everybodys = Absorbed { reward_height: child.1, ..income[0] };
        let found = next(&contract, &tips[0], &mute, child, &made);
        assert_eq!(found, Ok((tips[1].clone(), Some(everybodys))));
        assert!(!everybodys.is_own());
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
        let other = Coin { puzzle_hash: Bytes32([5; 32]), ..spends[2].0 };
        let lost = next(&contract, &tips[0], &spend, (other, 31), &[]);
        assert_eq!(lost, Err(Lost::NotUnderstood));
    }
}
