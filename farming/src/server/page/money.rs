//! What the books say of a farmer's money.

use super::markup::Page;
use super::{symbol, xch};
use crate::address::{Destination, encode};
use crate::door::Door;
use crate::hash::Bytes32;
use accounting::ledger::Balance;
use store::Reader;
use store::sqlite::{AccountPayoutRow, Cut};

/// Payouts that are listed.
const PAYOUTS_LISTED: u64 = 50;

/// What it is owed, and what it was sent.
pub(super) struct Money {
    balance: Balance,
    payouts: Vec<AccountPayoutRow>,
}

/// Reads it; none for who was never credited, or while the books cannot be read.
pub(super) async fn read(door: &Door, launcher_id: &Bytes32) -> Option<Money> {
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
    pub fn write(self, door: &Door, page: &mut Page) {
        let symbol = symbol(door);
        let coins = |amount| format!("{} {symbol}", xch(amount));
        page.heading("Money");
        page.facts(&[
            ("Not mature yet", coins(self.balance.credits_pending)),
            ("To be paid out", coins(self.balance.available())),
            ("In payouts under way", coins(self.balance.debits_pending)),
            ("Paid", coins(self.balance.debits_posted)),
        ]);
        page.heading("Payouts");
        let network = door.nodes.network();
        let rows = self.payouts.into_iter().map(|row| {
            let to = match Destination::of_bytes(&row.destination) {
                Some(Destination::Puzzle(place)) => encode(&place, network),
                Some(Destination::External(text)) => text,
                None => String::new(),
            };
            let payment = row.payout.txid.map_or_else(String::new, |txid| hex::encode(txid.0));
            let state = row.payout.state.as_str().to_owned();
            [row.payout.id.to_string(), coins(row.sent), state, to, payment]
        });
        let columns = ["Payout", "Amount", "State", "To", "Payment"];
        page.table(columns, rows, "None yet.");
    }
}
