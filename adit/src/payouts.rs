//! `adit payouts`: what is and was paid, for people and for spreadsheets.

mod extrinsic;

use crate::cli::payouts::PayoutsCommand;
use crate::config::{self, AssetKind, Settings};
use crate::control::{self, Command};
use accounting::Amount;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use store::Reader;
use stratum::coin::address::address_of;

/// Runs the command.
///
/// # Errors
/// When the store cannot be read, or the pool refuses.
pub fn run(command: PayoutsCommand) -> anyhow::Result<()> {
    match command {
        PayoutsCommand::List { config, limit } => list(&config::load(&config.config)?, limit),
        PayoutsCommand::Export { config, out } => {
            export(&config::load(&config.config)?, out.as_deref())
        }
        PayoutsCommand::DryRun { config, asset } => dry_run(&config::load(&config.config)?, asset),
        PayoutsCommand::PayNow { config, asset } => {
            order(&config.config, &Command::PayNow { asset })
        }
        PayoutsCommand::Hold { config, scope, reason } => {
            order(&config.config, &Command::Hold { scope, reason })
        }
        PayoutsCommand::Release { config, scope } => {
            order(&config.config, &Command::Release { scope })
        }
        PayoutsCommand::Approve { config, payout, operator } => {
            let settings = config::load(&config.config)?;
            let answer = control::send_by(&settings, &operator, &Command::Approve { payout })?;
            println!("{answer}");
            Ok(())
        }
        PayoutsCommand::Extrinsic(args) => extrinsic::write(&args),
        PayoutsCommand::Sent { config, payout, transaction } => {
            order(&config.config, &Command::Sent { payout, transaction })
        }
        PayoutsCommand::Confirmed { config, payout } => {
            order(&config.config, &Command::Confirmed { payout })
        }
        PayoutsCommand::Failed { config, payout } => {
            order(&config.config, &Command::Failed { payout })
        }
        PayoutsCommand::Cancel { config, payout } => {
            order(&config.config, &Command::Cancel { payout })
        }
        PayoutsCommand::Match { config, txid, gone: true, .. } => {
            order(&config.config, &Command::Forget { txid })
        }
        PayoutsCommand::Match { config, txid, payout, .. } => {
            order(&config.config, &Command::Match { txid, payout })
        }
        PayoutsCommand::Deposit { config, asset, amount, bankroll, reference } => {
            order(&config.config, &Command::Deposit { asset, amount, bankroll, reference })
        }
        PayoutsCommand::Address { config, account, to } => {
            order(&config.config, &Command::Address { account, to })
        }
        PayoutsCommand::Account { config, account, minimum, member } => {
            order(&config.config, &Command::Account { account, minimum, member })
        }
    }
}

/// Sends one order and prints its answer.
///
/// # Errors
/// What the pool said.
pub fn order(config: &Path, command: &Command) -> anyhow::Result<()> {
    println!("{}", control::send(&config::load(config)?, command)?);
    Ok(())
}

/// The name and decimals of each asset, by its number.
fn decimals(reader: &Reader) -> anyhow::Result<HashMap<accounting::AssetId, (String, u8)>> {
    let book = reader.book()?;
    Ok(book.assets.into_iter().map(|(name, (id, decimals))| (id, (name, decimals))).collect())
}

fn list(settings: &Settings, limit: u64) -> anyhow::Result<()> {
    let reader = Reader::open(&settings.data_dir)?;
    let assets = decimals(&reader)?;
    let coins = |asset, amount: Amount| match assets.get(&asset) {
        Some((name, decimals)) => format!("{} {name}", amount.to_decimal(*decimals)),
        None => amount.to_string(),
    };
    let payouts = reader.payouts(limit)?;
    println!("{:>7}  {:<10} {:>10}  {:>24}  transaction", "payout", "state", "recipients", "sent");
    for payout in &payouts {
        let sent: Amount = payout.parts.iter().map(|part| part.sent).sum();
        let txid = payout.txid.map_or("-".to_owned(), |txid| txid.to_string());
        let (id, state, recipients) = (payout.id, payout.state.as_str(), payout.parts.len());
        println!(
            "{id:>7}  {state:<10} {recipients:>10}  {:>24}  {txid}",
            coins(payout.asset, sent)
        );
    }
    if payouts.is_empty() {
        println!("(none yet)");
    }
    let book = reader.book()?;
    for (scope, reason) in &book.holds {
        println!("held: {scope} ({reason}); `adit payouts release` lets it go on");
    }
    for (asset, txid, detail) in &book.unmatched_spends {
        println!(
            "unexplained spend of asset {asset}: {} ({detail}); `adit payouts match` says what it was",
            accounting::RewardId(*txid)
        );
    }
    // A pool that runs knows more; one that does not has nothing to add.
    if let Ok(status) = control::send(settings, &Command::Status) {
        let blocked =
            |asset: &Value| asset["payouts_blocked_by"].as_array().cloned().unwrap_or_default();
        for reason in status["assets"].as_array().into_iter().flatten().flat_map(blocked) {
            println!("no payouts: {}", reason.as_str().unwrap_or_default());
        }
    }
    Ok(())
}

