//! Blocks that pay miners themselves: does the coinbase pay whom the books say it paid?

use accounting::commitment::{PaidByBlock, PaidByTree};
use accounting::reward::Reward;
use accounting::split::SplitRow;
use covenant::committed;
use stratum::template::to_hex;

/// What a coinbase with these outputs (scripts in hexadecimal digits, smallest units) lacks of what the books say it pays, in words.
pub fn missing(reward: &Reward, outputs: &[(String, i128)]) -> Option<String> {
    let (by_block, split) = (reward.by_block.as_ref()?, reward.split.as_ref()?);
    if let Some(paid) = &by_block.tree {
        return without_tree(reward, paid, outputs);
    }
    // Two accounts may be paid at one address: each output pays one of them.
    let mut left: Vec<&(String, i128)> = outputs.iter().collect();
    let mut is_missing = |(to, row): &(&PaidByBlock, &SplitRow)| {
        let (script, units) = (to_hex(&to.script), row.net.units());
        let found = left.iter().position(|(known, paid)| *known == script && *paid == units);
        found.map(|at| left.swap_remove(at)).is_none()
    };
    let (to, row) = by_block.payments(split).find(|payment| is_missing(payment))?;
    Some(format!(
        "its coinbase should pay account {} {} at {}, and does not",
        to.account,
        row.net,
        to_hex(&to.script)
    ))
}

fn without_tree(reward: &Reward, paid: &PaidByTree, outputs: &[(String, i128)]) -> Option<String> {
    let (by_block, split) = (reward.by_block.as_ref()?, reward.split.as_ref()?);
    let root = match committed::rebuild(paid, by_block, split) {
        Ok(tree) => tree.output(),
        Err(error) => return Some(error.to_string()),
    };
    let wanted = (to_hex(root.script_pubkey.as_bytes()), i128::from(root.value.to_sat()));
    let first = outputs.first();
    (first != Some(&wanted)).then(|| {
        format!("its coinbase does not pay the tree of its split: {} to {}", wanted.1, wanted.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::commitment::ByBlock;
    use accounting::split::split;
    use accounting::{AccountId, Amount, AssetId, BasisPoints, PoolId, RewardId, Scheme, ShareSeq};

    fn reward() -> Reward {
        let rows = [(AccountId(1), 1), (AccountId(2), 1), (AccountId(3), 2)];
        let to = |account, script| PaidByBlock { account: AccountId(account), script };
        Reward {
            id: RewardId([1; 32]),
            pool: PoolId(1),
            asset: AssetId(1),
            height: 7,
            finder: AccountId(1),
            to_pool: Amount::from_units(50),
            to_miners: Amount::from_units(50),
            window_end: ShareSeq(100),
            as_of: ShareSeq(90),
            scheme: Scheme::Tides,
            network_work: 9,
            window: None,
            shared: None,
            by_block: Some(ByBlock {
                paid: vec![to(1, vec![0x51]), to(2, vec![0x51])],
                tree: None,
            }),
            budget: None,
            member: None,
            split: Some(split(Amount::from_units(100), &rows, |_| BasisPoints::ZERO)),
        }
    }

    fn outputs(of: &[(&str, i128)]) -> Vec<(String, i128)> {
        of.iter().map(|(script, units)| ((*script).to_owned(), *units)).collect()
    }

    #[test]
    fn one_output_does_not_pay_two() {
        let reward = reward();
        assert_eq!(missing(&reward, &outputs(&[("51", 25), ("51", 25), ("52", 50)])), None);
        let once = missing(&reward, &outputs(&[("51", 25), ("52", 75)])).unwrap();
        assert!(once.contains("account 2"), "{once}");
        assert!(missing(&reward, &outputs(&[("51", 26), ("51", 24)])).is_some());
    }

    #[test]
    fn a_tree_of_another_split_is_missed() {
        let mut reward = reward();
        let by_block = reward.by_block.as_mut().unwrap();
        by_block.tree =
            Some(PaidByTree { rule: "{}".into(), cost: Amount::ZERO, coinbase: [0; 32] });
        assert!(missing(&reward, &[]).unwrap().contains("rule"));
    }
}
