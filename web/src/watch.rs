//! What is worth a notice, found by looking at the store and the snapshots.
//!
//! Invariant: facts of the books are looked up from where the last look of any run ended, so that a crash between a fact and
//! its notice loses nothing; each has a name, so that telling it again is told once.

use crate::http::encoded;
use crate::model::{Money, masked};
use crate::notices::{Kind, Notice, NoticeError, Outbox};
use crate::outlook::{AssetOutlook, Outlook};
use crate::profiles::Profile;
use crate::site::{Settings, Site};
use accounting::payout::PayoutState;
use accounting::reward::RewardState;
use accounting::{AccountId, Amount, PayoutId, UnixMs};
use pool::observe::Machine;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use store::sqlite::{Cut, PayoutSummary, RewardFilter, RewardRow};

/// Facts looked at in one go.
const FACTS: u64 = 100;
/// Older facts are not told any more.
const OLDEST_MS: u64 = 6 * 24 * 3600 * 1000;
/// A trouble that lasts so long is told.
const PATIENCE_MS: u64 = 60 * 1000;
/// A machine that was mining and has been silent for so long.
const SILENT_MS: u64 = 15 * 60 * 1000;
/// Refused shares by all, over ten minutes or more, from which on somebody is told.
const REFUSED: f64 = 0.2;
/// Fewer shares are not judged.
const JUDGED: u64 = 20;
/// How often the shares of machines are judged.
const JUDGE_MS: u64 = 10 * 60 * 1000;

/// Notices for single persons.
type Letters = Vec<(Arc<Profile>, Notice)>;

/// Looks, and remembers what it saw.
pub struct Watch {
    outbox: Outbox,
    /// Payouts whose recipients were told.
    told: BTreeSet<PayoutId>,
    since: UnixMs,
    troubles: BTreeMap<String, UnixMs>,
    judged_at: UnixMs,
    counts: HashMap<Machine, (u64, u64)>,
}

impl Watch {
    /// Goes on from when the web was last alive.
    #[must_use]
    pub fn new(outbox: Outbox, last_alive: Option<UnixMs>, now: UnixMs) -> Self {
        let since = last_alive.unwrap_or(now);
        Watch {
            outbox,
            told: BTreeSet::new(),
            since,
            troubles: BTreeMap::new(),
            judged_at: now,
            counts: HashMap::new(),
        }
    }

    /// One look.
    ///
    /// # Errors
    /// When the store or the outbox cannot be used; the next look finds the same.
    pub async fn look(&mut self, site: &Arc<Site>) -> Result<(), NoticeError> {
        let now = site.now();
        let oldest = UnixMs(self.since.0.max(now.0.saturating_sub(OLDEST_MS)));
        let mut notices = self.troubles_of(site, now);
        let mut letters: Letters = Vec::new();
        let facts = self.facts(site, oldest).await;
        let is_known = facts.is_ok();
        let mut sent = Vec::new();
        match facts {
            Ok((blocks, payouts)) => {
                let outlook = site.outlook.load_full();
                let at = &site.settings;
                notices.extend(blocks.iter().flat_map(|block| of_block(block, &outlook, at)));
                notices.extend(payouts.iter().map(|payout| of_payout(payout, &outlook, at)));
                sent = payouts;
            }
            Err(error) => tracing::warn!(%error, "notices wait for the store"),
        }
        if now.0 >= self.judged_at.0 + JUDGE_MS {
            self.judged_at = now;
            let (of_all, of_owners) = self.judge(site, now);
            notices.extend(of_all);
            letters = of_owners;
        }
        // The operator's first: nobody's own letter stands in their way.
        self.outbox.put(notices).await?;
        let listed = sent.iter().map(|payout| payout.id).collect();
        letters.extend(self.to_recipients(site, sent).await?);
        for (owner, notice) in letters {
            self.write_to(&owner, notice).await?;
        }
        self.told = listed;
        if is_known {
            // A fact booked while this looked is found again; it has a name.
            self.since = UnixMs(now.0.saturating_sub(PATIENCE_MS));
        }
        Ok(())
    }

