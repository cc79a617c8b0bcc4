//! How commands reach a pool: over a socket in its data folder when it runs, on its store when it does not.
//!
//! Invariant: every order is carried out by the writer and written before it is answered, whichever way it came. The
//! socket is the owner's alone.

use crate::config::{AssetKind, Settings};
use crate::run::OpenDoor;
use crate::run::{Counter, Live, Running};
use accounting::payout::{PayoutPart, PayoutState};
use accounting::{AccountId, Amount, AssetId, Identity, PayoutId, RewardId, ShareSeq};
use anyhow::{Context, anyhow, bail};
use arc_swap::ArcSwap;
use compute::treasury::{self, Word, read_hash};
use farming::external::Exchange;
use pool::bans::{Banned, Bans};
use pool::books::{Books, OpenPayout};
pub use pool::command::{Command, Given};
use pool::door::{Answer, Refused};
use pool::treasury::WalletSpend;
use pool::view::RewardView;
use pool::{Deposit, Pool, SystemClock, writer};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Sqlite, Store};
use stratum::treasury::WalletConfig;
use stratum::treasury::offline::Outbox;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// The longest command read.
const COMMAND_MAX: u64 = 64 * 1024;
/// Whose notes pauses are.
const NOTES: &str = "control";
/// Who is written into the log of acts when nobody says a name.
pub const OPERATOR: &str = "operator";

/// What a command works on.
struct Desk<'a> {
    pool: &'a Pool,
    settings: &'a Settings,
    /// Empty when the pool does not run.
    counters: &'a [Arc<Counter>],
    doors: &'a [OpenDoor],
    connections: usize,
    /// Who is not wanted, of a running pool.
    bans: Option<&'a ArcSwap<Bans>>,
    /// Who gives the command.
    by: &'a str,
}

/// The socket's place.
#[must_use]
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Listens for commands for as long as the pool runs.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(running: &Running) -> anyhow::Result<()> {
    let path = socket_path(&running.settings.data_dir);
    // Whatever is there is of a process that has ended: the store is locked by us.
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let open = Arc::new(Open {
        pool: running.pool.clone(),
        settings: running.settings.clone(),
        live: running.live.clone(),
    });
    running.live.spawn("the control socket", async move {
        let floor = &open.live.floor;
        loop {
            let stream = tokio::select! {
                () = floor.cancel.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match stream {
                Ok((stream, _)) => drop(floor.tasks.spawn(serve(stream, open.clone()))),
                Err(error) => tracing::warn!(%error, "a command could not be taken"),
            }
        }
    });
    Ok(())
}

/// Takes the socket away.
pub fn forget(data_dir: &Path) {
    if let Err(error) = std::fs::remove_file(socket_path(data_dir)) {
        tracing::debug!(%error, "the control socket was gone");
    }
}

/// What a running pool's commands work on.
pub struct Open {
    /// The writer's door.
    pub pool: Pool,
    /// What the configuration said.
    pub settings: Settings,
    /// What runs so far.
    pub live: Arc<Live>,
}

impl Open {
    /// Carries a command out.
    ///
    /// # Errors
    /// What the pool said.
    pub async fn execute(&self, given: Given) -> anyhow::Result<Value> {
        let (counters, doors) = (self.live.counters(), self.live.doors());
        let desk = Desk {
            pool: &self.pool,
            settings: &self.settings,
            counters: &counters,
            doors: &doors,
            connections: self.live.floor.connections.count(),
            bans: Some(&self.live.bans),
            by: &given.by,
        };
        desk.execute(given.command).await
    }
}

async fn serve(stream: UnixStream, open: Arc<Open>) {
    if let Err(error) = answer(stream, &open).await {
        tracing::debug!(%error, "a command was cut off");
    }
}

async fn answer(stream: UnixStream, open: &Open) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(COMMAND_MAX)).read_line(&mut line).await?;
    let outcome = match serde_json::from_str::<Given>(&line) {
        Ok(given) => open.execute(given).await,
        Err(error) => Err(anyhow!("not a command of this version: {error}")),
    };
    let answer = match outcome {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": format!("{error:#}") }),
    };
    writer.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}

/// Sends a command to the running pool; without one, carries it out on the store.
///
/// # Errors
/// What the pool said.
pub fn send(settings: &Settings, command: &Command) -> anyhow::Result<Value> {
    send_by(settings, OPERATOR, command)
}

