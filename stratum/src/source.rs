//! Where work comes from: every node watched, the one with the most work followed.
//!
//! Each node has a task that learns of new blocks by long poll, ZMQ, `blocknotify` or polling, whichever is first, and
//! hands over templates. A coordinator follows the chain with the most work among fit nodes.
//!
//! Invariant: the last good work stays out until better work is there; no work at all is handed out while no node is fit.

pub mod ether;
pub mod gxc;
mod post;

use crate::node::{self, ChainGate, Unfit};
use crate::rpc::{Endpoint, Rpc};
use crate::template::Template;
use arc_swap::ArcSwap;
use pool::Clock;
use post::{Post, Report};
use pow::Work;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use zeromq::{Socket, SocketRecv, SubSocket};

/// Nodes at different tips for longer than this raise an alarm.
const DISAGREE_ALARM: Duration = Duration::from_secs(60);
/// How often the gate is checked again.
const GATE_EVERY: Duration = Duration::from_secs(60);
/// How long to wait before an unfit node is asked again.
const UNFIT_PAUSE: Duration = Duration::from_secs(2);
/// A node whose template is older than this no longer counts.
const TEMPLATE_AGE_MAX: Duration = Duration::from_secs(180);

/// One node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Its RPC.
    pub endpoint: Endpoint,
    /// Its `zmqpubhashblock` address.
    pub zmq: Option<String>,
    /// How often it is asked for its tip, underneath everything else.
    pub poll: Duration,
}

/// A coin's nodes and chain.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Which chain.
    pub gate: ChainGate,
    /// The nodes, the preferred one first.
    pub nodes: Vec<NodeConfig>,
    /// Are blocks to pay trees, so that each template needs its node's word on BIP-119?
    pub trees: bool,
    /// How often the template is renewed for new transactions, and the job sent again as a sign of life.
    pub refresh: Duration,
}

/// What is handed to the job makers.
#[derive(Debug, Clone)]
pub enum Offer {
    /// Nothing yet: the nodes are being asked for the first time.
    Waiting,
    /// Nothing yet, and what is waited for: as it should be.
    Later(String),
    /// Nothing any more, and why.
    None(String),
    /// Work.
    Template(Arc<Template>),
}

/// How a node is doing, for people.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Its address.
    pub address: String,
    /// Why it gives no work; `None` when it does.
    pub unfit: Option<Unfit>,
    /// Height of the block its template builds.
    pub height: u64,
    /// How it last heard of a new block.
    pub heard_by: &'static str,
}

/// A running source.
pub struct Source {
    /// The newest work.
    pub offers: watch::Receiver<Offer>,
    /// Every node's state.
    pub nodes: Vec<Arc<ArcSwap<NodeStatus>>>,
    /// Tells every node's task that there may be a new block (`blocknotify`).
    pub knock: watch::Sender<u64>,
    /// What watches: none of these ends before it is told to.
    pub tasks: Vec<JoinHandle<()>>,
}

/// Starts watching nodes of the bitcoind family.
#[must_use]
pub fn start(config: SourceConfig, clock: Arc<dyn Clock>, cancel: CancellationToken) -> Source {
    let several = config.nodes.len() > 1;
    let addresses = config.nodes.iter().map(|node| node.endpoint.address.clone()).collect();
    watched(addresses, cancel.clone(), |at, post, knocked| {
        let node = config.nodes[at].clone();
        let watcher = NodeWatcher {
            several,
            gate: config.gate.clone(),
            rpc: Rpc::new(node.endpoint.clone()),
            node,
            refresh: config.refresh,
            trees: config.trees,
            post,
            clock: clock.clone(),
        };
        tokio::spawn(watcher.run(knocked, cancel.clone()))
    })
}

/// A task for each node, and one that follows the best of them.
fn watched(
    addresses: Vec<String>,
    cancel: CancellationToken,
    mut watch: impl FnMut(usize, Post, watch::Receiver<u64>) -> JoinHandle<()>,
) -> Source {
    let (knock, knocked) = watch::channel(0);
    let (publish, offers) = watch::channel(Offer::Waiting);
    let (reports, inbox) = mpsc::channel(64);
    let (mut nodes, mut tasks) = (Vec::new(), Vec::new());
    for (at, address) in addresses.into_iter().enumerate() {
        let post = Post::new(at, address, reports.clone());
        nodes.push(post.status.clone());
        tasks.push(watch(at, post, knocked.clone()));
    }
    tasks.push(tokio::spawn(coordinate(inbox, publish, nodes.clone(), cancel)));
    Source { offers, nodes, knock, tasks }
}

