//! Everything that a visitor can ask for, and what is filled in for names.

use super::super::connection::address;
use super::super::pool::Ground;
use super::fill::Size;
use anyhow::bail;
use store::Reader;
use store::sqlite::Cut;

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page, or what belongs to pages.
    Page,
    /// An answer for programs.
    Api,
}

/// How much of an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// All.
    All,
    /// The head: a stream does not end.
    Head,
}

/// Something to ask for.
pub struct Path {
    /// For whom.
    pub kind: Kind,
    /// With `{address}`, `{block}`, `{height}`, `{payout}`, `{txid}`, `{position}` and `{slice}` where a name belongs.
    pub template: &'static str,
    /// The status it is answered with.
    pub status: u16,
    /// How much is waited for.
    pub reads: Reads,
}

const fn page(template: &'static str) -> Path {
    Path { kind: Kind::Page, template, status: 200, reads: Reads::All }
}

const fn elsewhere(template: &'static str, status: u16) -> Path {
    Path { kind: Kind::Page, template, status, reads: Reads::All }
}

const fn api(template: &'static str) -> Path {
    Path { kind: Kind::Api, template, status: 200, reads: Reads::All }
}

const fn stream(kind: Kind, template: &'static str) -> Path {
    Path { kind, template, status: 200, reads: Reads::Head }
}

/// All of them.
pub const PATHS: &[Path] = &[
    page("/"),
    page("/pool/bench"),
    page("/pool/bench?range=7d"),
    page("/miner/{address}"),
    page("/miner/{address}?range=7d"),
    elsewhere("/account/{address}", 308),
    page("/miner/{address}/credits.csv"),
    page("/miner/{address}/payouts.csv"),
    page("/blocks"),
    page("/blocks?pool=bench"),
    page("/blocks?cursor={position}"),
    page("/block/{block}"),
    page("/payouts"),
    page("/payout/{payout}"),
    page("/leaderboard"),
    page("/leaderboard?by=shares"),
    page("/leaderboard?by=blocks"),
    page("/leaderboard?by=best"),
    page("/statistics"),
    page("/statistics?range=7d"),
    page("/network"),
    page("/search"),
    page("/search?q=nobody"),
    elsewhere("/search?q={address}", 303),
    elsewhere("/search?q={block}", 303),
    elsewhere("/search?q={txid}", 303),
    elsewhere("/search?q={height}", 303),
    page("/calculator"),
    page("/calculator?hashrate=5&unit=TH/s&power_w=3000&price_kwh=0.1"),
    page("/register"),
    page("/help"),
    page("/faq"),
    page("/terms"),
    page("/privacy"),
    page("/api-docs"),
    page("/operator"),
    page("/assets/style.css"),
    page("/assets/live.js"),
    page("/assets/logo.svg"),
    elsewhere("/nothing", 404),
    stream(Kind::Page, "/live?pool=bench"),
    stream(Kind::Page, "/live?account={address}"),
    api("/api-docs/openapi.json"),
    api("/api/v1/pools"),
    api("/api/v1/pools/bench"),
    api("/api/v1/pools/bench/hashrate"),
    api("/api/v1/pools/bench/hashrate?range=7d"),
    api("/api/v1/pools/bench/leaderboard"),
    api("/api/v1/pools/bench/leaderboard?by=blocks&limit=500"),
    api("/api/v1/pools/bench/slices"),
    api("/api/v1/pools/bench/slices?cursor={slice}&limit=500"),
    api("/api/v1/pools/bench/calculator?hashrate=1e12"),
    api("/api/v1/networks"),
    api("/api/v1/totals"),
    api("/api/v1/blocks"),
    api("/api/v1/blocks?cursor={position}&limit=500"),
    api("/api/v1/blocks/{block}"),
    api("/api/v1/blocks/{block}/split"),
    api("/api/v1/blocks/{block}/split?limit=500"),
    api("/api/v1/rewards/{block}/audit"),
    api("/api/v1/payouts"),
    api("/api/v1/payouts/{payout}"),
    api("/api/v1/payouts/{payout}/recipients"),
    api("/api/v1/accounts/{address}"),
    api("/api/v1/accounts/{address}/hashrate"),
    api("/api/v1/accounts/{address}/hashrate?range=7d"),
    api("/api/v1/accounts/{address}/credits"),
    api("/api/v1/accounts/{address}/credits?limit=500"),
    api("/api/v1/accounts/{address}/payouts"),
    stream(Kind::Api, "/api/v1/events"),
    api("/api/stats"),
    api("/api/miners"),
    api("/api/payouts"),
    api("/api/pool-balance"),
    api("/api/blocks"),
    api("/api/health-check"),
    api("/api/help"),
    api("/api/pools"),
    api("/api/pools/bench"),
    api("/api/pools/bench/performance"),
    api("/api/pools/bench/miners"),
    api("/api/pools/bench/blocks"),
    api("/api/v2/pools/bench/blocks"),
    api("/api/pools/bench/payments"),
    api("/api/v2/pools/bench/payments"),
    api("/api/pools/bench/miners/{address}"),
    api("/api/pools/bench/miners/{address}/payments"),
    api("/api/pools/bench/miners/{address}/balancechanges"),
    api("/api/pools/bench/miners/{address}/earnings/daily"),
    api("/api/pools/bench/miners/{address}/performance"),
    api("/pool/pool.status"),
    api("/users/{address}"),
    api("/metrics"),
    api("/healthz"),
    api("/readyz"),
];

