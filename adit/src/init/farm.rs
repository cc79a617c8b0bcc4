//! The configuration of a pool of farmers, as `adit init` writes it.

use super::{Answers, quoted};

/// The file's text.
pub(super) fn render(answers: &Answers) -> String {
    let Answers { network, rpc, access, scheme, fee, listen, data_dir, .. } = answers;
    let certificate = |file: &str| quoted(&format!("{}/{file}", access.ssl));
    let window = if scheme == "pplns" {
        "\n# The window: so many times the points that a block takes.\nwindow = 2.0"
    } else {
        ""
    };
    format!(
        r#"# A pool's configuration. `adit check` says what is wrong with it; docs/farming.md tells more.
# Amounts are whole coins in quotes, times are a number and ms, s, m, h or d.

# The store, the farmers and the control socket.
data_dir = {data_dir}

[log]
# error, warn, info, debug or trace
level = "info"

# The money. The name "xch" is yours to choose, once: it is kept in the store.
[assets.xch]
coin = "chia"
network = {network}
# Blocks on top of an absorbed reward before it is paid out.
mature_after = 32

# One or more full nodes; the first is preferred.
[[assets.xch.nodes]]
rpc = {rpc}
authority = {authority}
certificate = {certificate}
key = {key}

# Where the coins are. More than the cap raises an alarm.
[assets.xch.wallet]
kind = "hot"
key_file = "pool.key"
cap = "100"

[assets.xch.payouts]
minimum = "0.01"
interval = "1h"
confirm_after = 32
# Who pays the network: "miners", in proportion, or "pool".
fee_payer = "miners"
# Circuit breakers.
max_per_run = "100"
max_per_day = "500"
# A changed payout address waits so long.
address_change_delay = "48h"
# An unconfirmed payout gets a higher fee after so long.
bump_after = "30m"

[[pools]]
# The name is yours to choose, once: it is kept in the store.
name = "farm"
asset = "xch"
# solo, prop, pplns or tides; docs/schemes.md says what each means.
scheme = {scheme}{window}
fee_percent = {fee}

# Farmers on mainnet speak HTTPS only: give a certificate here, or listen on this machine only, behind a proxy that has one.
[pools.farming]
listen = {listen}
# tls_certificate = "fullchain.pem"
# tls_key = "privkey.pem"
# proxies = ["127.0.0.1"]
title = "My pool"
# Blocks that leaving takes: for ever the same, because farmers agreed to it.
lock_height = 32
# poisson, reference or readme
difficulty_rule = "poisson"
min_difficulty = 1
partials_per_day = 300
# What an absorption pays the network at most while blocks are full, out of a purse that `adit check` names.
# absorb_fee_max = "0.001"

# Pages, API and metrics; docs/web.md tells more. To be seen from elsewhere they want TLS, here or in a proxy.
[web]
listen = "127.0.0.1:8080"
title = "My pool"

# Copies of the store and the farmers, each read back. Best on another disk.
[backups]
folder = "backups"
every = "6h"
keep = 28
"#,
        data_dir = quoted(data_dir),
        network = quoted(network),
        rpc = quoted(rpc),
        authority = certificate("ca/private_ca.crt"),
        certificate = certificate("full_node/private_full_node.crt"),
        key = certificate("full_node/private_full_node.key"),
        scheme = quoted(scheme),
        listen = quoted(listen),
    )
}
