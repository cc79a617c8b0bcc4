//! GXC's own programs: each has its own idea of work, and a port speaks with one of them.
//!
//! Invariant: whatever a dialect hashes is bound to the connection's own coinbase, so that no two connections do the same work and
//! nobody can bring work that was not theirs. A dialect that leaves the coinbase out is given the digest of a header that
//! has it, in place of the block before.

use super::block::Consensus;
use pow::{Difficulty, Scale, Target};

/// Whose idea of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `gxc-miner-standalone`.
    Standalone,
    /// `gxc-miner-suite`.
    Suite,
    /// `gxc-miner-pro`.
    Pro,
    /// The guide's: five parameters of work, one SHA-256 of text, difficulty by zeros.
    Guide,
    /// What the node's own code calls a hash: decimal and hexadecimal text.
    Node,
    /// Submissions of four parameters, as JxPoolMiner writes them, of standard work.
    Jx,
}

/// Which of a program's hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// What it calls SHA-256.
    Sha256,
    /// What it calls Ethash: SHA-3 or Keccak, of the header alone.
    Ethash,
    /// What it calls GXHash.
    GxHash,
}

/// One dialect: a program's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Legacy {
    profile: Profile,
    function: Function,
}

/// What a difficulty is on a port: the target that is enforced, and the number that its miners make that target of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Enforced.
    pub target: Target,
    /// Printed.
    pub told: Difficulty,
}

/// The stand-alone miner takes anything less for this.
const STANDALONE_LEAST: f64 = 1e-4;
/// Zeros that the guide adds to the thousands of a difficulty.
const GUIDE_ZEROS: u32 = 4;
/// Zeros that no share is asked for: 63 bits of work are the most that is counted.
const GUIDE_ZEROS_MAX: u32 = 15;

impl Legacy {
    /// The dialect, where the program has such a hash that can be verified.
    #[must_use]
    pub const fn new(profile: Profile, function: Function) -> Option<Self> {
        let exists = match profile {
            Profile::Standalone | Profile::Suite | Profile::Pro => true,
            Profile::Guide => matches!(function, Function::Sha256),
            Profile::Node | Profile::Jx => !matches!(function, Function::Ethash),
        };
        if exists { Some(Legacy { profile, function }) } else { None }
    }

    /// Whose.
    #[must_use]
    pub const fn profile(self) -> Profile {
        self.profile
    }

    /// Which hash of it.
    #[must_use]
    pub const fn function(self) -> Function {
        self.function
    }

    /// The name used in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.function, self.profile) {
            (Function::Sha256, Profile::Standalone) => "sha256-standalone",
            (Function::Sha256, Profile::Suite) => "sha256-suite",
            (Function::Sha256, Profile::Pro) => "sha256-pro",
            (Function::Sha256, Profile::Guide) => "sha256-guide",
            (Function::Sha256, Profile::Node) => "sha256-node",
            (Function::Sha256, Profile::Jx) => "sha256-jx",
            (Function::Ethash, Profile::Pro) => "ethash-pro",
            (Function::Ethash, Profile::Suite) => "ethash-suite",
            (Function::Ethash, _) => "ethash-standalone",
            (Function::GxHash, Profile::Suite) => "gxhash-suite",
            (Function::GxHash, Profile::Pro) => "gxhash-pro",
            (Function::GxHash, Profile::Node) => "gxhash-node",
            (Function::GxHash, Profile::Jx) => "gxhash-jx",
            (Function::GxHash, _) => "gxhash-standalone",
        }
    }

    /// What its miners count difficulty in.
    #[must_use]
    pub const fn scale(self) -> Scale {
        match self.profile {
            Profile::Pro | Profile::Guide => Scale::Hash,
            Profile::Standalone | Profile::Suite | Profile::Node | Profile::Jx => Scale::Bitcoin,
        }
    }

    /// 64 MiB a hash?
    #[must_use]
    pub const fn is_heavy(self) -> bool {
        matches!((self.profile, self.function), (Profile::Node | Profile::Jx, Function::GxHash))
    }

    /// What the node calls it.
    #[must_use]
    pub const fn consensus(self) -> Consensus {
        match self.function {
            Function::Sha256 => Consensus::Sha256,
            Function::Ethash => Consensus::Ethash,
            Function::GxHash => Consensus::GxHash,
        }
    }

    /// What its miners can be asked for that is nearest to a difficulty.
    #[must_use]
    pub fn asked(self, difficulty: Difficulty) -> Asked {
        let told = match self.profile {
            Profile::Guide => return by_zeros(difficulty),
            Profile::Standalone => difficulty.max(Difficulty::nearest(STANDALONE_LEAST)),
            Profile::Suite | Profile::Pro | Profile::Node | Profile::Jx => difficulty,
        };
        Asked { target: told.target(self.scale()), told }
    }

    /// Is its work written otherwise than everybody's?
    #[must_use]
    pub const fn has_own_work(self) -> bool {
        matches!(self.profile, Profile::Suite | Profile::Pro | Profile::Guide)
    }
}

/// The guide counts thousands: each is a zero more.
fn by_zeros(difficulty: Difficulty) -> Asked {
    let hashes = difficulty.target(Scale::Hash).work().as_u64().unwrap_or(u64::MAX);
    let zeros = (hashes.max(1).ilog2() / 4).clamp(GUIDE_ZEROS, GUIDE_ZEROS_MAX);
    let thousands = zeros - GUIDE_ZEROS;
    let told = if thousands == 0 { 1.0 } else { f64::from(thousands) * 1000.0 };
    let target = Target::of_leading_zeros(zeros).unwrap_or(Target::MAX);
    Asked { target, told: Difficulty::nearest(told) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(profile: Profile, difficulty: f64) -> (u64, String) {
        let legacy = Legacy::new(profile, Function::Sha256).unwrap();
        let Asked { target, told } = legacy.asked(Difficulty::nearest(difficulty));
        (target.work().as_u64().unwrap(), told.to_string())
    }

    #[test]
    fn the_guide_counts_zeros() {
        // As its pool computed them: 1000.0 is five zeros, and whatever is less is four.
        for (hashes, zeros, told) in
            [(1.0, 4, "1"), (65_536.0, 4, "1"), (1_048_576.0, 5, "1000"), (2e9, 7, "3000")]
        {
            assert_eq!(asked(Profile::Guide, hashes), (16u64.pow(zeros), told.to_owned()));
        }
    }

    #[test]
    fn each_miners_difficulty_is_its_own() {
        assert_eq!(asked(Profile::Pro, 1000.0), (999, "1000".to_owned()));
        assert_eq!(asked(Profile::Suite, 1.0), (4_295_032_833, "1".to_owned()));
        // It would take less for this anyhow, and must not be paid less for it.
        assert_eq!(asked(Profile::Standalone, 1e-6), asked(Profile::Standalone, 1e-4));
    }

    #[test]
    fn what_no_program_has_is_no_dialect() {
        assert_eq!(Legacy::new(Profile::Guide, Function::GxHash), None);
        assert_eq!(Legacy::new(Profile::Node, Function::Ethash), None);
        let all = [
            Profile::Standalone,
            Profile::Suite,
            Profile::Pro,
            Profile::Guide,
            Profile::Node,
            Profile::Jx,
        ];
        let functions = [Function::Sha256, Function::Ethash, Function::GxHash];
        let pairs = all.iter().flat_map(|p| functions.map(|f| (*p, f)));
        let mut names: Vec<_> =
            pairs.filter_map(|(p, f)| Some(Legacy::new(p, f)?.name())).collect();
        assert_eq!(names.len(), 14);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 14, "each has a name of its own");
    }
}
