//! What Ethash reads: the cache of the epoch being mined and of the next, and where it is wished the whole data set, made in
//! the background.
//!
//! Invariant: work of an epoch is handed out only once it can be verified; a connection never waits for a cache.

use crate::source::Offer;
use crate::template::Template;
use arc_swap::ArcSwap;
use pow::ethash::{CLASSIC_EPOCH, Cache, Dataset, EPOCH, Epoch, Page, Pages};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The thread that makes them gives way to all others by so much.
const NICENESS: i32 = 15;
/// The next epoch's data set is begun so many blocks before it is needed.
const AHEAD_BLOCKS: u64 = 2000;
/// How often the thread looks whether there is something to make.
const LOOK: Duration = Duration::from_millis(200);

/// How Ethash is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagSettings {
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Where whole data sets are kept between starts (1 GiB and more each); `None` verifies by the cache alone.
    pub full: Option<PathBuf>,
}

/// What a hash of one epoch reads.
pub enum Dag {
    /// Rows are made when they are read.
    Light(Cache),
    /// All of them are there.
    Full(Dataset),
}

impl Dag {
    /// Which epoch's.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Dag::Light(cache) => cache.epoch(),
            Dag::Full(dataset) => dataset.epoch(),
        }
    }

    /// Is the whole data set there?
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Dag::Full(_))
    }
}

impl std::fmt::Debug for Dag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dag({}, full: {})", self.epoch().number(), self.is_full())
    }
}

impl PartialEq for Dag {
    fn eq(&self, other: &Self) -> bool {
        self.epoch() == other.epoch() && self.is_full() == other.is_full()
    }
}

impl Pages for Dag {
    fn count(&self) -> u32 {
        match self {
            Dag::Light(cache) => cache.count(),
            Dag::Full(dataset) => dataset.count(),
        }
    }

    fn page(&self, index: u32) -> Page {
        match self {
            Dag::Light(cache) => cache.page(index),
            Dag::Full(dataset) => dataset.page(index),
        }
    }
}

/// An epoch's pages and the seed that its miners make their own from.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The pages.
    pub dag: Arc<Dag>,
    /// The seed, as it travels.
    pub seed: [u8; 32],
}

/// Caches and data sets, made in the background.
pub struct Dags {
    shared: Arc<Shared>,
    made: watch::Receiver<Vec<Kept>>,
}

struct Shared {
    settings: DagSettings,
    /// Height of the block being mined; `u64::MAX` before the first.
    height: AtomicU64,
    /// What is being made, for people.
    progress: ArcSwap<String>,
}

/// The epoch of a height, where there is one.
#[must_use]
pub fn epoch_of(height: u64, blocks: u64) -> Option<Epoch> {
    Epoch::new(u32::try_from(height.checked_div(blocks)?).ok()?)
}

impl Dags {
    /// Starts making what the heights want.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn start(settings: DagSettings, cancel: CancellationToken) -> std::io::Result<Self> {
        let (publish, made) = watch::channel(Vec::new());
        let shared = Arc::new(Shared {
            settings,
            height: AtomicU64::new(u64::MAX),
            progress: ArcSwap::from_pointee("not begun".to_owned()),
        });
        let maker = Maker { shared: shared.clone(), publish, cancel };
        std::thread::Builder::new().name("ethash".into()).spawn(move || maker.run())?;
        Ok(Dags { shared, made })
    }

    /// Adds to each template what its epoch is verified by, and holds it back until that is there.
    pub async fn run(
        mut self,
        mut offers: watch::Receiver<Offer>,
        publish: watch::Sender<Offer>,
        cancel: CancellationToken,
    ) {
        let mut told = String::new();
        let mut published: Option<(Arc<Template>, Arc<Dag>)> = None;
        loop {
            let offer = offers.borrow_and_update().clone();
            let kept = self.made.borrow_and_update().clone();
            let asked =
                if let Offer::Template(template) = &offer { Some(template.clone()) } else { None };
            let ready = self.ready(offer, &kept);
            let dag = match &ready {
                Offer::Template(template) => template.ethash.as_ref().map(|kept| kept.dag.clone()),
                Offer::Waiting | Offer::Later(_) | Offer::None(_) => None,
            };
            let made_of = asked.zip(dag);
            // What was made for another epoch is no reason for new work.
            let is_same = match (&made_of, &published) {
                (Some((template, dag)), Some((old, by))) => {
                    Arc::ptr_eq(template, old) && Arc::ptr_eq(dag, by)
                }
                _ => false,
            };
            published = made_of;
            match &ready {
                _ if is_same => {}
                Offer::Later(reason) | Offer::None(reason) if *reason == told => {}
                _ => {
                    told = match &ready {
                        Offer::Later(reason) | Offer::None(reason) => reason.clone(),
                        Offer::Waiting | Offer::Template(_) => String::new(),
                    };
                    publish.send_replace(ready);
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = offers.changed() => if changed.is_err() { return },
                changed = self.made.changed() => if changed.is_err() { return },
            }
        }
    }

    fn ready(&self, offer: Offer, kept: &[Kept]) -> Offer {
        let Offer::Template(template) = offer else { return offer };
        let Some(epoch) = epoch_of(template.height, self.shared.settings.epoch_blocks) else {
            return Offer::None(format!("height {} is in no epoch of Ethash", template.height));
        };
        self.shared.height.store(template.height, Ordering::Relaxed);
        match kept.iter().find(|kept| kept.dag.epoch() == epoch) {
            Some(own) if template.work.as_ref().is_some_and(|work| work.seed != own.seed) => {
                let blocks = self.shared.settings.epoch_blocks;
                let other = EPOCH + CLASSIC_EPOCH - blocks;
                Offer::None(format!(
                    "the node's seed is not that of epoch {} of {blocks} blocks, so nobody's work could be verified; if its epochs are longer \
                     or shorter, set ethash_epoch = {other}",
                    epoch.number()
                ))
            }
            Some(own) => {
                let mut template = (*template).clone();
                template.ethash = Some(own.clone());
                Offer::Template(Arc::new(template))
            }
            None => Offer::Later(format!(
                "the cache of Ethash's epoch {} is being made ({})",
                epoch.number(),
                self.shared.progress.load()
            )),
        }
    }
}

