//! The pages beside the pool: on threads of their own, which give way to miners.

use super::{Live, nodes, outlook};
use crate::config::{NoticeSettings, Settings, WebSettings};
use crate::control::{Given, Open};
use accounting::UnixMs;
use anyhow::Context;
use arc_swap::ArcSwap;
use pool::{Clock, Pool, SystemClock};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::api::guard::Budgets;
use web::db::Db;
use web::history::{History, SAMPLE_EVERY};
use web::keys::Keys;
use web::news::{Seen, Teller};
use web::notices::Outbox;
use web::operator::{Hand, Operators};
use web::outlook::Outlook;
use web::profiles::Profiles;
use web::readers::Readers;
use web::site::Site;
use web::support::Support;
use web::theme::Theme;
use web::watch::Watch;

/// How often the outlook is made.
const OUTLOOK_EVERY: Duration = Duration::from_secs(1);
/// How often charts are written.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// How often somebody looks for what is worth a notice.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// How often blocks and payouts are counted.
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// How much less these threads ask for than the miners'.
const NICENESS: i32 = 5;
/// How long answers may take when the pool stops.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Pages that are being served.
pub struct Pages {
    /// Where.
    pub address: SocketAddr,
    threads: Threads,
    tasks: TaskTracker,
}

/// The pages' own threads. They end in the background: who drops them may be in the middle of something async.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts serving.
///
/// # Errors
/// When the address is taken, or the theme, the certificate or the database cannot be used.
pub fn start(
    settings: &Settings,
    web: &WebSettings,
    pool: &Pool,
    live: &Arc<Live>,
) -> anyhow::Result<Pages> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started_at = clock.now();
    let db = Db::open(&settings.data_dir)?;
    let first = outlook::outlook(settings, live, pool, started_at, started_at);
    let channels: Vec<_> =
        web.notices.iter().map(NoticeSettings::channel).collect::<Result<_, _>>()?;
    let outbox = Outbox::new(db.clone(), channels, clock.clone())?;
    let site = Arc::new(Site {
        pool: pool.clone(),
        readers: Readers::of(&settings.data_dir),
        outlook: Arc::new(ArcSwap::from_pointee(first)),
        history: History::open(db.clone(), started_at)?,
        profiles: Profiles::open(db.clone())?,
        activity: ArcSwap::default(),
        keys: Keys::in_db(db.clone()),
        prospects: Default::default(),
        support: Support::in_db(db.clone()),
        operators: Operators::in_db(db.clone()),
        hand: hand(settings, pool, live),
        budgets: Budgets::default(),
        outbox: outbox.clone(),
        waiting_notices: AtomicU64::new(0),
        news: Teller::default(),
        db,
        theme: Theme::load(web.theme.as_deref())?,
        nodes: nodes::offered(settings, web),
        settings: web.site.clone(),
        clock,
    });
    let tls = match &web.tls {
        Some((certificate, key)) => Some(super::acceptor(certificate, key)?),
        None => None,
    };
    let threads = Threads(Some(runtime()?));
    let handle = threads.0.as_ref().context("the threads were just started")?.handle().clone();
    let listener = std::net::TcpListener::bind(web.listen).with_context(|| {
        format!(
            "web.listen: cannot listen on {}: is another program there (`ss -ltnp`)?",
            web.listen
        )
    })?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (tasks, cancel) = (TaskTracker::new(), live.floor.cancel.clone());
    let listener = {
        let _inside = handle.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let router = web::router(site.clone());
    let proxies = site.settings.proxies.clone();
    let serving = web::server::serve(listener, router, tls, proxies, tasks.clone(), cancel.clone());
    tasks.spawn_on(serving, &handle);
    let looking = look(settings.clone(), live.clone(), site.clone(), started_at, cancel.clone());
    tasks.spawn_on(looking, &handle);
    tasks.spawn_on(sample(site.clone(), cancel), &handle);
    let watch = Watch::new(outbox.clone(), site.history.last_alive()?, started_at);
    tasks.spawn_on(watching(watch, site.clone(), live.floor.cancel.clone()), &handle);
    let cancel = live.floor.cancel.clone();
    tasks.spawn_on(async move { outbox.run(cancel).await }, &handle);
    tracing::info!(%address, "pages");
    Ok(Pages { address, threads, tasks })
}

/// Carries operators' acts out as the command line's are.
fn hand(settings: &Settings, pool: &Pool, live: &Arc<Live>) -> Hand {
    let open = Open { pool: pool.clone(), settings: settings.clone(), live: live.clone() };
    let open = Arc::new(open);
    Hand::new(move |by, command| {
        let open = open.clone();
        async move { open.execute(Given { by, command }).await.map_err(|error| format!("{error:#}")) }
    })
}

fn runtime() -> anyhow::Result<Runtime> {
    let give_way = || {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "the pages' threads keep their priority");
        }
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).max_blocking_threads(8).thread_name("pages");
    Ok(builder.on_thread_start(give_way).enable_all().build()?)
}

async fn look(
    settings: Settings,
    live: Arc<Live>,
    site: Arc<Site>,
    started_at: UnixMs,
    cancel: CancellationToken,
) {
    let mut seen = Seen::default();
    let mut turns = tokio::time::interval(OUTLOOK_EVERY);
    while !cancel.is_cancelled() {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = turns.tick() => {}
        }
        let now = site.now();
        let made: Arc<Outlook> =
            Arc::new(outlook::outlook(&settings, &live, &site.pool, started_at, now));
        site.outlook.store(made.clone());
        site.news.tell(seen.compare(&made, &site.pool.view(), now));
    }
}

/// Reads the meters, and writes what has come together.
async fn sample(site: Arc<Site>, cancel: CancellationToken) {
    let mut turns = tokio::time::interval(SAMPLE_EVERY);
    let mut noted = tokio::time::Instant::now();
    loop {
        let stopping = tokio::select! {
            () = cancel.cancelled() => true,
            _ = turns.tick() => false,
        };
        let is_due = stopping || noted.elapsed() >= NOTE_EVERY;
        if is_due {
            noted = tokio::time::Instant::now();
        }
        // Tens of thousands of machines take a while, and pages are answered meanwhile.
        let own = site.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let now = own.now();
            own.history.sample(own.pool.noise(), now);
            own.learn_profiles();
            if is_due { own.history.note(now, stopping) } else { Ok(()) }
        });
        match looking.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "charts are not written"),
            Err(error) => tracing::warn!(%error, "charts are not written"),
        }
        if stopping {
            return;
        }
    }
}

/// Looks for what is worth a notice.
async fn watching(mut watch: Watch, site: Arc<Site>, cancel: CancellationToken) {
    let mut turns = tokio::time::interval(WATCH_EVERY);
    let mut counted: Option<tokio::time::Instant> = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = turns.tick() => {}
        }
        if counted.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            match site.learn_activity().await {
                Ok(()) => {
                    counted =
                        (!site.outlook.load().pools.is_empty()).then(tokio::time::Instant::now)
                }
                Err(error) => tracing::warn!(%error, "blocks and payouts are not counted"),
            }
        }
        if let Err(error) = watch.look(&site).await {
            tracing::error!(%error, "notices are not written");
        }
        if let Ok(count) = site.outbox.waiting().await {
            site.waiting_notices.store(count, Ordering::Relaxed);
        }
    }
}

impl Pages {
    /// Waits for what is being answered, and writes the charts. The pool was told to stop already.
    pub async fn stop(self) {
        self.tasks.close();
        if tokio::time::timeout(STOP_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::debug!("some pages were not finished");
        }
        drop(self.threads);
    }
}