/// The same, by somebody with a name.
///
/// # Errors
/// What the pool said.
pub fn send_by(settings: &Settings, by: &str, command: &Command) -> anyhow::Result<Value> {
    let given = Given { by: by.to_owned(), command: command.clone() };
    match std::os::unix::net::UnixStream::connect(socket_path(&settings.data_dir)) {
        Ok(mut stream) => {
            stream.write_all(format!("{}\n", serde_json::to_string(&given)?).as_bytes())?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            let mut answer: Value =
                serde_json::from_str(&line).context("the pool did not answer; see its log")?;
            match answer.get("error") {
                Some(error) => bail!("{}", error.as_str().unwrap_or("refused")),
                None => Ok(answer["ok"].take()),
            }
        }
        Err(_) => on_store(settings, given),
    }
}

/// Carries a command out with a writer of its own, while no pool runs.
fn on_store(settings: &Settings, Given { by, command }: Given) -> anyhow::Result<Value> {
    if matches!(
        command,
        Command::Status
            | Command::Knock { .. }
            | Command::PayNow { .. }
            | Command::Match { .. }
            | Command::Forget { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
    ) {
        bail!(
            "the pool does not run (no {}): start it with `adit run`",
            socket_path(&settings.data_dir).display()
        );
    }
    let store = Sqlite::open(&settings.data_dir)?;
    let assets = settings.assets.iter().map(|asset| asset.config.clone()).collect();
    let pools = settings.pools.iter().map(|pool| pool.config.clone()).collect();
    let writer = writer::start(Box::new(store), assets, pools, SystemClock)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let desk = Desk {
            pool: &writer.pool,
            settings,
            counters: &[],
            doors: &[],
            connections: 0,
            bans: None,
            by: &by,
        };
        let outcome = desk.execute(command).await;
        writer.pool.stop().await;
        outcome
    });
    writer.thread.join().map_err(|_| anyhow!("the writer panicked"))??;
    outcome
}