fn dry_run(settings: &Settings, asset: String) -> anyhow::Result<()> {
    let plan = control::send(settings, &Command::DryRun { asset: asset.clone() })?;
    let reader = Reader::open(&settings.data_dir)?;
    let decimals = settings
        .assets
        .iter()
        .find(|known| known.config.name == asset)
        .map_or(8, |a| a.config.decimals);
    let name = |account: &Value| {
        let id = accounting::AccountId(account.as_u64().unwrap_or(0));
        reader.display(id).ok().flatten().unwrap_or_else(|| format!("account {id}"))
    };
    let coins = |units: &Value| {
        let units = units
            .as_str()
            .and_then(|text| text.parse().ok())
            .map_or(Amount::ZERO, Amount::from_units);
        units.to_decimal(decimals)
    };
    for due in plan["due"].as_array().into_iter().flatten() {
        println!("{:>24} {asset}  to {}", coins(&due["amount"]), name(&due["account"]));
    }
    for skipped in plan["skipped"].as_array().into_iter().flatten() {
        println!(
            "not paid: {} ({})",
            name(&skipped["account"]),
            skipped["reason"].as_str().unwrap_or_default()
        );
    }
    println!("total {} {asset}, before transaction fees", coins(&plan["total"]));
    for reason in plan["blocked_by"].as_array().into_iter().flatten() {
        println!("but no payouts: {}", reason.as_str().unwrap_or_default());
    }
    Ok(())
}

fn export(settings: &Settings, out: Option<&Path>) -> anyhow::Result<()> {
    let reader = Reader::open(&settings.data_dir)?;
    let assets = decimals(&reader)?;
    let mut sink: Box<dyn Write> = match out {
        Some(path) => Box::new(std::fs::File::create_new(path)?),
        None => Box::new(std::io::stdout().lock()),
    };
    let kind_of = |name: &str| {
        let mut named = settings.assets.iter().filter(|asset| asset.config.name == name);
        named.next().map(|asset| &asset.kind)
    };
    writeln!(sink, "payout,asset,state,made_ms,transaction,address,debited,sent,destination")?;
    let mut payouts = reader.payouts(u64::from(u32::MAX))?;
    payouts.reverse();
    for payout in payouts {
        let (name, decimals) = assets.get(&payout.asset).cloned().unwrap_or_default();
        let txid = payout.txid.map(|txid| txid.to_string()).unwrap_or_default();
        for part in payout.parts {
            let (debit, sent) = (part.debit.to_decimal(decimals), part.sent.to_decimal(decimals));
            let (id, state, made) = (payout.id, payout.state.as_str(), payout.created_at.0);
            // The account's own address, and where the money goes: a coldkey, an address, or the bytes that the chain is paid by.
            let destination = match kind_of(&name) {
                Some(AssetKind::External(_)) => {
                    extrinsic::coldkey(&part.destination).map(|coldkey| coldkey.to_string())
                }
                Some(AssetKind::Ether(own)) => address_of(&part.destination, own.coin),
                _ => Some(part.destination.iter().map(|byte| format!("{byte:02x}")).collect()),
            };
            let (own, destination) = (part.address, destination.unwrap_or_default());
            writeln!(sink, "{id},{name},{state},{made},{txid},{own},{debit},{sent},{destination}")?;
        }
    }
    Ok(())
}
