//! `adit bench`.
use crate::cli::BenchArgs;
/// x
pub fn stratum(_args: &BenchArgs) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
