//! The farmer's own page, behind `/login`: its farm, its money, what it won, and what became of its partials.
//!
//! Invariant: only its farmer sees it, and nothing on it comes from elsewhere.

pub(super) mod markup;
mod money;

use crate::door::Door;
use crate::estimate::{PLOT_BYTES, space_of};
use crate::farmer::{Farmer, held};
use crate::hash::Bytes32;
use crate::reject::Reject;
use crate::rows::income::{self, Income};
use crate::rows::partials::{self, Listed};
use crate::rows::refusals;
use crate::singleton::Phase;
use crate::tables::TablesError;
use accounting::{Amount, UnixMs};
use markup::Page;

/// Partials that are listed.
const PARTIALS_LISTED: usize = 100;
/// Rewards that are listed.
const REWARDS_LISTED: usize = 50;
/// Decimals of an XCH.
const DECIMALS: u8 = 12;
const DAY_MS: u64 = 24 * 3_600_000;
/// Digits of a harvester's id that name it.
const NAME_DIGITS: usize = 8;

/// What the door's own database knows of a farmer.
struct Seen {
    partials: Vec<Listed>,
    rewards: Vec<Income>,
    refusals: Vec<(String, u64)>,
}

/// The page.
pub(super) async fn render(door: &Door, launcher_id: &Bytes32) -> Result<String, TablesError> {
    let (now, of) = (door.clock.now(), *launcher_id);
    let since = UnixMs(now.0.saturating_sub(DAY_MS));
    let read = move |db: &rusqlite::Connection| {
        Ok(Seen {
            partials: partials::latest(db, &of, PARTIALS_LISTED)?,
            rewards: income::latest(db, &of, REWARDS_LISTED)?,
            refusals: refusals(db, &of, since)?,
        })
    };
    let seen = door.tables.read(read).await?;
    let mut page = Page::new(&door.settings.name);
    if let Ok(farmer) = door.farmers.get(launcher_id) {
        let farmer = held(&farmer).clone();
        farm(&mut page, door, &farmer, now);
    }
    if let Some(money) = money::read(door, launcher_id).await {
        money.write(door, &mut page);
    }
    rewards(&mut page, door, seen.rewards);
    page.heading("Refused in 24 hours");
    let refused = seen.refusals.into_iter().map(|(label, count)| {
        let known = Reject::ALL.iter().find(|reject| reject.label() == label);
        [
            known.map_or_else(String::new, |reject| reject.message().to_owned()),
            label,
            count.to_string(),
        ]
    });
    page.table(["What to do", "Reason", "Partials"], refused, "Nothing was refused.");
    page.heading("Latest partials");
    let listed = seen.partials.into_iter().map(|partial| {
        let harvester: String =
            hex::encode(partial.harvester.0).chars().take(NAME_DIGITS).collect();
        let reason = partial.reason.unwrap_or_default();
        let points = if partial.fate == partials::REVOKED { 0 } else { partial.difficulty };
        [ago(now, partial.at), points.to_string(), partial.fate.to_owned(), reason, harvester]
    });
    let columns = ["When", "Points", "State", "Reason", "Harvester"];
    page.table(columns, listed, "No partial was accepted in the last seven days.");
    Ok(page.text())
}

/// What it farms with.
fn farm(page: &mut Page, door: &Door, farmer: &Farmer, now: UnixMs) {
    let phase = farmer.latest.as_ref().map(|tip| tip.state.phase);
    let height = door.nodes.standing().map_or(0, |standing| standing.height);
    let points = farmer.points.of_day(now);
    let bytes = space_of(points, door.nodes.network().filter_bits(height));
    let is_here = farmer.admit(&door.settings.terms, height).is_ok();
    page.facts(&[
        ("Launcher id", farmer.contract.launcher_id.to_string()),
        ("Plots farm to", farmer.contract_hash.to_string()),
        ("Plot NFT", told(phase).to_owned()),
        ("Counts here", if is_here { "yes".into() } else { "no".into() }),
        ("Farms to this pool since height", farmer.tip().since.to_string()),
        ("Difficulty", farmer.difficulty.current().to_string()),
        ("Points in 24 hours", points.to_string()),
        ("Estimated space", space(bytes)),
        ("Plots of size 32 that would earn as much", (bytes / PLOT_BYTES).to_string()),
        ("Payouts to", farmer.instructions.clone()),
    ]);
}

fn told(phase: Option<Phase>) -> &'static str {
    match phase {
        Some(Phase::Farming) => "farms to a pool",
        Some(Phase::Leaving) => "is leaving",
        Some(Phase::SelfPooling) => "farms for itself",
        None => "cannot be understood; its partials do not count",
    }
}

/// Blocks it won, whose reward reached the pool.
fn rewards(page: &mut Page, door: &Door, rewards: Vec<Income>) {
    page.heading("Blocks won");
    let symbol = symbol(door);
    let rows = rewards.into_iter().map(|reward| {
        let whose = if reward.is_own { "yours: farmed before you joined" } else { "the pool's" };
        let amount = xch(Amount::from_units(reward.amount.into()));
        [
            reward.reward_height.to_string(),
            format!("{amount} {symbol}"),
            reward.height.to_string(),
            whose.to_owned(),
        ]
    });
    let columns = ["Block", "Reward", "Absorbed at height", "Whose"];
    page.table(columns, rows, "None whose reward was absorbed yet.");
}

/// The unit of the network's money.
fn symbol(door: &Door) -> String {
    door.nodes.network().address_prefix.to_uppercase()
}

fn xch(amount: Amount) -> String {
    amount.to_decimal(DECIMALS)
}

/// How long ago something was, for people.
fn ago(now: UnixMs, at: UnixMs) -> String {
    let seconds = now.0.saturating_sub(at.0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Bytes for people, to a hundredth of the unit.
fn space(bytes: u128) -> String {
    const UNITS: [&str; 6] = ["GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    let mut hundredths = bytes.saturating_mul(100) >> 30;
    let mut unit = 0;
    while hundredths >= 102_400 && unit + 1 < UNITS.len() {
        (hundredths, unit) = (hundredths >> 10, unit + 1);
    }
    format!("{}.{:02} {}", hundredths / 100, hundredths % 100, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_and_times_are_told_in_the_unit_that_suits() {
        assert_eq!(space(0), "0.00 GiB");
        assert_eq!(space(100 * PLOT_BYTES), "9.90 TiB");
        assert_eq!(space(1 << 50), "1.00 PiB");
        let told = |seconds: u64| ago(UnixMs(seconds * 1000), UnixMs(0));
        assert_eq!([told(119), told(120), told(7200)], ["119 s ago", "2 min ago", "2 h ago"]);
        assert_eq!(told(200_000), "2 days ago");
    }
}
