//! What every page and answer is made from, in one place.

use crate::api::guard::Budgets;
use crate::db::Db;
use crate::history::History;
use crate::keys::Keys;
use crate::model::account::{self, Account, Named, Sources, named};
use crate::model::activity::{self, Activity};
use crate::news::Teller;
use crate::node::Nodes;
use crate::notices::Outbox;
use crate::operator::{Hand, Operators};
use crate::outlook::Outlook;
use crate::profiles::Profiles;
use crate::prospects::Reckoner;
use crate::readers::Readers;
use crate::sponsored::{Slot, Sponsored};
use crate::support::Support;
use crate::theme::Theme;
use accounting::UnixMs;
use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use pool::{Clock, Pool};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::StoreError;

/// What the operator decided about the pages.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The pool's name for people.
    pub title: String,
    /// Where the pages are for everybody, such as `https://pool.example`.
    pub url: Option<String>,
    /// May only registered addresses mine?
    pub registered_only: bool,
    /// The host that miners connect to, if it is not the one pages are asked from.
    pub miners_host: Option<String>,
    /// Where explorers show a transaction or a block, by asset: `{}` stands for the id.
    pub explorers: BTreeMap<String, Explorer>,
    /// Origins whose scripts may read the API; `*` for all.
    pub cors: Vec<String>,
    /// Who may read the metrics from elsewhere.
    pub scrapers: Vec<IpAddr>,
    /// Proxies in front of the pages, whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// Listings that are paid for.
    pub sponsored: Vec<Sponsored>,
}

/// Where an asset's transactions and blocks can be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explorer {
    /// A transaction, with `{}` for its id.
    pub transaction: Option<String>,
    /// A block, with `{}` for its hash.
    pub block: Option<String>,
}

impl Settings {
    /// What addresses that have not registered are told when they want to mine; `None` where everybody is welcome.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let at = self.page("/register");
        let place = at.as_deref().unwrap_or("the pool's pages, under /register");
        self.registered_only
            .then(|| format!("this address is not registered: register it at {place}"))
    }

    /// Where everybody finds a page, if the operator said where the pages are.
    #[must_use]
    pub fn page(&self, path: &str) -> Option<String> {
        self.url.as_ref().map(|url| format!("{url}{path}"))
    }

    /// Who asks: the peer, or whom a proxy of ours names.
    #[must_use]
    pub fn client_of(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if !self.proxies.contains(&peer) {
            return peer;
        }
        // The last address that is no proxy of ours: what stands before it, the client may have written.
        let listed =
            headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<IpAddr> = listed
            .flat_map(|list| list.split(','))
            .filter_map(|one| one.trim().parse().ok())
            .collect();
        named.into_iter().rev().find(|address| !self.proxies.contains(address)).unwrap_or(peer)
    }
}

/// What operators decided that outlives a restart.
#[derive(Debug, Clone, Default)]
pub struct HandNotes {
    /// Who is banned, and why.
    pub bans: BTreeMap<String, String>,
    /// Which pools are paused, and why.
    pub pauses: BTreeMap<String, String>,
}

/// Everything readers need.
pub struct Site {
    /// The writer's snapshot and the meters.
    pub pool: Pool,
    /// The store.
    pub readers: Readers,
    /// The networks and ports, about once a second.
    pub outlook: Arc<ArcSwap<Outlook>>,
    /// Charts, rates and totals.
    pub history: History,
    /// The web's own database.
    pub db: Db,
    /// What owners said about themselves.
    pub profiles: Profiles,
    /// How often blocks are found and payouts made; counted anew every half minute.
    pub activity: ArcSwap<Vec<Activity>>,
    /// Keys of programs.
    pub keys: Keys,
    /// Who may operate.
    pub operators: Operators,
    /// How operators' acts are carried out.
    pub hand: Hand,
    /// How much everybody may ask.
    pub budgets: Budgets,
    /// Notices on their way.
    pub outbox: Outbox,
    /// How many of them wait, as it was last counted.
    pub waiting_notices: AtomicU64,
    /// What happens, to whoever listens.
    pub news: Teller,
    /// How pages look.
    pub theme: Theme,
    /// What incomes would look like.
    pub prospects: Reckoner,
    /// Questions to the operator.
    pub support: Support,
    /// Nodes that may be asked with a key.
    pub nodes: Nodes,
    /// What the operator decided.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Site {
    /// The listings that are paid for, of a place.
    #[must_use]
    pub fn sponsored(&self, slot: Slot) -> Vec<&Sponsored> {
        let now = self.now();
        self.settings.sponsored.iter().filter(|one| one.is_shown(slot, now)).collect()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Learns which accounts have profiles, from the machines at work.
    pub fn learn_profiles(&self) {
        self.profiles.learn(&self.history.shown());
    }

    /// An account in full; `None` while its asset is not open.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn account(self: &Arc<Self>, named: Named) -> Result<Option<Account>, StoreError> {
        let own = self.clone();
        let found = self.readers.read(move |reader| {
            let (outlook, view) = (own.outlook.load(), own.pool.view());
            let from = Sources { reader, outlook: &outlook, view: &view, history: &own.history };
            account::account(&from, &named)
        });
        found.await
    }

    /// Counts anew how often things happen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn learn_activity(&self) -> Result<(), StoreError> {
        let (outlook, now) = (self.outlook.load_full(), self.now());
        let found = self.readers.read(move |reader| activity::all(reader, &outlook, now)).await?;
        self.activity.store(Arc::new(found));
        Ok(())
    }

    /// What operators decided that outlives a restart.
    pub async fn hand_notes(&self) -> HandNotes {
        let asked =
            self.pool.order(|books, _, _| Ok((books.notes_of("bans"), books.notes_of("control"))));
        let (bans, control) = asked.await.unwrap_or_default();
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        HandNotes {
            bans: bans.into_iter().map(|(key, value)| (key, text(value))).collect(),
            pauses: control
                .into_iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix("pause/")?.to_owned(), text(value)))
                })
                .collect(),
        }
    }

    /// Notices that were not taken yet.
    #[must_use]
    pub fn notices_waiting(&self) -> u64 {
        self.waiting_notices.load(Ordering::Relaxed)
    }

    /// Reads an address.
    ///
    /// # Errors
    /// The outer error is the store's; the inner one says why it is no address here.
    pub async fn named(&self, address: &str) -> Result<Result<Named, String>, StoreError> {
        let (outlook, address) = (self.outlook.load_full(), address.to_owned());
        self.readers.read(move |reader| named(reader, &outlook, &address)).await
    }
}
