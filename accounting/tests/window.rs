//! The incremental window against a scan over everything, with random slices, lengths, blocks and restarts.

#![expect(clippy::unwrap_used, reason = "a test that finds None has failed")]

use accounting::scheme::WindowLength;
use accounting::slice::{OpenSlice, Slice, Tally};
use accounting::window::{SliceSource, SourcedSlice, Window, WindowTable};
use accounting::{
    AccountId, PoolId, RateId, Share, ShareKey, ShareSeq, SliceNo, UnixMs, Weight, WorkerId,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

#[derive(Default, Clone)]
struct Kept {
    slices: Vec<Slice>,
    revoked: BTreeMap<u64, Vec<(AccountId, Tally)>>,
}

impl SliceSource for Kept {
    type Error = Infallible;

    fn slice(&mut self, no: SliceNo) -> Result<Option<SourcedSlice>, Infallible> {
        let slice = self.slices.get(no.0 as usize - 1).cloned();
        let revoked = self.revoked.get(&no.0).cloned().unwrap_or_default();
        Ok(slice.map(|slice| SourcedSlice { slice, revoked }))
    }
}

/// Forty lines that do it the slow way: walk back over whole slices, scale the oldest.
fn scan(kept: &Kept, cut: SliceNo, length: WindowLength) -> WindowTable {
    let mut left = match length {
        WindowLength::Work(work) => work,
        WindowLength::Shares(count) => count.into(),
        WindowLength::Round => u128::MAX,
    };
    let mut sums: BTreeMap<AccountId, u128> = BTreeMap::new();
    let mut through = None;
    let mut table = WindowTable { through: cut, from: cut, oldest_part: (0, 0), rows: vec![] };
    for slice in kept.slices.iter().rev() {
        if left == 0 || (length == WindowLength::Round && slice.no <= cut) {
            break;
        }
        let mut net: BTreeMap<AccountId, Tally> = BTreeMap::new();
        for row in &slice.rows {
            net.entry(row.account).or_default().add(row.tally);
        }
        for (account, tally) in kept.revoked.get(&slice.no.0).into_iter().flatten() {
            net.get_mut(account).unwrap().subtract(*tally);
        }
        let size: u128 = match length {
            WindowLength::Shares(_) => net.values().map(|t| u128::from(t.shares)).sum(),
            _ => net.values().map(|t| t.weight).sum(),
        };
        let kept_part = size.min(left);
        for (account, tally) in net {
            *sums.entry(account).or_default() +=
                (tally.weight * kept_part).checked_div(size).unwrap_or(0);
        }
        through.get_or_insert(slice.no);
        table.from = slice.no;
        table.oldest_part = (kept_part, size);
        left -= kept_part;
    }
    table.through = through.unwrap_or(cut);
    table.rows = sums.into_iter().filter(|(_, w)| *w > 0).collect();
    table
}

fn share(account: u64, weight: u64) -> Share {
    Share {
        pool: PoolId(1),
        account: AccountId(account),
        worker: WorkerId(1),
        weight: Weight::new(weight).unwrap(),
        rate: RateId(0),
        found_at: UnixMs(0),
        key: ShareKey([0; 32]),
    }
}

#[derive(Debug, Clone)]
enum Event {
    Slice(Vec<(u64, u64)>),
    Ask(WindowLength),
    Block,
    Restart,
    Revoke(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    let shares = prop::collection::vec((1u64..6, 1u64..20), 1..8);
    prop_oneof![
        6 => shares.prop_map(Event::Slice),
        2 => (1u128..300).prop_map(|w| Event::Ask(WindowLength::Work(w))),
        2 => (1u64..40).prop_map(|n| Event::Ask(WindowLength::Shares(n))),
        2 => Just(Event::Ask(WindowLength::Round)),
        1 => Just(Event::Block),
        1 => Just(Event::Restart),
        1 => any::<prop::sample::Index>().prop_map(Event::Revoke),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn the_incremental_window_equals_a_scan(events in prop::collection::vec(event(), 1..60)) {
        let mut kept = Kept::default();
        let mut window = Window::default();
        let mut cut = SliceNo(0);
        let mut seq = 0;
        for event in events {
            let through = SliceNo(kept.slices.len() as u64);
            match event {
                Event::Slice(shares) => {
                    let previous = kept.slices.last().map(|s| (s.no, s.hash));
                    let mut open = OpenSlice::after(PoolId(1), previous);
                    for (account, weight) in shares {
                        seq += 1;
                        open.count(ShareSeq(seq), &share(account, weight));
                    }
                    let slice = open.close().unwrap();
                    kept.slices.push(slice.clone());
                    window.push(Arc::new(slice));
                }
                Event::Ask(length) => {
                    let Ok(()) = window.fit(length, through, &mut kept);
                    let (asked, scanned) = (window.table(length), scan(&kept, cut, length));
                    prop_assert_eq!(&asked.rows, &scanned.rows, "{:?}", length);
                    if !scanned.rows.is_empty() {
                        prop_assert_eq!(asked, scanned);
                    }
                }
                Event::Block => {
                    cut = through;
                    window.cut(through);
                }
                Event::Restart => window = Window::new(cut),
                Event::Revoke(at) if !kept.slices.is_empty() => {
                    let slice = &kept.slices[at.index(kept.slices.len())];
                    let row = slice.rows[0];
                    let already = kept.revoked.get(&slice.no.0).map_or(0, |r| r.iter().filter(|(a, _)| *a == row.account).count());
                    if already == 0 {
                        kept.revoked.entry(slice.no.0).or_default().push((row.account, row.tally));
                        window.revoke(slice.no, row.account, row.tally);
                    }
                }
                Event::Revoke(_) => {}
            }
        }
    }
}

#[test]
fn an_underfull_window_counts_everything_and_a_new_pool_nothing() {
    let mut kept = Kept::default();
    let mut window = Window::default();
    let length = WindowLength::Work(1_000);
    let Ok(()) = window.fit(length, SliceNo(0), &mut kept);
    assert!(window.table(length).rows.is_empty());
    let mut open = OpenSlice::after(PoolId(1), None);
    open.count(ShareSeq(1), &share(4, 10));
    window.push(Arc::new(open.close().unwrap()));
    let Ok(()) = window.fit(length, SliceNo(1), &mut kept);
    assert_eq!(window.table(length).rows, [(AccountId(4), 10)]);
    assert_eq!(window.part_of(AccountId(4)), (10, 10));
}
