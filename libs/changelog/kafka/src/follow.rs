//! The ends of all partitions that somebody reads, followed by one consumer: what arrives goes into each partition's
//! [`Ring`] and wakes those who wait for it.
//!
//! Partitions are assigned, never subscribed to, and none holds up another: a ring that is full drops its oldest records,
//! and whoever still needs them reads them from the topic.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::watch;
use tradewind_changelog::Tail;
use tradewind_model::{PartitionId, Sequence};

use crate::codec;
use crate::fetch::FetchError;
use crate::ring::{Arrived, Ring};
use crate::settings::{Settings, Told};

/// What all rings hold together, about.
const RINGS_BYTES: usize = 64 * 1024 * 1024;
/// What one holds however many there are.
const RING_BYTES: usize = 64 * 1024;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// The broker answers a fetch as soon as there is something; a partition that is new waits for the fetch before.
const WAIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a partition's records are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct At {
    pub topic: String,
    pub partition: i32,
}

/// A partition whose end is followed.
pub(crate) struct Followed {
    pub partition: PartitionId,
    pub at: At,
    pub ring: Mutex<Ring>,
    /// Becomes true with the first record, or where there is none.
    settled: watch::Sender<bool>,
}

pub(crate) struct Follower {
    consumer: Arc<StreamConsumer<Told>>,
    followed: Mutex<HashMap<At, Arc<Followed>>>,
    tails: Tail,
}

impl Follower {
    /// Must be called inside a Tokio runtime; what it starts ends when it is dropped.
    pub fn start(settings: &Settings, tails: Tail) -> Result<Arc<Follower>, KafkaError> {
        let config = settings.consumer(WAIT, QUEUE_BYTES);
        let consumer = Arc::new(StreamConsumer::from_config_and_context(&config, Told)?);
        let follower = Arc::new(Follower { consumer: consumer.clone(), followed: Mutex::default(), tails });
        tokio::spawn(receive(consumer, Arc::downgrade(&follower)));
        Ok(follower)
    }

    /// First and next offset of a partition.
    pub async fn offsets(&self, at: &At) -> Result<(i64, i64), FetchError> {
        let (consumer, at) = (self.consumer.clone(), at.clone());
        let asked =
            tokio::task::spawn_blocking(move || consumer.fetch_watermarks(&at.topic, at.partition, PATIENCE));
        Ok(asked.await.map_err(|error| FetchError::Unavailable(error.to_string()))??)
    }

    /// Follows the partition from its last record on; where it has none, what was `published` before is where it ends. One
    /// caller at a time for each partition, who may give up at any moment.
    pub async fn follow(
        &self,
        partition: PartitionId,
        at: At,
        published: Sequence,
    ) -> Result<Arc<Followed>, FetchError> {
        // Of a caller that was dropped while it waited, or failed: the client refuses to be given a partition twice.
        self.leave(&at);
        let (first, next) = self.offsets(&at).await?;
        let (settled, mut ready) = watch::channel(false);
        let followed = Arc::new(Followed { partition, at, ring: Mutex::default(), settled });
        if first == next {
            followed.lock().starts_at(published, next);
            followed.settled.send_replace(true);
            self.tails.advance(partition, published.next());
        }
        self.known().insert(followed.at.clone(), followed.clone());
        self.assign(&followed.at, first.max(next - 1))?;
        let settled = tokio::time::timeout(PATIENCE, ready.wait_for(|settled| *settled)).await;
        if settled.is_err() {
            self.leave(&followed.at);
            return Err(FetchError::Unavailable("no answer".to_owned()));
        }
        Ok(followed)
    }

    /// Whether it is followed still; it is not once its topic was found to be shorter than it was.
    pub fn follows(&self, followed: &Followed) -> bool {
        self.known().get(&followed.at).is_some_and(|found| std::ptr::eq(&**found, followed))
    }

    pub fn leave(&self, at: &At) {
        if self.known().remove(at).is_some() {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition(&at.topic, at.partition);
            if let Err(error) = self.consumer.incremental_unassign(&partitions) {
                tracing::debug!(%error, topic = at.topic, "a partition cannot be left");
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<At, Arc<Followed>>> {
        self.followed.lock().expect("no panic while held")
    }

    fn assign(&self, at: &At, offset: i64) -> Result<(), FetchError> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&at.topic, at.partition, Offset::Offset(offset))?;
        Ok(self.consumer.incremental_assign(&partitions)?)
    }

    fn arrived(&self, message: &BorrowedMessage<'_>) {
        let at = At { topic: message.topic().to_owned(), partition: message.partition() };
        let (found, room) = {
            let known = self.known();
            (known.get(&at).cloned(), (RINGS_BYTES / known.len().max(1)).max(RING_BYTES))
        };
        let Some(followed) = found else { return };
        let refetch = followed.arrived(message, room, &self.tails);
        if let Some(offset) = refetch {
            tracing::warn!(
                topic = at.topic,
                partition = at.partition,
                offset,
                "a change log has a gap; it is read again"
            );
            // Zero: it happens in the background.
            let sought = self.consumer.seek(&at.topic, at.partition, Offset::Offset(offset), Duration::ZERO);
            if let Err(error) = sought {
                tracing::warn!(%error, topic = at.topic, "a topic cannot be read again");
            }
        }
    }

    /// The position in some topic is gone: whoever reads next begins anew.
    fn forget_all(&self) {
        let all: Vec<_> = self.known().keys().cloned().collect();
        tracing::warn!("a topic is shorter than it was; change logs are read anew");
        all.iter().for_each(|at| self.leave(at));
    }
}

impl Followed {
    pub fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().expect("no panic while held")
    }

    /// Takes a record; answers from where the topic is to be read again, if it is.
    fn arrived(&self, message: &BorrowedMessage<'_>, room: usize, tails: &Tail) -> Option<i64> {
        let bytes = message.payload_len() + message.key_len() + 256;
        let mut refetch = None;
        // Anybody may write to a topic: what is no record of ours is passed over.
        if let Some(span) = codec::span(self.partition, message) {
            let mut ring = self.lock();
            let held = || codec::decode(message).map(|change| change.map(Arc::new));
            match ring.arrive(span, message.offset(), bytes, held) {
                Arrived::Taken => {
                    ring.shrink(room);
                    let next = ring.end().next();
                    drop(ring);
                    tails.advance(self.partition, next);
                }
                Arrived::Refetch(offset) => refetch = Some(offset),
                Arrived::Repeated | Arrived::Ahead => {}
            }
        }
        self.settled.send_if_modified(|settled| !std::mem::replace(settled, true));
        refetch
    }
}

async fn receive(consumer: Arc<StreamConsumer<Told>>, follower: Weak<Follower>) {
    loop {
        // Awake now and then to see whether anybody is left.
        let received = tokio::time::timeout(PATIENCE, consumer.recv()).await;
        let Some(follower) = follower.upgrade() else { break };
        match received {
            Ok(Ok(message)) => follower.arrived(&message),
            Ok(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => follower.forget_all(),
            // The client goes on by itself as soon as it can.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    // Closing a consumer blocks.
    tokio::task::spawn_blocking(move || drop(consumer));
}
