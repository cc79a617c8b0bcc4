//! One connection: what it was given, what it may do, and every answer to it.
//!
//! Invariant: `true` leaves after the share is durable; a difficulty is printed just before the job it belongs to and that
//! job is judged by it for ever; what a slow reader does not take is dropped except the latest job.

mod recording;

use crate::coin::address;
use crate::difficulty::{Policy, Vardiff};
use crate::epochs::Epochs;
use crate::extranonce::{Parked, Resumed, Token};
use crate::job::{Job, Jobs, Pays};
use crate::limits::Budget;
use crate::reject::Reject;
use crate::server::{Door, Port};
use crate::template::{push_as_hex, to_hex};
use crate::verify::{Assignment, Given, Seen, Verified, verify};
use crate::wire::v1::{self, Configure, Id, JobRef, Request, Submission};
use crate::worker::{Worker, Workers, percent_decoded};
use accounting::{Identity, IdentityKind, Share, UnixMs, Weight};
use pool::BlockReport;
use pool::observe::AGENT_MAX;
use pow::Difficulty;
use recording::{Accepted, Batch, Pending};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Workers of one connection (farm proxies carry thousands).
const WORKERS_MAX: usize = 10_000;
/// Failed authorisations before the connection is closed.
const AUTH_FAILURES_MAX: u8 = 10;
/// Answers that may wait for the disk; beyond it shares are refused, and only blocks are still taken.
const PENDING_MAX: usize = 1024;
/// Longest user name; some firmware truncates much shorter ones.
const USER_MAX: usize = 256;
/// How long a connection waits for the writer before its shares are refused.
const WRITER_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes waiting for a slow reader before the connection is closed.
pub const OUT_MAX: usize = 256 * 1024;
/// A streak of bad shares without a good one: work again, then reconnect, then drop.
const STREAK_MS: [u64; 3] = [60_000, 120_000, 180_000];

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
}

