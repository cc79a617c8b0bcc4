//! Plot NFTs: the singleton that says which pool a farmer's plots farm to, and that rewards can only leave through.
//!
//! The puzzles are version 1 of the plot NFT: a member of a pool may be absorbed by anybody and left by its owner; in the waiting
//! room rewards still go to the old pool until the lock height has passed.
//!
//! Invariant: a state is believed only if the coin that carries it has exactly the puzzle hash that follows from it: an
//! announcement in a solution is a claim, the coin is the proof.

pub mod absorption;
pub mod lineage;
pub mod puzzle;

use crate::hash::Bytes32;
use crate::wire::KeyBytes;
use puzzle::{Contract, full_puzzle_hash};

/// Seconds that a contract must hold back its owner's own way to a reward: below it, an owner could take what the pool is
/// about to claim.
pub const DELAY_MIN_S: u64 = 3600;
/// The longest pool address that a state may carry.
const URL_MAX: usize = 1024;
/// The version of states there is.
const VERSION: u8 = 1;

/// What a plot NFT is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its owner farms alone.
    SelfPooling,
    /// On its way out of a pool; rewards still go there.
    Leaving,
    /// In a pool.
    Farming,
}

impl Phase {
    const ALL: [(Phase, u8); 3] =
        [(Phase::SelfPooling, 1), (Phase::Leaving, 2), (Phase::Farming, 3)];

    fn byte(self) -> u8 {
        Self::ALL.iter().find(|(phase, _)| *phase == self).map_or(0, |(_, byte)| *byte)
    }

    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::SelfPooling => "self-pooling",
            Phase::Leaving => "leaving",
            Phase::Farming => "farming",
        }
    }
}

/// What a plot NFT's owner decided last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolState {
    /// What it is doing.
    pub phase: Phase,
    /// Where rewards go.
    pub target: Bytes32,
    /// The key that may leave.
    pub owner: KeyBytes,
    /// The pool's address, for the farmer's software.
    pub pool_url: Option<String>,
    /// Blocks that leaving takes.
    pub lock_height: u32,
}

impl PoolState {
    /// As written into solutions.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.phase.byte()];
        bytes.extend_from_slice(&self.target.0);
        bytes.extend_from_slice(&self.owner.0);
        match &self.pool_url {
            None => bytes.push(0),
            Some(url) => {
                bytes.push(1);
                let length = u32::try_from(url.len()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(url.as_bytes());
            }
        }
        bytes.extend_from_slice(&self.lock_height.to_be_bytes());
        bytes
    }

    /// Reads one; none for another version, another shape, or more bytes than it has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[version, phase], rest) = bytes.split_first_chunk::<2>()?;
        let phase = Phase::ALL.iter().find(|(_, byte)| *byte == phase)?.0;
        let (target, rest) = rest.split_first_chunk::<32>()?;
        let (owner, rest) = rest.split_first_chunk::<48>()?;
        let (&[has_url], rest) = rest.split_first_chunk::<1>()?;
        let (pool_url, rest) = match has_url {
            0 => (None, rest),
            1 => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                let (url, rest) = rest.split_at_checked(length)?;
                let url = std::str::from_utf8(url).ok().filter(|url| url.len() <= URL_MAX)?;
                (Some(url.to_owned()), rest)
            }
            _ => return None,
        };
        let lock_height = u32::from_be_bytes(rest.try_into().ok()?);
        (version == VERSION).then_some(PoolState {
            phase,
            target: Bytes32(*target),
            owner: KeyBytes(*owner),
            pool_url,
            lock_height,
        })
    }
}

/// What a pool asks of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where rewards go: the pool's address, and those it had before.
    pub targets: Vec<Bytes32>,
    /// Blocks that leaving takes.
    pub lock_height: u32,
}

/// Why a plot NFT does not count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMember {
    /// It farms alone.
    #[error("the plot NFT is self-pooling")]
    SelfPooling,
    /// Its rewards go elsewhere.
    #[error("the plot NFT farms to another pool")]
    ElsewhereBound,
    /// It can leave faster or slower than this pool agreed to.
    #[error("the plot NFT was made with another relative lock height than this pool's")]
    LockHeight,
    /// It may have been taken elsewhere at any block.
    #[error("the plot NFT has left the pool")]
    Left,
}

