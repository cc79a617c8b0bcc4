//! One connection: what it was given, what it may do, and every answer to it.
//!
//! Invariant: `true` leaves after the share is durable; a difficulty is printed just before the job it belongs to and that
//! job is judged by it for ever; what a slow reader does not take is dropped except the latest job.

mod ethash;
mod handshake;
mod heavy;
mod io;
mod legacy;
mod recording;
mod submit;
mod work;

use crate::coin::Family;
use crate::difficulty::{Policy, Vardiff};
use crate::epochs::Epochs;
use crate::extranonce::{Parked, Token};
use crate::hashing::Hashing;
use crate::job::Jobs;
use crate::limits::Budget;
use crate::reject::Reject;
use crate::server::{Door, Port};
use crate::verify::Seen;
use crate::wire;
use crate::wire::v1::{self, Id, Request};
use crate::worker::Workers;
use accounting::Share;
use pow::Difficulty;
use recording::{Accepted, Batch, Pending};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Sleep;

/// How long a connection waits for the writer before its shares are refused.
const WRITER_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes waiting for a slow reader before the connection is closed.
pub const OUT_MAX: usize = 256 * 1024;

/// Work that a connection can have once it subscribed.
struct Channel {
    token: Token,
    /// Another token by which this miner may ask for its session: of the connection taken up, if it could not be moved to
    /// that prefix, or else the one it was given before it was.
    other: Option<Token>,
    /// An earlier connection that is still open.
    awaited: Option<Token>,
    epochs: Epochs,
    seen: Seen,
    /// What the miner says it is.
    agent: Box<str>,
}

impl Channel {
    /// An earlier connection of this miner may have been sent the same jobs: theirs are told apart.
    fn least_variant(&self) -> u8 {
        if self.awaited.is_some() { 128 } else { 0 }
    }
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The other side closed, or the line broke.
    Gone,
    /// It sent what no miner sends.
    Malformed,
    /// It did not read what it was sent.
    TooSlow,
    /// It did not finish its handshake, or fell silent.
    Silent,
    /// Nothing but bad shares.
    BadShares,
    /// Too many failed authorisations.
    Unauthorized,
    /// The operator banned it.
    Banned,
    /// Its miner has come back on another connection.
    Superseded,
    /// The pool is stopping.
    Stopping,
}

/// The state of one connection.
pub struct Session {
    door: Arc<Door>,
    port: Arc<Port>,
    jobs: Arc<Jobs>,
    channel: Option<Channel>,
    workers: Workers,
    vardiff: Vardiff,
    printed: Option<Difficulty>,
    /// Bits the miner asked to roll (`mining.configure`); 0 without.
    version_mask: u32,
    /// Those it was told it may.
    told_mask: u32,
    /// Understands `mining.set_extranonce`.
    takes_extranonce: bool,
    auth_failures: u8,
    /// The wish it named last: naming it again changes nothing.
    last_wish: Option<Difficulty>,
    /// The job whose transactions it was given.
    transactions_of: u32,
    budget: Budget,
    /// Reading goes on after this.
    pause: Option<Pin<Box<Sleep>>>,
    last_tip: u64,
    /// The end of the coinbase last sent, where each finder has their own.
    own_tail: Option<(u32, Arc<[u8]>)>,
    /// The last word to everybody that this connection was told.
    told: Option<Arc<str>>,
    streak_since: Option<u64>,
    streak_step: usize,
    connected_at: u64,
    heard_at: u64,
    work_due: bool,
    carry: Vec<u8>,
    /// Bytes for the socket.
    pub out: Vec<u8>,
    written: usize,
    /// Where the last job sent ends in `out`.
    job_ends: usize,
    accepted: Vec<Accepted>,
    /// A batch that found the writer's queue full.
    stuck: Option<(Vec<Share>, Batch)>,
    pending: VecDeque<Pending>,
    /// A finder whose account's number is to be asked for.
    unknown: Option<u32>,
    /// Shares that are being hashed elsewhere.
    hashing: VecDeque<heavy::Waiting>,
    /// Whom the pool's verifiers count them for.
    host: IpAddr,
    ethash: ethash::Ethash,
}

