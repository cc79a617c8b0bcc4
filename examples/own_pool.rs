//! A pool of your own: name, algorithm, port, node.
//!
//!     cargo run --example own_pool -- http://127.0.0.1:18332 tGXC751e76e8199196d454941c45d1b3a323f1 3333 my-pool-data
//!
//! Miners connect to the port with their address as the user name; the dashboard is at <http://127.0.0.1:5000>.

use adit::{Hash, OwnPool};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [node, address, port, folder, more @ ..] = words.as_slice() else {
        anyhow::bail!("say: own_pool NODE-URL POOL-ADDRESS PORT FOLDER [DASHBOARD-PORT]");
    };
    let pool = OwnPool::new("My own pool", Hash::Sha256, port.parse()?, node)
        .paid_to(address)
        .with("POOL_FEE", "0.01")
        .with("MIN_PAYOUT", "0.5")
        .with("DATA_DIR", folder);
    match more {
        [dashboard, ..] => pool.with("DASHBOARD_PORT", dashboard).run(),
        [] => pool.run(),
    }
}