impl Terms {
    /// Does a plot NFT in this state, its tip confirmed at this height, count while the chain is at `peak`?
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, state: &PoolState, tip_height: u32, peak: u32) -> Result<(), NotMember> {
        if state.phase == Phase::SelfPooling {
            return Err(NotMember::SelfPooling);
        }
        if !self.targets.contains(&state.target) {
            return Err(NotMember::ElsewhereBound);
        }
        if state.lock_height != self.lock_height {
            return Err(NotMember::LockHeight);
        }
        let is_free =
            state.phase == Phase::Leaving && peak.saturating_sub(tip_height) > self.lock_height;
        if is_free { Err(NotMember::Left) } else { Ok(()) }
    }
}

/// Does this coin's puzzle hash follow from the state?
#[must_use]
pub fn carries(contract: &Contract, state: &PoolState, puzzle_hash: &Bytes32) -> bool {
    full_puzzle_hash(contract, state) == *puzzle_hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};

    fn state(phase: Phase) -> PoolState {
        PoolState {
            phase,
            target: Bytes32([1; 32]),
            owner: KeyBytes([2; 48]),
            pool_url: Some("https://pool.example".into()),
            lock_height: 32,
        }
    }

    #[test]
    fn states_are_read_and_written_as_the_client_does() {
        for case in vectors()["singleton"]["states"].as_array().unwrap() {
            let bytes = hex::decode(case["streamable_hex"].as_str().unwrap()).unwrap();
            let state = PoolState::from_bytes(&bytes).unwrap();
            assert_eq!(state.to_bytes(), bytes);
            assert_eq!(state.pool_url.as_deref(), case["pool_url"].as_str());
            assert_eq!(u64::from(state.phase.byte()), case["state"].as_u64().unwrap());
            for cut in 0..bytes.len() {
                assert_eq!(PoolState::from_bytes(&bytes[..cut]), None);
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert_eq!(PoolState::from_bytes(&longer), None);
            for (at, byte) in [(0, 2), (1, 0), (1, 4), (82, 2)] {
                let mut other = bytes.clone();
                other[at] = byte;
                assert_eq!(PoolState::from_bytes(&other), None, "{at}");
            }
        }
        let absorb = &vectors()["singleton"]["absorb"];
        let read = hex::decode(absorb["pool_state_streamable_hex"].as_str().unwrap()).unwrap();
        let state = PoolState::from_bytes(&read).unwrap();
        assert_eq!(state.target.0, bytes::<32>(&absorb["pool_state"]["target_puzzle_hash"]));
    }

    #[test]
    fn who_farms_alone_elsewhere_or_on_other_terms_is_no_member() {
        let terms = Terms { targets: vec![Bytes32([1; 32]), Bytes32([9; 32])], lock_height: 32 };
        let farming = state(Phase::Farming);
        assert_eq!(terms.admit(&farming, 100, 100_000), Ok(()));
        assert_eq!(terms.admit(&state(Phase::SelfPooling), 100, 100), Err(NotMember::SelfPooling));
        let former = PoolState { target: Bytes32([9; 32]), ..farming.clone() };
        assert_eq!(terms.admit(&former, 100, 100), Ok(()), "an address the pool had before");
        let other = PoolState { target: Bytes32([3; 32]), ..farming.clone() };
        assert_eq!(terms.admit(&other, 100, 100), Err(NotMember::ElsewhereBound));
        let quick = PoolState { lock_height: 5, ..farming };
        assert_eq!(terms.admit(&quick, 100, 100), Err(NotMember::LockHeight));
    }

    #[test]
    fn who_leaves_is_a_member_until_the_lock_height_has_passed() {
        let terms = Terms { targets: vec![Bytes32([1; 32])], lock_height: 32 };
        let leaving = state(Phase::Leaving);
        assert_eq!(terms.admit(&leaving, 100, 132), Ok(()));
        assert_eq!(terms.admit(&leaving, 100, 133), Err(NotMember::Left));
        assert_eq!(terms.admit(&leaving, 100, 50), Ok(()), "a chain that went back");
    }
}
