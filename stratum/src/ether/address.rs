//! Addresses of Ethereum's kind: 20 bytes, whose spelling in mixed case is their checksum (EIP-55).
//!
//! Invariant: what is written in mixed case is spelt right, or refused.

use crate::template::to_hex;
use pow::ethash::keccak256;

/// An address.
pub type Address = [u8; 20];

/// Why a text is no address to pay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not one at all.
    #[error("\"{0}\" is no address: those are 0x and 40 hexadecimal digits")]
    NoAddress(String),
    /// Its capitals are not those of its digits.
    #[error(
        "\"{0}\" is mistyped: its capitals are a checksum (EIP-55), and do not belong to its digits"
    )]
    Mistyped(String),
    /// Nobody has the key.
    #[error("nobody has the key of the address of zeros: coins sent there are lost")]
    Nobody,
}

/// Reads an address.
///
/// # Errors
/// See [`BadAddress`].
pub fn parse(text: &str) -> Result<Address, BadAddress> {
    let shown = || text.chars().take(80).collect::<String>();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.filter(|digits| digits.len() == 40);
    let digits = digits.ok_or_else(|| BadAddress::NoAddress(shown()))?;
    let mut bytes = Vec::with_capacity(20);
    let read = crate::template::push_hex(&mut bytes, digits);
    let address = read.and_then(|()| Address::try_from(bytes.as_slice()).ok());
    let address = address.ok_or_else(|| BadAddress::NoAddress(shown()))?;
    let is_mixed = digits.bytes().any(|digit| digit.is_ascii_uppercase())
        && digits.bytes().any(|digit| digit.is_ascii_lowercase());
    if is_mixed && show(&address)[2..] != *digits {
        return Err(BadAddress::Mistyped(shown()));
    }
    if address == [0; 20] {
        return Err(BadAddress::Nobody);
    }
    Ok(address)
}

/// As EIP-55 writes it.
#[must_use]
pub fn show(address: &Address) -> String {
    let digits = to_hex(address);
    let hash = to_hex(&keccak256(digits.as_bytes()));
    let cased = digits.chars().zip(hash.bytes()).map(|(digit, of)| match of {
        b'8'..=b'9' | b'a'..=b'f' => digit.to_ascii_uppercase(),
        _ => digit,
    });
    std::iter::once("0x".to_owned()).chain(cased.map(String::from)).collect()
}

/// The address of an uncompressed public key of 65 bytes.
#[must_use]
pub fn of_key(key: &[u8; 65]) -> Address {
    let hash = keccak256(&key[1..]);
    std::array::from_fn(|at| hash[12 + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own examples.
    #[test]
    fn capitals_are_the_checksum_of_eip_55() {
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let address = parse(text).unwrap();
            assert!(show(&address).eq_ignore_ascii_case(text));
            assert_eq!(parse(&show(&address)), Ok(address));
            assert_eq!(parse(&text.to_lowercase()), Ok(address));
        }
        let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(show(&parse(right).unwrap()), right);
        let wrong = right.replace("0x5aA", "0x5AA");
        assert_eq!(parse(&wrong), Err(BadAddress::Mistyped(wrong.clone())));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A0"]
        {
            assert!(matches!(parse(text), Err(BadAddress::NoAddress(_))), "{text}");
        }
        let odd = format!("0x{}", "g".repeat(40));
        assert!(matches!(parse(&odd), Err(BadAddress::NoAddress(_))));
        assert_eq!(parse(&format!("0x{}", "0".repeat(40))), Err(BadAddress::Nobody));
    }

    /// The address of the private key 1.
    #[test]
    fn an_address_follows_from_a_key() {
        let one = bitcoin::secp256k1::SecretKey::from_slice(&[&[0; 31][..], &[1]].concat());
        let key = one.unwrap().public_key(&bitcoin::secp256k1::Secp256k1::new());
        let address = of_key(&key.serialize_uncompressed());
        assert_eq!(show(&address), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    }
}
