//! Publishes the changes of the partitions that this process owns: each partition's log is read from the engine, in order,
//! and produced to its table's topic. At least once; what comes twice is told by its sequence.
//!
//! The broker being away fails no write. A record that was not confirmed in time is read from the engine again, so that
//! memory is bounded however long that takes, and the engine keeps what is not published (see [`trim_bound`]).

mod lag;
mod partition;
mod published;
mod start;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, Producer};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_changelog::Embedded;
use tradewind_engine::{Clock, Documents, Engine, Error};
use tradewind_model::{Epoch, PartitionId, Sequence};

use crate::fetch::Fetcher;
use crate::progress::Store;
use crate::settings::{Settings, Told};
use crate::topic::{Topic, TopicError, Topics};

pub use lag::{Lag, State};
use partition::Task;
use published::Published;

/// What is on its way to the broker, of all partitions.
pub(crate) const BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// The same of one partition, in records.
pub(crate) const WINDOW_RECORDS: usize = 4096;
/// Pages read from the engine and not yet on their way, of all partitions.
const PAGES: usize = 64;
/// Progress is kept this often: what was published since is found in the topic by the next owner.
const SAVE: Duration = Duration::from_secs(5);
/// A partition that is handed over waits for what is on its way for so long.
const DRAIN: Duration = Duration::from_secs(2);
/// The engine's clock and a commit's end are a little apart.
const MARGIN_MS: u64 = 60_000;

/// A handle to the publisher of one region in this process; clones share it.
pub struct Publisher<E>(Arc<Shared<E>>);

impl<E> Clone for Publisher<E> {
    fn clone(&self) -> Self {
        Publisher(self.0.clone())
    }
}

struct Shared<E> {
    settings: Settings,
    log: Embedded<E>,
    store: Store<E>,
    clock: Clock,
    topics: Topics,
    fetcher: Fetcher,
    producer: Mutex<FutureProducer<Told>>,
    budget: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    owned: Mutex<HashMap<PartitionId, Owned<E>>>,
}

struct Owned<E> {
    published: Arc<Published<E>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl<E> Drop for Owned<E> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<E: Engine + Documents> Publisher<E> {
    /// Must be called inside a Tokio runtime. `log` is the engine's own, whose tails tell of new changes; progress is kept
    /// in `engine`.
    pub fn new(
        settings: &Settings,
        engine: Arc<E>,
        log: Embedded<E>,
        clock: Clock,
    ) -> Result<Publisher<E>, KafkaError> {
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            log,
            store: Store::new(engine),
            clock,
            topics: Topics::new(settings)?,
            fetcher: Fetcher::new(settings),
            producer: Mutex::new(produce(settings)?),
            budget: Arc::new(Semaphore::new(BUDGET_BYTES)),
            pages: Arc::new(Semaphore::new(PAGES)),
            owned: Mutex::default(),
        });
        tokio::spawn(save(Arc::downgrade(&shared)));
        Ok(Publisher(shared))
    }

    /// This process owns the partition from now on, under `epoch`: it is published until [`Publisher::disown`], or until
    /// a newer owner is met.
    pub fn own(&self, partition: PartitionId, epoch: Epoch, topic: Topic) {
        let mut owned = self.owned();
        if owned.get(&partition).is_some_and(|owned| owned.published.is(epoch, &topic)) {
            return;
        }
        let (store, now_ms) = (self.0.store.clone(), (self.0.clock)());
        let published = Arc::new(Published::new(partition, epoch, topic, store, now_ms));
        let stop = CancellationToken::new();
        let task = Task::new(self.0.clone(), published.clone(), stop.clone());
        let task = Some(tokio::spawn(task.run()));
        // Whatever ran under an older epoch ends.
        owned.insert(partition, Owned { published, stop, task });
    }

    /// Another owns the partition, or will: what is on its way is waited for, within bounds, and progress is kept.
    pub async fn disown(&self, partition: PartitionId) {
        let removed = self.owned().remove(&partition);
        if let Some(mut owned) = removed {
            owned.stop.cancel();
            if let Some(task) = owned.task.take() {
                // A panic was told by itself.
                let _ = task.await;
            }
            owned.published.save().await;
        }
    }

    /// Disowns everything.
    pub async fn close(&self) {
        let partitions: Vec<_> = self.owned().keys().copied().collect();
        for owned in self.owned().values() {
            owned.stop.cancel();
        }
        for partition in partitions {
            self.disown(partition).await;
        }
    }

    /// What is not published yet, of each owned partition.
    pub fn lag(&self) -> Vec<Lag> {
        let now_ms = (self.0.clock)();
        self.owned().values().map(|owned| owned.published.lag(&self.0.log, now_ms)).collect()
    }

    /// How far a partition is published; `None` if it is not published here.
    pub fn published(&self, partition: PartitionId) -> Option<Sequence> {
        self.owned().get(&partition).map(|owned| owned.published.sequence())
    }

    /// Removes a dropped table's topic, and what is known of its partitions.
    pub async fn remove(&self, topic: &Topic) -> Result<(), TopicError> {
        self.0.topics.delete(topic).await?;
        for number in 0..topic.partitions {
            let partition = PartitionId { incarnation: topic.incarnation, number };
            self.disown(partition).await;
            let removed = self.0.store.remove(partition).await;
            removed.map_err(|error| TopicError::Unavailable(error.to_string()))?;
        }
        Ok(())
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, HashMap<PartitionId, Owned<E>>> {
        self.0.owned.lock().expect("no panic while held")
    }
}

