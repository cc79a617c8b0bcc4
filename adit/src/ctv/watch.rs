//! `adit ctv watch` and `adit ctv verify`: what every block is under a rule.

use super::follower::{Event, Follower};
use super::shown;
use crate::cli::ctv::{VerifyArgs, WatchArgs};
use anyhow::bail;
use bitcoin::Network;
use covenant::{Chain, Verdict};
use std::time::Duration;

/// Judges the blocks of the node's chain; gives whether all that claim to follow the rule do.
pub async fn verify(args: &VerifyArgs) -> anyhow::Result<bool> {
    let mut follower = Follower::open(&args.chain).await?;
    let network = follower.network;
    let (mut seen, mut honest) = (0u64, true);
    let wanted = |height: u32, hash: &str| match &args.block {
        Some(text) => *text == height.to_string() || text == hash,
        None => true,
    };
    let tell = |_: &Chain, event: Event| {
        if let Event::Connected { height, hash, verdict, .. } = &event
            && wanted(*height, &hash.to_string())
            && (args.block.is_some() || !matches!(verdict, Verdict::NoMarker))
        {
            seen += 1;
            honest &= !matches!(verdict, Verdict::Refused(_));
            say(&event, network);
        }
    };
    follower.catch_up(tell).await?;
    match &args.block {
        Some(text) if seen == 0 => {
            bail!("there is no block {text} from height {} on", Chain::first(follower.rule()))
        }
        _ => {
            warn(&mut follower).await?;
            Ok(honest)
        }
    }
}

/// Follows the chain until stopped.
pub async fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    let mut follower = Follower::open(&args.chain).await?;
    let network = follower.network;
    warn(&mut follower).await?;
    println!("rule {}", follower.rule().id());
    loop {
        let mut news = false;
        let tell = |_: &Chain, event: Event| {
            news = true;
            let marked = !matches!(&event, Event::Connected { verdict: Verdict::NoMarker, .. });
            if marked {
                say(&event, network);
            }
        };
        follower.catch_up(tell).await?;
        if news {
            owed(&follower.chain, network);
        }
        if args.once {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(args.every)).await;
    }
}

/// Says that nothing of this is safe where BIP-119 is not enforced.
async fn warn(follower: &mut Follower) -> anyhow::Result<()> {
    if let Err(error) = follower.enforced().await {
        eprintln!("adit: {error:#}");
    }
    Ok(())
}

fn say(event: &Event, network: Option<Network>) {
    match event {
        Event::Disconnected { height, hash } => println!("{height} {hash} left the chain"),
        Event::Connected { height, hash, verdict, .. } => match verdict {
            Verdict::NoMarker => println!("{height} {hash} does not name this rule"),
            Verdict::Refused(refusal) => println!("{height} {hash} refused: {refusal}"),
            Verdict::Qualified(found) => {
                let finder = shown(&found.finder, network);
                let (shared, payees) = found
                    .tree
                    .as_ref()
                    .map_or((0, 0), |tree| (tree.root().value, tree.payees().len()));
                println!(
                    "{height} {hash} qualified: by {finder}, shares {shared} sat with {payees}"
                );
            }
        },
    }
}

/// What the window's blocks are owed of the next block.
fn owed(chain: &Chain, network: Option<Network>) {
    let claims = chain.claims();
    let total: u128 = claims.iter().map(|claim| claim.weight).sum();
    println!(
        "the next block, {}, would pay {} of {} blocks:",
        chain.next_height(),
        claims.len(),
        chain.window().len()
    );
    for claim in &claims {
        // Percent of percents, in whole numbers: weights may be larger than doubles hold.
        let part = accounting::split::part_of(1_000_000, claim.weight, total.max(1));
        println!("  {:>8}.{:04} %  {}", part / 10_000, part % 10_000, shown(claim.script, network));
    }
}
