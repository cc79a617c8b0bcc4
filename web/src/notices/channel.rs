//! A channel: a way to tell somebody something, what it wants to hear, and what can be wrong with it.
//!
//! Invariant: a channel that exists can be used: its addresses are addresses, and nothing secret goes over a line that others
//! can read unless the configuration says so. A delivery ends within 15 seconds. No secret leaves in an error.

use super::Kind;
use super::discord::Discord;
use super::letter::{Letter, cut};
use super::ntfy::Ntfy;
use super::secret::{Secret, without};
use super::smtp::{Mailer, Smtp};
use super::telegram::Telegram;
use super::webhook::Webhook;
use accounting::UnixMs;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long one delivery may take.
const LIMIT: Duration = Duration::from_secs(15);
/// Characters kept of what went wrong.
const TROUBLE_MAX: usize = 300;

/// How a channel tells, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Way {
    /// A signed `POST` of JSON (`kind`, `subject`, `body`, `link`, `once`, `at`) to an address of the operator's. The header
    /// `X-Adit-Signature: t=<seconds since 1970>,v1=<hex>` is HMAC-SHA256 of `<t>.<the body's bytes>`.
    Webhook {
        /// Where to; `http` or `https`.
        url: Secret,
        /// The key of the signature.
        secret: Secret,
    },
    /// A Telegram bot (<https://core.telegram.org/bots/api#sendmessage>).
    Telegram {
        /// The bot's token.
        token: Secret,
        /// The chat's number, or `@name` of a public channel.
        chat: String,
        /// Another server than `https://api.telegram.org`.
        base: Option<Secret>,
    },
    /// A Discord webhook (<https://discord.com/developers/docs/resources/webhook#execute-webhook>).
    Discord {
        /// The webhook's address, which is its password too.
        url: Secret,
    },
    /// An ntfy server (<https://docs.ntfy.sh/publish/>).
    Ntfy {
        /// The server, such as `https://ntfy.sh`.
        url: Secret,
        /// The topic; who knows it reads it.
        topic: Secret,
        /// An access token, if the server wants one.
        token: Option<Secret>,
    },
    /// E-mail.
    Smtp {
        /// The mail server.
        host: String,
        /// Its port; 587, 465 or 25 by [`Security`] if none is given.
        port: Option<u16>,
        /// How the line is protected.
        #[serde(default)]
        security: Security,
        /// Who we are; none: the server lets us in without.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// The sender, such as `Pool <pool@example.org>`.
        from: String,
        /// Whom to write. Nobody: the channel is for notices to single persons only.
        #[serde(default)]
        to: Vec<String>,
    },
}

/// How the line to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// It begins plainly and must then be encrypted (RFC 3207).
    #[default]
    Starttls,
    /// Encrypted from the first byte (RFC 8314).
    Tls,
    /// Not at all: for a mail server on this machine only.
    None,
}

/// Why a channel cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("notices.{channel}.{field}: {trouble}")]
pub struct ChannelError {
    /// The channel's name.
    pub channel: String,
    /// The value that is wrong.
    pub field: &'static str,
    /// What is wrong with it, without its secrets.
    pub trouble: String,
}

/// What is wrong with which value.
pub(super) type Fault = (&'static str, String);

/// Why a delivery did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words, without secrets.
    pub what: String,
    /// The other side wants to be left alone for so long.
    pub pause: Option<Duration>,
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Trouble { what, pause: None }
    }
}

/// A way to tell somebody something.
#[derive(Debug)]
pub struct Channel {
    name: String,
    kinds: BTreeSet<Kind>,
    sender: Sender,
    secrets: Vec<Secret>,
}

#[derive(Debug)]
enum Sender {
    Webhook(Webhook),
    Telegram(Telegram),
    Discord(Discord),
    Ntfy(Ntfy),
    Smtp(Box<Smtp>),
}

impl Channel {
    /// Checks the name, then the way. `kinds`: what it wants to hear; none means all.
    ///
    /// # Errors
    /// Which value is wrong, and why; never the value of a secret.
    pub fn new(
        name: &str,
        kinds: impl IntoIterator<Item = Kind>,
        way: Way,
    ) -> Result<Self, ChannelError> {
        let fault = |(field, trouble): Fault| ChannelError { channel: name.into(), field, trouble };
        // A row says `name`, or `name:person`; and the name stands in logs.
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 50 || !name.chars().all(fits) {
            let trouble = "a channel's name has 1 to 50 letters, digits, '-' and '_'".into();
            return Err(fault(("name", trouble)));
        }
        let (sender, secrets) = Sender::new(way).map_err(fault)?;
        let kinds = kinds.into_iter().collect();
        Ok(Channel { name: name.into(), kinds, sender, secrets })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does it want to hear of this?
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        let heard = match &self.sender {
            Sender::Smtp(smtp) => smtp.has_readers(),
            _ => true,
        };
        heard && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    /// Does it tell single persons?
    #[must_use]
    pub const fn writes_letters(&self) -> bool {
        matches!(self.sender, Sender::Smtp(_))
    }

    /// Delivers once. `Ok`: the other side has taken it.
    pub(super) async fn deliver(&self, letter: &Letter, now: UnixMs) -> Result<(), Trouble> {
        let delivery = async {
            match &self.sender {
                Sender::Webhook(to) => to.deliver(letter, now).await,
                Sender::Telegram(to) => to.deliver(letter).await,
                Sender::Discord(to) => to.deliver(letter).await,
                Sender::Ntfy(to) => to.deliver(letter).await,
                Sender::Smtp(to) => to.deliver(letter).await,
            }
        };
        let outcome = tokio::time::timeout(LIMIT, delivery).await;
        let late = || Err(format!("not delivered within {} s", LIMIT.as_secs()).into());
        outcome.unwrap_or_else(|_| late()).map_err(|trouble| self.told_safely(letter, trouble))
    }

    /// Trouble as it may stand in a log: without secrets and without a person's address, which servers like to repeat.
    fn told_safely(&self, letter: &Letter, trouble: Trouble) -> Trouble {
        let person = letter.person.as_deref().map(Secret::from);
        let what = without(person.as_slice(), &without(&self.secrets, &trouble.what));
        let what = what.replace(char::is_control, " ");
        Trouble { what: cut(what.trim(), TROUBLE_MAX, |_| 1), ..trouble }
    }
}

impl Sender {
    /// The sender, and the words that must not be repeated.
    fn new(way: Way) -> Result<(Self, Vec<Secret>), Fault> {
        Ok(match way {
            Way::Webhook { url, secret } => {
                let made = Webhook::new(&url, secret.clone())?;
                let secrets = made.secrets();
                (Sender::Webhook(made), secrets)
            }
            Way::Telegram { token, chat, base } => {
                let made = Telegram::new(token.clone(), &chat, base)?;
                (Sender::Telegram(made), vec![token])
            }
            Way::Discord { url } => {
                let made = Discord::new(&url)?;
                let secrets = made.secrets();
                (Sender::Discord(made), secrets)
            }
            Way::Ntfy { url, topic, token } => {
                let made = Ntfy::new(&url, topic.clone(), token.clone())?;
                (Sender::Ntfy(made), token.into_iter().chain([topic]).collect())
            }
            Way::Smtp { host, port, security, user, password, from, to } => {
                let mailer = Mailer::new(host, port, security, user, password)?;
                let made = Smtp::new(mailer, &from, &to)?;
                let secrets = made.secrets();
                (Sender::Smtp(Box::new(made)), secrets)
            }
        })
    }
}
