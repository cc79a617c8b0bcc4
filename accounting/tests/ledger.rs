//! The ledger against a naive reference, with random steps in random order, repeats included.

use accounting::ledger::{Balance, Kind, Ledger, Posting, SetKey, Transfer, TransferSet};
use accounting::{AccountId, Amount, AssetId};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ASSET: AssetId = AssetId(1);
const KINDS: [Kind; 6] = [
    Kind::Wallet,
    Kind::Account(AccountId(1)),
    Kind::Account(AccountId(2)),
    Kind::Fees,
    Kind::Bankroll,
    Kind::Loss,
];

fn posting() -> impl Strategy<Value = Posting> {
    let transfer = (0usize..6, 0usize..6, 1i128..50).prop_map(|(d, c, n)| Transfer {
        debit: KINDS[d],
        credit: KINDS[c],
        amount: Amount::from_units(n),
    });
    let set = (0u64..12, prop::collection::vec(transfer, 1..4)).prop_map(|(key, transfers)| {
        TransferSet { key: SetKey::Act(key), asset: ASSET, transfers }
    });
    prop_oneof![
        3 => set.clone().prop_map(Posting::Pend),
        3 => set.prop_map(Posting::Enter),
        2 => (0u64..12).prop_map(|key| Posting::Post(SetKey::Act(key))),
        2 => (0u64..12).prop_map(|key| Posting::Void(SetKey::Act(key))),
    ]
}

/// Balances by summing everything that was accepted, from nothing.
fn refold(accepted: &BTreeMap<SetKey, (TransferSet, &'static str)>) -> BTreeMap<String, Balance> {
    let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
    for (set, state) in accepted.values() {
        for t in &set.transfers {
            let debited = balances.entry(t.debit.to_string()).or_default();
            match *state {
                "pending" => debited.debits_pending = debited.debits_pending.add(t.amount),
                "posted" => debited.debits_posted = debited.debits_posted.add(t.amount),
                _ => {}
            }
            let credited = balances.entry(t.credit.to_string()).or_default();
            match *state {
                "pending" => credited.credits_pending = credited.credits_pending.add(t.amount),
                "posted" => credited.credits_posted = credited.credits_posted.add(t.amount),
                _ => {}
            }
        }
    }
    balances
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_sequence_of_steps_balances_and_equals_its_refold(steps in prop::collection::vec(posting(), 1..80)) {
        let mut ledger = Ledger::default();
        let mut accepted: BTreeMap<SetKey, (TransferSet, &'static str)> = BTreeMap::new();
        for step in steps {
            let done = ledger.apply(&step).is_ok();
            match &step {
                Posting::Pend(set) if done => { accepted.entry(set.key.clone()).or_insert((set.clone(), "pending")); }
                Posting::Enter(set) if done => { accepted.entry(set.key.clone()).or_insert((set.clone(), "posted")); }
                Posting::Post(key) if done => accepted.get_mut(key).unwrap().1 = "posted",
                Posting::Void(key) if done => accepted.get_mut(key).unwrap().1 = "voided",
                _ => {}
            }
            prop_assert!(ledger.balances_to_zero());
            let folded = refold(&accepted);
            for kind in KINDS {
                let expected = folded.get(&kind.to_string()).copied().unwrap_or_default();
                prop_assert_eq!(ledger.balance(ASSET, kind), expected, "{}", kind);
                if matches!(kind, Kind::Account(_) | Kind::Fees | Kind::Bankroll) {
                    prop_assert!(expected.available() >= Amount::ZERO, "{} is overdrawn", kind);
                }
            }
        }
    }
}
