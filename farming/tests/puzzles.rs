//! What our spends do when the chain's own interpreter runs them: the conditions that come out.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use clvmr::allocator::{Allocator, NodePtr, SExp};
use clvmr::chia_dialect::ChiaDialect;
use clvmr::run_program::run_program;
use clvmr::serde::node_from_bytes;
use farming::absorb::absorb;
use farming::clvm::Tree;
use farming::coin::{Coin, CoinSpend, Program};
use farming::hash::{Bytes32, sha256};
use farming::network::Network;
use farming::singleton::absorption::Absorption;
use farming::singleton::lineage::{self, LineageProof, Tip};
use farming::singleton::puzzle::{Contract, full_puzzle_hash, p2_singleton_hash};
use farming::singleton::{Phase, PoolState};
use farming::wallet::{Wallet, cost_of_payment};
use farming::wire::KeyBytes;

/// Runs a spend; gives its conditions as lists of atoms, and the cost of running it.
fn conditions(spend: &CoinSpend) -> (Vec<Vec<Vec<u8>>>, u64) {
    let mut allocator = Allocator::new();
    let puzzle = node_from_bytes(&mut allocator, &spend.puzzle_reveal.0).unwrap();
    let solution = node_from_bytes(&mut allocator, &spend.solution.0).unwrap();
    let dialect = ChiaDialect::new(0);
    let ran = run_program(&mut allocator, &dialect, puzzle, solution, 11_000_000_000).unwrap();
    let list = items(&allocator, ran.1);
    let atoms = |node: NodePtr| {
        items(&allocator, node).into_iter().filter_map(|item| match allocator.sexp(item) {
            SExp::Atom => Some(allocator.atom(item).as_ref().to_vec()),
            SExp::Pair(..) => None,
        })
    };
    (list.into_iter().map(|condition| atoms(condition).collect()).collect(), ran.0)
}