    async fn facts(
        &self,
        site: &Arc<Site>,
        oldest: UnixMs,
    ) -> Result<(Vec<RewardRow>, Vec<PayoutSummary>), store::StoreError> {
        site.readers
            .read(move |reader| {
                let mut blocks = reader.rewards_by(RewardFilter::All, Cut::first(FACTS))?;
                blocks.retain(|block| block.changed_at >= oldest);
                let mut payouts = reader.payout_summaries(Cut::first(FACTS))?;
                let sent = |p: &PayoutSummary| {
                    matches!(p.state, PayoutState::Broadcast | PayoutState::Confirmed)
                };
                payouts.retain(|payout| payout.changed_at >= oldest && sent(payout));
                Ok((blocks, payouts))
            })
            .await
    }

    /// A letter to one person. One that cannot be addressed is that person's trouble only.
    async fn write_to(&self, owner: &Profile, notice: Notice) -> Result<(), NoticeError> {
        let Some(email) = owner.reached_at().filter(|_| self.outbox.writes_letters()) else {
            return Ok(());
        };
        match self.outbox.put_to(notice, email).await {
            Err(NoticeError::NoAddress) => {
                tracing::warn!(owner = owner.display, "no letter can be sent there");
                Ok(())
            }
            put => put.map(drop),
        }
    }

    /// Letters to whoever registered for them and is paid by these.
    async fn to_recipients(
        &self,
        site: &Arc<Site>,
        mut payouts: Vec<PayoutSummary>,
    ) -> Result<Letters, NoticeError> {
        payouts.retain(|payout| !self.told.contains(&payout.id));
        let wanted = wanting(site, "payout-sent");
        if payouts.is_empty() || wanted.is_empty() || !self.outbox.writes_letters() {
            return Ok(Vec::new());
        }
        let paid = site.readers.read(move |reader| {
            let mut paid: HashMap<AccountId, Vec<(PayoutSummary, Amount)>> = HashMap::new();
            for payout in payouts {
                for part in reader.payout_parts(payout.id, Cut::first(u64::MAX))? {
                    paid.entry(part.account).or_default().push((payout.clone(), part.sent));
                }
            }
            let mut found = Vec::new();
            for owner in wanted {
                let Some(account) = reader.account_of(&owner.identity)? else { continue };
                let own = paid.remove(&account).unwrap_or_default();
                found.extend(own.into_iter().map(|part| (owner.clone(), part)));
            }
            Ok(found)
        });
        let paid = paid.await?;
        let outlook = site.outlook.load_full();
        let letter = |(owner, (payout, sent)): (Arc<Profile>, (PayoutSummary, Amount))| {
            let notice = of_part(&owner, &payout, sent, &outlook, &site.settings);
            (owner, notice)
        };
        Ok(paid.into_iter().map(letter).collect())
    }

    /// Troubles that have lasted.
    fn troubles_of(&mut self, site: &Site, now: UnixMs) -> Vec<Notice> {
        let (outlook, view) = (site.outlook.load(), site.pool.view());
        let mut now_there: BTreeMap<String, (Kind, String, String)> = BTreeMap::new();
        if let Some(error) = &view.store_failing {
            let text = format!("No share is accepted until it writes again. {error}");
            now_there.insert("store".into(), (Kind::StoreFailing, "The store fails".into(), text));
        }
        if let Some(trouble) = outlook.backups.as_ref().and_then(|backups| backups.trouble.as_ref())
        {
            let subject = "No backup was made".to_owned();
            now_there.insert("backup".into(), (Kind::BackupFailed, subject, trouble.clone()));
        }
        for asset in &outlook.assets {
            troubles_of_asset(asset, &mut now_there);
        }
        self.troubles.retain(|name, _| now_there.contains_key(name));
        let mut notices = Vec::new();
        for (name, (kind, subject, body)) in now_there {
            let since = *self.troubles.entry(name.clone()).or_insert(now);
            if now.0 >= since.0 + PATIENCE_MS {
                let once = format!("trouble/{name}/{}", since.0);
                let link = site.settings.page("/operator");
                notices.push(Notice { once, kind, subject, body, link });
            }
        }
        notices
    }

