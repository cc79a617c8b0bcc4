//! Registration: what an owner of an address says, proved by a signature of that address.
//!
//! Invariant: the signed text holds everything that is said and when; an older one never replaces a newer.

use crate::model::{Iso, Money};
use crate::notices::{Kind, Notice, is_address};
use crate::profiles::Profile;
use crate::secrets::token;
use crate::site::Site;
use ::pool::Refused;
use accounting::{Amount, UnixMs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a text may wait for its signature.
const VALID_MS: u64 = 24 * 3600 * 1000;
/// Notices that a person can have.
pub const NOTICES: [&str; 3] = ["payout-sent", "worker-silent", "reject-rate"];

/// What somebody wants to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// The address that is mined with.
    pub address: String,
    /// A name to be called by: letters, digits, `-`, `_` and spaces, at most 32; none if empty.
    pub name: String,
    /// Where notices go; none if empty.
    pub email: String,
    /// May lists show the whole address?
    pub is_public: bool,
    /// Pay only from so much on, in whole coins; the pool's minimum if empty.
    pub minimum: String,
    /// Which notices: `payout-sent`, `worker-silent`, `reject-rate`.
    pub notices: Vec<String>,
    /// When the text was made (ISO 8601), as it was given with it.
    pub made_at: String,
}

/// A wish that makes sense.
pub struct Checked {
    wish: Wish,
    named: crate::model::account::Named,
    minimum: Option<Amount>,
    made_at: UnixMs,
}

/// A text to be signed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Text {
    /// The text, in one line: to be signed as it is.
    pub message: String,
    /// To be given back with the signature.
    pub made_at: String,
}

/// Checks a wish in all but its signature.
///
/// # Errors
/// What is wrong, in words.
pub async fn check(site: &Arc<Site>, wish: Wish) -> Result<Checked, String> {
    let named = site
        .named(&wish.address)
        .await
        .map_err(|_| "the pool's store cannot be read now; try again soon")??;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ');
    if wish.name.chars().count() > 32
        || !wish.name.chars().all(is_plain)
        || wish.name.trim() != wish.name
    {
        return Err("a name has at most 32 letters, digits, spaces, - and _".into());
    }
    if !wish.name.is_empty() && wish.name.len() < 3 {
        return Err("a name has at least three characters".into());
    }
    if let Some(other) = site.pool.guests().named(&wish.name)
        && other.identity != named.parsed.identity
    {
        return Err(format!("somebody else is called \"{}\" already", wish.name));
    }
    if matches!(site.named(&wish.name).await, Ok(Ok(_))) {
        return Err("a name must not be an address".into());
    }
    check_email(&wish.email)?;
    if let Some(odd) = wish.notices.iter().find(|kind| !NOTICES.contains(&kind.as_str())) {
        return Err(format!("there are no notices \"{odd}\""));
    }
    if !wish.email.is_empty() && !site.outbox.writes_letters() {
        return Err("this pool sends no e-mail; leave that field empty".into());
    }
    if !wish.notices.is_empty() && wish.email.is_empty() {
        return Err("notices need an e-mail address".into());
    }
    let made_at = moment(&wish.made_at)?;
    let now = site.now();
    if made_at.0 > now.0 + 60_000 || now.0 > made_at.0 + VALID_MS {
        return Err("the text to sign is older than a day; begin again".into());
    }
    let minimum = minimum(site, &named, &wish.minimum)?;
    Ok(Checked { wish, named, minimum, made_at })
}

fn check_email(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    // A letter's comma would be a second person.
    if text.len() > 254 || !is_address(text) || text.contains([',', ';', '<', '>', '"']) {
        return Err(format!("\"{text}\" is no e-mail address"));
    }
    Ok(())
}

/// Reads a time as it was given out.
pub(crate) fn moment(text: &str) -> Result<UnixMs, String> {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let read = OffsetDateTime::parse(text, &Rfc3339);
    let ms = read.ok().and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    ms.map(UnixMs).ok_or_else(|| "made_at is the time that was given with the text".to_owned())
}

