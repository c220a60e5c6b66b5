//! The change log of a region as its topics have it.
//!
//! Readers that keep up are served from memory ([`crate::ring`]); one that is behind reads the topic from the mark at or
//! before its position ([`crate::past`]). Neither ever passes a gap.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tradewind_changelog::{ChangeLog, Error, Page, Tail};
use tradewind_engine::Documents;
use tradewind_model::{PartitionId, Sequence};

use crate::fetch::{FetchError, Fetcher};
use crate::follow::{At, Followed, Follower};
use crate::past::Past;
use crate::progress::Store;
use crate::settings::Settings;
use crate::topic::count;

/// A partition that is not published yet, or whose broker is away, is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// What was lost is found again after this, also by those who only wait.
const KEEP: Duration = Duration::from_secs(5);
/// A table that was just made has its topic in less.
const APPEAR: Duration = Duration::from_secs(15);

/// A handle to the log of one region; clones share what they hold.
pub struct KafkaLog<E>(Arc<Inner<E>>);

impl<E> Clone for KafkaLog<E> {
    fn clone(&self) -> Self {
        KafkaLog(self.0.clone())
    }
}

struct Inner<E> {
    store: Store<E>,
    follower: Arc<Follower>,
    fetcher: Fetcher,
    tails: Tail,
    /// Partitions that somebody reads.
    slots: Mutex<HashMap<PartitionId, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    followed: tokio::sync::Mutex<Option<Arc<Followed>>>,
    past: Past,
}

enum Missing {
    /// Nobody has published the partition yet.
    Unpublished,
    Failed(Error),
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Error {
        match missing {
            Missing::Unpublished => Error::Unavailable("the partition is not published yet".to_owned()),
            Missing::Failed(error) => error,
        }
    }
}

impl<E: Documents> KafkaLog<E> {
    /// Must be called inside a Tokio runtime. Progress is read from `engine`, where the publishers keep it.
    pub fn new(settings: &Settings, engine: Arc<E>) -> Result<KafkaLog<E>, KafkaError> {
        let tails = Tail::default();
        let inner = Arc::new(Inner {
            store: Store::new(engine),
            follower: Follower::start(settings, tails.clone())?,
            fetcher: Fetcher::new(settings),
            tails,
            slots: Mutex::default(),
        });
        tokio::spawn(keep(Arc::downgrade(&inner)));
        Ok(KafkaLog(inner))
    }

    /// Lets a dropped table's partition go.
    pub async fn forget(&self, partition: PartitionId) {
        let slot = self.0.slots.lock().expect("no panic while held").remove(&partition);
        if let Some(slot) = slot
            && let Some(followed) = slot.followed.lock().await.take()
        {
            self.0.follower.leave(&followed.at);
        }
        self.0.tails.forget(partition);
    }
}

impl<E: Documents> Inner<E> {
    fn slot(&self, partition: PartitionId) -> Arc<Slot> {
        self.slots.lock().expect("no panic while held").entry(partition).or_default().clone()
    }

    /// The partition's end, which is followed from now on.
    async fn followed(&self, slot: &Slot, partition: PartitionId) -> Result<Arc<Followed>, Missing> {
        let mut current = slot.followed.lock().await;
        if let Some(followed) = current.as_ref().filter(|followed| self.follower.follows(followed)) {
            return Ok(followed.clone());
        }
        let loaded = self.store.load(partition).await;
        let loaded = loaded.map_err(|error| Missing::Failed(Error::Unavailable(error.to_string())))?;
        let (_, progress) = loaded.ok_or(Missing::Unpublished)?;
        let at = At { topic: progress.topic.clone(), partition: count(partition.number) };
        let followed = self.follower.follow(partition, at, progress.published()).await;
        let followed = followed.map_err(|error| Missing::Failed(unavailable(error)))?;
        Ok(current.insert(followed).clone())
    }

    /// As [`Inner::followed`], but a partition that is about to be published is waited for.
    async fn appeared(&self, slot: &Slot, partition: PartitionId) -> Result<Arc<Followed>, Missing> {
        let until = Instant::now() + APPEAR;
        loop {
            match self.followed(slot, partition).await {
                Err(Missing::Unpublished) if Instant::now() < until => tokio::time::sleep(LOOK_AGAIN).await,
                known => return known,
            }
        }
    }
}

impl<E: Documents> ChangeLog for KafkaLog<E> {
    async fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        let slot = self.0.slot(partition);
        let followed = match self.0.followed(&slot, partition).await {
            Ok(followed) => followed,
            Err(Missing::Unpublished) => return Ok(Page { changes: Vec::new(), through: after }),
            Err(Missing::Failed(error)) => return Err(error),
        };
        let page = followed.lock().page(partition, after, limit, max_bytes);
        match page {
            Some(page) => page,
            None => {
                let past = &slot.past;
                past.read(&self.0.fetcher, &self.0.store, &followed, after, limit, max_bytes).await
            }
        }
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        let slot = self.0.slot(partition);
        let followed = self.0.appeared(&slot, partition).await?;
        let (first, next) = self.0.follower.offsets(&followed.at).await.map_err(unavailable)?;
        let end = followed.lock().end().next();
        if first == next {
            return Ok(end..end);
        }
        let begin = slot.past.first(&self.0.fetcher, &followed, first).await?;
        Ok(begin.min(end)..end)
    }

    async fn wait(&self, partition: PartitionId, after: Sequence) {
        let slot = self.0.slot(partition);
        while self.0.followed(&slot, partition).await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let mut tail = self.0.tails.watch(partition);
        // Ends too where the partition was forgotten: there is nothing to wait for then.
        let _ = tail.wait_for(|next| *next > after.next().0).await;
    }

    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64> {
        // Its end is followed as soon as the keeper looks, or somebody reads.
        self.0.slot(partition);
        self.0.tails.watch(partition)
    }
}

/// Follows again what was lost: a topic that was made anew, a partition whose broker did not answer.
async fn keep<E: Documents>(inner: Weak<Inner<E>>) {
    loop {
        tokio::time::sleep(KEEP).await;
        let Some(inner) = inner.upgrade() else { return };
        let slots: Vec<_> = {
            let slots = inner.slots.lock().expect("no panic while held");
            slots.iter().map(|(partition, slot)| (*partition, slot.clone())).collect()
        };
        for (partition, slot) in slots {
            // One that is not there is not there yet; whoever reads it is told why.
            if timeout(KEEP, inner.followed(&slot, partition)).await.is_err() {
                break;
            }
        }
    }
}

pub(crate) fn unavailable(error: FetchError) -> Error {
    Error::Unavailable(error.to_string())
}
