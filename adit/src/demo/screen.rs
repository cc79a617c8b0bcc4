//! One calm screen: drawn in place on a terminal, a line now and then elsewhere.

use super::Demo;
use accounting::reward::RewardState;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};
use store::Reader;

/// How often a terminal is drawn anew.
const DRAW: Duration = Duration::from_millis(400);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(2);
/// Blocks and payouts shown.
const SHOWN: usize = 6;

/// The screen.
pub struct Screen {
    terminal: bool,
    drawn: Option<Instant>,
    began: Instant,
}

impl Screen {
    /// On standard output, whatever that is.
    #[must_use]
    pub fn new() -> Self {
        Screen { terminal: std::io::stdout().is_terminal(), drawn: None, began: Instant::now() }
    }

    /// Draws, if it is time.
    pub fn draw(&mut self, demo: &Demo) {
        let every = if self.terminal { DRAW } else { LINE };
        if self.drawn.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.drawn = Some(Instant::now());
        let text = if self.terminal {
            format!("\x1b[H\x1b[2J{}", self.page(demo))
        } else {
            self.line(demo)
        };
        let mut out = std::io::stdout().lock();
        // A closed terminal does not stop a pool.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            tracing::debug!("nobody looks");
        }
    }

    fn line(&self, demo: &Demo) -> String {
        let view = demo.running.pool.view();
        let shares: u64 = demo.running.live.doors().iter().map(|door| door.accepted()).sum();
        let matured =
            view.rewards.iter().filter(|reward| reward.state == RewardState::Matured).count();
        let (_, height) = demo.chain.tip();
        format!(
            "{:>4} s  height {height}  shares {shares}  blocks {} ({matured} mature)  payouts under way {}  filler blocks {}\n",
            self.began.elapsed().as_secs(),
            view.rewards.len(),
            view.payouts.len(),
            demo.fillers,
        )
    }

    fn page(&self, demo: &Demo) -> String {
        let mut page = String::new();
        self.write_page(demo, &mut page).expect("a string takes everything");
        page
    }

    fn write_page(&self, demo: &Demo, page: &mut String) -> std::fmt::Result {
        let view = demo.running.pool.view();
        let (_, height) = demo.chain.tip();
        let listening =
            demo.running.live.addresses().first().map(ToString::to_string).unwrap_or_default();
        writeln!(
            page,
            "Adit demo: a pool, its chain and three miners in one process    {} s",
            self.began.elapsed().as_secs()
        )?;
        writeln!(page)?;
        writeln!(
            page,
            "  chain    height {height}, of which {} filler blocks mined by the chain itself",
            demo.fillers
        )?;
        writeln!(
            page,
            "  pool     stratum+tcp://{listening}   {}",
            demo.running.settings.pools[0].config.scheme.in_words()
        )?;
        if let Some(pages) = &demo.running.pages {
            writeln!(page, "  pages    http://{}/", pages.address)?;
        }
        writeln!(page)?;
        writeln!(page, "  miner      hashrate   difficulty   accepted   refused   solved blocks")?;
        for (name, miner) in &demo.miners {
            let stats = miner.stats();
            let stats = stats.borrow();
            let refused: u64 = stats.rejected.values().sum();
            writeln!(
                page,
                "  {name:<6} {:>7.1} kH/s   {:>10.8} {:>10} {refused:>9} {:>15}",
                stats.hashrate / 1000.0,
                stats.difficulty,
                stats.accepted,
                stats.blocks
            )?;
        }
        if demo.miners.is_empty() {
            writeln!(
                page,
                "  (the miners have stopped: enough blocks are found, and now they mature)"
            )?;
        }
        writeln!(page)?;
        writeln!(
            page,
            "  block                                                              height   reward       state"
        )?;
        for reward in view.rewards.iter().take(SHOWN) {
            let depth = u64::from(height).saturating_sub(reward.height) + 1;
            let state = match reward.state {
                RewardState::Immature => format!("immature, {depth} of 101 confirmations"),
                other => other.as_str().to_owned(),
            };
            writeln!(
                page,
                "  {}  {:>6}   {:>10}   {state}",
                reward.id,
                reward.height,
                reward.amount.to_decimal(8)
            )?;
        }
        writeln!(page)?;
        writeln!(
            page,
            "  account                                            immature      available      in flight           paid"
        )?;
        let reader = Reader::open(&demo.running.settings.data_dir).ok();
        for balance in &view.balances {
            let name =
                reader.as_ref().and_then(|reader| reader.display(balance.account).ok().flatten());
            let balance = &balance.balance;
            writeln!(
                page,
                "  {:<46} {:>13} {:>13} {:>13} {:>13}",
                name.unwrap_or_default(),
                balance.credits_pending.to_decimal(8),
                balance.available().to_decimal(8),
                balance.debits_pending.to_decimal(8),
                balance.debits_posted.to_decimal(8)
            )?;
        }
        writeln!(page)?;
        writeln!(page, "  payout  state       recipients           sent   transaction")?;
        for payout in view.payouts.iter().take(SHOWN) {
            let txid = payout.txid.map(|txid| txid.to_string()).unwrap_or_default();
            writeln!(
                page,
                "  {:>6}  {:<10} {:>11} {:>14}   {txid}",
                payout.id,
                payout.state.as_str(),
                payout.recipients,
                payout.sent.to_decimal(8)
            )?;
        }
        writeln!(page)?;
        writeln!(page, "  Ctrl-C ends it.")
    }
}
