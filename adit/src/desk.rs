//! `adit web`: operators of the pages, and keys of programs.
//!
//! Invariant: a secret is printed once and kept as a hash.

use crate::cli::web::WebCommand;
use crate::config;
use crate::control::Command;
use crate::payouts;
use anyhow::{Context, bail};
use pool::{Clock, SystemClock};
use std::path::Path;
use web::db::Db;
use web::keys::{Keys, Tier};
use web::operator::Operators;

/// Runs the command; beside a running pool or without one.
///
/// # Errors
/// When the database cannot be used, or the name is taken.
pub fn run(command: WebCommand) -> anyhow::Result<()> {
    match command {
        WebCommand::AddOperator { config, name } => {
            let operators = Operators::in_db(open(&config.config)?);
            let token = operators.make(&name, SystemClock.now()).with_context(|| {
                format!("is there an operator \"{name}\" already? `adit web list`")
            })?;
            println!("{token}");
            eprintln!("Log in as {name} at /operator with this token. It is not shown again.");
        }
        WebCommand::RemoveOperator { config, name } => {
            if !Operators::in_db(open(&config.config)?).remove(&name)? {
                bail!("there is no operator \"{name}\"; `adit web list` shows who there is");
            }
        }
        WebCommand::Unregister { config, address } => {
            payouts::order(&config.config, &Command::Unregister { who: address })?;
        }
        WebCommand::AddKey { config, label, paid, per_minute, per_day } => {
            let tier = if paid { Tier::Paid } else { Tier::Free };
            let (minute, day) = tier.quota();
            let quota = (per_minute.unwrap_or(minute), per_day.unwrap_or(day));
            let keys = Keys::in_db(open(&config.config)?);
            let key = keys
                .make(&label, tier, quota, SystemClock.now())
                .with_context(|| format!("is there a key \"{label}\" already? `adit web list`"))?;
            println!("{key}");
            eprintln!("Send it as `X-Api-Key`. It is not shown again.");
        }
        WebCommand::RemoveKey { config, label } => {
            if !Keys::in_db(open(&config.config)?).remove(&label)? {
                bail!("there is no key \"{label}\"; `adit web list` shows which there are");
            }
        }
        WebCommand::List { config } => {
            let db = open(&config.config)?;
            for name in Operators::in_db(db.clone()).names()? {
                println!("operator {name}");
            }
            for key in Keys::in_db(db).all(SystemClock.now())? {
                println!(
                    "key {}: {}, {} a minute, {} of {} today",
                    key.label, key.tier, key.per_minute, key.used_today, key.per_day
                );
            }
        }
    }
    Ok(())
}

fn open(config: &Path) -> anyhow::Result<Db> {
    let folder = config::load(config)?.data_dir;
    if !folder.exists() {
        bail!("{} is not there yet: start the pool once", folder.display());
    }
    Ok(Db::open(&folder)?)
}
