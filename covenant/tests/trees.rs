//! Payout trees: every satoshi accounted for, sizes as computed beforehand, and transactions that meet their templates.

#![allow(clippy::unwrap_used, reason = "a tree that cannot be built has failed")]

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use covenant::shape::{Child, Shape};
use covenant::tree::{FeeRule, TreeError};
use covenant::{Payee, TemplateHash, Tree, TreeRule};
use proptest::prelude::*;

fn taproot(n: u32) -> ScriptBuf {
    let mut key = [0x11; 32];
    key[..4].copy_from_slice(&n.to_be_bytes());
    ScriptBuf::from_bytes([&[0x51, 32][..], &key].concat())
}

fn witness(n: u32) -> ScriptBuf {
    let mut hash = [0x22; 20];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    ScriptBuf::from_bytes([&[0, 20][..], &hash].concat())
}

fn payees(count: u32) -> Vec<Payee> {
    (0..count).map(|n| Payee { script: taproot(n), amount: 100_000 }).collect()
}

fn rule(shape: Shape) -> TreeRule {
    TreeRule { shape, fee: FeeRule { per_transaction: 400, per_vbyte: 0 }, anchor: None }
}

fn built(count: u32, shape: Shape) -> Tree {
    rule(shape).build(payees(count)).unwrap()
}

#[test]
fn sizes_are_those_of_the_reference_table() {
    // (payees, shape, transactions, virtual bytes of all, mean exit, longest exit)
    let four = Shape::Balanced { radix: 4 };
    for (count, shape, transactions, vsize, mean, longest) in [
        (16, four, 5, 1_115, 446, 446),
        (64, four, 21, 4_683, 669, 669),
        (64, Shape::Flat, 1, 2_803, 2_803, 2_803),
        (216, four, 72, 16_013, 882, 1_072),
        (432, four, 144, 32_069, 1_014, 1_072),
        (432, Shape::Balanced { radix: 8 }, 62, 24_361, 1_173, 1_451),
        (432, Shape::Balanced { radix: 16 }, 29, 21_259, 1_744, 2_045),
        (1000, four, 333, 74_259, 1_113, 1_115),
    ] {
        let tree = built(count, shape);
        let exits: Vec<u64> = (0..count as usize).map(|payee| tree.exit_vsize(payee)).collect();
        let sum: u64 = exits.iter().sum();
        assert_eq!(tree.nodes().len(), transactions, "{count} {shape:?}");
        assert_eq!(tree.cost().vsize, vsize, "{count} {shape:?}");
        assert_eq!((sum + u64::from(count) / 2) / u64::from(count), mean, "{count} {shape:?}");
        assert_eq!(*exits.iter().max().unwrap(), longest, "{count} {shape:?}");
    }
    // 253 outputs and more take two more bytes for their number, which the table leaves out.
    assert_eq!(built(432, Shape::Flat).cost().vsize, 18_629);
}

fn checked(tree: &Tree) -> Vec<Transaction> {
    let coinbase = OutPoint::new(Txid::from_byte_array([7; 32]), 0);
    let transactions = tree.transactions(coinbase);
    let mut paid: u64 = 0;
    for (transaction, node) in transactions.iter().zip(tree.nodes()) {
        assert_eq!(TemplateHash::of(transaction, 0), node.template);
        assert_eq!(transaction.vsize() as u64, node.vsize);
        for (child, output) in node.children.iter().zip(&transaction.output) {
            match *child {
                Child::Payee(payee) => {
                    assert_eq!(output.script_pubkey, tree.payees()[payee as usize].script);
                    assert_eq!(output.value.to_sat(), tree.payees()[payee as usize].amount);
                    paid += output.value.to_sat();
                }
                Child::Transaction(other) => {
                    let below = &tree.nodes()[other as usize];
                    assert_eq!(output.script_pubkey, below.template.script());
                    assert_eq!(output.value.to_sat(), below.value);
                }
            }
        }
    }
    assert_eq!(paid + tree.cost().total(), tree.output().value.to_sat());
    transactions
}

#[test]
fn a_payees_path_begins_at_the_root_and_each_transaction_spends_the_one_before() {
    let tree = built(100, Shape::Balanced { radix: 4 });
    let transactions = checked(&tree);
    for payee in 0..100 {
        let path = tree.path(payee);
        assert_eq!(path[0], tree.nodes().len() - 1);
        for pair in path.windows(2) {
            let spent = transactions[pair[1]].input[0].previous_output.txid;
            assert_eq!(spent, transactions[pair[0]].compute_txid());
        }
        let last = &tree.nodes()[*path.last().unwrap()];
        assert!(last.children.contains(&Child::Payee(payee as u32)));
    }
}

#[test]
fn what_no_node_would_relay_is_refused_and_said() {
    let dust = vec![Payee { script: taproot(1), amount: 329 }];
    assert!(matches!(
        rule(Shape::Flat).build(dust),
        Err(TreeError::Dust { least: 330, amount: 329, .. })
    ));
    assert!(matches!(rule(Shape::Flat).build(payees(2400)), Err(TreeError::TooLarge(_))));
    assert_eq!(rule(Shape::Flat).build(Vec::new()), Err(TreeError::Empty));
    let many = rule(Shape::Balanced { radix: 4 }).build(payees(10_001));
    assert_eq!(many, Err(TreeError::TooMany(10_001)));
    let rich = vec![Payee { script: taproot(1), amount: u64::MAX - 100 }];
    assert_eq!(rule(Shape::Flat).build(rich), Err(TreeError::TooMuch));
}

#[test]
fn a_large_claim_gets_out_cheaper_in_a_weighted_tree() {
    let mut list = payees(100);
    list[37].amount = 50_000_000;
    let weighted = rule(Shape::Weighted { radix: 4 }).build(list.clone()).unwrap();
    let balanced = rule(Shape::Balanced { radix: 4 }).build(list).unwrap();
    checked(&weighted);
    assert_eq!(weighted.path(37).len(), 1);
    assert!(balanced.path(37).len() > 2);
    assert_eq!(weighted.cost(), balanced.cost());
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Flat),
        (2u8..9).prop_map(|radix| Shape::Balanced { radix }),
        (2u8..9).prop_map(|radix| Shape::Weighted { radix }),
    ]
}

proptest! {
    #[test]
    fn every_tree_hands_on_exactly_what_it_is_given(
        shape in shape(),
        amounts in prop::collection::vec((600u64..10_000_000, any::<bool>()), 1..300),
        per_transaction in 0u32..2_000,
        per_vbyte in 0u32..20,
        anchor in prop_oneof![Just(None), Just(Some(240)), Just(Some(330))],
    ) {
        let rule = TreeRule { shape, fee: FeeRule { per_transaction, per_vbyte }, anchor };
        let list = amounts.iter().zip(0u32..).map(|((amount, taproot_one), n)| Payee {
            script: if *taproot_one { taproot(n) } else { witness(n) },
            amount: *amount,
        });
        let tree = rule.build(list.collect()).unwrap();
        let transactions = checked(&tree);
        let vsize: u64 = transactions.iter().map(|t| t.vsize() as u64).sum();
        prop_assert_eq!(vsize, tree.cost().vsize);
        prop_assert_eq!(transactions.len(), tree.cost().transactions as usize);
    }
}