impl Session {
    /// A fresh connection.
    #[must_use]
    pub fn new(door: Arc<Door>, port: Arc<Port>, jobs: Arc<Jobs>, host: IpAddr) -> Self {
        let now = door.clock.now().0;
        let vardiff = Vardiff::new(&port.policy, now);
        let budget = Budget::new(&port.limits, now);
        Session {
            door,
            port,
            jobs,
            channel: None,
            workers: Workers::default(),
            vardiff,
            printed: None,
            version_mask: 0,
            told_mask: 0,
            takes_extranonce: false,
            auth_failures: 0,
            last_wish: None,
            transactions_of: 0,
            budget,
            pause: None,
            last_tip: 0,
            own_tail: None,
            told: None,
            streak_since: None,
            streak_step: 0,
            connected_at: now,
            heard_at: now,
            work_due: false,
            carry: Vec::new(),
            out: Vec::new(),
            written: 0,
            job_ends: 0,
            accepted: Vec::new(),
            stuck: None,
            pending: VecDeque::new(),
            unknown: None,
            hashing: VecDeque::new(),
            host,
            ethash: ethash::Ethash::default(),
        }
    }

    fn policy(&self) -> Policy {
        self.port.policy
    }

    fn now_ms(&self) -> u64 {
        self.door.clock.now().0
    }