    /// Machines that fell silent, and machines and pools whose shares are refused.
    fn judge(&mut self, site: &Arc<Site>, now: UnixMs) -> (Option<Notice>, Letters) {
        let shown = site.history.shown();
        let (mut all, mut refused_of_all) = (0, 0);
        let mut letters: Letters = Vec::new();
        let mut counts = HashMap::new();
        for (machine, track) in shown.machines() {
            let (shares, refused) = (track.total.shares, track.total.refused());
            let before = self.counts.get(&**machine).copied().unwrap_or((shares, refused));
            let (new, bad) = (shares.saturating_sub(before.0), refused.saturating_sub(before.1));
            counts.insert((**machine).clone(), (shares, refused));
            all += new + bad;
            refused_of_all += bad;
            let Some(owner) = site.profiles.of(&machine.identity) else { continue };
            if owner.reached_at().is_none() {
                continue;
            }
            let link = site.settings.page(&format!("/miner/{}", encoded(&owner.display)));
            let wants = |kind: &str| owner.notices.iter().any(|own| own == kind);
            let last = track.total.last_share;
            let fell_silent =
                now.0 > last.0 + SILENT_MS && now.0 < last.0 + SILENT_MS + 2 * JUDGE_MS;
            if wants("worker-silent") && fell_silent && last.0 > 0 {
                letters.push((owner.clone(), of_silence(machine, last, link.clone())));
            }
            let share = bad as f64 / (new + bad).max(1) as f64;
            if wants("reject-rate") && new + bad >= JUDGED && share > REFUSED {
                letters.push((owner, of_refusals(machine, share, now, link)));
            }
        }
        self.counts = counts;
        let share = refused_of_all as f64 / all.max(1) as f64;
        let many = all >= JUDGED && share > REFUSED;
        let of_all = many.then(|| Notice {
            once: format!("rejects/all/{}", now.0 / 3_600_000),
            kind: Kind::RejectRate,
            subject: "Many shares are refused".into(),
            body: format!("{:.0} % of the last {all} shares were refused.", share * 100.0),
            link: site.settings.page("/statistics"),
        });
        (of_all, letters)
    }
}

fn wanting(site: &Site, kind: &str) -> Vec<Arc<Profile>> {
    let all = site.profiles.all().into_iter();
    all.filter(|p| p.reached_at().is_some() && p.notices.iter().any(|own| own == kind)).collect()
}

fn of_part(
    owner: &Profile,
    payout: &PayoutSummary,
    sent: Amount,
    outlook: &Outlook,
    at: &Settings,
) -> Notice {
    let asset = outlook.asset(payout.asset);
    let (decimals, symbol) = asset.map_or((8, ""), |a| (a.decimals, a.symbol.as_str()));
    let (id, sent) = (payout.id, Money::new(sent, decimals).decimal);
    Notice {
        once: format!("payout/{id}/sent/{}", owner.display),
        kind: Kind::PayoutSent,
        subject: format!("{sent} {symbol} are on their way"),
        body: format!(
            "{} sent {sent} {symbol} to {} with payout {id}, transaction {}.",
            at.title,
            owner.display,
            payout.txid.map_or_else(String::new, |txid| txid.to_string()),
        ),
        link: at.page(&format!("/payout/{id}")),
    }
}

