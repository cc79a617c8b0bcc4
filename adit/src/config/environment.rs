//! A pool without a file: the names that the GXC guide gives to its settings, turned into a configuration.
//!
//! Invariant: what comes out is the text of a configuration file, read and checked as any other; nothing has a second meaning here.

use super::BadConfig;
use accounting::Amount;
use serde_json::Value;

/// The one setting that has no default.
const ADDRESS: &str = "POOL_ADDRESS";
/// Decimals of a GXC.
const DECIMALS: u8 = 8;

/// A pool of the guide: its name, its hash, and the difficulties that its devices can do.
struct Door {
    name: &'static str,
    algorithm: &'static str,
    difficulties: &'static str,
}

/// General (for CPUs), GPU and ASIC.
const DOORS: [Door; 3] = [
    Door {
        name: "general",
        algorithm: "gxhash",
        difficulties: "start_difficulty = 0.00000001\nmin_difficulty = 0.000000001",
    },
    Door {
        name: "gpu",
        algorithm: "ethash",
        difficulties: "start_difficulty = 0.01\nmin_difficulty = 0.000000001",
    },
    Door {
        name: "asic",
        algorithm: "sha256",
        difficulties: "start_difficulty = 1000\nmin_difficulty = 0.000000001",
    },
];

/// Does the environment describe a pool?
pub fn is_meant() -> bool {
    std::env::var_os(ADDRESS).is_some()
}

