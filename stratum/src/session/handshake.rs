//! Who is there, and what was agreed: `configure`, `subscribe`, `authorize`, and coming back.
//!
//! Invariant: an answer for every request that has an id; a name is only as good as the address behind it.

use super::{Channel, Closing, Session};
use crate::coin::address;
use crate::epochs::Epochs;
use crate::extranonce::{Parked, Resumed, Token};
use crate::hashing::Hashing;
use crate::job::Pays;
use crate::reject::Reject;
use crate::template::push_as_hex;
use crate::verify::Seen;
use crate::wire::ethash::Dialect;
use crate::wire::v1::{self, Configure, Id};
use crate::worker::{Worker, percent_decoded};
use pool::observe::AGENT_MAX;
use pow::Difficulty;
use std::sync::Arc;

/// Workers of one connection (farm proxies carry thousands).
const WORKERS_MAX: usize = 10_000;
/// Failed authorisations before the connection is closed.
const AUTH_FAILURES_MAX: u8 = 10;
/// Longest user name; some firmware truncates much shorter ones.
const USER_MAX: usize = 256;

impl Session {
    /// BIP310: an answer for every extension asked for, `false` for those we do not know.
    pub(super) fn configure(&mut self, id: &Id, configure: &Configure, now: u64) {
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

    pub(super) fn subscribe(&mut self, id: &Id, user_agent: &str, resume: Option<&str>, now: u64) {
        let is_ethash = self.door.rules.hashing == Hashing::Ethash;
        let is_shared = self.has_shared_headers();
        // What tells connections apart there is not taken up by another.
        let earlier = resume.filter(|_| !is_shared).and_then(|text| text.parse().ok());
        let dialect = Self::ethash_dialect(resume);
        match &mut self.channel {
            Some(channel) => {
                // Its own token says nothing new, and one earlier connection is taken up.
                let other = earlier.filter(|token| *token != channel.token);
                channel.awaited = channel.awaited.or(other.filter(|_| channel.other.is_none()));
            }
            None => {
                tracing::debug!(port = %self.port.name, user_agent, "subscribed");
                if is_shared {
                    self.ethash.dialect = dialect;
                }
                let Some(mut channel) = self.open_channel(earlier, now) else {
                    let text = "the pool has no extranonce left; try again in a while, or without EthereumStratum/1.0.0";
                    return v1::write_error(id, "null", 20, text, &mut self.out);
                };
                let printable = user_agent.chars().filter(|c| !c.is_control());
                channel.agent = printable.take(AGENT_MAX).collect::<String>().into();
                self.channel = Some(channel);
            }
        }
        if is_ethash {
            self.ethash_subscribed(id, dialect);
            return self.first_work(now);
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

    /// `None` where there are no more extranonces.
    pub(super) fn open_channel(&mut self, earlier: Option<Token>, now: u64) -> Option<Channel> {
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
                Some(Channel { token, epochs, seen, ..channel })
            }
            resumed => {
                let is_open =
                    |(_, resumed): &(Token, Resumed)| matches!(resumed, Resumed::StillOpen);
                channel.awaited = resumed.filter(is_open).map(|(token, _)| token);
                let has_own_nonces =
                    self.has_shared_headers() && self.ethash.dialect == Dialect::EthereumStratum;
                channel.token = match has_own_nonces {
                    true => self.door.extranonces.take_short(now)?,
                    false => self.door.extranonces.take(now),
                };
                Some(channel)
            }
        }
    }

    /// Takes up the earlier connection of this miner once it has ended: its work in flight is judged here from now on. A
    /// miner that understands it is moved to its old prefix, under which its firmware knows this session.
    pub(super) fn take_up_the_earlier(&mut self, now: u64) {
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
        if !self.takes_extranonce || self.door.rules.hashing == Hashing::Ethash {
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

    pub(super) fn authorize(
        &mut self,
        id: &Id,
        user: &str,
        password: &str,
        now: u64,
    ) -> Result<(), Closing> {
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

    /// `address[.worker]` or `name[.worker]`, in the spellings miners use.
    pub(super) fn worker(&self, user: &str) -> Result<Worker, String> {
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
        let guests = self.door.pool.guests();
        let pays_finder = matches!(self.door.rules.pays, Pays::Finder { .. });
        let (wallet, identity) = match address::identity_of(wallet, self.door.coin) {
            Ok(identity) => (wallet.to_owned(), identity),
            // The work itself would tell everybody whose name it is.
            Err(_) if pays_finder && guests.named(wallet).is_some() => {
                return Err(
                    "on this port mine by your address: its jobs pay it, for all to see".into()
                );
            }
            Err(error) => {
                let known_as = guests.named(wallet).ok_or_else(|| error.to_string())?.display;
                let identity = address::identity_of(&known_as, self.door.coin);
                (known_as, identity.map_err(|error| error.to_string())?)
            }
        };
        if self.door.bans.load().has_account(&identity) {
            return Err("this address is banned from the pool; ask its operator".into());
        }
        if let Some(refusal) = &self.door.registered_only
            && !guests.has(&identity)
        {
            return Err(refusal.clone());
        }
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
    pub(super) fn password_options(&mut self, password: &str, now: u64) {
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
                    let one =
                        Difficulty::nearest(1.0).target(self.door.rules.hashing.scale()).work();
                    let hashes = one.as_u64().map_or(f64::MAX, |hashes| hashes as f64);
                    let shares = value * 1e12 * policy.interval_s / hashes;
                    self.vardiff.suggest(Difficulty::nearest(shares), &policy, now)
                }
                _ => false,
            };
        }
    }
}