impl Desk<'_> {
    async fn execute(&self, command: Command) -> anyhow::Result<Value> {
        match command {
            Command::Status => Ok(self.status()),
            Command::Knock { asset } => self.knock(asset.as_deref()),
            Command::DryRun { asset } => self.dry_run(&asset).await,
            Command::PayNow { asset } => {
                let counter = self.counter(&asset)?;
                self.acted(format!("pay {asset} now")).await?;
                counter.run_now();
                Ok(json!({ "looking": asset }))
            }
            Command::Hold { scope, reason } => {
                let scope = self.scope(&scope).await?;
                let (done, by) = (scope.clone(), self.by.to_owned());
                self.order(move |books, now| {
                    books.act(&by, format!("hold {scope}: {reason}"), now);
                    books.hold(scope, reason, now);
                    Ok(())
                })
                .await?;
                Ok(json!({ "held": done }))
            }
            Command::Release { scope } => {
                let scope = self.scope(&scope).await?;
                let (done, by) = (scope.clone(), self.by.to_owned());
                self.order(move |books, now| {
                    books.release(&scope)?;
                    books.act(&by, format!("release {scope}"), now);
                    Ok(())
                })
                .await?;
                self.counters.iter().for_each(|counter| counter.look());
                Ok(json!({ "released": done }))
            }
            Command::Cancel { payout } => {
                self.refuse_while_out(payout)?;
                let by = self.by.to_owned();
                self.order(move |books, now| {
                    treasury::may_be_cancelled(books, PayoutId(payout))?;
                    books.cancel_payout(PayoutId(payout), now)?;
                    books.act(&by, format!("cancel payout {payout}"), now);
                    Ok(())
                })
                .await?;
                Ok(json!({ "cancelled": payout }))
            }
            Command::Match { txid, payout } => self.match_spend(&txid, payout).await,
            Command::Forget { txid } => self.forget_spend(&txid).await,
            Command::Deposit { asset, amount, bankroll, reference } => {
                self.deposit(&asset, &amount, bankroll, reference).await
            }
            Command::Address { account, to } => self.address(&account, &to).await,
            Command::Account { account, minimum, member } => {
                self.account_settings(&account, minimum, member).await
            }
            Command::Approve { payout } => self.approve(payout).await,
            Command::Sent { payout, transaction } => {
                let hash = read_hash(&transaction).map_err(|text| anyhow!(text))?;
                self.said(
                    payout,
                    Word::Sent(hash),
                    format!("payout {payout} is sent by {transaction}"),
                )
                .await
            }
            Command::Confirmed { payout } => {
                self.said(payout, Word::Confirmed, format!("payout {payout} is confirmed")).await
            }
            Command::Failed { payout } => {
                self.said(payout, Word::Failed, format!("payout {payout} failed")).await
            }
            Command::Ban { who, reason } => self.ban(&who, Some(reason)).await,
            Command::Unban { who } => self.ban(&who, None).await,
            Command::Unregister { who } => self.unregister(&who).await,
            Command::Pause { pool, reason } => self.pause(&pool, Some(reason)).await,
            Command::Resume { pool } => self.pause(&pool, None).await,
            Command::Revoke { share, reason } => {
                self.acted(format!("revoke share {share}: {reason}")).await?;
                self.pool.revoke(ShareSeq(share), reason).await?;
                Ok(json!({ "revoked": share }))
            }
        }
    }

    /// Writes an act down that no order of its own carries out: before it is done.
    async fn acted(&self, what: String) -> anyhow::Result<()> {
        let by = self.by.to_owned();
        self.order(move |books, now| {
            books.act(&by, what, now);
            Ok(())
        })
        .await
    }

    /// An order that only needs the books and the time.
    async fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Books, accounting::UnixMs) -> Answer<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        Ok(self.pool.order(move |books, _, now| order(books, now)).await?)
    }

    /// Payouts in other coins that nobody said are paid; none where there is nobody to make them.
    fn waiting_elsewhere(&self, asset: &str) -> Option<usize> {
        let own = self.settings.assets.iter().find(|own| own.config.name == asset)?;
        let AssetKind::Chia(chia) = &own.kind else { return None };
        let exchange = Exchange::open(&chia.external.as_ref()?.folder);
        let waiting = exchange.and_then(|exchange| exchange.waiting());
        let waiting = waiting
            .inspect_err(|error| tracing::warn!(%error, "external payouts cannot be counted"));
        waiting.ok().map(|waiting| waiting.len())
    }

    fn status(&self) -> Value {
        let view = self.pool.view();
        let counter = |counter: &Arc<Counter>| {
            let status = counter.status.load();
            let nodes: Vec<Value> = (counter.about.nodes)()
                .into_iter()
                .map(|node| json!({ "node": node.address, "height": node.height, "trouble": node.trouble }))
                .collect();
            json!({
                "asset": counter.name,
                "address": counter.address,
                "nodes": nodes,
                "wallet": status.holdings.as_ref().map(|held| json!({
                    "spendable": held.spendable.to_string(),
                    "immature": held.immature.to_string(),
                    "unconfirmed": held.unconfirmed.to_string(),
                })),
                "external_payouts_waiting": self.waiting_elsewhere(&counter.name),
                "payouts_blocked_by": status.blockers,
                "warnings": status.warnings,
                "trouble": status.trouble,
                "next_run_ms": status.next_run.0,
            })
        };
        let pool = |door: &OpenDoor| {
            let seen = view.pools.iter().find(|pool| pool.id == door.pool_id());
            let refused = door.rejected().into_iter().filter(|(_, count)| *count > 0);
            let refused: serde_json::Map<String, Value> =
                refused.map(|(label, count)| (label.to_owned(), count.into())).collect();
            json!({
                "pool": seen.map(|pool| &pool.name),
                "shares_accepted": door.accepted(),
                "shares_refused": refused,
                "accounts_in_window": seen.map(|pool| pool.accounts),
                "job": door.job(),
            })
        };
        let reward = |reward: &RewardView| {
            json!({
                "block": reward.id.to_string(),
                "height": reward.height,
                "amount": reward.amount.to_string(),
                "state": reward.state.as_str(),
            })
        };
        json!({
            "connections": self.connections,
            "pools": self.doors.iter().map(pool).collect::<Vec<_>>(),
            "rewards": view.rewards.iter().map(reward).collect::<Vec<_>>(),
            "store_failing": view.store_failing,
            "assets": self.counters.iter().map(counter).collect::<Vec<_>>(),
            "holds": view.holds.iter().map(|(scope, reason)| json!({ "scope": scope, "reason": reason })).collect::<Vec<_>>(),
            "unexplained_spends": view.unmatched_spends,
        })
    }

    /// What an operator says of a payout that they send themselves.
    async fn said(&self, payout: u64, word: Word, act: String) -> anyhow::Result<Value> {
        let by = self.by.to_owned();
        let mut external = Vec::new();
        for asset in &self.settings.assets {
            if matches!(asset.kind, AssetKind::External(_) | AssetKind::Ether(_)) {
                external.push(self.asset(&asset.config.name).await?);
            }
        }
        self.order(move |books, now| {
            let is_its = |asset: &&AssetId| {
                books.open_payouts(**asset).iter().any(|open| open.payout.id.0 == payout)
            };
            let Some(asset) = external.iter().find(is_its).copied() else {
                return Err(Refused::Rule(format!(
                    "no open payout {payout} is one that you send yourself; `adit payouts list` shows them"
                )));
            };
            treasury::say(books, asset, PayoutId(payout), word)?;
            books.act(&by, act, now);
            Ok(())
        })
        .await?;
        self.counters.iter().for_each(|counter| counter.look());
        Ok(json!({ "payout": payout, "noted": true }))
    }

    async fn approve(&self, payout: u64) -> anyhow::Result<Value> {
        let by = self.by.to_owned();
        let missing = self
            .order(move |books, now| {
                let missing = books.approve_payout(PayoutId(payout), &by)?;
                books.act(&by, format!("approve payout {payout}"), now);
                Ok(missing)
            })
            .await?;
        self.counters.iter().for_each(|counter| counter.look());
        Ok(json!({ "approved": payout, "approvals_missing": missing }))
    }

    /// Bans with a reason, takes a ban back without one. Who is banned is a door's note, so that it outlives a restart.
    async fn ban(&self, who: &str, reason: Option<String>) -> anyhow::Result<Value> {
        let (banned, is_banned) = (self.banned(who)?, reason.is_some());
        let (key, by) = (banned.to_string(), self.by.to_owned());
        let (note, value) = (key.clone(), reason.clone().map(String::into_bytes));
        self.order(move |books, now| {
            let said = match &reason {
                Some(reason) => format!("ban {note}: {reason}"),
                None => format!("unban {note}"),
            };
            books.note(Banned::DOOR, note, value);
            books.act(&by, said, now);
            Ok(())
        })
        .await?;
        if let Some(bans) = self.bans {
            bans.rcu(|bans| bans.with(&banned, is_banned));
        }
        Ok(json!({ "who": key, "banned": is_banned }))
    }

    /// An internet address, or an address of one of our coins.
    fn banned(&self, who: &str) -> anyhow::Result<Banned> {
        if let Ok(address) = who.parse() {
            return Ok(Banned::host(address));
        }
        let mut readable =
            self.settings.assets.iter().filter_map(|asset| asset.identity_of(who).ok());
        let found = readable.next().map(Banned::Account);
        found.with_context(|| format!("\"{who}\" is neither an internet address nor a miner's"))
    }

    /// Stops handing out a pool's work, or goes on.
    async fn pause(&self, name: &str, reason: Option<String>) -> anyhow::Result<Value> {
        let view = self.pool.view();
        let known = view.pools.iter().find(|pool| pool.name == name);
        let id = known.with_context(|| format!("there is no pool \"{name}\""))?.id;
        let (key, by) = (format!("pause/{name}"), self.by.to_owned());
        let (value, said) = match &reason {
            Some(reason) => (Some(reason.clone().into_bytes()), format!("pause {name}: {reason}")),
            None => (None, format!("resume {name}")),
        };
        self.order(move |books, now| {
            books.note(NOTES, key, value);
            books.act(&by, said, now);
            Ok(())
        })
        .await?;
        for door in self.doors.iter().filter(|door| door.pool_id() == id) {
            door.pause(reason.clone());
        }
        Ok(json!({ "pool": name, "paused": reason.is_some() }))
    }

    fn knock(&self, asset: Option<&str>) -> anyhow::Result<Value> {
        match asset {
            Some(asset) => self.counter(asset)?.knock(),
            None => self.counters.iter().for_each(|counter| counter.knock()),
        }
        Ok(json!({}))
    }

    fn counter(&self, asset: &str) -> anyhow::Result<&Arc<Counter>> {
        let found = self.counters.iter().find(|counter| counter.name == asset);
        found.with_context(|| {
            format!("no asset \"{asset}\" in this pool; there is {}", self.asset_names())
        })
    }

    fn asset_names(&self) -> String {
        let names: Vec<&str> =
            self.settings.assets.iter().map(|asset| &*asset.config.name).collect();
        names.join(", ")
    }

    async fn asset(&self, name: &str) -> anyhow::Result<AssetId> {
        let wanted = name.to_owned();
        let found = self.order(move |books, _| Ok(books.asset_named(&wanted))).await?;
        found.with_context(|| format!("no asset \"{name}\"; there is {}", self.asset_names()))
    }

    /// The account of an address of any of our coins, with the asset it is paid in.
    async fn account(
        &self,
        text: &str,
    ) -> anyhow::Result<(AccountId, &crate::config::AssetSettings)> {
        let mut why = anyhow!("\"{text}\" is no address");
        for asset in &self.settings.assets {
            match asset.identity_of(text) {
                Ok(identity) => {
                    if let Some(account) =
                        self.order(move |books, _| Ok(books.account_of(&identity))).await?
                    {
                        return Ok((account, asset));
                    }
                    why = anyhow!("no share of {text} was ever accepted here");
                }
                Err(error) if self.settings.assets.len() == 1 => return Err(error.into()),
                Err(_) => {}
            }
        }
        Err(why)
    }

    async fn scope(&self, text: &str) -> anyhow::Result<String> {
        // As holds are listed.
        if text == "all" || self.pool.view().holds.iter().any(|(scope, _)| scope == text) {
            return Ok(text.to_owned());
        }
        if self.settings.assets.iter().any(|asset| asset.config.name == text) {
            return Ok(format!("asset/{}", self.asset(text).await?));
        }
        let (account, _) = self
            .account(text)
            .await
            .context("a scope is \"all\", an asset's name, or a miner's address")?;
        Ok(format!("account/{account}"))
    }

    async fn dry_run(&self, asset: &str) -> anyhow::Result<Value> {
        let id = self.asset(asset).await?;
        let plan = self.order(move |books, now| Ok(books.plan_payout(id, now))).await?;
        let due: Vec<Value> = plan
            .due
            .iter()
            .map(|due| json!({ "account": due.account.0, "amount": due.amount.to_string() }))
            .collect();
        let skipped: Vec<Value> = plan
            .skipped
            .iter()
            .map(|(account, skip)| json!({ "account": account.0, "reason": format!("{skip:?}") }))
            .collect();
        let blockers = match self.counters.iter().find(|counter| counter.name == asset) {
            Some(counter) => json!(counter.status.load().blockers),
            None => Value::Null,
        };
        Ok(
            json!({ "due": due, "skipped": skipped, "total": plan.total().to_string(), "blocked_by": blockers }),
        )
    }

    /// What is out to be signed may come back signed at any time: its debts are not given back while it is.
    fn refuse_while_out(&self, payout: u64) -> anyhow::Result<()> {
        for asset in &self.settings.assets {
            let AssetKind::Coin(own) = &asset.kind else { continue };
            let WalletConfig::Watch { psbt_folder, .. } = &own.treasury.wallet else { continue };
            if let Some(file) = Outbox::open(psbt_folder)?.is_out(payout)? {
                let file = file.display();
                bail!(
                    "payout {payout} is out to be signed: make sure that nobody signs it, delete {file}, and cancel it then"
                );
            }
        }
        Ok(())
    }

    /// A spend that a wallet shows, and which.
    fn shown_spend(&self, txid: &str) -> anyhow::Result<Option<(Arc<Counter>, WalletSpend)>> {
        let id: RewardId = txid.parse().map_err(|_| anyhow!("\"{txid}\" is no transaction id"))?;
        Ok(self.counters.iter().find_map(|counter| {
            let status = counter.status.load();
            let spends = &status.holdings.as_ref()?.spends;
            let found = spends.iter().find(|spend| spend.txid == id.0).cloned();
            found.map(|spend| (counter.clone(), spend))
        }))
    }

    async fn forget_spend(&self, txid: &str) -> anyhow::Result<Value> {
        if self.shown_spend(txid)?.is_some() {
            bail!("the wallet shows {txid}: say what it was with --payout or --withdrawal");
        }
        let id: RewardId = txid.parse().context("it was read before")?;
        let by = self.by.to_owned();
        self.order(move |books, now| books.forget_spend(id.0, &by, now)).await?;
        self.counters.iter().for_each(|counter| counter.look());
        Ok(json!({ "forgotten": txid }))
    }

    async fn match_spend(&self, txid: &str, as_payout: bool) -> anyhow::Result<Value> {
        let found = self.shown_spend(txid)?;
        let (counter, spend) = found.with_context(|| {
            format!("no wallet of this pool shows a spend {txid}; if it was replaced or left the chain for good, say --gone")
        })?;
        let asset = counter.id;
        if as_payout {
            // Matching gives up waiting payouts to the same people.
            let open = self.order(move |books, _| Ok(books.open_payouts(asset))).await?;
            for OpenPayout { payout, .. } in open {
                let paid =
                    |part: &PayoutPart| spend.outputs.iter().any(|(to, _)| *to == part.destination);
                if payout.state == PayoutState::Queued && payout.parts.iter().any(paid) {
                    self.refuse_while_out(payout.id.0)?;
                }
            }
        }
        let by = self.by.to_owned();
        self.order(move |books, now| books.match_spend(asset, &spend, as_payout, &by, now)).await?;
        counter.look();
        Ok(json!({ "matched": txid }))
    }

    async fn deposit(
        &self,
        asset: &str,
        amount: &str,
        bankroll: bool,
        reference: String,
    ) -> anyhow::Result<Value> {
        let id = self.asset(asset).await?;
        let settings = self.settings.assets.iter().find(|known| known.config.name == asset);
        let decimals = settings.map_or(8, |settings| settings.config.decimals);
        let deposit =
            Deposit { amount: Amount::parse_decimal(amount, decimals)?, bankroll, reference };
        let by = self.by.to_owned();
        let order = move |books: &mut Books, store: &mut dyn Store, now| {
            books.deposit(id, deposit, store, &by, now)
        };
        self.pool.order(order).await?;
        Ok(json!({ "booked": amount }))
    }

    /// Takes a registration back; the names stay claimed.
    async fn unregister(&self, who: &str) -> anyhow::Result<Value> {
        let coins = self.settings.assets.iter();
        let identities: Vec<Identity> =
            coins.filter_map(|asset| asset.identity_of(who).ok()).collect();
        let (by, said) = (self.by.to_owned(), format!("take back the registration of {who}"));
        let was = self.order(move |books, now| {
            let was = identities.iter().filter(|identity| books.unregister(identity)).count() > 0;
            if was {
                books.act(&by, said, now);
            }
            Ok(was)
        });
        if !was.await? {
            bail!("{who} is not registered");
        }
        Ok(json!({ "unregistered": who }))
    }

    async fn address(&self, account: &str, to: &str) -> anyhow::Result<Value> {
        let (id, settings) = self.account(account).await?;
        let script = settings.destination_of(to)?;
        let asset = self.asset(&settings.config.name).await?;
        let display = to.to_owned();
        let said = format!("address of {account} becomes {to}");
        let by = self.by.to_owned();
        let from = self
            .order(move |books, now| {
                let from = books.set_destination(id, script, display, asset, now)?;
                books.act(&by, said, now);
                Ok(from)
            })
            .await?;
        Ok(json!({ "account": account, "to": to, "effective_from_ms": from.0 }))
    }

    async fn account_settings(
        &self,
        account: &str,
        minimum: Option<String>,
        member: bool,
    ) -> anyhow::Result<Value> {
        let (id, settings) = self.account(account).await?;
        let decimals = settings.config.decimals;
        let minimum = minimum.map(|text| Amount::parse_decimal(&text, decimals)).transpose()?;
        let shown = minimum.map_or_else(|| "the pool's".to_owned(), |m| m.to_decimal(decimals));
        let member_too = if member { ", member" } else { "" };
        let said = format!("account {account}: minimum {shown}{member_too}");
        let by = self.by.to_owned();
        self.order(move |books, now| {
            books.set_settings(id, minimum, member);
            books.act(&by, said, now);
            Ok(())
        })
        .await?;
        Ok(json!({ "account": account }))
    }
}

/// Who was banned before the last stop.
///
/// # Errors
/// When the pool is stopping.
pub async fn bans_of(pool: &Pool) -> anyhow::Result<Bans> {
    let notes = pool.order(|books, _, _| Ok(books.notes_of(Banned::DOOR))).await?;
    Ok(Bans::of(notes.keys()))
}

/// Why a pool was paused before the last stop, if it was.
///
/// # Errors
/// When the pool is stopping.
pub async fn pause_of(pool: &Pool, name: &str) -> anyhow::Result<Option<String>> {
    let notes = pool.order(|books, _, _| Ok(books.notes_of(NOTES))).await?;
    let found = notes.get(&format!("pause/{name}"));
    Ok(found.map(|reason| String::from_utf8_lossy(reason).into_owned()))
}