/// The configuration that these variables mean.
///
/// # Errors
/// Which variable cannot be used, and what to write instead.
pub fn text(variable: impl Fn(&str) -> Option<String>) -> Result<String, BadConfig> {
    let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let wrong = |name: &str, text: String| BadConfig::Environment { name: name.to_owned(), text };
    let number = |name: &str, usual: u16| match given(name) {
        None => Ok(usual),
        Some(text) => text
            .trim()
            .parse::<u16>()
            .map_err(|_| wrong(name, format!("\"{text}\" is no port number"))),
    };
    let address = given(ADDRESS).unwrap_or_default();
    let network = if address.starts_with('t') { "test" } else { "main" };
    if let Some(named) = given("GXC_NETWORK")
        && !named.starts_with(network)
    {
        let text = format!("\"{named}\" is not the network of {ADDRESS} {address}");
        return Err(wrong("GXC_NETWORK", text));
    }
    let algorithm = given("ALGORITHM").unwrap_or_else(|| "all".into());
    let doors: Vec<&Door> =
        DOORS.iter().filter(|door| algorithm == "all" || door.algorithm == algorithm).collect();
    if doors.is_empty() {
        let text = format!("\"{algorithm}\" is none of sha256, ethash, gxhash, all");
        return Err(wrong("ALGORITHM", text));
    }
    let fee = given("POOL_FEE").unwrap_or_else(|| "0.02".into());
    let fee = Amount::parse_decimal(fee.trim(), 4).ok().filter(|points| points.units() <= 10_000);
    let fee = fee.ok_or_else(|| {
        wrong(
            "POOL_FEE",
            "a part of the whole with at most four decimals, such as 0.02 for two percent".into(),
        )
    })?;
    let minimum = given("MIN_PAYOUT").unwrap_or_else(|| "0.1".into());
    Amount::parse_decimal(minimum.trim(), DECIMALS)
        .map_err(|error| wrong("MIN_PAYOUT", error.to_string()))?;
    let schedule = given("PAYOUT_SCHEDULE").unwrap_or_else(|| "hourly".into());
    let interval = match &*schedule {
        "hourly" => "1h",
        "daily" => "24h",
        "weekly" => "7d",
        other => {
            let text = format!("\"{other}\" is none of hourly, daily, weekly");
            return Err(wrong("PAYOUT_SCHEDULE", text));
        }
    };
    let node = given("BLOCKCHAIN_NODE_URL").unwrap_or_else(|| "http://127.0.0.1:18332".into());
    let host = node.trim_end_matches('/').strip_prefix("http://").ok_or_else(|| {
        wrong(
            "BLOCKCHAIN_NODE_URL",
            format!(
                "\"{node}\" is no URL such as http://127.0.0.1:18332; a GXC node speaks no HTTPS"
            ),
        )
    })?;
    let (stratum, dashboard) = (number("STRATUM_PORT", 3333)?, number("DASHBOARD_PORT", 5000)?);
    // What JSON writes as a string, TOML reads as the same.
    let quoted = |text: &str| Value::from(text).to_string();
    let title = given("POOL_NAME").unwrap_or_else(|| "GXC pool".into());
    let folder = given("DATA_DIR").unwrap_or_else(|| "adit-data".into());
    let mut out = format!(
        "data_dir = {}\n\n[assets.gxc]\ncoin = \"gxc\"\nnetwork = \"{network}\"\nnodes = [{{ rpc = {} }}]\n\
         wallet = {{ kind = \"node\", address = {} }}\n\n[assets.gxc.payouts]\nminimum = {}\ninterval = \"{interval}\"\n\n\
         [web]\nlisten = \"0.0.0.0:{dashboard}\"\ntitle = {}\n",
        quoted(&folder),
        quoted(host),
        quoted(&address),
        quoted(minimum.trim()),
        quoted(&title),
    );
    for (at, door) in (0..).zip(&doors) {
        let own = format!("{}_POOL_STRATUM_PORT", door.name.to_uppercase());
        let next = stratum.checked_add(at).ok_or_else(|| {
            wrong("STRATUM_PORT", format!("{stratum} leaves no room for {} ports", doors.len()))
        });
        let port = if given(&own).is_some() { number(&own, 0)? } else { next? };
        // Each hash has its own window, and an equal part of every block.
        let part = if doors.len() > 1 { "part = 1\n" } else { "" };
        let percent = fee.units() as f64 / 100.0;
        out.push_str(&format!(
            "\n[[pools]]\nname = \"{}\"\nasset = \"gxc\"\nalgorithm = \"{}\"\nscheme = \"pplns\"\nwindow_shares = 1000\n\
             fee_percent = {percent:?}\n{part}\n[[pools.ports]]\nlisten = \"0.0.0.0:{port}\"\nshare_interval = \"15s\"\n{}\n",
            door.name, door.algorithm, door.difficulties,
        ));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PoolKind, Settings, read};
    use std::collections::BTreeMap;
    use std::path::Path;
    use stratum::hashing::Hashing;

    const GIVEN: [(&str, &str); 1] = [(ADDRESS, "tGXC751e76e8199196d454941c45d1b3a323f1")];

    fn settings(more: &[(&str, &str)]) -> Result<Settings, BadConfig> {
        let all: BTreeMap<&str, &str> = GIVEN.into_iter().chain(more.iter().copied()).collect();
        let text = text(|name| all.get(name).map(|value| (*value).to_owned()))?;
        read(&text, Path::new("(environment)"))
    }

    #[test]
    fn the_guides_names_give_three_pools_that_share_every_block() {
        let settings = settings(&[]).unwrap();
        let ports: Vec<(String, u16, Hashing)> = settings
            .pools
            .iter()
            .map(|pool| {
                let PoolKind::Stratum(door) = &pool.kind else { panic!("stratum") };
                assert!(pool.config.part.is_some());
                assert_eq!(pool.config.fee.base.points(), 200);
                (pool.config.name.clone(), door.ports[0].listen.port(), door.hashing)
            })
            .collect();
        let sha256 = Hashing::Header(pow::Algorithm::Sha256d);
        let expected = [
            ("general".to_owned(), 3333, Hashing::GxHash),
            ("gpu".to_owned(), 3334, Hashing::Ethash),
            ("asic".to_owned(), 3335, sha256),
        ];
        assert_eq!(ports, expected);
        assert_eq!(settings.web.unwrap().listen.port(), 5000);
        assert_eq!(settings.assets[0].config.payouts.minimum, Amount::from_units(10_000_000));
    }

    #[test]
    fn one_algorithm_is_one_pool_with_all_of_its_blocks() {
        let settings = settings(&[
            ("ALGORITHM", "ethash"),
            ("STRATUM_PORT", "4444"),
            ("POOL_NAME", "A \"pool\""),
            ("POOL_FEE", "0.0125"),
            ("PAYOUT_SCHEDULE", "weekly"),
        ])
        .unwrap();
        let [pool] = settings.pools.as_slice() else { panic!("one pool") };
        assert_eq!((pool.config.part, pool.config.fee.base.points()), (None, 125));
        assert_eq!(settings.web.unwrap().site.title, "A \"pool\"");
        assert_eq!(settings.assets[0].config.payouts.interval_ms, 7 * 24 * 3600 * 1000);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (name, value, says) in [
            ("ALGORITHM", "scrypt", "none of sha256"),
            ("POOL_FEE", "2%", "0.02"),
            ("POOL_FEE", "2", "0.02"),
            ("STRATUM_PORT", "x", "port"),
            ("STRATUM_PORT", "65534", "room"),
            ("MIN_PAYOUT", "-1", "-1"),
            ("PAYOUT_SCHEDULE", "never", "hourly"),
            ("BLOCKCHAIN_NODE_URL", "https://node", "HTTPS"),
            ("GXC_NETWORK", "mainnet", "network"),
        ] {
            let said = settings(&[(name, value)]).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(says), "{name}={value}: {said}");
        }
        let other = settings(&[(ADDRESS, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")]);
        assert!(other.unwrap_err().to_string().contains("GXC address"));
    }
}
