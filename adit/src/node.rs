//! How a command proves to somebody's own node who asks: a cookie file, or a user and a password from the environment.

use crate::cli::audit::NODE_PASSWORD;
use anyhow::bail;
use std::path::PathBuf;
use stratum::rpc::Auth;

/// From `--node-cookie` or `--node-user`.
///
/// # Errors
/// When neither is given, or the password is missing.
pub fn auth(cookie: Option<&PathBuf>, user: Option<&String>) -> anyhow::Result<Auth> {
    match (cookie, user) {
        (Some(file), _) => Ok(Auth::Cookie(file.clone())),
        (None, Some(user)) => match std::env::var(NODE_PASSWORD) {
            Ok(password) => Ok(Auth::Basic { user: user.clone(), password }),
            Err(_) => {
                bail!(
                    "--node-user: the password is read from the environment variable {NODE_PASSWORD}"
                )
            }
        },
        (None, None) => bail!("--node needs --node-cookie FILE or --node-user USER"),
    }
}