fn minimum(
    site: &Site,
    named: &crate::model::account::Named,
    text: &str,
) -> Result<Option<Amount>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let outlook = site.outlook.load();
    let Some(asset) = outlook.asset(named.asset) else {
        return Err("this asset is not open".into());
    };
    let amount =
        Amount::parse_decimal(text.trim(), asset.decimals).map_err(|error| error.to_string())?;
    if amount < asset.minimum {
        let least = Money::new(asset.minimum, asset.decimals).decimal;
        return Err(format!("the pool's own minimum is {least} {}", asset.symbol));
    }
    if named.account.is_none() {
        return Err("a minimum can be set once a share of this address was accepted".into());
    }
    Ok(Some(amount))
}

/// Asks, once a day at most for each e-mail address, whether it is the owner's: nobody else can have letters sent there.
async fn ask_to_confirm(site: &Site, profile: &Profile) {
    let (Some(email), Some(code)) = (&profile.email, &profile.unconfirmed) else { return };
    let path = format!("/register/confirm/{code}");
    let notice = Notice {
        once: format!("confirm/{email}/{}", site.now().0 / VALID_MS),
        kind: Kind::ConfirmEmail,
        subject: "Is this your e-mail address?".into(),
        body: format!(
            "Somebody registered it at {} for notices about an address that they mine with. If that was you, confirm it \
             there: {}. If not, do nothing, and nothing more is sent.",
            site.settings.title,
            site.settings.page(&path).unwrap_or_else(|| format!("{path} on the pool's pages")),
        ),
        link: site.settings.page(&path),
    };
    if let Err(error) = site.outbox.put_to(notice, email).await {
        tracing::warn!(%error, "an e-mail address is not asked for confirmation");
    }
}

impl Checked {
    /// The text to be signed.
    #[must_use]
    pub fn text(&self, title: &str) -> Text {
        let Wish { name, email, is_public, minimum, notices, .. } = &self.wish;
        let or_none =
            |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        let made_at = Iso(self.made_at).text();
        let message = format!(
            "{title}: {} is called {}, has notices ({}) sent to {}, is {}, and is paid from {} on. {made_at}",
            self.named.parsed.display,
            or_none(name),
            or_none(&notices.join(" ")),
            or_none(email),
            if *is_public { "shown in lists" } else { "masked in lists" },
            if minimum.trim().is_empty() { "the pool's minimum" } else { minimum.trim() },
        );
        Text { message, made_at }
    }

    /// Takes what was said, if it is signed.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn accept(self, site: &Arc<Site>, signature: &str) -> Result<(), String> {
        let message = self.text(&site.settings.title).message;
        let outlook = site.outlook.load_full();
        let asset = outlook.asset(self.named.asset).ok_or("this asset is not open")?;
        asset.addresses.prove(&self.named.parsed.identity, &message, signature)?;
        if site
            .profiles
            .of(&self.named.parsed.identity)
            .is_some_and(|old| old.said_at >= self.made_at)
        {
            return Err("something newer was said already; begin again".into());
        }
        let Checked { wish, named, minimum, made_at } = self;
        let who = named.parsed.clone();
        let name = Some(wish.name.clone()).filter(|name| !name.is_empty());
        let set = site.pool.order(move |books, _, now| {
            books.register(&who.identity, &who.display, name.as_deref(), now)?;
            if let Some(account) = named.account {
                let member = books.is_member(account);
                books.set_settings(account, minimum, member);
            }
            Ok(())
        });
        set.await.map_err(|refused: Refused| refused.to_string())?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let before = site.profiles.of(&named.parsed.identity);
        let unconfirmed = match before.filter(|old| old.email.as_deref() == Some(&*wish.email)) {
            Some(old) => old.unconfirmed.clone(),
            None => some(wish.email.clone()).map(|_| token()),
        };
        let profile = Profile {
            unconfirmed,
            identity: named.parsed.identity,
            display: named.parsed.display,
            name: some(wish.name),
            email: some(wish.email),
            is_public: wish.is_public,
            notices: wish.notices,
            said_at: made_at,
        };
        if site.profiles.len() > site.pool.guests().len()
            && let Err(error) = site.profiles.keep(|who| site.pool.guests().has(who)).await
        {
            tracing::warn!(%error, "profiles nobody is registered for stay");
        }
        ask_to_confirm(site, &profile).await;
        site.profiles.say(profile, named.account).await.map_err(|error| {
            tracing::warn!(%error, "a registration was not written");
            "this cannot be written now; try again soon".to_owned()
        })
    }
}
