//! What operators say of accounts: bans, addresses, minimums, registrations.

use super::desk::Desk;
use crate::config::AssetSettings;
use accounting::{AccountId, Amount, Identity};
use anyhow::{Context, anyhow, bail};
use pool::bans::Banned;
use serde_json::{Value, json};

impl Desk<'_> {
    /// Bans with a reason, takes a ban back without one. Who is banned is a door's note, so that it outlives a restart.
    pub(super) async fn ban(&self, who: &str, reason: Option<String>) -> anyhow::Result<Value> {
        let (banned, is_banned) = (self.banned(who)?, reason.is_some());
        let (key, by) = (banned.to_string(), self.by.to_owned());
        let (note, value) = (key.clone(), reason.clone().map(String::into_bytes));
        self.order(move |books, now| {
            let said = match &reason {
                Some(reason) => format!("ban {note}: {reason}"),
                None => format!("unban {note}"),
            };
            books.note(Banned::DOOR, note, value);
            books.act(&by, said, now);
            Ok(())
        })
        .await?;
        if let Some(bans) = self.bans {
            bans.rcu(|bans| bans.with(&banned, is_banned));
        }
        Ok(json!({ "who": key, "banned": is_banned }))
    }

    /// An internet address, or an address of one of our coins.
    pub(super) fn banned(&self, who: &str) -> anyhow::Result<Banned> {
        if let Ok(address) = who.parse() {
            return Ok(Banned::host(address));
        }
        let mut readable =
            self.settings.assets.iter().filter_map(|asset| asset.identity_of(who).ok());
        let found = readable.next().map(Banned::Account);
        found.with_context(|| format!("\"{who}\" is neither an internet address nor a miner's"))
    }

    /// The account of an address of any of our coins, with the asset it is paid in.
    pub(super) async fn account(&self, text: &str) -> anyhow::Result<(AccountId, &AssetSettings)> {
        let mut why = anyhow!("\"{text}\" is no address");
        for asset in &self.settings.assets {
            match asset.identity_of(text) {
                Ok(identity) => {
                    if let Some(account) =
                        self.order(move |books, _| Ok(books.account_of(&identity))).await?
                    {
                        return Ok((account, asset));
                    }
                    why = anyhow!("no share of {text} was ever accepted here");
                }
                Err(error) if self.settings.assets.len() == 1 => return Err(error.into()),
                Err(_) => {}
            }
        }
        Err(why)
    }

    pub(super) async fn scope(&self, text: &str) -> anyhow::Result<String> {
        // As holds are listed.
        if text == "all" || self.pool.view().holds.iter().any(|(scope, _)| scope == text) {
            return Ok(text.to_owned());
        }
        if self.settings.assets.iter().any(|asset| asset.config.name == text) {
            return Ok(format!("asset/{}", self.asset(text).await?));
        }
        let (account, _) = self
            .account(text)
            .await
            .context("a scope is \"all\", an asset's name, or a miner's address")?;
        Ok(format!("account/{account}"))
    }

    /// Takes a registration back; the names stay claimed.
    pub(super) async fn unregister(&self, who: &str) -> anyhow::Result<Value> {
        let coins = self.settings.assets.iter();
        let identities: Vec<Identity> =
            coins.filter_map(|asset| asset.identity_of(who).ok()).collect();
        let (by, said) = (self.by.to_owned(), format!("take back the registration of {who}"));
        let was = self.order(move |books, now| {
            let was = identities.iter().filter(|identity| books.unregister(identity)).count() > 0;
            if was {
                books.act(&by, said, now);
            }
            Ok(was)
        });
        if !was.await? {
            bail!("{who} is not registered");
        }
        Ok(json!({ "unregistered": who }))
    }

    pub(super) async fn address(&self, account: &str, to: &str) -> anyhow::Result<Value> {
        let (id, settings) = self.account(account).await?;
        let script = settings.destination_of(to)?;
        let asset = self.asset(&settings.config.name).await?;
        let display = to.to_owned();
        let said = format!("address of {account} becomes {to}");
        let by = self.by.to_owned();
        let from = self
            .order(move |books, now| {
                let from = books.set_destination(id, script, display, asset, now)?;
                books.act(&by, said, now);
                Ok(from)
            })
            .await?;
        Ok(json!({ "account": account, "to": to, "effective_from_ms": from.0 }))
    }

    pub(super) async fn account_settings(
        &self,
        account: &str,
        minimum: Option<String>,
        member: bool,
    ) -> anyhow::Result<Value> {
        let (id, settings) = self.account(account).await?;
        let decimals = settings.config.decimals;
        let minimum = minimum.map(|text| Amount::parse_decimal(&text, decimals)).transpose()?;
        let shown = minimum.map_or_else(|| "the pool's".to_owned(), |m| m.to_decimal(decimals));
        let member_too = if member { ", member" } else { "" };
        let said = format!("account {account}: minimum {shown}{member_too}");
        let by = self.by.to_owned();
        self.order(move |books, now| {
            books.set_settings(id, minimum, member);
            books.act(&by, said, now);
            Ok(())
        })
        .await?;
        Ok(json!({ "account": account }))
    }
}