/// What can be named.
pub struct Known {
    addresses: Vec<String>,
    /// Hash, height, and place in the log.
    blocks: Vec<(String, u64, u64)>,
    /// Number and transaction.
    payouts: Vec<(u64, String)>,
    slices: u64,
    there: Size,
}

impl Known {
    /// Reads it from the filled store.
    ///
    /// # Errors
    /// When something is missing there.
    pub fn read(ground: &Ground, size: &Size) -> anyhow::Result<Self> {
        let settings = crate::config::load(&ground.config())?;
        let reader = Reader::open(&settings.data_dir)?;
        let rewards = reader.rewards(u64::from(u32::MAX))?.into_iter();
        let blocks: Vec<_> =
            rewards.map(|row| (row.id.to_string(), row.height, row.window_end.0)).collect();
        let payouts = reader.payout_summaries(Cut::first(u64::from(u32::MAX)))?.into_iter();
        let payouts: Vec<_> =
            payouts.filter_map(|row| Some((row.id.0, row.txid?.to_string()))).collect();
        let book = reader.book()?;
        // The log has no gaps.
        let others = blocks.len() + book.revoked.len();
        let there = Size {
            accounts: book.identities.len(),
            workers: book.workers.len(),
            blocks: blocks.len(),
            shares: book.log_end.0.saturating_sub(others as u64),
        };
        let slices =
            book.pools.values().filter_map(|pool| pool.last_slice).map(|(no, ..)| no.0).sum();
        if blocks.is_empty() || payouts.is_empty() || slices == 0 {
            bail!(
                "the store has {} blocks, {} payouts and {slices} slices: fill it with more blocks (110 at least, so that some are paid)",
                blocks.len(),
                payouts.len()
            );
        }
        let addresses = (0..size.accounts).map(address).collect();
        Ok(Known { addresses, blocks, payouts, slices, there })
    }

    /// How much there is: each time the pool is measured, shares are added.
    pub fn there(&self) -> Size {
        self.there.clone()
    }

    /// Puts names in.
    pub fn fill_in(&self, template: &str, dice: &mut Dice) -> String {
        let Some((before, rest)) = template.split_once('{') else { return template.to_owned() };
        let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
        let (block, height, position) = dice.one_of(&self.blocks);
        let (payout, txid) = dice.one_of(&self.payouts);
        let value = match name {
            "address" => dice.one_of(&self.addresses).clone(),
            "block" => block.clone(),
            "height" => height.to_string(),
            "position" => (position + 1).to_string(),
            "payout" => payout.to_string(),
            "txid" => txid.clone(),
            _ => (dice.below(self.slices) + 2).to_string(),
        };
        format!("{before}{value}{after}")
    }
}

/// Numbers by chance, the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The next number (SplitMix64).
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below a limit that is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64) as usize;
        &all[at]
    }

    /// All numbers below a limit, in any order.
    pub fn shuffled(&mut self, limit: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..limit).collect();
        for at in (1..limit).rev() {
            let other = self.below(at as u64 + 1) as usize;
            order.swap(at, other);
        }
        order
    }
}