impl Session {
    /// A fresh connection.
    #[must_use]
    pub fn new(door: Arc<Door>, port: Arc<Port>, jobs: Arc<Jobs>) -> Self {
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
        match v1::parse(line) {
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
                let wish = Difficulty::of_target(target, self.door.rules.algorithm);
                self.wish(Difficulty::nearest(wish), now);
            }
            Request::ExtranonceSubscribe => {
                self.takes_extranonce = true;
                v1::write_true(&id, &mut self.out);
            }
            Request::GetTransactions { job } => self.get_transactions(&id, &job),
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

    /// A wish counts when it is new: some firmware repeats it as a sign of life, long after vardiff knew better.
    fn wish(&mut self, wish: Difficulty, now: u64) {
        if self.last_wish.replace(wish) != Some(wish) {
            self.work_due |= self.vardiff.suggest(wish, &self.policy(), now);
        }
    }

    /// BIP310: an answer for every extension asked for, `false` for those we do not know.
    fn configure(&mut self, id: &Id, configure: &Configure, now: u64) {
        let mut result = serde_json::Map::new();
        for extension in &configure.extensions {
            let mut known = true;
            match extension.as_str() {
                "version-rolling" => {
                    let allowed =
                        self.jobs.latest().map_or(crate::job::VERSION_MASK, |job| job.version_mask);
                    self.version_mask = configure.version_mask.unwrap_or(u32::MAX);
                    self.told_mask = self.version_mask & allowed;
                    result.insert(
                        "version-rolling.mask".into(),
                        format!("{:08x}", self.told_mask).into(),
                    );
                }
                "minimum-difficulty" => {
                    if let Some(least) = configure.minimum_difficulty {
                        let policy = self.policy();
                        self.work_due |=
                            self.vardiff.set_floor(Difficulty::nearest(least), &policy, now);
                    }
                }
                "subscribe-extranonce" => self.takes_extranonce = true,
                _ => known = false,
            }
            result.insert(extension.clone(), known.into());
        }
        v1::write_result(id, &serde_json::Value::from(result).to_string(), &mut self.out);
    }

    fn subscribe(&mut self, id: &Id, user_agent: &str, resume: Option<&str>, now: u64) {
        let earlier = resume.and_then(|text| text.parse().ok());
        match &mut self.channel {
            Some(channel) => {
                // Its own token says nothing new, and one earlier connection is taken up.
                let other = earlier.filter(|token| *token != channel.token);
                channel.awaited = channel.awaited.or(other.filter(|_| channel.other.is_none()));
            }
            None => {
                tracing::debug!(port = %self.port.name, user_agent, "subscribed");
                let mut channel = self.open_channel(earlier, now);
                let printable = user_agent.chars().filter(|c| !c.is_control());
                channel.agent = printable.take(AGENT_MAX).collect::<String>().into();
                self.channel = Some(channel);
            }
        }
        let Some(channel) = &self.channel else { return };
        let token = channel.token;
        let mut prefix = String::new();
        push_as_hex(&mut prefix, &token.extranonce1());
        let size = self.door.rules.extranonce2_size;
        let result = format!(
            r#"[[["mining.set_difficulty","{token}"],["mining.notify","{token}"]],"{prefix}",{size}]"#
        );
        v1::write_result(id, &result, &mut self.out);
        self.first_work(now);
    }

    fn open_channel(&mut self, earlier: Option<Token>, now: u64) -> Channel {
        let mut channel = Channel {
            token: Token::default(),
            other: None,
            awaited: None,
            epochs: Epochs::default(),
            seen: Seen::default(),
            agent: Box::default(),
        };
        match earlier.map(|token| (token, self.door.extranonces.resume(token, now))) {
            Some((_, Resumed::Parked(token, parked))) => {
                let Parked { epochs, seen, vardiff } = *parked;
                self.vardiff = vardiff.within(&self.policy(), now);
                Channel { token, epochs, seen, ..channel }
            }
            resumed => {
                let is_open =
                    |(_, resumed): &(Token, Resumed)| matches!(resumed, Resumed::StillOpen);
                channel.awaited = resumed.filter(is_open).map(|(token, _)| token);
                channel.token = self.door.extranonces.take(now);
                channel
            }
        }
    }

    /// Takes up the earlier connection of this miner once it has ended: its work in flight is judged here from now on. A
    /// miner that understands it is moved to its old prefix, under which its firmware knows this session.
    fn take_up_the_earlier(&mut self, now: u64) {
        let Some(channel) = &mut self.channel else { return };
        let Some(token) = channel.awaited else { return };
        let (token, parked) = match self.door.extranonces.resume(token, now) {
            Resumed::StillOpen => return,
            Resumed::Unknown => {
                channel.awaited = None;
                return;
            }
            Resumed::Parked(token, parked) => (token, parked),
        };
        channel.awaited = None;
        channel.epochs.absorb(parked.epochs);
        channel.seen.absorb(parked.seen);
        if !self.takes_extranonce {
            channel.other = Some(token);
            return;
        }
        // The jobs sent with its own prefix are still judged by it.
        channel.other = Some(std::mem::replace(&mut channel.token, token));
        let mut prefix = String::new();
        push_as_hex(&mut prefix, &token.extranonce1());
        let params = format!(r#"["{prefix}",{}]"#, self.door.rules.extranonce2_size);
        self.notify("mining.set_extranonce", &params);
        self.last_tip = 0;
        self.work_due = true;
    }

    fn authorize(&mut self, id: &Id, user: &str, password: &str, now: u64) -> Result<(), Closing> {
        let refused = match self.worker(user) {
            _ if self.workers.find(user).is_some() => None,
            Ok(_) if self.workers.len() >= WORKERS_MAX => {
                Some(format!("at most {WORKERS_MAX} workers on one connection"))
            }
            Ok(worker) => {
                self.workers.push(worker);
                None
            }
            Err(reason) => Some(reason),
        };
        if let Some(reason) = refused {
            // One mistyped worker among a proxy's thousands does not end the others' connection.
            self.auth_failures += u8::from(self.workers.is_empty());
            v1::write_error(id, "false", Reject::Unauthorized.code(), &reason, &mut self.out);
            return if self.auth_failures < AUTH_FAILURES_MAX {
                Ok(())
            } else {
                Err(Closing::Unauthorized)
            };
        }
        v1::write_true(id, &mut self.out);
        self.password_options(password, now);
        self.first_work(now);
        Ok(())
    }

    /// `address[.worker]` in the spellings miners use.
    fn worker(&self, user: &str) -> Result<Worker, String> {
        if user.len() > USER_MAX {
            return Err(format!("a user name has at most {USER_MAX} characters"));
        }
        let text = percent_decoded(user.trim().trim_start_matches(['.', '/']));
        let (wallet, name) = match text.find(['.', '/', '+', '#', ':', '@']) {
            Some(at) => {
                (&text[..at], text[at..].trim_start_matches(['.', '/', '+', '#', ':', '@']))
            }
            None => (text.as_str(), ""),
        };
        let script =
            address::script_of(wallet, self.door.coin).map_err(|error| error.to_string())?;
        let identity = Identity {
            kind: IdentityKind::Script,
            network: self.door.coin.to_string(),
            bytes: script.into_bytes(),
        };
        if self.door.bans.load().has_account(&identity) {
            return Err("this address is banned from the pool; ask its operator".into());
        }
        let pays_finder = matches!(self.door.rules.pays, Pays::Finder { .. });
        if pays_finder && self.workers.first().is_some_and(|first| *first.identity != identity) {
            return Err("a solo connection mines for one address; open another connection for another address".into());
        }
        let name = if name.is_empty() { "default" } else { name };
        Ok(Worker {
            user: user.into(),
            identity: Arc::new(identity),
            display: wallet.into(),
            name: name.into(),
            attendance: None,
            ids: None,
        })
    }

    /// `d=1000`, `diff=1000`, `md=`/`mc=`: separated by `;` or `,`; anything else is ignored.
    fn password_options(&mut self, password: &str, now: u64) {
        let policy = self.policy();
        for option in password.split([';', ',']) {
            let Some((name, value)) = option.split_once('=') else { continue };
            let Ok(value) = value.trim().parse::<f64>() else { continue };
            if !value.is_finite() || value <= 0.0 {
                continue;
            }
            let wish = Difficulty::nearest(value);
            self.work_due |= match name.trim() {
                "d" | "diff" => self.vardiff.fix(wish, &policy, now),
                "md" => self.vardiff.set_floor(wish, &policy, now),
                // Terahashes a second: difficulty for the port's share interval.
                "th" => {
                    let one = Difficulty::nearest(1.0).target(self.door.rules.algorithm).work();
                    let hashes = one.as_u64().map_or(f64::MAX, |hashes| hashes as f64);
                    let shares = value * 1e12 * policy.interval_s / hashes;
                    self.vardiff.suggest(Difficulty::nearest(shares), &policy, now)
                }
                _ => false,
            };
        }
    }

    fn get_transactions(&mut self, id: &Id, job: &str) {
        let no = u32::from_str_radix(job.split('.').next().unwrap_or(""), 16).unwrap_or(0);
        let Some(job) = self.jobs.find(no).filter(|_| !self.workers.is_empty()) else {
            return v1::write_error(id, "null", 21, Reject::UnknownJob.message(), &mut self.out);
        };
        if self.transactions_of == job.no {
            return v1::write_error(id, "null", 20, "given already", &mut self.out);
        }
        self.transactions_of = job.no;
        let template = &job.template;
        // The whole list of a full template would fill any buffer: it is given when it fits.
        if template.transactions.len() * 2 > OUT_MAX / 2 {
            return v1::write_result(id, "[]", &mut self.out);
        }
        let mut list = Vec::with_capacity(template.transaction_ends.len());
        let mut from = 0;
        for end in &template.transaction_ends {
            let end = usize::try_from(*end).unwrap_or(from);
            list.push(to_hex(&template.transactions[from..end]));
            from = end;
        }
        v1::write_result(id, &serde_json::Value::from(list).to_string(), &mut self.out);
    }

    /// Work for the first time: when both subscribed and authorised, in whatever order.
    fn first_work(&mut self, now: u64) {
        if self.printed.is_none() {
            self.send_work(now);
        }
    }

    /// New jobs were published.
    pub fn jobs_changed(&mut self, jobs: Arc<Jobs>) {
        self.jobs = jobs;
        let oldest = self.jobs.oldest_no();
        if let Some(channel) = &mut self.channel {
            channel.epochs.drop_before(oldest);
            channel.seen.drop_before(oldest);
        }
        let now = self.door.clock.now();
        let made = self.jobs.latest().map_or(now, |job| job.made_at);
        self.send_work(now.0);
        let took = Duration::from_millis(now.0.saturating_sub(made.0));
        self.door.stats.broadcast.took(took, 1);
    }

    /// Prints the difficulty where it changed, and the latest job.
    fn send_work(&mut self, now: u64) {
        self.work_due = false;
        let (Some(channel), Some(worker)) = (&mut self.channel, self.workers.first()) else {
            return;
        };
        let Some(job) = self.jobs.latest() else { return };
        if self.written < self.job_ends {
            // A slow reader has not taken the job before: it gets the latest once it has.
            self.work_due = true;
            return;
        }
        // Never harder than a block: what solves must be sent.
        let difficulty = self.vardiff.difficulty().min(job.hardest);
        let Some(variant) = channel.epochs.next_variant(job.no, channel.least_variant()) else {
            return;
        };
        let target = difficulty.target(job.rules.algorithm);
        let Some(weight) = target.work().as_u64().and_then(Weight::new) else { return };
        if self.printed != Some(difficulty) {
            v1::write_notification(
                "mining.set_difficulty",
                &format!("[{difficulty}]"),
                &mut self.out,
            );
            self.printed = Some(difficulty);
            self.door.stats.difficulty_changed();
        }
        let mask = self.version_mask & job.version_mask;
        if self.version_mask != 0 && self.told_mask != mask {
            self.told_mask = mask;
            let params = format!("[\"{mask:08x}\"]");
            v1::write_notification("mining.set_version_mask", &params, &mut self.out);
        }
        let clean = job.tip != self.last_tip;
        self.last_tip = job.tip;
        let tail = job.tail(&worker.identity.bytes);
        self.out.extend_from_slice(&job.notify(variant, &tail, clean));
        self.job_ends = self.out.len();
        self.door.stats.job_sent();
        if let Pays::Finder { .. } = job.rules.pays {
            self.own_tail = Some((job.no, tail));
        }
        let extranonce1 = channel.token.extranonce1();
        let assignment = Assignment { target, weight, extranonce1 };
        channel.epochs.assign(JobRef { no: job.no, variant }, assignment);
        tracing::trace!(job = job.no, variant, %difficulty, now, "work sent");
    }

    fn submit(&mut self, id: Id, submission: &Submission, now: u64) -> Result<(), Closing> {
        // Looking at the clock costs a hundredth of what is timed.
        let timed = (submission.nonce & 15 == 0).then(Instant::now);
        let judged = self.judge(submission, now);
        if let Some(since) = timed {
            self.door.stats.validation.took(since.elapsed(), 1);
        }
        match judged {
            Ok((worker, verified, job)) => self.take(id, submission, worker, &verified, &job, now),
            Err(reject) => {
                let worker = self.workers.find(&submission.user);
                self.refuse(&id, worker, reject, now)
            }
        }
    }

    fn judge(
        &mut self,
        submission: &Submission,
        now: u64,
    ) -> Result<(usize, Verified, Arc<Job>), Reject> {
        let channel = self.channel.as_mut().ok_or(Reject::NotSubscribed)?;
        let job = self.jobs.find(submission.job.no).ok_or(Reject::UnknownJob)?.clone();
        let worker = self.workers.find(&submission.user);
        let payee = self.workers.first().map_or(&[][..], |first| first.identity.bytes.as_slice());
        let tail = match &self.own_tail {
            Some((no, tail)) if *no == job.no => tail.clone(),
            _ => job.tail(payee),
        };
        let given = Given {
            extranonce1: channel.token.extranonce1(),
            tail: &tail,
            assignment: channel.epochs.find(submission.job),
            version_mask: self.version_mask,
            is_authorized: worker.is_some(),
            now: UnixMs(now),
        };
        let verified = verify(submission, &job, &self.jobs, &given, &mut channel.seen)?;
        Ok((worker.unwrap_or(0), verified, job))
    }

    fn take(
        &mut self,
        id: Id,
        submission: &Submission,
        worker: usize,
        verified: &Verified,
        job: &Arc<Job>,
        now: u64,
    ) -> Result<(), Closing> {
        let parent = &job.template.prev_hash;
        if verified.solves && self.door.blocks.wants(accounting::RewardId(verified.hash), parent) {
            return self.take_block(id, submission, worker, verified, job, now);
        }
        match verified.verdict {
            Ok(_) if self.pending.len() >= PENDING_MAX => {
                // The disk hangs: reading goes on for the sake of blocks.
                if let Some(channel) = &mut self.channel {
                    channel.seen.forget(job.no, &verified.hash);
                }
                self.refuse(&id, Some(worker), Reject::NotRecorded, now)
            }
            Ok(weight) => {
                let rate = job.rate.as_ref().map(accounting::rate::Rate::id).unwrap_or_default();
                self.accepted.push(Accepted {
                    id,
                    worker,
                    weight,
                    rate,
                    hash: verified.hash,
                    hashes: verified.hashes,
                    job: job.no,
                });
                self.good_share(submission.job, now);
                Ok(())
            }
            Err(reject) => self.refuse(&id, Some(worker), reject, now),
        }
    }

    /// Who found a block: the worker, or the connection's first; the pool itself where a resumed connection sent it before
    /// it said who it is.
    fn finder(&self, worker: usize) -> (Identity, String, String) {
        if let Some(known) = self.workers.get(worker).or(self.workers.first()) {
            return ((*known.identity).clone(), known.display.to_string(), known.name.to_string());
        }
        let (Pays::Pool { script } | Pays::Finder { fee_script: script, .. }) =
            &self.door.rules.pays;
        let network = self.door.coin.to_string();
        let display = address::address_of(script, self.door.coin).unwrap_or_default();
        (
            Identity { kind: IdentityKind::Script, network, bytes: script.clone() },
            display,
            "unknown".into(),
        )
    }

    /// To the disk and to every node at once, before and whatever the ledger says.
    fn take_block(
        &mut self,
        id: Id,
        submission: &Submission,
        worker: usize,
        verified: &Verified,
        job: &Arc<Job>,
        now: u64,
    ) -> Result<(), Closing> {
        let Some(channel) = &self.channel else {
            return self.refuse(&id, Some(worker), Reject::NotSubscribed, now);
        };
        let (identity, display, name) = self.finder(worker);
        let extranonce2 = submission
            .extranonce2
            .sized(job.rules.extranonce2_size)
            .unwrap_or(submission.extranonce2);
        let payee = self.workers.first().map_or(&[][..], |first| first.identity.bytes.as_slice());
        let tail = job.tail(payee);
        let assignment = channel.epochs.find(submission.job);
        let coinbase = job.coinbase(
            submission.job.variant,
            assignment.map_or(channel.token.extranonce1(), |assignment| assignment.extranonce1),
            extranonce2.as_slice(),
            &tail,
        );
        let (to_pool, to_finder) = job.payments();
        let report = BlockReport {
            pool: self.door.pool_id,
            finder: identity,
            display,
            worker: name,
            block: accounting::RewardId(verified.hash),
            height: job.template.height,
            to_pool,
            to_finder,
            coinbase_fee: job.coinbase_fee(),
            network_work: job.template.target.work().as_u128().unwrap_or(u128::MAX),
            scheme: job.rules.scheme,
            share: verified.verdict.ok().map(|weight| (weight, job.rate)),
            found_at: UnixMs(now),
        };
        let answer = self.door.blocks.found(report, job.block(&verified.header, &coinbase));
        match verified.verdict {
            Ok(weight) => {
                let hashes = verified.hashes;
                self.pending.push_back(Pending::Block { answer, id, worker, weight, hashes });
                self.good_share(submission.job, now);
                Ok(())
            }
            Err(reject) => self.refuse(&id, Some(worker), reject, now),
        }
    }

    fn refuse(
        &mut self,
        id: &Id,
        worker: Option<usize>,
        reject: Reject,
        now: u64,
    ) -> Result<(), Closing> {
        self.door.stats.rejected(reject);
        if let Some(worker) = worker {
            self.observe(worker, |counts| counts.refused(reject.label()));
        }
        v1::write_error(id, "null", reject.code(), reject.message(), &mut self.out);
        self.bad_share(reject, now)
    }

    fn good_share(&mut self, job: JobRef, now: u64) {
        self.streak_since = None;
        self.streak_step = 0;
        let policy = self.policy();
        let current = self.channel.as_ref().and_then(|channel| channel.epochs.find(job));
        let at_current = current.is_some_and(|given| {
            given.target == self.vardiff.difficulty().target(self.door.rules.algorithm)
        });
        self.work_due |= self.vardiff.share_landed(at_current, &policy, now);
    }

    /// A streak of nothing but bad shares: send the work again, ask to reconnect, drop. One bad worker behind a proxy is
    /// no streak, because the others' shares end it.
    fn bad_share(&mut self, reject: Reject, now: u64) -> Result<(), Closing> {
        if !reject.is_miners_fault() {
            return Ok(());
        }
        let since = *self.streak_since.get_or_insert(now);
        let Some(limit) = STREAK_MS.get(self.streak_step) else { return Err(Closing::BadShares) };
        if now.saturating_sub(since) < *limit {
            return Ok(());
        }
        self.streak_step += 1;
        match self.streak_step {
            1 => {
                self.printed = None;
                self.last_tip = 0;
                self.work_due = true;
            }
            2 => v1::write_notification("client.reconnect", "[]", &mut self.out),
            _ => return Err(Closing::BadShares),
        }
        Ok(())
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
            self.accepted.iter().for_each(|share| seen.forget(share.job, &share.hash));
            let parked = Parked { epochs, seen, vardiff: self.vardiff };
            self.door.extranonces.park(token, other, parked, now);
        }
    }

    /// Drives the connection until something needs its owner: answers out, bytes out, bytes in.
    pub fn poll_io<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Closing>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        loop {
            self.poll_answers(cx);
            let mut flushed = self.poll_write(stream, cx)?;
            if flushed && self.work_due {
                self.send_work(self.now_ms());
                flushed = self.poll_write(stream, cx)?;
            }
            if !flushed && self.out.len() > OUT_MAX / 4 {
                // Reading goes on when the reader has caught up, which wakes this task.
                return Poll::Pending;
            }
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            std::task::ready!(self.poll_read(stream, cx))?;
            if !self.hand_over() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_read<S: tokio::io::AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closing>> {
        // On the stack, so that ten thousand idle connections hold no buffers.
        let mut space = [std::mem::MaybeUninit::uninit(); 8192];
        let mut buffer = tokio::io::ReadBuf::uninit(&mut space);
        match Pin::new(stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                Poll::Ready(self.feed(buffer.filled()))
            }
            Poll::Ready(_) => Poll::Ready(Err(Closing::Gone)),
        }
    }

    /// Writes what can be written; true when nothing is left.
    fn poll_write<S: tokio::io::AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Result<bool, Closing> {
        while self.written < self.out.len() {
            match Pin::new(&mut *stream).poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(count)) if count > 0 => self.written += count,
                Poll::Ready(_) => return Err(Closing::Gone),
                Poll::Pending if self.out.len() - self.written > OUT_MAX => {
                    return Err(Closing::TooSlow);
                }
                Poll::Pending => return Ok(false),
            }
        }
        if !self.out.is_empty() {
            self.out = Vec::new();
            self.written = 0;
            self.job_ends = 0;
            if let Poll::Ready(Err(_)) = Pin::new(stream).poll_flush(cx) {
                return Err(Closing::Gone);
            }
        }
        Ok(true)
    }
}
