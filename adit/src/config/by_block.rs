//! Blocks that pay miners themselves, in the configuration.

use super::{
    AssetKind, AssetSettings, BlockPays, ByBlockSettings, PoolKind, PoolSettings, Wrong, file,
    wrong,
};
use accounting::Scheme;
use pool::PoolConfig;
use std::path::PathBuf;
use stratum::by_block::{Form, Rules};
use toml::Spanned;

/// The least budget that takes an output of any kind of address.
const BUDGET_MIN: usize = 43;
/// No more than this: a coinbase is sent to every machine with every job.
const BUDGET_MAX: usize = 16_000;

/// How this pool's blocks pay miners; none where nothing is said of it.
pub(super) fn settings(
    given: Option<Spanned<file::ByBlock>>,
    pool: &PoolConfig,
    asset: &AssetSettings,
    path: impl Fn(PathBuf) -> PathBuf,
) -> Result<Option<ByBlockSettings>, Wrong> {
    let Some(spanned) = given else { return Ok(None) };
    let span = Spanned::new(spanned.span(), ());
    let given = spanned.into_inner();
    if !matches!(pool.scheme, Scheme::Prop | Scheme::Pplns(_) | Scheme::Tides) {
        let text = "by_block: only blocks that a window is paid by (prop, pplns, tides) can pay it themselves; solo does so by itself, \
                    and a pps pool needs its blocks";
        return Err(wrong(&span, text));
    }
    if pool.part.is_some() {
        return Err(wrong(
            &span,
            "by_block: not together with part; such blocks pay several windows",
        ));
    }
    if let Some(rule) = given.rule {
        if given.outputs.is_some() || given.tree.is_some() || given.least.is_some() {
            let text = "by_block.rule: without outputs, tree and least; the rule says what a block pays, and to whom";
            return Err(wrong(&rule, text));
        }
        let found = crate::ctv::read_rule(&path(rule.get_ref().clone()))
            .map_err(|error| wrong(&rule, format!("by_block.rule: {error:#}")))?;
        let send = given.send.unwrap_or(true);
        return Ok(Some(ByBlockSettings { pays: BlockPays::Members(found), send }));
    }
    let form = match (given.outputs, given.tree) {
        (Some(budget), None) if (BUDGET_MIN..=BUDGET_MAX).contains(&budget) => {
            Form::Outputs { budget }
        }
        (Some(_), None) => {
            let text = format!("by_block.outputs: from {BUDGET_MIN} to {BUDGET_MAX} bytes");
            return Err(wrong(&span, text));
        }
        (None, Some(tree)) => {
            tree.check().map_err(|error| wrong(&span, format!("by_block.tree: {error}")))?;
            Form::Tree(tree)
        }
        _ => {
            let text = "by_block: either outputs (bytes of the coinbase that may pay miners), tree, or rule (the file of a coordination-free pool's rule)";
            return Err(wrong(&span, text));
        }
    };
    if given.send.is_some() && !matches!(form, Form::Tree(_)) {
        return Err(wrong(&span, "by_block.send: only a tree is sent; outputs are there at once"));
    }
    let least = match &given.least {
        None => asset.config.payouts.minimum,
        Some(coins) => coins
            .get_ref()
            .amount(asset.config.decimals)
            .map_err(|error| wrong(coins, format!("by_block.least: {error}")))?,
    };
    let Some(least) = least.as_u64() else {
        return Err(wrong(&span, "by_block.least: not less than nothing"));
    };
    let pays = BlockPays::Miners(Rules { form, least });
    Ok(Some(ByBlockSettings { pays, send: given.send.unwrap_or(true) }))
}

/// Two pools of one asset are paid at one script: what a rule's blocks pay it would be either's.
pub(super) fn one_member(
    given: &Spanned<()>,
    pool: &PoolSettings,
    known: &[PoolSettings],
) -> Result<(), Wrong> {
    let is_member = |pool: &&PoolSettings| match &pool.kind {
        PoolKind::Stratum(own) => {
            own.by_block.as_ref().is_some_and(|own| matches!(own.pays, BlockPays::Members(_)))
        }
        _ => false,
    };
    let mut others = known.iter().filter(|other| other.config.asset == pool.config.asset);
    match is_member(&pool) && others.any(|other| is_member(&other)) {
        false => Ok(()),
        true => Err(wrong(
            given,
            "by_block.rule: one pool of an asset can be a member; they have one wallet, and what is paid to it would be either's",
        )),
    }
}

/// Where a pool's blocks pay trees, the nodes of its asset are asked whether they may.
pub(super) fn ask_for_trees(pool: &PoolSettings, assets: &mut [AssetSettings]) {
    let PoolKind::Stratum(own) = &pool.kind else { return };
    let pays_trees = own.by_block.as_ref().is_some_and(|own| own.pays.trees());
    let asset = assets.iter_mut().find(|asset| asset.config.name == pool.config.asset);
    if let Some(AssetKind::Coin(coin)) = asset.map(|asset| &mut asset.kind) {
        coin.source.trees |= pays_trees;
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{BlockPays, ByBlockSettings, PoolKind, read};
    use std::path::Path;

    /// The least part that a block pays a miner, and whether trees are sent, of a file that says this of its pool's blocks.
    fn settings(by_block: &str) -> (u64, bool) {
        let text = format!(
            r#"
data_dir = "data"
[assets.btc]
coin = "bitcoin"
network = "regtest"
payouts = {{ minimum = "0.003" }}
wallet = {{ kind = "hot", key_file = "pool.key" }}
nodes = [{{ rpc = "127.0.0.1:18443", user = "u", password = "p" }}]
[[pools]]
name = "main"
asset = "btc"
scheme = "tides"
by_block = {by_block}
[[pools.ports]]
listen = "127.0.0.1:3333"
"#
        );
        let mut settings = read(&text, Path::new("adit.toml")).unwrap();
        match settings.pools.remove(0).kind {
            PoolKind::Stratum(own) => match own.by_block.unwrap() {
                ByBlockSettings { pays: BlockPays::Miners(rules), send } => (rules.least, send),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_part_is_as_large_as_a_payout_and_trees_are_sent_unless_said_otherwise() {
        let tree = "tree = { shape = { kind = \"balanced\", radix = 2 }, fee = {} }";
        assert_eq!(settings(&format!("{{ {tree} }}")), (300_000, true));
        let said = format!("{{ {tree}, least = \"0.5\", send = false }}");
        assert_eq!(settings(&said), (50_000_000, false));
        assert_eq!(settings("{ outputs = 500 }").0, 300_000);
    }
}