/// A sign that there may be a new block.
enum Signal {
    /// Somebody said so.
    Tip(&'static str),
    /// The long poll's answer.
    Template(Box<Template>),
}

struct NodeWatcher {
    several: bool,
    gate: ChainGate,
    node: NodeConfig,
    refresh: Duration,
    trees: bool,
    rpc: Rpc,
    post: Post,
    clock: Arc<dyn Clock>,
}

impl NodeWatcher {
    async fn run(mut self, knocked: watch::Receiver<u64>, cancel: CancellationToken) {
        loop {
            let trouble = tokio::select! {
                () = cancel.cancelled() => return,
                trouble = self.follow(knocked.clone()) => trouble,
            };
            self.post.report_unfit(trouble).await;
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(UNFIT_PAUSE) => {}
            }
        }
    }

    /// Follows the node for as long as it is fit; gives the reason when it is not any more.
    async fn follow(&mut self, mut knocked: watch::Receiver<u64>) -> Unfit {
        if let Err(unfit) = self.gate.check(&mut self.rpc).await {
            return unfit;
        }
        let (signals, mut inbox) = mpsc::channel(16);
        let _listeners = self.listen(&signals);
        if let Err(unfit) = self.renew("start").await {
            return unfit;
        }
        let _long_poll = self.start_long_poll(&signals);
        let mut polls = interval(self.node.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gate = interval(GATE_EVERY);
        gate.reset();
        let mut refresh_at = Instant::now() + self.refresh;
        loop {
            let outcome = tokio::select! {
                signal = inbox.recv() => match signal {
                    // One that was asked for before the tip moved again is not believed.
                    Some(Signal::Template(template)) if self.is_behind(&template) => self.look_at_tip("long poll").await,
                    Some(Signal::Template(template)) => self.hand_over(*template, "long poll").await,
                    Some(Signal::Tip(by)) => self.look_at_tip(by).await,
                    None => Ok(false),
                },
                knock = knocked.changed() => match knock {
                    Ok(()) => self.look_at_tip("blocknotify").await,
                    Err(_) => return Unfit::Trouble("the pool is stopping".into()),
                },
                _ = polls.tick() => self.look_at_tip("poll").await,
                _ = gate.tick() => self.gate.check(&mut self.rpc).await.map(|_| false),
                () = tokio::time::sleep_until(refresh_at) => self.renew("refresh").await.map(|()| true),
            };
            match outcome {
                Ok(true) => refresh_at = Instant::now() + self.refresh,
                Ok(false) => {}
                Err(unfit) => return unfit,
            }
        }
    }

    /// ZMQ, on a task of its own that reconnects for ever.
    fn listen(&self, signals: &mpsc::Sender<Signal>) -> Option<AbortOnDrop> {
        let address = self.node.zmq.clone()?;
        let signals = signals.clone();
        Some(AbortOnDrop(tokio::spawn(async move {
            while !signals.is_closed() {
                if let Err(error) = listen_to_zmq(&address, &signals).await {
                    tracing::warn!(address, %error, "ZMQ is silent; other signs of new blocks go on");
                }
                sleep(UNFIT_PAUSE).await;
            }
        })))
    }

    fn start_long_poll(&self, signals: &mpsc::Sender<Signal>) -> Option<AbortOnDrop> {
        let mut id = self.post.last.as_ref()?.long_poll_id.clone()?;
        let (mut rpc, coin, signals) =
            (Rpc::new(self.node.endpoint.clone()), self.gate.coin, signals.clone());
        let trees = self.trees;
        Some(AbortOnDrop(tokio::spawn(async move {
            while !signals.is_closed() {
                match node::template(&mut rpc, coin, trees, Some(&id)).await {
                    Ok(template) => {
                        if let Some(next) = &template.long_poll_id {
                            id.clone_from(next);
                        }
                        if signals.send(Signal::Template(Box::new(template))).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "long poll ended");
                        sleep(UNFIT_PAUSE).await;
                    }
                }
            }
        })))
    }

    fn is_behind(&self, template: &Template) -> bool {
        let last = self.post.last.as_ref();
        last.is_some_and(|last| {
            template.height <= last.height && template.prev_hash != last.prev_hash
        })
    }

