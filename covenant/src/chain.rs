//! Reads a chain of coinbases: which blocks qualified, and what the next one must pay.
//!
//! Invariant: the state is a function of the blocks read; connecting and disconnecting a block leaves what was there before; a
//! block is judged by its own ancestors only. One block costs the same however long the chain is.

use crate::claims::{self, Claim};
use crate::coinbase::{self, Coinbase, CoinbaseError, Forward};
use crate::enforcement::Enforced;
use crate::marker::{self, Marker};
use crate::rule::{Rule, RuleId};
use crate::tree::Tree;
use crate::window::{Place, Slot};
use bitcoin::{Amount, BlockHash, CompactTarget, Script, ScriptBuf, Target, TxOut};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// A block's median time is that of so many blocks.
const MEDIAN_BLOCKS: usize = 11;
/// So many blocks back a reorganisation can be followed; a deeper one needs the chain read again.
pub const REORGANISATION_MAX: usize = 4096;

/// What the rule wants to know of a block.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before.
    pub previous: BlockHash,
    /// The time in its header.
    pub time: u32,
    /// The target in its header.
    pub bits: CompactTarget,
    /// Its coinbase's outputs.
    pub outputs: &'a [TxOut],
}

/// What a block is under a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It says nothing of this rule.
    NoMarker,
    /// It says that it follows the rule, and does.
    Qualified(Box<Qualified>),
    /// It says so and does not.
    Refused(Refusal),
}

/// A qualified block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qualified {
    /// Whom later blocks pay for it.
    pub finder: ScriptBuf,
    /// What later blocks see.
    pub slot: Slot,
    /// What its first output pays, where there was anybody to pay.
    pub tree: Option<Tree>,
    /// What it pays its finder later, and which of its outputs does.
    pub forward: Option<(Forward, usize)>,
}

/// Why a marked block does not qualify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Before the rule's start.
    #[error("it is before the rule's first height {0}")]
    TooEarly(u32),
    /// More than one marker.
    #[error("it has {0} markers")]
    Markers(usize),
    /// More than all coins: no chain has such a block.
    #[error("it pays more than there can be coins")]
    TooMuch,
    /// A marker that names nobody.
    #[error("its marker names no script that can be paid")]
    BrokenMarker,
    /// Shares less than it must.
    #[error("its first output has {found} sat, and must have at least {least}")]
    SharesTooLittle {
        /// What it must share.
        least: u64,
        /// What it shares.
        found: u64,
    },
    /// Shares otherwise than the rule says.
    #[error("its first output pays {found}, and by the rule it would pay {expected}")]
    WrongTree {
        /// The script that the rule gives for the value found.
        expected: ScriptBuf,
        /// The script found.
        found: ScriptBuf,
    },
    /// The locked payment is missing.
    #[error("it does not pay at least {0} sat to its finder at a later height")]
    NoForward(u64),
}

/// Why the reader cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not the block after the last.
    #[error(
        "block {height} does not follow the last block read, {tip}; disconnect it first, or begin anew"
    )]
    NotNext {
        /// The block offered.
        height: u32,
        /// The last one read.
        tip: u32,
    },
    /// The first block is another.
    #[error("begin with block {0}: the median times of the first blocks need those before it")]
    NotFirst(u32),
    /// Nothing left to disconnect.
    #[error("the reorganisation is deeper than {REORGANISATION_MAX} blocks: read the chain again")]
    TooDeep,
}

/// The block after those that were read, without them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The rule.
    pub rule: Rule,
    /// Its height.
    pub height: u32,
    /// The block before it.
    pub previous: BlockHash,
    /// Whom it pays, in the order of scripts, and their weights.
    claims: Vec<(ScriptBuf, u128)>,
    /// How many slots of its window are filled.
    filled: usize,
}

impl Upcoming {
    /// As [`Chain::coinbase`].
    ///
    /// # Errors
    /// When the finder cannot be paid.
    pub fn coinbase(
        &self,
        enforced: &Enforced,
        value: u64,
        finder: &Script,
    ) -> Result<Coinbase, CoinbaseError> {
        let claims: Vec<Claim<'_>> =
            self.claims.iter().map(|(script, weight)| Claim { script, weight: *weight }).collect();
        coinbase::plan(&self.rule, enforced, self.height, value, (&claims, self.filled), finder)
    }
}

#[derive(Debug, Clone, Copy)]
struct Read {
    hash: BlockHash,
    time: u32,
}

/// A chain as one rule sees it.
#[derive(Debug, Clone)]
pub struct Chain {
    rule: Rule,
    id: RuleId,
    /// The qualified blocks, and their hashes.
    slots: Vec<Slot>,
    hashes: Vec<BlockHash>,
    scripts: Vec<ScriptBuf>,
    numbers: HashMap<ScriptBuf, u32>,
    /// The last blocks read, at most [`REORGANISATION_MAX`] and those that their median times need.
    recent: VecDeque<Read>,
    next: u32,
}

