//! The configuration of a pool of leased compute, as `adit init` writes it.

use super::{Answers, quoted};

/// Which coins are earned by it.
pub(super) fn is_its(coin: &str) -> bool {
    matches!(coin, "tao" | "alpha")
}

/// The file's text.
pub(super) fn render(answers: &Answers) -> String {
    let Answers { coin, network, fee, listen, data_dir, budget, netuid, .. } = answers;
    let subnet = match &**coin {
        "alpha" => format!("\n# Which subnet's.\nnetuid = {netuid}"),
        _ => String::new(),
    };
    format!(
        r#"# A pool's configuration. `adit check` says what is wrong with it; docs/compute.md tells more.
# Amounts are whole coins in quotes, times are a number and ms, s, m, h or d.

# The store, leases, votes, and the control socket.
data_dir = {data_dir}

[log]
# error, warn, info, debug or trace
level = "info"

# The money. You send it yourself: `adit payouts list` says what was asked for. The name "coin" is yours to choose, once: it is
# kept in the store.
[assets.coin]
coin = {coin}
network = {network}{subnet}

[assets.coin.payouts]
minimum = "0.005"
# Who must say yes before you send: one, or more.
approvals = 1
# A changed coldkey waits so long.
address_change_delay = "48h"

[[pools]]
# The name is yours to choose, once: it is kept in the store.
name = "compute"
asset = "coin"
scheme = "budget"
fee_percent = {fee}
# The most of a budget for one owner (coldkey).
cap_percent = 5

[pools.compute]
listen = {listen}
# For Bittensor's neurons.
# axon = "0.0.0.0:8091"
# What an epoch brings, in whole coins; and its length: for ever.
budget = {budget}
epoch = "1h"
# The tasks, made by `adit data`; without it, the small ones that ship, which are for trying.
# set = "cifar.set"
# Signs reports and what is sent to a relay; made if it is not there. Back it up.
key_file = "pool.hotkey"
# Where the best algorithm is sent.
# relay = "https://relay.example"
# What `/api/v1/monitor/summary` asks for.
# monitor_token = "…"
# tls_certificate = "fullchain.pem"
# tls_key = "privkey.pem"

# Pages, API and metrics; docs/web.md tells more. To be seen from elsewhere they want TLS, here or in a proxy.
[web]
listen = "127.0.0.1:8080"
title = "My pool"

# Copies of the store and of the door's tables, each read back. Best on another disk.
[backups]
folder = "backups"
every = "6h"
keep = 28
"#,
        data_dir = quoted(data_dir),
        coin = quoted(coin),
        network = quoted(network),
        listen = quoted(listen),
        budget = quoted(budget),
    )
}