    /// Has the tip moved? Then a coinbase-only job at once, and the full template as soon as it is there.
    async fn look_at_tip(&mut self, by: &'static str) -> Result<bool, Unfit> {
        let tip: String = self.rpc.call("getbestblockhash", json!([])).await?;
        let Some(last) = self.post.last.clone() else { return self.renew(by).await.map(|()| true) };
        if crate::template::hash_from_hex(&tip) == Some(last.prev_hash) {
            return Ok(false);
        }
        let header = node::header(&mut self.rpc, &tip).await?;
        let now_s = u32::try_from(self.clock.now().0 / 1000).unwrap_or(u32::MAX);
        if let Some(first) = node::coinbase_only(self.gate.coin, &tip, &header, &last, now_s) {
            self.post.report(Arc::new(first), header.chain_work(), by).await;
        }
        self.renew(by).await?;
        Ok(true)
    }

    async fn renew(&mut self, by: &'static str) -> Result<(), Unfit> {
        let template = node::template(&mut self.rpc, self.gate.coin, self.trees, None).await?;
        self.hand_over(template, by).await.map(|_| ())
    }

    async fn hand_over(&mut self, template: Template, by: &'static str) -> Result<bool, Unfit> {
        let work = if self.several {
            let parent = accounting::RewardId(template.prev_hash).to_string();
            node::header(&mut self.rpc, &parent).await?.chain_work()
        } else {
            Work::from(0)
        };
        self.post.report(Arc::new(template), work, by).await;
        Ok(true)
    }
}

async fn listen_to_zmq(
    address: &str,
    signals: &mpsc::Sender<Signal>,
) -> Result<(), zeromq::ZmqError> {
    let mut socket = SubSocket::new();
    socket.connect(address).await?;
    socket.subscribe("hashblock").await?;
    loop {
        socket.recv().await?;
        if signals.send(Signal::Tip("ZMQ")).await.is_err() {
            return Ok(());
        }
    }
}

/// Follows the most work; between equals, the tip that is followed already, then the preferred node.
async fn coordinate(
    mut inbox: mpsc::Receiver<Report>,
    publish: watch::Sender<Offer>,
    nodes: Vec<Arc<ArcSwap<NodeStatus>>>,
    cancel: CancellationToken,
) {
    let mut chooser = Chooser::new(nodes.len());
    loop {
        let report = tokio::select! {
            () = cancel.cancelled() => return,
            () = sleep(Duration::from_secs(5)) => None,
            report = inbox.recv() => match report {
                Some(report) => Some(report),
                None => return,
            },
        };
        let now = Instant::now();
        if let Some(Report { node, state }) = report {
            chooser.take(node, state, now);
        }
        if let Some(apart_for) = chooser.apart_for(now).filter(|time| *time > DISAGREE_ALARM) {
            tracing::error!(
                seconds = apart_for.as_secs(),
                "the nodes are at different tips; the most work is followed"
            );
            chooser.alarmed(now);
        }
        if let Some(offer) = chooser.choose(now) {
            publish.send_replace(offer);
        }
    }
}

/// What one node last gave.
#[derive(Clone)]
struct Given {
    template: Arc<Template>,
    work: Work,
    seen: Instant,
    /// It does not answer now: what it gave counts for a while.
    in_trouble: bool,
}

/// The pure part of coordination.
struct Chooser {
    states: Vec<Option<Given>>,
    reasons: Vec<String>,
    chosen: Option<(usize, Arc<Template>)>,
    apart_since: Option<Instant>,
    silent: bool,
}

impl Chooser {
    fn new(nodes: usize) -> Self {
        Chooser {
            states: vec![None; nodes],
            reasons: vec!["not asked yet".into(); nodes],
            chosen: None,
            apart_since: None,
            silent: true,
        }
    }

    fn take(&mut self, node: usize, state: Result<(Arc<Template>, Work), Unfit>, now: Instant) {
        match state {
            Ok((template, work)) => {
                self.states[node] = Some(Given { template, work, seen: now, in_trouble: false });
            }
            Err(unfit) => {
                self.reasons[node] = unfit.to_string();
                match (unfit, &mut self.states[node]) {
                    (Unfit::Trouble(_), Some(given)) => given.in_trouble = true,
                    // On another chain, or behind: nothing it ever gave is worth anything.
                    (_, state) => *state = None,
                }
            }
        }
        let mut tips = self.states.iter().flatten().map(|given| given.template.prev_hash);
        let first = tips.next();
        let apart = tips.any(|tip| Some(tip) != first);
        self.apart_since = if apart { self.apart_since.or(Some(now)) } else { None };
    }

    fn apart_for(&self, now: Instant) -> Option<Duration> {
        self.apart_since.map(|since| now.saturating_duration_since(since))
    }

    fn alarmed(&mut self, now: Instant) {
        self.apart_since = Some(now);
    }

