//! The assets' part of the configuration: what all kinds of money have in common.

use super::{
    AssetKind, AssetSettings, Reader, Wrong, chia, coin, compute, ether, file, gxc, wrong,
};
use ::pool::config::{Exchange, FeePayer, Payday};
use ::pool::{AssetConfig, PayoutRules};
use accounting::Amount;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use farming::network::Network;
use std::time::Duration;
use stratum::coin::{Coin, Family};
use toml::Spanned;

/// A limit that nobody set.
const UNLIMITED: Amount = Amount::from_units(1 << 100);

/// What a kind of money is used to, where the file is silent.
pub(super) struct Customs {
    /// The network of its identities.
    pub network: String,
    /// Decimals of a whole coin.
    pub decimals: u8,
    /// Confirmations at which income is paid out.
    pub mature: u32,
    /// Confirmations that consensus wants.
    pub mature_least: u32,
    /// Confirmations of another block after which income is orphaned.
    pub orphan: u32,
    /// Outputs smaller than this are not relayed, whatever kind they are.
    pub dust: i128,
    /// Most recipients of one transaction.
    pub outputs: usize,
    /// Least amount worth sending.
    pub minimum: i128,
    /// Who pays the network.
    pub fee_payer: FeePayer,
    /// Confirmations after which a payout is posted.
    pub confirm: u32,
}

/// Which chain, once its name was read.
enum Chain {
    Coin(Coin),
    Chia(Box<Network>),
}

impl Reader<'_> {
    pub(super) fn asset(
        &self,
        name: String,
        spanned: Spanned<file::Asset>,
    ) -> Result<AssetSettings, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let asset = spanned.into_inner();
        let of_family = |family| {
            let (customs, coin) = coin::named(family, &name, &asset.network)?;
            Ok((customs, Chain::Coin(coin)))
        };
        let (customs, chain) = match asset.coin {
            file::CoinName::Bitcoin => of_family(Family::Bitcoin)?,
            file::CoinName::Litecoin => of_family(Family::Litecoin)?,
            file::CoinName::Gxc => of_family(Family::Gxc)?,
            file::CoinName::Ethash => {
                let (customs, coin) = ether::named(&name, &asset.network)?;
                (customs, Chain::Coin(coin))
            }
            file::CoinName::Chia => {
                let (customs, network) =
                    chia::named(&name, &asset.network, asset.genesis.as_ref())?;
                (customs, Chain::Chia(Box::new(network)))
            }
            file::CoinName::Tao | file::CoinName::Alpha => {
                return compute::asset(name, asset, &span);
            }
        };
        if let Some(netuid) = &asset.netuid {
            let text = format!("assets.{name}.netuid: only coin = \"alpha\" has one");
            return Err(wrong(netuid, text));
        }
        let least = customs.mature_least;
        let mature = asset.mature_after.unwrap_or(customs.mature);
        if mature < least {
            let text = format!(
                "assets.{name}.mature_after: income cannot be spent before {least} confirmations"
            );
            return Err(wrong(&span, text));
        }
        let depths = Depths {
            mature,
            orphan: asset.orphan_after.unwrap_or(customs.orphan),
            last_look: asset.final_after.unwrap_or(mature + 200).max(mature + 1),
        };
        let amount = |key: &str, coins: &file::Coins| {
            coins
                .amount(customs.decimals)
                .map_err(|error| wrong(&span, format!("assets.{name}.{key}: {error}")))
        };
        let cap = asset.wallet.as_ref().and_then(|wallet| wallet.get_ref().cap.as_ref());
        let mut config = AssetConfig {
            name: name.clone(),
            network: customs.network.clone(),
            decimals: customs.decimals,
            depths,
            payouts: PayoutRules {
                hot_wallet_cap: cap.map(|cap| amount("wallet.cap", cap)).transpose()?,
                ..payout_rules(&asset.payouts, &customs, amount)?
            },
            assets_elsewhere: amount("assets_elsewhere", &asset.assets_elsewhere)?,
            exchange: None,
        };
        let look_every = asset.look_every.map_or(Duration::from_secs(30), |span| span.0);
        let kind = match chain {
            Chain::Coin(coin) if coin.family() == Family::Gxc => {
                AssetKind::Gxc(Box::new(gxc::source(coin, &name, asset, &span)?))
            }
            Chain::Coin(coin) if coin.family() == Family::Ethash => {
                AssetKind::Ether(Box::new(ether::source(coin, &name, asset, &span)?))
            }
            Chain::Coin(coin) => AssetKind::Coin(Box::new(self.coin(coin, &name, asset, &span)?)),
            Chain::Chia(network) => {
                let own = self.chia(*network, &name, asset, mature, &span)?;
                config.exchange = own.treasury.exchange.map(|place| Exchange {
                    mark: farming::address::ELSEWHERE,
                    place: place.0.to_vec(),
                });
                AssetKind::Chia(Box::new(own))
            }
        };
        Ok(AssetSettings { config, look_every, kind })
    }
}

pub(super) fn payout_rules(
    payouts: &file::Payouts,
    customs: &Customs,
    amount: impl Fn(&str, &file::Coins) -> Result<Amount, Wrong>,
) -> Result<PayoutRules, Wrong> {
    let coins = |key: &str, given: &Option<file::Coins>| {
        given.as_ref().map(|coins| amount(&format!("payouts.{key}"), coins)).transpose()
    };
    let ms = |given: Option<file::Span>, usual: u64| given.map_or(usual, file::Span::ms);
    let confirm = payouts.confirm_after.unwrap_or(customs.confirm).max(1);
    let abandon = payouts.abandon_after.unwrap_or(100).max(1);
    Ok(PayoutRules {
        minimum: coins("minimum", &payouts.minimum)?.unwrap_or(Amount::from_units(customs.minimum)),
        dust: Amount::from_units(customs.dust),
        max_outputs: payouts.max_outputs.unwrap_or(customs.outputs).clamp(1, 2500),
        fee_payer: match payouts.fee_payer {
            None => customs.fee_payer,
            Some(file::FeePayer::Pool) => FeePayer::Pool,
            Some(file::FeePayer::Miners) => FeePayer::Miners,
        },
        max_per_run: coins("max_per_run", &payouts.max_per_run)?.unwrap_or(UNLIMITED),
        max_per_day: coins("max_per_day", &payouts.max_per_day)?.unwrap_or(UNLIMITED),
        max_per_account_per_day: coins(
            "max_per_account_per_day",
            &payouts.max_per_account_per_day,
        )?
        .unwrap_or(UNLIMITED),
        approval_above: coins("approval_above", &payouts.approval_above)?,
        approvals: payouts.approvals.unwrap_or(2).max(1),
        payday: Payday::Due,
        address_change_delay_ms: ms(payouts.address_change_delay, 48 * 3600 * 1000),
        depths: PayoutDepths {
            confirm,
            abandon,
            last_look: payouts.final_after.unwrap_or(200).max(confirm + 1).max(abandon + 1),
        },
        interval_ms: ms(payouts.interval, 3600 * 1000),
        bump_after_ms: payouts.bump_after.map(file::Span::ms),
        hot_wallet_cap: None,
    })
}
