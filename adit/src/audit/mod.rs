//! `adit audit`: every split again, by somebody who does not trust the first.
//!
//! From a store ([`local`]), or from outside through the pool's API ([`remote`], which reads slices by [`served`], recomputes what
//! was bought by [`bought`], an account by [`own`], and remembers what it saw by [`memory`]); both compare with the chain
//! ([`chain`], [`by_block`] and [`member`], [`chia`], [`ether`], [`gxc`]).
//!
//! Invariant: uses what was written down and what the chain says, and nothing the running pool believes.

mod bought;
mod by_block;
mod chain;
mod chia;
mod ether;
mod gxc;
mod local;
mod member;
mod memory;
mod own;
mod remote;
mod served;

pub use local::Auditor;

use crate::cli::audit::AuditArgs;
use accounting::audit::Difference;
use accounting::reward::{Reward, RewardState};
use chain::Chain;

/// What was found about one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Everything recomputes.
    Pass,
    /// The first thing that does not.
    Differs(String),
}

impl From<Result<(), Difference>> for Finding {
    fn from(checked: Result<(), Difference>) -> Self {
        checked
            .map_or_else(|difference| Finding::Differs(difference.to_string()), |()| Finding::Pass)
    }
}

/// Runs the command; gives whether everything passed.
///
/// # Errors
/// When the store cannot be read, or the pool does not answer.
pub fn run(args: &AuditArgs) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &args.from {
        Some(url) => remote::run(args, url, &runtime),
        None => local::run(args, &runtime),
    }
}

/// A recomputed block and what the chain says of it, as one line; gives whether both are as they should be. `more` follows
/// what was booked.
fn say(
    reward: &Reward,
    state: RewardState,
    finding: Finding,
    chain: Option<Chain>,
    more: &str,
) -> bool {
    let id = reward.id;
    let (finding, note) = match (finding, chain) {
        (Finding::Pass, Some(Chain::Agrees)) => (Finding::Pass, ", chain agrees"),
        (Finding::Pass, Some(Chain::Differs(text) | Chain::Overdue(text))) => {
            (Finding::Differs(text), "")
        }
        (Finding::Pass, Some(_)) => (Finding::Pass, ", not compared with the chain"),
        (finding, _) => (finding, ""),
    };
    match &finding {
        Finding::Pass => {
            let paid = reward.amount();
            let (height, state) = (reward.height, state.as_str());
            println!("{id}  PASS  height {height}, {paid} smallest units, {state}{more}{note}");
        }
        Finding::Differs(text) => println!("{id}  FAIL  {text}"),
    }
    finding == Finding::Pass
}