    /// The offer to publish, if it changed.
    fn choose(&mut self, now: Instant) -> Option<Offer> {
        let followed = self.chosen.as_ref().map(|(_, template)| template.prev_hash);
        let fresh = self.states.iter().enumerate().filter_map(|(at, state)| {
            let given = state.as_ref()?;
            (now.saturating_duration_since(given.seen) < TEMPLATE_AGE_MAX).then_some((at, given))
        });
        let best = fresh.max_by_key(|(at, given)| {
            let is_followed = Some(given.template.prev_hash) == followed;
            (given.work, !given.in_trouble, is_followed, std::cmp::Reverse(*at))
        });
        match best {
            Some((at, Given { template, .. })) => {
                let same =
                    self.chosen.as_ref().is_some_and(|(_, chosen)| Arc::ptr_eq(chosen, template));
                if same && !self.silent {
                    return None;
                }
                // A node that only just heard of the tip must not replace a full template by a coinbase-only one.
                let worse = template.coinbase_only
                    && self.chosen.as_ref().is_some_and(|(_, c)| {
                        c.prev_hash == template.prev_hash && !c.coinbase_only
                    });
                if worse && !self.silent {
                    return None;
                }
                self.silent = false;
                self.chosen = Some((at, template.clone()));
                Some(Offer::Template(template.clone()))
            }
            None if self.silent => None,
            None => {
                self.silent = true;
                self.chosen = None;
                Some(Offer::None(self.reasons.join("; ")))
            }
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::template;

    fn at(tip: u8, coinbase_only: bool) -> Arc<Template> {
        Arc::new(Template { prev_hash: [tip; 32], coinbase_only, ..template() })
    }

    fn work(n: u32) -> Work {
        Work::from_hex(&format!("{n:x}")).unwrap()
    }

    fn tip_of(offer: Option<Offer>) -> Option<u8> {
        match offer {
            Some(Offer::Template(template)) => Some(template.prev_hash[0]),
            _ => None,
        }
    }

    #[test]
    fn between_different_tips_the_most_work_wins_and_equals_stay() {
        let now = Instant::now();
        let mut chooser = Chooser::new(2);
        chooser.take(1, Ok((at(1, false), work(10))), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(1));
        chooser.take(0, Ok((at(2, false), work(10))), now);
        assert!(chooser.choose(now).is_none(), "equal work: the tip that is followed stays");
        chooser.take(0, Ok((at(3, false), work(11))), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(3));
        assert!(chooser.apart_for(now).is_some());
        chooser.take(1, Ok((at(3, false), work(11))), now);
        assert!(chooser.apart_for(now).is_none());
    }

    #[test]
    fn a_dead_node_is_replaced_and_no_fit_node_means_no_work() {
        let now = Instant::now();
        let mut chooser = Chooser::new(2);
        chooser.take(0, Ok((at(1, false), work(10))), now);
        chooser.take(1, Ok((at(1, false), work(10))), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(1));
        chooser.take(0, Err(Unfit::Trouble("gone".into())), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(1), "the other node's template");
        chooser.take(1, Err(Unfit::Syncing("1 of 2".into())), now);
        assert_eq!(
            tip_of(chooser.choose(now)),
            Some(1),
            "a node that does not answer may be back in a moment"
        );
        chooser.take(0, Err(Unfit::OtherChain("?".into())), now);
        assert!(
            matches!(chooser.choose(now), Some(Offer::None(reason)) if reason.contains("other chain") || reason.contains("another"))
        );
        assert!(chooser.choose(now).is_none(), "said once");
        chooser.take(1, Ok((at(1, false), work(10))), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(1));
    }

    #[test]
    fn a_template_nobody_renews_stops_counting() {
        let now = Instant::now();
        let mut chooser = Chooser::new(1);
        chooser.take(0, Ok((at(1, false), work(10))), now);
        chooser.choose(now);
        assert!(matches!(chooser.choose(now + TEMPLATE_AGE_MAX), Some(Offer::None(_))));
    }

    #[test]
    fn a_coinbase_only_template_comes_first_on_a_tip_and_never_after_a_full_one() {
        let now = Instant::now();
        let mut chooser = Chooser::new(2);
        chooser.take(0, Ok((at(1, true), work(10))), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(1));
        chooser.take(0, Ok((at(1, false), work(10))), now);
        assert_eq!(tip_of(chooser.choose(now)), Some(1));
        chooser.take(0, Err(Unfit::Trouble("gone".into())), now);
        chooser.take(1, Ok((at(1, true), work(10))), now);
        assert!(chooser.choose(now).is_none(), "miners keep the full one");
    }
}