impl<E> Shared<E> {
    fn producer(&self) -> FutureProducer<Told> {
        self.producer.lock().expect("no panic while held").clone()
    }

    /// A producer whose sequence the broker refuses for good is replaced, by whoever meets it first.
    fn replace_if_broken(&self) {
        let mut producer = self.producer.lock().expect("no panic while held");
        let Some((code, reason)) = producer.client().fatal_error() else { return };
        tracing::warn!(%code, reason, "the broker refused the producer; another begins");
        match produce(&self.settings) {
            Ok(fresh) => {
                let broken = std::mem::replace(&mut *producer, fresh);
                // Its end blocks.
                std::thread::spawn(move || drop(broken));
            }
            Err(error) => tracing::error!(%error, "no producer can be made"),
        }
    }
}

fn produce(settings: &Settings) -> Result<FutureProducer<Told>, KafkaError> {
    FutureProducer::from_config_and_context(&settings.producer(), Told)
}

async fn save<E: Engine + Documents>(shared: std::sync::Weak<Shared<E>>) {
    loop {
        tokio::time::sleep(SAVE).await;
        let Some(shared) = shared.upgrade() else { return };
        let owned: Vec<_> = {
            let owned = shared.owned.lock().expect("no panic while held");
            owned.values().map(|owned| (owned.published.clone(), owned.stop.clone())).collect()
        };
        // One after the other: that bounds what progress costs the database.
        for (published, stop) in owned {
            if !published.save().await {
                stop.cancel();
            }
        }
    }
}

/// The engine's log may be trimmed before this (Unix milliseconds) and no further, as far as `partitions` go, which are those
/// whose changes are to be published; `None`: all of it is published.
pub async fn trim_bound<E: Engine + Documents>(
    engine: &Arc<E>,
    partitions: &[PartitionId],
) -> Result<Option<u64>, Error> {
    let store = Store::new(engine.clone());
    let mut bound: Option<u64> = None;
    for partition in partitions {
        let known = store.load(*partition).await?;
        let (published, complete_ms) =
            known.map_or((Sequence::ZERO, 0), |(_, progress)| (progress.published(), progress.complete_ms));
        if published.next() >= engine.kept(*partition).await?.end {
            continue;
        }
        if !engine.changes(*partition, published, 1, 1).await?.is_empty() {
            let complete_ms = complete_ms.saturating_sub(MARGIN_MS);
            bound = Some(bound.map_or(complete_ms, |bound| bound.min(complete_ms)));
        }
    }
    Ok(bound)
}
