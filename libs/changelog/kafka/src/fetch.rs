//! Reads of a topic's past, each from an offset on: a few consumers take turns, first come, first served, so that the
//! one that follows the ends of all partitions is never sent back for those who are behind.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use crate::settings::{Settings, Told};

/// Reads at one time; more wait for their turn.
const TURNS: usize = 4;
/// What a consumer reads ahead of whom it reads for.
const AHEAD_BYTES: usize = 2 * 1024 * 1024;
/// A fetch that finds nothing keeps the next one, of another partition, waiting for so long.
const WAIT: Duration = Duration::from_millis(20);
/// A broker that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The topic does not have this offset: retention has passed it, or it is another topic.
    #[error("the topic does not have the offset")]
    OutOfRange,
    #[error("the broker does not answer: {0}")]
    Unavailable(String),
}

impl From<KafkaError> for FetchError {
    fn from(error: KafkaError) -> FetchError {
        FetchError::Unavailable(error.to_string())
    }
}

/// Why a scan ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// There are no more records for now.
    Reached,
    /// The visitor had enough.
    Stopped,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Position {
    topic: String,
    partition: i32,
    offset: i64,
}

struct Session {
    consumer: StreamConsumer<Told>,
    /// What it would deliver next.
    at: Option<Position>,
}

pub(crate) struct Fetcher {
    settings: Settings,
    turns: Semaphore,
    idle: Mutex<Vec<Session>>,
}

impl Fetcher {
    pub fn new(settings: &Settings) -> Fetcher {
        Fetcher { settings: settings.clone(), turns: Semaphore::new(TURNS), idle: Mutex::default() }
    }

    /// Shows the partition's records from `offset` (`None`: the first there is) on to `visit`, until it breaks or there
    /// are no more.
    pub async fn scan(
        &self,
        topic: &str,
        partition: i32,
        offset: Option<i64>,
        visit: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()> + Send,
    ) -> Result<End, FetchError> {
        let _turn = self.turns.acquire().await.expect("it is never closed");
        let mut session = self.session(topic, partition, offset)?;
        let end = session.scan(topic, partition, visit).await;
        match end {
            Ok(End::Stopped) => {}
            // Whoever was read for goes on elsewhere.
            Ok(End::Reached) => session.rest()?,
            // Not used again: who knows what it still holds.
            Err(_) => {
                tokio::task::spawn_blocking(move || drop(session));
                return end;
            }
        }
        self.idle.lock().expect("no panic while held").push(session);
        end
    }

    /// A consumer that stands there already, or any, or a new one.
    fn session(&self, topic: &str, partition: i32, offset: Option<i64>) -> Result<Session, FetchError> {
        let wanted = offset.map(|offset| Position { topic: topic.to_owned(), partition, offset });
        let mut idle = self.idle.lock().expect("no panic while held");
        if wanted.is_some()
            && let Some(found) = idle.iter().position(|session| session.at == wanted)
        {
            return Ok(idle.remove(found));
        }
        // The one that was used least lately.
        let mut session = if idle.is_empty() { self.open()? } else { idle.remove(0) };
        drop(idle);
        session.go(topic, partition, offset)?;
        Ok(session)
    }

    fn open(&self) -> Result<Session, FetchError> {
        let config = self.settings.consumer(WAIT, AHEAD_BYTES);
        Ok(Session { consumer: StreamConsumer::from_config_and_context(&config, Told)?, at: None })
    }
}

impl Session {
    fn go(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), FetchError> {
        let mut assignment = TopicPartitionList::new();
        let offset = offset.map_or(Offset::Beginning, Offset::Offset);
        assignment.add_partition_offset(topic, partition, offset)?;
        self.consumer.assign(&assignment)?;
        self.at = None;
        Ok(())
    }

    fn rest(&mut self) -> Result<(), FetchError> {
        self.at = None;
        Ok(self.consumer.unassign()?)
    }

    async fn scan(
        &mut self,
        topic: &str,
        partition: i32,
        mut visit: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()> + Send,
    ) -> Result<End, FetchError> {
        let mut complaint = None;
        loop {
            let Ok(received) = tokio::time::timeout(PATIENCE, self.consumer.recv()).await else {
                return Err(FetchError::Unavailable(complaint.unwrap_or_else(|| "no answer".to_owned())));
            };
            match received {
                Ok(message) if message.topic() == topic && message.partition() == partition => {
                    let next = message.offset() + 1;
                    self.at = Some(Position { topic: topic.to_owned(), partition, offset: next });
                    if visit(&message).is_break() {
                        return Ok(End::Stopped);
                    }
                }
                // What an earlier assignment left.
                Ok(_) => {}
                Err(KafkaError::PartitionEOF(number)) if number == partition => return Ok(End::Reached),
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                )) => return Err(FetchError::OutOfRange),
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
                // It tries again by itself; what it complains of matters if it never succeeds.
                Err(error) => complaint = Some(error.to_string()),
            }
        }
    }
}