    /// Takes bytes from the socket: whole lines are handled, the rest is kept.
    ///
    /// # Errors
    /// When the connection must end.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Closing> {
        let now = self.now_ms();
        self.heard_at = now;
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..at], &rest[at + 1..]);
            rest = after;
            self.budget.spend(1.0);
            if self.out.len() - self.written > OUT_MAX {
                return Err(Closing::TooSlow);
            }
            if self.carry.is_empty() {
                self.line(line, now)?;
            } else {
                let mut whole = std::mem::take(&mut self.carry);
                whole.extend_from_slice(line);
                self.line(&whole, now)?;
            }
        }
        if self.carry.len() + rest.len() > v1::LINE_MAX {
            return Err(Closing::Malformed);
        }
        self.carry.extend_from_slice(rest);
        if let Some(wait) = self.budget.overdrawn(now, &self.port.limits) {
            self.keep_its_limits(now)?;
            self.pause = Some(Box::pin(tokio::time::sleep(wait)));
        }
        if self.work_due {
            self.send_work(now);
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], now: u64) -> Result<(), Closing> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > v1::LINE_MAX {
            return Err(Closing::Malformed);
        }
        let parsed = match self.door.rules.hashing {
            Hashing::Ethash => wire::ethash::parse(line),
            Hashing::Legacy(own) => wire::gxc::parse(line, Some(own.profile())),
            _ if self.door.coin.family() == Family::Gxc => wire::gxc::parse(line, None),
            Hashing::Header(_) | Hashing::GxHash => v1::parse(line),
        };
        match parsed {
            Ok((id, request)) => self.handle(id, request, now),
            // Before anything was understood this is no miner; afterwards it is a glitch to be told about.
            Err(_) if self.channel.is_none() && self.workers.is_empty() => Err(Closing::Malformed),
            Err(malformed) => {
                v1::write_error(
                    &Id::Text("null".into()),
                    "null",
                    20,
                    &malformed.to_string(),
                    &mut self.out,
                );
                self.bad_share(Reject::Malformed, self.now_ms())
            }
        }
    }

    fn handle(&mut self, id: Id, request: Request, now: u64) -> Result<(), Closing> {
        match request {
            Request::Submit(submission) => return self.submit(id, &submission, now),
            Request::BadSubmit(reason) => {
                self.door.stats.rejected(Reject::Malformed);
                v1::write_error(&id, "null", Reject::Malformed.code(), reason, &mut self.out);
                return self.bad_share(Reject::Malformed, now);
            }
            Request::Configure(configure) => self.configure(&id, &configure, now),
            Request::Subscribe { user_agent, resume } => {
                self.subscribe(&id, &user_agent, resume.as_deref(), now)
            }
            Request::Authorize { user, password } => {
                return self.authorize(&id, &user, &password, now);
            }
            Request::SuggestDifficulty(wish) => {
                self.say_true_if_asked(&id);
                self.wish(Difficulty::nearest(wish), now);
            }
            Request::SuggestTarget(target) => {
                self.say_true_if_asked(&id);
                let target = pow::Target::from_be_bytes(target);
                let wish = Difficulty::of_target(target, self.door.rules.hashing.scale());
                self.wish(Difficulty::nearest(wish), now);
            }
            Request::ExtranonceSubscribe => {
                self.takes_extranonce = true;
                v1::write_true(&id, &mut self.out);
            }
            Request::GetTransactions { job } => self.get_transactions(&id, &job),
            Request::EthLogin { user, password } => {
                return self.ethash_login(&id, &user, &password, now);
            }
            Request::EthGetWork => self.ethash_work(&id),
            Request::EthSubmit { nonce, header } => {
                return self.ethash_submit(id, &header, nonce, now);
            }
            Request::Ping => v1::write_result(&id, "\"pong\"", &mut self.out),
            Request::Harmless => self.say_true_if_asked(&id),
            Request::Answer => {}
            Request::Unknown(method) => {
                let message = format!("Method not found: {method}");
                v1::write_error(&id, "null", 20, &message, &mut self.out);
            }
        }
        Ok(())
    }

    /// What came without an id is not answered: bfgminer takes the first line after its subscribe for the reply to that.
    fn say_true_if_asked(&mut self, id: &Id) {
        if !id.is_null() {
            v1::write_true(id, &mut self.out);
        }
    }

    /// Called every few seconds.
    ///
    /// # Errors
    /// When the connection is to be closed.
    pub fn beat(&mut self, message: Option<Arc<str>>) -> Result<(), Closing> {
        if let Some(message) = message.filter(|message| self.told.as_ref() != Some(message)) {
            let params = serde_json::json!([*message]).to_string();
            self.notify("client.show_message", &params);
            self.told = Some(message);
        }
        let now = self.now_ms();
        self.keep_its_limits(now)?;
        let bans = self.door.bans.load();
        if self.workers.iter().any(|worker| bans.has_account(&worker.identity)) {
            return Err(Closing::Banned);
        }
        if let Some(Channel { token, other, .. }) = &self.channel {
            let mut own = [Some(*token), *other].into_iter().flatten();
            if own.any(|token| self.door.extranonces.is_superseded(token)) {
                return Err(Closing::Superseded);
            }
        }
        self.take_up_the_earlier(now);
        let policy = self.policy();
        if self.printed.is_some() && self.vardiff.time_passed(&policy, now) {
            self.send_work(now);
        }
        if self.work_due {
            self.send_work(now);
        }
        Ok(())
    }

    fn keep_its_limits(&self, now: u64) -> Result<(), Closing> {
        let limits = &self.port.limits;
        let is_ready = self.channel.is_some() && !self.workers.is_empty();
        let dawdles = !is_ready && now.saturating_sub(self.connected_at) > limits.handshake_ms;
        let is_silent = now.saturating_sub(self.heard_at) > limits.silence_ms;
        if dawdles || is_silent { Err(Closing::Silent) } else { Ok(()) }
    }

    /// What is not written yet.
    pub fn unsaid(&mut self) -> Vec<u8> {
        let out = std::mem::take(&mut self.out);
        out.get(std::mem::take(&mut self.written)..).unwrap_or_default().to_vec()
    }

    /// Tells the miner something, or to connect again.
    pub fn notify(&mut self, method: &str, params: &str) {
        v1::write_notification(method, params, &mut self.out);
    }

    /// What is left for who resumes this connection.
    pub fn park(self) {
        let now = self.door.clock.now().0;
        if let Some(Channel { token, other, epochs, mut seen, .. }) = self.channel {
            // What was not handed over may be sent again.
            for share in &self.accepted {
                seen.forget(share.job, &share.hash);
                if let Some(job) = self.jobs.find(share.job) {
                    job.release(&share.hash);
                }
            }
            let parked = Parked { epochs, seen, vardiff: self.vardiff };
            self.door.extranonces.park(token, other, parked, now);
        }
    }
}
