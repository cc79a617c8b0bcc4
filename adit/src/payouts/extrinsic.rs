//! `adit payouts extrinsic`: the bytes that pay a withdrawal, for the operator to look at and submit.
//!
//! Nothing is sent and nothing is noted: after submitting, `adit payouts sent` is told the hash that is printed here. Invariant: amount
//! and coldkey are the payout's own.

use crate::cli::payouts::ExtrinsicArgs;
use crate::config::{self, AssetKind};
use accounting::payout::PayoutState;
use accounting::{Amount, PayoutId};
use anyhow::{Context, bail};
use compute::client::key;
use compute::extrinsic::{Call, Chain, Unsigned, hash, rao};
use compute::key::{PublicKey, Signature, SigningKey};
use compute::treasury::read_hash;
use serde_json::json;
use std::path::Path;
use store::Reader;

/// Prints it.
///
/// # Errors
/// When the payout is none that can be paid so, or something does not fit.
pub fn write(args: &ExtrinsicArgs) -> anyhow::Result<()> {
    let settings = config::load(&args.config.config)?;
    let reader = Reader::open(&settings.data_dir)?;
    let id = PayoutId(args.payout);
    let payouts = reader.payouts(u64::from(u32::MAX))?;
    let payout = payouts.into_iter().find(|payout| payout.id == id);
    let payout = payout.with_context(|| format!("no payout {id} is known"))?;
    if payout.state != PayoutState::Queued {
        bail!("payout {id} is {}: only one that waits can be written", payout.state.as_str());
    }
    let book = reader.book()?;
    let name =
        book.assets.iter().find(|(_, (asset, _))| *asset == payout.asset).map(|(name, _)| name);
    let asset = settings.assets.iter().find(|asset| Some(&asset.config.name) == name);
    let Some(AssetKind::External(own)) = asset.map(|asset| &asset.kind) else {
        bail!("payout {id} is of a coin that the pool pays itself");
    };
    let [part] = payout.parts.as_slice() else {
        bail!("payout {id} has {} recipients, and an extrinsic has one", payout.parts.len());
    };
    let to = coldkey(&part.destination).context("the payout's destination is no coldkey")?;
    let call = call_of(args, to, part.sent, own.netuid)?;
    let chain = Chain {
        genesis: read_hash(&args.genesis).map_err(anyhow::Error::msg)?,
        spec_version: args.spec_version,
        transaction_version: args.transaction_version,
    };
    let key = args.key.as_deref().map(signing_key).transpose()?;
    let signer = match (&key, &args.signer) {
        (Some(key), _) => key.public(),
        (None, Some(signer)) => signer.parse().with_context(|| format!("--signer {signer}"))?,
        (None, None) => bail!("name the coldkey that pays with --signer or --key"),
    };
    let unsigned = Unsigned::new(&chain, &call, signer, args.nonce, args.tip);
    let whole = match (&key, &args.signature) {
        (Some(key), _) => Some(unsigned.sign(key)),
        (None, Some(signature)) => {
            let signature: Signature = signature.parse().context("--signature")?;
            Some(unsigned.with(&signature)?)
        }
        (None, None) => None,
    };
    println!(
        "{}",
        json!({
            "payout": args.payout,
            "from": signer.to_string(),
            "to": to.to_string(),
            "amount_rao": rao(part.sent),
            "payload": hex(&unsigned.payload()),
            "extrinsic": whole.as_deref().map(hex),
            "hash": whole.as_deref().map(|whole| hex(&hash(whole))),
        })
    );
    Ok(())
}

/// A destination of an asset that the operator sends.
pub(super) fn coldkey(destination: &[u8]) -> Option<PublicKey> {
    destination.try_into().ok().map(PublicKey::from_bytes)
}

fn call_of(
    args: &ExtrinsicArgs,
    to: PublicKey,
    amount: Amount,
    netuid: Option<u16>,
) -> anyhow::Result<Call> {
    let amount = rao(amount).context("more than there is of this money")?;
    let numbers = args.call.split_once(',').and_then(|(pallet, call)| {
        Some([pallet.trim().parse::<u8>().ok()?, call.trim().parse::<u8>().ok()?])
    });
    let index =
        numbers.with_context(|| format!("--call {}: two numbers, such as 5,3", args.call))?;
    let Some(netuid) = netuid else { return Ok(Call::Transfer { index, to, amount }) };
    let hotkey = args.hotkey.as_ref().context("alpha is staked: name its --hotkey")?;
    let hotkey = hotkey.parse().with_context(|| format!("--hotkey {hotkey}"))?;
    Ok(Call::TransferStake { index, to, hotkey, netuid, amount })
}

/// A key that is there: none is made.
fn signing_key(file: &Path) -> anyhow::Result<SigningKey> {
    if !file.exists() {
        bail!("{} is not there", file.display());
    }
    Ok(key::open(file, [0; 32])?.0)
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}