struct Maker {
    shared: Arc<Shared>,
    publish: watch::Sender<Vec<Kept>>,
    cancel: CancellationToken,
}

impl Maker {
    fn run(self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "caches are made at the usual priority");
        }
        while !self.cancel.is_cancelled() {
            match self.wanted() {
                Some((epoch, full)) => self.make(epoch, full),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    fn has(&self, epoch: Epoch, full: bool) -> bool {
        let kept = self.publish.borrow();
        kept.iter().any(|kept| kept.dag.epoch() == epoch && (kept.dag.is_full() || !full))
    }

    /// What is missing most: this epoch's cache, its data set, the next one's cache, and in time its data set.
    fn wanted(&self) -> Option<(Epoch, bool)> {
        let (blocks, height) =
            (self.shared.settings.epoch_blocks, self.shared.height.load(Ordering::Relaxed));
        let epoch = epoch_of(height, blocks)?;
        let wants_full = self.shared.settings.full.is_some();
        let is_near = (height + AHEAD_BLOCKS) / blocks > u64::from(epoch.number());
        let mut wishes = vec![(epoch, false), (epoch, wants_full)];
        if let Some(next) = epoch.next() {
            wishes.extend([(next, false), (next, wants_full && is_near)]);
        }
        wishes.into_iter().find(|(epoch, full)| !self.has(*epoch, *full))
    }

    fn make(&self, epoch: Epoch, full: bool) {
        let settings = &self.shared.settings;
        let seed = epoch.seed(settings.epoch_blocks);
        let tell = |what: &str, done: f64| {
            let text = format!("{what} of epoch {}: {:.0} %", epoch.number(), done * 100.0);
            self.shared.progress.store(Arc::new(text));
        };
        tracing::info!(epoch = epoch.number(), full, "making what Ethash reads");
        let cache = Cache::build(epoch, &seed, |done| tell("cache", done));
        let dag = match settings.full.as_ref().filter(|_| full) {
            None => Dag::Light(cache),
            Some(folder) => {
                let progress = |done| {
                    tell("data set", done);
                    !self.cancel.is_cancelled()
                };
                match dataset(folder, &cache, progress) {
                    Some(dataset) => Dag::Full(dataset),
                    None => return,
                }
            }
        };
        tracing::info!(?dag, "Ethash can be verified");
        let current = epoch_of(self.shared.height.load(Ordering::Relaxed), settings.epoch_blocks);
        self.publish.send_modify(|kept| {
            kept.retain(|kept| kept.dag.epoch() != epoch && Some(kept.dag.epoch()) >= current);
            kept.push(Kept { dag: Arc::new(dag), seed });
        });
    }
}

/// Reads a kept data set, or makes it and keeps it; `None` when `progress` says `false`.
#[must_use]
pub fn dataset(
    folder: &Path,
    cache: &Cache,
    progress: impl Fn(f64) -> bool + Sync,
) -> Option<Dataset> {
    let path = folder.join(format!("ethash-{}.dag", cache.epoch().number()));
    match File::open(&path).map(|file| Dataset::read(cache, &mut BufReader::new(file))) {
        Ok(Ok(dataset)) => return Some(dataset),
        Ok(Err(error)) => tracing::warn!(path = %path.display(), %error, "it is made anew"),
        Err(_) => {}
    }
    // As many threads as there are cores: they give way to everything else.
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let dataset = Dataset::build(cache, threads, progress)?;
    if let Err(error) = keep(&path, &dataset) {
        tracing::warn!(path = %path.display(), %error, "the data set is not kept: the next start makes it again");
    }
    Some(dataset)
}

fn keep(path: &Path, dataset: &Dataset) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let beside = path.with_extension("new");
    let mut out = BufWriter::new(File::create(&beside)?);
    dataset.write(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    std::fs::rename(&beside, path)
}
