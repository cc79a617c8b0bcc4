//! The farmer's own page, behind `/login`.
//!
//! Invariant: everything a farmer wrote is escaped; nothing on the page comes from elsewhere.

use crate::address::{Destination, encode};
use crate::door::Door;
use crate::estimate::space_of;
use crate::farmer::held;
use crate::hash::Bytes32;
use crate::rows;
use crate::tables::TablesError;
use accounting::ledger::Balance;
use accounting::{Amount, UnixMs};
use std::fmt::Write;
use store::Reader;
use store::sqlite::{AccountPayoutRow, Cut};

/// Partials that are listed.
const LISTED: usize = 100;
/// Payouts that are listed.
const PAYOUTS_LISTED: u64 = 50;
/// Decimals of an XCH.
const DECIMALS: u8 = 12;
const DAY_MS: u64 = 24 * 3_600_000;

/// The page.
pub(super) async fn render(door: &Door, launcher_id: &Bytes32) -> Result<String, TablesError> {
    let now = door.clock.now();
    let of = *launcher_id;
    let since = UnixMs(now.0.saturating_sub(DAY_MS));
    let (partials, refusals) = door
        .tables
        .read(move |db| {
            Ok((rows::partials::latest(db, &of, LISTED)?, rows::refusals(db, &of, since)?))
        })
        .await?;
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">",
    );
    let name = escaped(&door.settings.name);
    append(&mut page, format_args!("<title>{name}</title><h1>{name}</h1>"));
    if let Ok(farmer) = door.farmers.get(launcher_id) {
        let farmer = held(&farmer).clone();
        let phase = farmer.latest.as_ref().map_or("unknown", |tip| tip.state.phase.as_str());
        let points = farmer.points.of_day(now);
        let height = door.nodes.standing().map_or(0, |standing| standing.height);
        let bytes = space_of(points, door.nodes.network().filter_bits(height));
        append(
            &mut page,
            format_args!(
                "<dl><dt>Launcher<dd>{launcher_id}<dt>Plot NFT<dd>{phase}<dt>Difficulty<dd>{}<dt>Points in 24 hours<dd>{points}\
             <dt>Estimated space<dd>{} GiB<dt>Payouts to<dd>{}</dl>",
                farmer.difficulty.current(),
                bytes >> 30,
                escaped(&farmer.instructions),
            ),
        );
    }
    if let Some(money) = money(door, launcher_id).await {
        money.write(door, &mut page);
    }
    page.push_str("<h2>Refused in 24 hours</h2><table><tr><th>reason<th>count");
    for (reason, count) in refusals {
        append(&mut page, format_args!("<tr><td>{}<td>{count}", escaped(&reason)));
    }
    page.push_str("</table><h2>Partials</h2><table><tr><th>seconds ago<th>difficulty<th>state<th>reason<th>harvester");
    for partial in partials {
        let age_s = now.0.saturating_sub(partial.at.0) / 1000;
        append(
            &mut page,
            format_args!(
                "<tr><td>{age_s}<td>{}<td>{}<td>{}<td>{}",
                partial.difficulty,
                partial.fate,
                escaped(&partial.reason.unwrap_or_default()),
                partial.harvester,
            ),
        );
    }
    page.push_str("</table></html>");
    Ok(page)
}

/// What the books say of a farmer's money.
struct Money {
    balance: Balance,
    payouts: Vec<AccountPayoutRow>,
}

/// Reads it; none for who was never credited, or while the books cannot be read.
async fn money(door: &Door, launcher_id: &Bytes32) -> Option<Money> {
    let identity = door.identity(launcher_id);
    let account =
        door.pool.order(move |books, _, _| Ok(books.account_of(&identity))).await.ok()??;
    let view = door.pool.view();
    let own = view.balances.iter().find(|own| own.account == account && own.asset == door.asset);
    let balance = own.map(|own| own.balance).unwrap_or_default();
    let folder = door.folder.clone();
    let read = move || Reader::open(&folder)?.payouts_of(account, Cut::first(PAYOUTS_LISTED));
    let payouts = tokio::task::spawn_blocking(read).await.ok()?;
    let payouts = payouts.inspect_err(|error| tracing::warn!(%error, "payouts cannot be listed"));
    Some(Money { balance, payouts: payouts.ok()? })
}

impl Money {
    fn write(&self, door: &Door, page: &mut String) {
        let xch = |amount: Amount| amount.to_decimal(DECIMALS);
        append(
            page,
            format_args!(
                "<h2>Money</h2><dl><dt>To be paid out<dd>{} XCH<dt>Not mature yet<dd>{} XCH</dl>\
                 <h2>Payouts</h2><table><tr><th>number<th>XCH<th>state<th>to",
                xch(self.balance.available()),
                xch(self.balance.credits_pending),
            ),
        );
        let network = door.nodes.network();
        for row in &self.payouts {
            let to = match Destination::of_bytes(&row.destination) {
                Some(Destination::Puzzle(place)) => encode(&place, network),
                Some(Destination::External(text)) => text,
                None => String::new(),
            };
            let (id, state) = (row.payout.id, row.payout.state.as_str());
            append(
                page,
                format_args!("<tr><td>{id}<td>{}<td>{state}<td>{}", xch(row.sent), escaped(&to)),
            );
        }
        page.push_str("</table>");
    }
}

fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    if page.write_fmt(text).is_err() {
        tracing::debug!("a page could not be written");
    }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, letter| {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_farmers_wrote_is_escaped() {
        assert_eq!(escaped("<b>&'\""), "&lt;b&gt;&amp;&#39;&quot;");
    }
}