fn of_silence(machine: &Machine, last: UnixMs, link: Option<String>) -> Notice {
    Notice {
        once: format!("silent/{}/{}", machine.worker, last.0),
        kind: Kind::WorkerSilent,
        subject: format!("Your machine {} is silent", machine.worker),
        body: format!(
            "Its last accepted share came at {} UTC, more than {} minutes ago.",
            crate::format::minute(last.0),
            SILENT_MS / 60_000
        ),
        link,
    }
}

fn of_refusals(machine: &Machine, share: f64, now: UnixMs, link: Option<String>) -> Notice {
    Notice {
        once: format!("rejects/{}/{}", machine.worker, now.0 / 3_600_000),
        kind: Kind::RejectRate,
        subject: format!("Many shares of your machine {} are refused", machine.worker),
        body: format!(
            "{:.0} % of its last shares were refused; your page says why.",
            share * 100.0
        ),
        link,
    }
}

fn of_block(block: &RewardRow, outlook: &Outlook, at: &Settings) -> Vec<Notice> {
    let link = at.page(&format!("/block/{}", block.id));
    let asset = outlook.asset(block.asset);
    let (decimals, symbol) = asset.map_or((8, ""), |asset| (asset.decimals, asset.symbol.as_str()));
    let worth = Money::new(block.amount, decimals).decimal;
    let pool = outlook.pool(block.pool).map_or("", |pool| pool.name.as_str());
    if block.place.is_some() {
        // What earlier blocks earned: nothing was found.
        return Vec::new();
    }
    let found = Notice {
        once: format!("block/{}/found", block.id),
        kind: Kind::BlockFound,
        subject: format!("{pool} found block {}", block.height),
        body: format!(
            "{} of height {} by {}, worth {worth} {symbol}.",
            block.id,
            block.height,
            masked(&block.finder_address)
        ),
        link: link.clone(),
    };
    let orphaned = (block.state == RewardState::Orphaned).then(|| Notice {
        once: format!("block/{}/orphaned", block.id),
        kind: Kind::BlockFound,
        subject: format!("Block {} of {pool} left the chain", block.height),
        body: format!("{}, worth {worth} {symbol}: its credits are taken back.", block.id),
        link,
    });
    std::iter::once(found).chain(orphaned).collect()
}

fn of_payout(payout: &PayoutSummary, outlook: &Outlook, at: &Settings) -> Notice {
    let asset = outlook.asset(payout.asset);
    let (decimals, symbol) = asset.map_or((8, ""), |asset| (asset.decimals, asset.symbol.as_str()));
    let sent = Money::new(payout.sent, decimals).decimal;
    Notice {
        once: format!("payout/{}/sent", payout.id),
        kind: Kind::PayoutSent,
        subject: format!("Payout {}: {sent} {symbol} to {}", payout.id, payout.recipients),
        body: format!(
            "Transaction {}.",
            payout.txid.map_or_else(|| "not signed".into(), |txid| txid.to_string())
        ),
        link: at.page(&format!("/payout/{}", payout.id)),
    }
}

fn troubles_of_asset(asset: &AssetOutlook, all: &mut BTreeMap<String, (Kind, String, String)>) {
    for node in asset.nodes.iter() {
        if let Some(trouble) = &node.trouble {
            let subject = format!("Node {} of {} is down", node.address, asset.name);
            let name = format!("node/{}/{}", asset.name, node.address);
            all.insert(name, (Kind::NodeDown, subject, trouble.clone()));
        }
    }
    let broken: Vec<&str> =
        asset.blockers.iter().map(String::as_str).filter(|b| b.contains("do not fold")).collect();
    if !broken.is_empty() {
        let subject = format!("The books of {} do not fold", asset.name);
        all.insert(
            format!("fold/{}", asset.name),
            (Kind::BooksDoNotFold, subject, broken.join("\n")),
        );
    } else if !asset.blockers.is_empty() {
        let subject = format!("Payouts of {} wait", asset.name);
        let text = asset.blockers.join("\n");
        all.insert(format!("blocked/{}", asset.name), (Kind::PayoutsBlocked, subject, text));
    }
}