fn items(allocator: &Allocator, mut node: NodePtr) -> Vec<NodePtr> {
    let mut items = Vec::new();
    while let SExp::Pair(first, rest) = allocator.sexp(node) {
        items.push(first);
        node = rest;
    }
    items
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// What a spend creates: place and amount.
fn wallet() -> Wallet {
    Wallet::new(&chia_bls::SecretKey::from_seed(&[9; 32]), &[])
}

fn created(conditions: &[Vec<Vec<u8>>]) -> Vec<(Bytes32, u64)> {
    let creating = conditions.iter().filter(|condition| condition[0] == [51]);
    creating.map(|c| (Bytes32(c[1].as_slice().try_into().unwrap()), number(&c[2]))).collect()
}

#[test]
fn a_payment_creates_what_was_asked_for_and_only_all_together() {
    let (wallet, network) = (wallet(), Network::simulator());
    let coin = |parent: u8, amount| Coin {
        parent: Bytes32([parent; 32]),
        puzzle_hash: wallet.place(),
        amount,
    };
    let coins = [coin(1, 1_000_000), coin(2, 500), coin(3, 70_000)];
    let places: Vec<(Bytes32, u64)> =
        (0..50).map(|n| (Bytes32([100 + n; 32]), 1000 + u64::from(n))).collect();
    let bundle = wallet.pay(&coins, &places, 77, &network).unwrap().bundle;
    let (first, _) = conditions(&bundle.coin_spends[0]);
    let mut made = created(&first);
    made.retain(|(place, _)| *place != wallet.place());
    assert_eq!(made, places);
    let paid: u64 = created(&first).iter().map(|(_, amount)| amount).sum();
    assert_eq!(paid + 77, coins.iter().map(|coin| coin.amount).sum::<u64>());
    assert!(first.iter().any(|c| c[0] == [52] && number(&c[1]) == 77), "the fee is reserved");
    let announcement = first.iter().find(|c| c[0] == [60]).unwrap();
    let asserted = sha256([coins[0].id().as_ref(), announcement[1].as_slice()]);
    let mut signed = Vec::new();
    for spend in &bundle.coin_spends {
        let (conditions, _) = conditions(spend);
        if spend.coin != coins[0] {
            assert!(created(&conditions).is_empty());
            assert!(conditions.iter().any(|c| c[0] == [61] && c[1] == asserted.0));
        }
        let signature = conditions.iter().find(|c| c[0] == [50]).unwrap();
        let public =
            chia_bls::PublicKey::from_bytes(signature[1].as_slice().try_into().unwrap()).unwrap();
        let message = [&signature[2][..], &spend.coin.id().0, &network.signature_domain.0].concat();
        signed.push((public, message));
    }
    let signature = chia_bls::Signature::from_bytes(&bundle.signature).unwrap();
    assert!(chia_bls::aggregate_verify(
        &signature,
        signed.iter().map(|(key, m)| (*key, m.as_slice()))
    ));
}

#[test]
fn a_payments_cost_is_not_underestimated() {
    const BYTE: u64 = 12_000;
    const CREATES: u64 = 1_800_000;
    const SIGNS: u64 = 1_200_000;
    let (wallet, network) = (wallet(), Network::mainnet());
    for (inputs, outputs) in [(1u8, 1u16), (1, 3), (5, 40), (60, 900)] {
        let coins: Vec<Coin> = (0..inputs)
            .map(|n| Coin {
                parent: Bytes32([n; 32]),
                puzzle_hash: wallet.place(),
                amount: u64::MAX / 200,
            })
            .collect();
        let places: Vec<(Bytes32, u64)> =
            (0..outputs).map(|n| (sha256([&n.to_be_bytes()[..]]), 875_000_000_000)).collect();
        let bundle = wallet.pay(&coins, &places, 1_000_000, &network).unwrap().bundle;
        let mut cost = 0;
        for spend in &bundle.coin_spends {
            let (conditions, ran) = conditions(spend);
            let bytes = spend.puzzle_reveal.0.len() + spend.solution.0.len() + 60;
            cost += ran + BYTE * bytes as u64 + CREATES * created(&conditions).len() as u64 + SIGNS;
        }
        let said = cost_of_payment(coins.len(), places.len() + 1);
        assert!(said >= cost && said < cost * 2, "{inputs} to {outputs}: {said} for {cost}");
    }
}

#[test]
fn an_absorption_sends_the_reward_to_the_states_target_in_both_phases() {
    let network = Network::simulator();
    let contract = Contract {
        launcher_id: Bytes32([4; 32]),
        delay_s: 7200,
        delay_puzzle_hash: Bytes32([5; 32]),
        reward_prefix: network.pool_reward_prefix(),
    };
    let owner = chia_bls::SecretKey::from_seed(&[1; 32]).public_key();
    for phase in [Phase::Farming, Phase::Leaving] {
        let state = PoolState {
            phase,
            target: Bytes32([6; 32]),
            owner: KeyBytes(owner.to_bytes()),
            pool_url: Some("https://pool.example".into()),
            lock_height: 32,
        };
        let full = full_puzzle_hash(&contract, &state);
        let tip = Tip {
            coin: Coin { parent: contract.launcher_id, puzzle_hash: full, amount: 1 },
            height: 10,
            state: state.clone(),
            proof: LineageProof::Launcher { parent: Bytes32([8; 32]), amount: 1 },
            since: 10,
        };
        // The top layer checks where its coin comes from: the launcher's id follows from its parent.
        let launcher = Coin {
            parent: Bytes32([8; 32]),
            puzzle_hash: farming::singleton::puzzle::LAUNCHER_HASH,
            amount: 1,
        };
        let contract = Contract { launcher_id: launcher.id(), ..contract.clone() };
        let full = full_puzzle_hash(&contract, &state);
        let tip =
            Tip { coin: Coin { parent: launcher.id(), puzzle_hash: full, ..tip.coin }, ..tip };
        let reward = |height: u32| Coin {
            parent: network.pool_coin_parent(height),
            puzzle_hash: p2_singleton_hash(&contract),
            amount: network.pool_reward_mojo(height),
        };
        let rewards = [reward(100), reward(200)];
        let (bundle, after) = absorb(&contract, &tip, &rewards, &network).unwrap();
        for (spend, reward) in bundle.coin_spends.chunks(2).zip(rewards) {
            let (singleton, _) = conditions(&spend[0]);
            let made = created(&singleton);
            assert!(made.contains(&(Bytes32([6; 32]), reward.amount)), "{phase:?}: {made:?}");
            assert!(made.contains(&(full, 1)), "the singleton goes on as it is");
            let (p2, _) = conditions(&spend[1]);
            assert!(created(&p2).is_empty());
            assert!(
                p2.iter().any(|c| c[0] == [70] && c[1] == reward.id().0),
                "its own id is asserted"
            );
        }
        assert_eq!(after.coin.puzzle_hash, full);
    }
}

/// A plot NFT in each state in which rewards can be absorbed, one that it absorbs, and how.
fn absorptions() -> Vec<(Contract, Tip, Coin, CoinSpend, Tip)> {
    let network = Network::simulator();
    let launcher = Coin {
        parent: Bytes32([8; 32]),
        puzzle_hash: farming::singleton::puzzle::LAUNCHER_HASH,
        amount: 1,
    };
    let contract = Contract {
        launcher_id: launcher.id(),
        delay_s: 7200,
        delay_puzzle_hash: Bytes32([5; 32]),
        reward_prefix: network.pool_reward_prefix(),
    };
    let owner = chia_bls::SecretKey::from_seed(&[1; 32]).public_key();
    let phases = [Phase::Farming, Phase::Leaving, Phase::SelfPooling];
    phases
        .map(|phase| {
            let state = PoolState {
                phase,
                target: Bytes32([6; 32]),
                owner: KeyBytes(owner.to_bytes()),
                pool_url: None,
                lock_height: if phase == Phase::SelfPooling { 0 } else { 32 },
            };
            let puzzle_hash = full_puzzle_hash(&contract, &state);
            let tip = Tip {
                coin: Coin { parent: launcher.id(), puzzle_hash, amount: 1 },
                height: 10,
                state,
                proof: LineageProof::Launcher { parent: launcher.parent, amount: 1 },
                since: 10,
            };
            let reward = Coin {
                parent: network.pool_coin_parent(300),
                puzzle_hash: p2_singleton_hash(&contract),
                amount: network.pool_reward_mojo(300),
            };
            let (bundle, after) = absorb(&contract, &tip, &[reward], &network).unwrap();
            (contract.clone(), tip, reward, bundle.coin_spends[0].clone(), after)
        })
        .into()
}

/// The same solution as strangers may write it: nobody signs an absorption, and the puzzle passes over what is too much.
fn written_oddly(spend: &CoinSpend) -> Vec<(&'static str, CoinSpend)> {
    let mut tree = Tree::new();
    let root = tree.read(&spend.solution.0).unwrap();
    let [lineage, amount, inner] = tree.as_arguments(root).unwrap();
    let inner = tree.as_list(inner, 3).unwrap();
    let (height, others) = inner.split_last().unwrap();
    let low = tree.as_atom(*height).unwrap().to_vec();
    let padded = |sign: u8| [&vec![sign; 1][..], &vec![0; 16 - low.len()], &low].concat();
    let junk = tree.atom(b"junk");
    let height_as = |tree: &mut Tree, bytes: &[u8]| {
        let height = tree.atom(bytes);
        let inner = tree.list(&[others, &[height]].concat());
        tree.list(&[lineage, amount, inner])
    };
    let longer = tree.list(&[&inner[..], &[junk]].concat());
    let improper = inner.iter().rev().fold(junk, |rest, item| tree.pair(*item, rest));
    let inner = tree.list(&inner);
    let odd = [
        ("a height and 2^128", height_as(&mut tree, &padded(1))),
        ("a height less 2^128", height_as(&mut tree, &padded(0xff))),
        ("zeros before the height", height_as(&mut tree, &padded(0))),
        ("one argument more", tree.list(&[lineage, amount, inner, junk])),
        ("one more inside", tree.list(&[lineage, amount, longer])),
        ("no end inside", tree.list(&[lineage, amount, improper])),
        ("no end", {
            let rest = tree.pair(inner, junk);
            let rest = tree.pair(amount, rest);
            tree.pair(lineage, rest)
        }),
    ];
    odd.map(|(how, root)| (how, CoinSpend { solution: Program(tree.write(root)), ..spend.clone() }))
        .into()
}

#[test]
fn whoever_absorbs_and_however_it_is_written_the_reward_is_seen() {
    let network = Network::simulator();
    for (contract, tip, reward, honest, after) in absorptions() {
        let (wanted, _) = conditions(&honest);
        let at_target =
            Coin { parent: tip.coin.id(), puzzle_hash: tip.state.target, amount: reward.amount };
        assert!(created(&wanted).contains(&(at_target.puzzle_hash, at_target.amount)));
        for (how, spend) in written_oddly(&honest) {
            assert_eq!(conditions(&spend).0, wanted, "{how}: the chain makes the same of it");
            let made = [after.coin, at_target];
            let (tip, absorbed) =
                lineage::next(&contract, &tip, &spend, (after.coin, 40), &made).unwrap();
            assert_eq!((tip.coin, &tip.proof), (after.coin, &after.proof), "{how}");
            let absorbed = absorbed.unwrap();
            assert_eq!((absorbed.coin, absorbed.reward_height), (at_target, 300), "{how}");
            if tip.state.phase != Phase::SelfPooling {
                let seen = Absorption::of(&spend, &network).unwrap();
                assert_eq!(
                    (seen.made, seen.reward, seen.height),
                    (at_target, reward, 300),
                    "{how}"
                );
                assert_eq!(seen.launcher_id, contract.launcher_id, "{how}");
            }
        }
    }
}
