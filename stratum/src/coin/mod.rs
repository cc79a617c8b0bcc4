//! The coins of the bitcoind family, GXC, and those that Ethash is mined for: what differs between them, as data.
//!
//! Invariant: a closed set; nothing outside this folder knows a coin's constants.

pub mod address;
pub mod message;

use pow::Algorithm;
use serde::Deserialize;
use std::fmt;

/// Ethereum Classic's id.
pub const CLASSIC: u64 = 61;
/// The id of its test network.
pub const MORDOR: u64 = 63;
/// EthereumPoW's id.
pub const ETHEREUM_POW: u64 = 10_001;

/// Which coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Bitcoin: sha256d.
    Bitcoin,
    /// Litecoin: scrypt, MWEB.
    Litecoin,
    /// GoldXCoin: any of three hashes, of which its node checks none.
    Gxc,
    /// A chain of Ethash, by its nodes' `eth_getWork`: Ethereum Classic and its kin.
    Ethash,
}

/// Which of its networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Real money.
    Main,
    /// Public test network (Bitcoin's testnet3, Litecoin's testnet4).
    Test,
    /// Bitcoin's testnet4.
    Testnet4,
    /// Bitcoin's signet.
    Signet,
    /// A private chain.
    Regtest,
    /// A chain of Ethash, by its id (EIP-155).
    #[serde(skip)]
    Chain(u64),
}

/// A coin on one of its networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coin {
    family: Family,
    network: Network,
}

/// A network that a coin does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no network \"{1}\"")]
pub struct NoSuchNetwork(pub Family, pub Network);

impl Coin {
    /// A coin on one of its networks.
    ///
    /// # Errors
    /// When it has no such network.
    pub fn new(family: Family, network: Network) -> Result<Self, NoSuchNetwork> {
        let coin = Coin { family, network };
        if coin.exists() { Ok(coin) } else { Err(NoSuchNetwork(family, network)) }
    }

    const fn exists(self) -> bool {
        match self.family {
            Family::Ethash => matches!(self.network, Network::Chain(_)),
            Family::Gxc => matches!(self.network, Network::Main | Network::Test),
            Family::Bitcoin | Family::Litecoin => self.genesis().is_some(),
        }
    }

    /// Which coin.
    #[must_use]
    pub const fn family(self) -> Family {
        self.family
    }

    /// Which network.
    #[must_use]
    pub const fn network(self) -> Network {
        self.network
    }

    /// How its headers are hashed, unless a pool says otherwise: its scale is the one that difficulties are of.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self.family {
            Family::Bitcoin | Family::Gxc | Family::Ethash => Algorithm::Sha256d,
            Family::Litecoin => Algorithm::Scrypt,
        }
    }

    /// The hash of its first block, as explorers print it; `None` where there is no such network, or nobody could name it.
    #[must_use]
    pub const fn genesis(self) -> Option<&'static str> {
        Some(match (self.family, self.network) {
            (Family::Bitcoin, Network::Main) => {
                "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
            }
            (Family::Bitcoin, Network::Test) => {
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"
            }
            (Family::Bitcoin, Network::Testnet4) => {
                "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"
            }
            (Family::Bitcoin, Network::Signet) => {
                "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"
            }
            (Family::Bitcoin, Network::Regtest) => {
                "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
            }
            (Family::Litecoin, Network::Main) => {
                "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"
            }
            (Family::Litecoin, Network::Test) => {
                "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"
            }
            (Family::Litecoin, Network::Regtest) => {
                "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"
            }
            _ => return None,
        })
    }

    /// The rules a client must say it understands when it asks for a template.
    #[must_use]
    pub const fn template_rules(self) -> &'static [&'static str] {
        match (self.family, self.network) {
            (Family::Litecoin, _) => &["segwit", "mweb"],
            (Family::Bitcoin, Network::Signet) => &["segwit", "signet"],
            (Family::Bitcoin, _) => &["segwit"],
            // Their nodes do not read them.
            (Family::Gxc | Family::Ethash, _) => &[],
        }
    }

    /// Its unit, as exchanges and wallets write it.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match (self.family, self.network) {
            (Family::Bitcoin, Network::Main) => "BTC",
            (Family::Bitcoin, _) => "tBTC",
            (Family::Litecoin, Network::Main) => "LTC",
            (Family::Litecoin, _) => "tLTC",
            (Family::Gxc, Network::Main) => "GXC",
            (Family::Gxc, _) => "tGXC",
            (Family::Ethash, Network::Chain(CLASSIC)) => "ETC",
            (Family::Ethash, Network::Chain(MORDOR)) => "METC",
            (Family::Ethash, Network::Chain(ETHEREUM_POW)) => "ETHW",
            (Family::Ethash, _) => "ETH",
        }
    }

    /// Seconds between blocks that the chain's retargeting aims at.
    #[must_use]
    pub const fn block_interval_s(self) -> u32 {
        match (self.family, self.network) {
            (Family::Bitcoin, _) | (Family::Gxc, Network::Main) => 600,
            (Family::Litecoin, _) => 150,
            (Family::Gxc, _) => 120,
            (Family::Ethash, _) => 13,
        }
    }

    /// The subsidy of a block, in smallest units: used only to build the first, coinbase-only job on a new tip; what is
    /// booked is what the coinbase pays. Chains of Ethash say what a block brought when it is there: before, nobody knows.
    #[must_use]
    pub const fn subsidy(self, height: u64) -> u64 {
        if matches!(self.family, Family::Ethash) {
            return 0;
        }
        let interval = match (self.family, self.network) {
            (_, Network::Regtest) => 150,
            (Family::Bitcoin, _) => 210_000,
            (Family::Litecoin, _) => 840_000,
            (Family::Gxc | Family::Ethash, _) => 1_051_200,
        };
        let halvings = height / interval;
        if halvings >= 64 { 0 } else { (50 * 100_000_000) >> halvings }
    }

    /// Does the next block keep its parent's target? Not at a retarget; never known on networks with special rules.
    #[must_use]
    pub const fn keeps_bits(self, next_height: u64) -> bool {
        match (self.family, self.network) {
            (_, Network::Regtest) => true,
            (Family::Gxc | Family::Ethash, _) | (_, Network::Test | Network::Testnet4) => false,
            (_, Network::Main | Network::Signet | Network::Chain(_)) => {
                !next_height.is_multiple_of(2016)
            }
        }
    }

    /// Confirmations before which no income is paid out: those at which a coinbase can be spent.
    #[must_use]
    pub const fn maturity(self) -> u32 {
        match (self.family, self.network) {
            (Family::Gxc, Network::Test) => 7,
            // Consensus wants none; beyond seven nobody's block can become an uncle any more.
            (Family::Ethash, _) => 8,
            _ => 101,
        }
    }

    /// Decimals of a whole coin.
    #[must_use]
    pub const fn decimals(self) -> u8 {
        match self.family {
            Family::Ethash => 18,
            Family::Bitcoin | Family::Litecoin | Family::Gxc => 8,
        }
    }
}

impl fmt::Display for Coin {
    /// `bitcoin/main`: the network of an identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.network)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Bitcoin => "bitcoin",
            Family::Litecoin => "litecoin",
            Family::Gxc => "gxc",
            Family::Ethash => "ethash",
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Network::Chain(id) = self {
            return id.fmt(f);
        }
        f.write_str(match self {
            Network::Chain(_) => "chain",
            Network::Main => "main",
            Network::Test => "test",
            Network::Testnet4 => "testnet4",
            Network::Signet => "signet",
            Network::Regtest => "regtest",
        })
    }
}