impl Chain {
    /// Nothing read yet.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Chain {
            rule,
            id: rule.id(),
            slots: Vec::new(),
            hashes: Vec::new(),
            scripts: Vec::new(),
            numbers: HashMap::new(),
            recent: VecDeque::new(),
            next: Chain::first(&rule),
        }
    }

    /// The first block that must be read.
    #[must_use]
    pub fn first(rule: &Rule) -> u32 {
        rule.start.saturating_sub(u32::try_from(MEDIAN_BLOCKS).unwrap_or(0))
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The height of the next block.
    #[must_use]
    pub fn next_height(&self) -> u32 {
        self.next
    }

    /// The last block read.
    #[must_use]
    pub fn tip(&self) -> Option<BlockHash> {
        self.recent.back().map(|read| read.hash)
    }

    /// All qualified blocks, oldest first.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The hash of a qualified block by its position in [`Chain::slots`].
    #[must_use]
    pub fn hash(&self, position: usize) -> Option<BlockHash> {
        self.hashes.get(position).copied()
    }

    /// Whom a number names.
    ///
    /// # Panics
    /// When it came from another chain.
    #[must_use]
    pub fn script(&self, payee: u32) -> &Script {
        self.scripts.get(payee as usize).expect("payees are numbered by this reader")
    }

    /// The blocks that the next block pays.
    #[must_use]
    pub fn window(&self) -> &[Slot] {
        self.rule.window.of(&self.slots, self.place(), self.rule.since(self.next))
    }

    /// The blocks that a qualified block paid, by its position in [`Chain::slots`], and their positions.
    #[must_use]
    pub fn window_of(&self, position: usize) -> (Range<usize>, &[Slot]) {
        let Some(slot) = self.slots.get(position) else { return (0..0, &[]) };
        let before = self.slots.get(..position).unwrap_or_default();
        let since = self.rule.since(slot.place.height);
        let range = self.rule.window.range(before, slot.place, since);
        let window = before.get(range.clone()).unwrap_or_default();
        (range, window)
    }

    /// The position of a qualified block in [`Chain::slots`], by its height.
    #[must_use]
    pub fn position_at(&self, height: u32) -> Option<usize> {
        self.slots.binary_search_by_key(&height, |slot| slot.place.height).ok()
    }

    /// The next block, as whoever mines it needs to know it; none before a block was read.
    #[must_use]
    pub fn upcoming(&self) -> Option<Upcoming> {
        let owned = |claim: Claim<'_>| (claim.script.to_owned(), claim.weight);
        Some(Upcoming {
            rule: self.rule,
            height: self.next,
            previous: self.tip()?,
            claims: self.claims().into_iter().map(owned).collect(),
            filled: self.window().len(),
        })
    }

    /// What they are owed of it, by script.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim<'_>> {
        claims::of_window(&self.rule, self.window(), |payee| self.script(payee))
    }

    /// The coinbase of the next block, worth `value`, if `finder` finds it.
    ///
    /// # Errors
    /// When the finder cannot be paid.
    pub fn coinbase(
        &self,
        enforced: &Enforced,
        value: u64,
        finder: &Script,
    ) -> Result<Coinbase, CoinbaseError> {
        let window = (&self.claims()[..], self.window().len());
        coinbase::plan(&self.rule, enforced, self.next, value, window, finder)
    }

    /// Judges the block after the last one read.
    #[must_use]
    pub fn judge(&self, block: &Block<'_>) -> Verdict {
        let mut payouts = Vec::new();
        for output in block.outputs {
            match marker::read(self.id, &output.script_pubkey) {
                Marker::None => {}
                Marker::Of(script) => payouts.push(Some(script)),
                Marker::Broken => payouts.push(None),
            }
        }
        let finder = match payouts[..] {
            [] => return Verdict::NoMarker,
            [Some(script)] => script,
            [None] => return Verdict::Refused(Refusal::BrokenMarker),
            _ => return Verdict::Refused(Refusal::Markers(payouts.len())),
        };
        match self.qualify(block, finder) {
            Ok(qualified) => Verdict::Qualified(Box::new(qualified)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    fn qualify(&self, block: &Block<'_>, finder: &Script) -> Result<Qualified, Refusal> {
        if block.height < self.rule.start {
            return Err(Refusal::TooEarly(self.rule.start));
        }
        let value = block.outputs.iter().fold(0u64, |sum, o| sum.saturating_add(o.value.to_sat()));
        if value > Amount::MAX_MONEY.to_sat() {
            return Err(Refusal::TooMuch);
        }
        let window = self.window();
        let parts = self.rule.parts(value, window.len());
        let claims = claims::of_window(&self.rule, window, |payee| self.script(payee));
        let tree = match claims::share(&self.rule, parts.shared, &claims, finder) {
            None => None,
            Some(least) => Some(self.tree_of(block, least, &claims, finder)?),
        };
        let shared = tree.as_ref().map_or(0, |tree| tree.root().value);
        let committed = parts.shared.saturating_add(parts.kept_for_empty_slots);
        let forward = self.forward_of(block, parts.kept_for_empty_slots, finder)?;
        let slot = Slot {
            place: self.place(),
            payee: self.numbers.get(finder).copied().unwrap_or(u32::MAX),
            sats: shared.max(committed),
            work: work_of(block.bits),
        };
        Ok(Qualified { finder: finder.to_owned(), slot, tree, forward })
    }

    /// The tree that the block's first output pays, if it is the rule's.
    fn tree_of(
        &self,
        block: &Block<'_>,
        least: Tree,
        claims: &[Claim<'_>],
        finder: &Script,
    ) -> Result<Tree, Refusal> {
        let first = block.outputs.first().expect("it has a marker, so it has an output");
        let (found, needed) = (first.value.to_sat(), least.root().value);
        if found < needed {
            return Err(Refusal::SharesTooLittle { least: needed, found });
        }
        let tree = match found == needed {
            true => Some(least),
            false => claims::share(&self.rule, found, claims, finder),
        };
        let expected = tree.as_ref().map(|tree| tree.root().template.script()).unwrap_or_default();
        match tree {
            Some(tree) if expected == first.script_pubkey => Ok(tree),
            _ => Err(Refusal::WrongTree { expected, found: first.script_pubkey.clone() }),
        }
    }

    /// The output that pays the finder later, where the rule wants one.
    fn forward_of(
        &self,
        block: &Block<'_>,
        value: u64,
        finder: &Script,
    ) -> Result<Option<(Forward, usize)>, Refusal> {
        if Forward::new(&self.rule, block.height, value, finder).is_none() {
            return Ok(None);
        }
        let pays = |output: &TxOut| {
            let found = output.value.to_sat();
            let forward = Forward::new(&self.rule, block.height, found, finder)?;
            let same = forward.template().script() == output.script_pubkey;
            (found >= value && same).then_some(forward)
        };
        let found = block.outputs.iter().enumerate().find_map(|(at, o)| Some((pays(o)?, at)));
        found.map(Some).ok_or(Refusal::NoForward(value))
    }

    /// Takes the next block in.
    ///
    /// # Errors
    /// When it is not the next.
    pub fn connect(&mut self, block: &Block<'_>) -> Result<Verdict, ChainError> {
        match self.recent.back() {
            None if block.height != self.next => return Err(ChainError::NotFirst(self.next)),
            Some(last) if block.height != self.next || block.previous != last.hash => {
                let tip = self.next.saturating_sub(1);
                return Err(ChainError::NotNext { height: block.height, tip });
            }
            None | Some(_) => {}
        }
        let mut verdict = self.judge(block);
        if let Verdict::Qualified(qualified) = &mut verdict {
            qualified.slot.payee = self.number(&qualified.finder);
            self.slots.push(qualified.slot);
            self.hashes.push(block.hash);
        }
        self.recent.push_back(Read { hash: block.hash, time: block.time });
        if self.recent.len() > REORGANISATION_MAX + MEDIAN_BLOCKS {
            self.recent.pop_front();
        }
        self.next += 1;
        Ok(verdict)
    }

    /// Takes the last block out again; gives its hash.
    ///
    /// # Errors
    /// When it is too far back.
    pub fn disconnect(&mut self) -> Result<BlockHash, ChainError> {
        let read = (self.next as usize).saturating_sub(Chain::first(&self.rule) as usize);
        if read > self.recent.len() && self.recent.len() <= MEDIAN_BLOCKS {
            return Err(ChainError::TooDeep);
        }
        let last = self.recent.pop_back().ok_or(ChainError::TooDeep)?;
        self.next -= 1;
        if self.slots.last().is_some_and(|slot| slot.place.height == self.next) {
            self.slots.pop();
            self.hashes.pop();
        }
        Ok(last.hash)
    }

    /// Where the next block stands.
    fn place(&self) -> Place {
        let mut times = [0u32; MEDIAN_BLOCKS];
        let last = self.recent.iter().rev().take(MEDIAN_BLOCKS);
        let count = times.iter_mut().zip(last).map(|(time, read)| *time = read.time).count();
        let times = times.get_mut(..count).unwrap_or_default();
        times.sort_unstable();
        Place { height: self.next, time: times.get(count / 2).copied().unwrap_or(0) }
    }

    fn number(&mut self, script: &Script) -> u32 {
        if let Some(known) = self.numbers.get(script) {
            return *known;
        }
        let number = u32::try_from(self.scripts.len()).expect("fewer payees than blocks");
        self.scripts.push(script.to_owned());
        self.numbers.insert(script.to_owned(), number);
        number
    }
}

/// Expected hashes of a target.
fn work_of(bits: CompactTarget) -> u128 {
    let bytes = Target::from_compact(bits).to_work().to_be_bytes();
    let (high, low) = bytes.split_at(16);
    if high.iter().any(|byte| *byte != 0) {
        return u128::MAX >> 20;
    }
    // Sums of SLOTS_MAX works stay below 2^128.
    u128::from_be_bytes(low.try_into().expect("sixteen of thirty-two bytes")).min(u128::MAX >> 20)
}
