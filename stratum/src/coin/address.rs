//! Addresses: text to output script, checked against the network.
//!
//! Invariant: an address of another coin or network never becomes a script; a pool would otherwise pay coins away for ever.

use super::{Coin, Family, Network};
use accounting::{Identity, IdentityKind};
use bitcoin::bech32::{
    Fe32, Hrp, primitives::decode::CheckedHrpstring, primitives::decode::SegwitHrpstring,
};
use bitcoin::{PubkeyHash, ScriptBuf, ScriptHash, WitnessProgram, WitnessVersion, base58};

/// The longest text that is read as an address; MWEB's have some 110 characters.
const ADDRESS_MAX: usize = 128;

/// Why a text is no address to pay to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither base58 nor bech32, or the checksum is wrong: mistyped.
    #[error("\"{0}\" is not an address: a character is wrong or missing")]
    Mistyped(String),
    /// An address, but of another coin or network.
    #[error("\"{0}\" is an address of another network; this pool pays {1}")]
    OtherNetwork(String, Coin),
    /// GXC's, with a reason of their own.
    #[error("{0}")]
    Gxc(#[from] crate::gxc::address::BadAddress),
    /// Of Ethereum's kind, with a reason of their own.
    #[error("{0}")]
    Ether(#[from] crate::ether::address::BadAddress),
    /// A kind of address that a coinbase or an ordinary transaction cannot pay.
    #[error("\"{0}\" is a kind of address this pool cannot pay; use an ordinary {1} address")]
    Unpayable(String, Coin),
}

struct Prefixes {
    key_hash: u8,
    script_hash: &'static [u8],
    bech32: &'static str,
}

/// How a coin's addresses begin; GXC's are text that its chain compares letter by letter, Ethereum's are 20 bytes.
const fn prefixes(coin: Coin) -> Option<Prefixes> {
    Some(match (coin.family(), coin.network()) {
        (Family::Bitcoin, Network::Main) => {
            Prefixes { key_hash: 0, script_hash: &[5], bech32: "bc" }
        }
        (Family::Bitcoin, Network::Regtest) => {
            Prefixes { key_hash: 111, script_hash: &[196], bech32: "bcrt" }
        }
        (Family::Bitcoin, _) => Prefixes { key_hash: 111, script_hash: &[196], bech32: "tb" },
        // 5 and 196 are Litecoin's older script prefixes, shared with Bitcoin; 50 and 58 the newer ones.
        (Family::Litecoin, Network::Main) => {
            Prefixes { key_hash: 48, script_hash: &[50, 5], bech32: "ltc" }
        }
        (Family::Litecoin, Network::Regtest) => {
            Prefixes { key_hash: 111, script_hash: &[58, 196], bech32: "rltc" }
        }
        (Family::Litecoin, _) => {
            Prefixes { key_hash: 111, script_hash: &[58, 196], bech32: "tltc" }
        }
        (Family::Gxc | Family::Ethash, _) => return None,
    })
}

/// Whose account an address is.
///
/// # Errors
/// See [`BadAddress`].
pub fn identity_of(text: &str, coin: Coin) -> Result<Identity, BadAddress> {
    let bytes = script_of(text, coin)?.to_bytes();
    Ok(Identity { kind: IdentityKind::Script, network: coin.to_string(), bytes })
}

/// The output script an address stands for; of Ethereum's kind its bytes.
///
/// # Errors
/// See [`BadAddress`].
pub fn script_of(text: &str, coin: Coin) -> Result<ScriptBuf, BadAddress> {
    let mistyped = || BadAddress::Mistyped(text.chars().take(100).collect());
    // Reading base58 takes the square of its length: nothing longer than an address is tried.
    if text.len() > ADDRESS_MAX {
        return Err(mistyped());
    }
    let Some(prefixes) = prefixes(coin) else {
        if coin.family() == Family::Ethash {
            return Ok(ScriptBuf::from_bytes(crate::ether::address::parse(text)?.to_vec()));
        }
        // Its outputs name the address itself.
        crate::gxc::address::check(text, coin.network())?;
        return Ok(ScriptBuf::from_bytes(text.as_bytes().to_vec()));
    };
    if let Ok(segwit) = SegwitHrpstring::new(text) {
        let expected = Hrp::parse(prefixes.bech32).expect("our own prefixes are valid");
        if segwit.hrp() != expected {
            return Err(BadAddress::OtherNetwork(text.to_owned(), coin));
        }
        let version = WitnessVersion::try_from(segwit.witness_version()).map_err(|_| mistyped())?;
        let bytes: Vec<u8> = segwit.byte_iter().collect();
        let program = WitnessProgram::new(version, &bytes).map_err(|_| mistyped())?;
        return Ok(ScriptBuf::new_witness_program(&program));
    }
    // MWEB addresses are bech32 with a prefix of their own and too long for a witness program.
    if is_mweb(text) {
        return Err(BadAddress::Unpayable(text.chars().take(100).collect(), coin));
    }
    let bytes = base58::decode_check(text).map_err(|_| mistyped())?;
    let (prefix, hash) = bytes.split_first().ok_or_else(mistyped)?;
    let hash: [u8; 20] = hash.try_into().map_err(|_| mistyped())?;
    if *prefix == prefixes.key_hash {
        Ok(ScriptBuf::new_p2pkh(&PubkeyHash::from(
            bitcoin::hashes::hash160::Hash::from_bytes_ref(&hash).to_owned(),
        )))
    } else if prefixes.script_hash.contains(prefix) {
        Ok(ScriptBuf::new_p2sh(&ScriptHash::from(
            bitcoin::hashes::hash160::Hash::from_bytes_ref(&hash).to_owned(),
        )))
    } else {
        Err(BadAddress::OtherNetwork(text.to_owned(), coin))
    }
}

fn is_mweb(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["ltcmweb1", "tmweb1"].iter().any(|prefix| lower.starts_with(prefix))
        || CheckedHrpstring::new::<bitcoin::bech32::Bech32>(text)
            .is_ok_and(|s| s.data_part_ascii_no_checksum().len() > 100)
}

/// The address of an output script, if it has one.
#[must_use]
pub fn address_of(script: &[u8], coin: Coin) -> Option<String> {
    let Some(prefixes) = prefixes(coin) else {
        if coin.family() == Family::Ethash {
            return script.try_into().ok().map(crate::ether::address::show);
        }
        return std::str::from_utf8(script).ok().map(str::to_owned);
    };
    let base58 = |prefix: u8, hash: &[u8]| Some(base58::encode_check(&[&[prefix], hash].concat()));
    match script {
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => {
            base58(prefixes.key_hash, hash)
        }
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => {
            base58(*prefixes.script_hash.first()?, hash)
        }
        [version @ (0 | 0x51..=0x60), len, program @ ..] if usize::from(*len) == program.len() => {
            let version = Fe32::try_from(if *version == 0 { 0 } else { version - 0x50 }).ok()?;
            bitcoin::bech32::segwit::encode(Hrp::parse(prefixes.bech32).ok()?, version, program)
                .ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coin(family: Family, network: Network) -> Coin {
        Coin::new(family, network).unwrap()
    }

    #[test]
    fn addresses_of_every_kind_read_and_print_back() {
        use Family::{Bitcoin, Litecoin};
        use Network::{Main, Regtest, Test};
        for (family, network, text) in [
            (Bitcoin, Main, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
            (Bitcoin, Main, "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
            (Bitcoin, Main, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            (Bitcoin, Main, "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"),
            (Bitcoin, Test, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
            (Bitcoin, Regtest, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"),
            (Litecoin, Main, "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9"),
        ] {
            let coin = coin(family, network);
            let script = script_of(text, coin).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address_of(script.as_bytes(), coin).as_deref(), Some(text));
        }
    }

    #[test]
    fn upper_case_bech32_is_the_same_script() {
        let coin = coin(Family::Bitcoin, Network::Main);
        let lower = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert_eq!(script_of(&lower.to_uppercase(), coin), script_of(lower, coin));
    }

    #[test]
    fn a_payout_address_of_another_network_is_refused() {
        let main = coin(Family::Bitcoin, Network::Main);
        for text in [
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        ] {
            assert!(matches!(script_of(text, main), Err(BadAddress::OtherNetwork(..))), "{text}");
        }
        let litecoin = coin(Family::Litecoin, Network::Main);
        assert!(matches!(
            script_of("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", litecoin),
            Err(BadAddress::OtherNetwork(..))
        ));
    }

    #[test]
    fn mistyped_addresses_are_refused() {
        let main = coin(Family::Bitcoin, Network::Main);
        for text in [
            "",
            "x",
            "worker",
            "1BoatSLRHtKNngkdXEeobR76b53LETtpyU",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t",
            "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du\u{e9}",
        ] {
            assert!(matches!(script_of(text, main), Err(BadAddress::Mistyped(_))), "{text}");
        }
    }
}
