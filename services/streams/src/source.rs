//! A region's streams as functions read them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tradewind_changelog::ChangeLog;
use tradewind_database::Database;
use tradewind_database::stream::{Found, sequence_number, sequence_of};
use tradewind_engine::{Documents, Engine};
use tradewind_function::mapping::source::{Page, ShardInfo, ShardSource, SourceError, StreamRecord};
use tradewind_model::{Change, PartitionId, Sequence};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::stream::StreamRef;
use tradewind_wire::{render_event, sequence_text};

pub struct Shards<E> {
    database: Arc<Database<E>>,
    /// Streams that were read, by ARN: what they are of does not change.
    known: Mutex<HashMap<String, Found>>,
    /// Where partitions are owned by other processes: their ends, looked at again and again.
    looking: Option<Looking>,
}

/// How often the end of a log is looked at that another process writes.
const LOOK: Duration = Duration::from_millis(25);

/// One task per partition that somebody waits for; it ends when nobody does.
#[derive(Default)]
struct Looking {
    ends: Arc<Mutex<HashMap<PartitionId, watch::Sender<u64>>>>,
}

impl Looking {
    fn watch<E: Engine>(&self, engine: Arc<E>, partition: PartitionId) -> watch::Receiver<u64> {
        let mut ends = self.ends.lock().expect("no panic while held");
        if let Some(end) = ends.get(&partition) {
            return end.subscribe();
        }
        let (end, receiver) = watch::channel(0);
        ends.insert(partition, end.clone());
        let ends = self.ends.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if let Ok(kept) = engine.kept(partition).await {
                    end.send_if_modified(|known| std::mem::replace(known, kept.end.0) != kept.end.0);
                }
                let mut ends = ends.lock().expect("no panic while held");
                // Under the lock: nobody can subscribe in between.
                if end.receiver_count() == 0 {
                    ends.remove(&partition);
                    return;
                }
            }
        });
        receiver
    }
}

impl<E: Engine + Documents> Shards<E> {
    pub fn new(database: Arc<Database<E>>) -> Shards<E> {
        Shards { database, known: Mutex::default(), looking: None }
    }

    /// The streams of a region whose partitions other processes own.
    pub fn remote(database: Arc<Database<E>>) -> Shards<E> {
        Shards { database, known: Mutex::default(), looking: Some(Looking::default()) }
    }

    async fn find(&self, arn: &str) -> Result<Found, SourceError> {
        let missing = || SourceError::NotFound(arn.to_owned());
        let named = StreamRef::from_arn(arn).ok_or_else(missing)?;
        let found = match self.database.find_stream(&named).await {
            // A table that was just made at another node.
            Err(error) if error.code == Code::ResourceNotFound && self.looking.is_some() => {
                let refreshed = self.database.refresh_catalogue().await;
                refreshed.map_err(|error| SourceError::Unavailable(error.to_string()))?;
                self.database.find_stream(&named).await
            }
            found => found,
        };
        let found = found.map_err(|error| failed(arn, &error))?;
        self.known.lock().expect("no panic while held").insert(arn.to_owned(), found.clone());
        Ok(found)
    }

    fn record(
        &self,
        arn: &str,
        found: &Found,
        number: u32,
        sequence: Sequence,
        change: &Change,
    ) -> StreamRecord {
        let record = self.database.record(found, number, sequence, change);
        let mut event = Vec::new();
        render_event(&record, arn, &mut event);
        StreamRecord {
            sequence,
            sequence_number: sequence_text(sequence_number(sequence)),
            key_hash: change.key.hash() ^ hash(change.key.sort_key()),
            event: Bytes::from(event),
            approximate_time_ms: change.version.hlc.ms(),
            origin: change.version.origin,
            trace: change.trace,
        }
    }
}

/// FNV-1a: spreads the items of one partition key over the lanes of a mapping.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn failed(arn: &str, error: &ApiError) -> SourceError {
    match error.code {
        Code::ResourceNotFound => SourceError::NotFound(arn.to_owned()),
        _ => SourceError::Unavailable(error.message.clone()),
    }
}

impl<E: Engine + Documents> ShardSource for Shards<E> {
    async fn shards(&self, stream_arn: &str) -> Result<Vec<ShardInfo>, SourceError> {
        let found = self.find(stream_arn).await?;
        let mut shards = Vec::new();
        for range in &found.table.partitions {
            let number = range.number;
            let kept = self.database.engine().kept(found.partition(number)).await;
            let next = kept.map_err(|error| SourceError::Unavailable(error.to_string()))?.end;
            let end = found.ends_at(number);
            shards.push(ShardInfo {
                shard_id: found.shard_id(number),
                parent: None,
                last: end.unwrap_or(Sequence(next.0.saturating_sub(1))),
                closed: end.is_some(),
            });
        }
        Ok(shards)
    }

    async fn read(
        &self,
        stream_arn: &str,
        shard_id: &str,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, SourceError> {
        let found = self.find(stream_arn).await?;
        let number =
            found.shard_number(shard_id).ok_or_else(|| SourceError::NotFound(shard_id.to_owned()))?;
        let after = after.max(found.begins_after(number));
        let page = match self.database.read_shard(&found, number, after, limit).await {
            Ok(page) => page,
            Err(error) if error.code == Code::TrimmedDataAccess => {
                let kept = self.database.change_log().kept(found.partition(number)).await;
                let first = kept.map_err(|error| SourceError::Unavailable(error.to_string()))?.start;
                let oldest = Sequence(first.0.saturating_sub(1));
                let read = self.database.read_shard(&found, number, oldest, limit).await;
                read.map_err(|error| failed(stream_arn, &error))?
            }
            Err(error) => return Err(failed(stream_arn, &error)),
        };
        let mut through = page.through;
        let (mut records, mut bytes) = (Vec::with_capacity(page.changes.len()), 0);
        for (sequence, change) in &page.changes {
            if bytes >= max_bytes && !records.is_empty() {
                through = Sequence(sequence.0 - 1);
                break;
            }
            let record = self.record(stream_arn, &found, number, *sequence, change);
            bytes += record.event.len();
            records.push(record);
        }
        let end = found.ends_at(number).is_some_and(|end| through >= end);
        Ok(Page { records, through, end })
    }

    fn sequence(&self, sequence_number: &str) -> Option<Sequence> {
        sequence_number.parse().ok().map(sequence_of)
    }

    fn wake(&self, stream_arn: &str, shard_id: &str) -> watch::Receiver<u64> {
        let known = self.known.lock().expect("no panic while held");
        let partition = known
            .get(stream_arn)
            .and_then(|found| found.shard_number(shard_id).map(|number| found.partition(number)));
        match (partition, &self.looking) {
            (Some(partition), Some(looking)) if !self.database.is_published() => {
                looking.watch(self.database.engine().clone(), partition)
            }
            (Some(partition), _) => self.database.change_log().watch(partition),
            // Read first: then it is known.
            (None, _) => watch::Sender::new(0).subscribe(),
        }
    }
}
