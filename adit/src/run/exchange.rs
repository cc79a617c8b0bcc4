//! Telling whoever pays in other coins: by files, and by a program of theirs where the configuration names one.
//!
//! Invariant: what is told was confirmed on the chain and is in its file first; it is told again until they say that it is paid.

use super::Start;
use crate::config::ExchangeSettings;
use accounting::AssetId;
use accounting::payout::PayoutState;
use anyhow::Context;
use farming::external::{Exchange, Told};
use pool::{Clock, SystemClock};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::Reader;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use web::notices::Webhook;

/// Payouts that are looked at for what is due in other coins: the newest.
const PAYOUTS_MAX: u64 = 1000;
/// Who was told and has not paid is asked again after this.
const AGAIN: Duration = Duration::from_secs(600);

/// What their program answers.
#[derive(Deserialize)]
struct Answer {
    /// Is everything of this payout paid?
    paid: bool,
}

struct Telling {
    exchange: Exchange,
    webhook: Option<Webhook>,
    /// The books.
    folder: PathBuf,
    asset: AssetId,
    /// When their program was last asked about a payout that waits.
    asked: HashMap<String, Instant>,
}

/// Begins to tell them, for as long as the pool runs.
pub(super) fn start(start: &Start, asset: AssetId, own: &ExchangeSettings) -> anyhow::Result<()> {
    let name = &start.asset.config.name;
    let exchange = Exchange::open(&own.folder)
        .with_context(|| format!("assets.{name}.external.folder: {}", own.folder.display()))?;
    let webhook = own.webhook.clone().map(|(url, secret)| Webhook::open(&url, secret));
    let webhook = webhook.transpose().map_err(anyhow::Error::msg)?;
    let folder = start.folder.clone();
    let telling = Telling { exchange, webhook, folder, asset, asked: HashMap::new() };
    let (live, every) = (&start.live, start.asset.look_every);
    live.spawn(format!("the exchange of {name}"), telling.run(every, live.floor.cancel.clone()));
    Ok(())
}

impl Telling {
    async fn run(mut self, every: Duration, cancel: CancellationToken) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!("payouts in other coins are told later: {error:#}");
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    async fn round(&mut self) -> anyhow::Result<()> {
        let (exchange, folder, asset) = (self.exchange.clone(), self.folder.clone(), self.asset);
        let told = tokio::task::spawn_blocking(move || tell(&exchange, &folder, asset));
        told.await.context("the thread that tells of payouts ended").flatten()?;
        self.ask().await
    }

    /// Asks their program about what waits, and notes what it says is paid.
    async fn ask(&mut self) -> anyhow::Result<()> {
        let waiting = self.exchange.waiting()?;
        self.asked.retain(|payout, _| waiting.contains(payout));
        let Some(webhook) = &self.webhook else { return Ok(()) };
        for payout in waiting {
            if self.asked.get(&payout).is_some_and(|at| at.elapsed() < AGAIN) {
                continue;
            }
            self.asked.insert(payout.clone(), Instant::now());
            let body = webhook.ask(self.exchange.told(&payout)?, SystemClock.now()).await;
            let body = body.map_err(anyhow::Error::msg).context("external.webhook")?;
            // An answer without the word is one that says nothing yet.
            if serde_json::from_slice(&body).is_ok_and(|answer: Answer| answer.paid) {
                self.exchange.acknowledge(&payout)?;
                tracing::info!(payout, "a payout was made in other coins");
            }
        }
        Ok(())
    }
}

/// Tells of what is confirmed and was not told, in files.
fn tell(exchange: &Exchange, folder: &Path, asset: AssetId) -> anyhow::Result<()> {
    let payouts = Reader::open(folder)?.payouts(PAYOUTS_MAX)?;
    let confirmed = payouts
        .iter()
        .filter(|payout| payout.asset == asset && payout.state == PayoutState::Confirmed);
    for payout in confirmed {
        let parts = payout.parts.iter().map(|part| (part.destination.as_slice(), part.sent));
        let Some(txid) = payout.txid else { continue };
        if let Some(told) = Told::of(payout.id, txid.0, parts)
            && exchange.tell(&told)?
        {
            tracing::info!(payout = payout.id.0, "a payout is to be made in other coins");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::{Amount, PayoutId};
    use farming::address::Destination;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one request with this; gives what was asked.
    fn answering(listener: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        while !asked.ends_with("}\n") {
            let mut some = [0; 4096];
            let read = stream.read(&mut some).unwrap();
            asked.push_str(std::str::from_utf8(&some[..read]).unwrap());
        }
        let length = answer.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all((head + answer).as_bytes()).unwrap();
        asked
    }

    #[tokio::test]
    async fn a_payout_waits_until_the_program_says_that_it_is_paid() {
        let folder = tempfile::tempdir().unwrap();
        let exchange = Exchange::open(folder.path()).unwrap();
        let there = Destination::External("bc1qann".into()).to_bytes();
        let part = (there.as_slice(), Amount::from_units(7));
        exchange.tell(&Told::of(PayoutId(7), [2; 32], [part]).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/adit", listener.local_addr().unwrap());
        let webhook = Webhook::open(&url.as_str().into(), "key".into()).unwrap();
        let program = std::thread::spawn(move || {
            ["{}", "{\"paid\": false}", "{\"paid\": true}"].map(|said| answering(&listener, said))
        });
        let mut telling = Telling {
            exchange: exchange.clone(),
            webhook: Some(webhook),
            folder: folder.path().to_owned(),
            asset: AssetId(1),
            asked: HashMap::new(),
        };
        for is_paid in [false, false, true] {
            telling.ask().await.unwrap();
            assert_eq!(exchange.waiting().unwrap().is_empty(), is_paid);
            // Ten minutes later.
            telling.asked.clear();
        }
        telling.ask().await.unwrap();
        for asked in program.join().unwrap() {
            assert!(asked.starts_with("POST /adit ") && asked.contains("bc1qann"), "{asked}");
            assert!(asked.contains("x-adit-signature: t="), "{asked}");
        }
    }
}
