//! DynamoDB Streams: a table's change log as shards of records.
//!
//! A shard is a partition for as long as a stream is enabled. Sequence numbers are the log's, moved up so that they have
//! the 21 digits the API promises at least; an iterator is a position in one shard, and expires.
//!
//! ```text
//! iterator    stream ARN | 1 | base64( partition:4  after:8  issued:8 (Unix ms) )
//! ```

mod seek;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tradewind_changelog::{ChangeLog, Error as LogError, Page};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Change, Item, PartitionId, Sequence};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::stream::{
    DescribeStream, GetRecords, GetShardIterator, IteratorStart, ListStreams, SequenceNumber, StreamRef,
};
use tradewind_wire::request::table::StreamView;
use tradewind_wire::response::stream::{
    EventName, RecordPage, ShardDescription, StreamDescription, StreamPage, StreamRecord, StreamStatus,
    StreamSummary,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::control::unavailable;
use crate::region::{DROPPED, Database};
use crate::stream::seek::Seek;
use crate::table::document::{Stream, TableDocument};

const ITERATOR_MS: u64 = 15 * 60 * 1000;
const PAGE_BYTES: usize = 1024 * 1024;
/// A change may have been given a time that its region's clock had not reached: of a clock ahead, or set back since.
const AHEAD_MS: u64 = 60_000;

/// The sequence number of the Streams API, functions and Kafka alike.
pub fn sequence_number(sequence: Sequence) -> SequenceNumber {
    sequence.number()
}

/// The log's sequence of a sequence number; one that no record can have is before or after all.
pub fn sequence_of(number: SequenceNumber) -> Sequence {
    Sequence::from_number(number)
}

/// A stream with the table it is or was of.
#[derive(Clone, Debug)]
pub struct Found {
    pub table: Arc<TableDocument>,
    pub stream: Stream,
}

impl Found {
    pub fn partition(&self, number: u32) -> PartitionId {
        self.table.partition_id(number)
    }

    /// The last sequence before the shard begins.
    pub fn begins_after(&self, number: u32) -> Sequence {
        self.stream.begins_after.get(&number).copied().unwrap_or_default()
    }

    /// The shard's last sequence, once it is closed and known.
    pub fn ends_at(&self, number: u32) -> Option<Sequence> {
        let ends_at = self.stream.ends_at.as_ref()?;
        // While it is being disabled, the end is not known yet.
        ends_at.get(&number).copied()
    }

    pub fn shard_id(&self, number: u32) -> String {
        format!("shardId-{:020}-{number:08x}", self.created_ms())
    }

    /// The partition of a shard of this stream.
    pub fn shard_number(&self, shard: &str) -> Option<u32> {
        let mut numbers = self.table.partitions.iter().map(|range| range.number);
        numbers.find(|number| self.shard_id(*number) == shard)
    }

    fn created_ms(&self) -> u64 {
        let time = chrono::NaiveDateTime::parse_from_str(&self.stream.label, "%Y-%m-%dT%H:%M:%S%.f");
        time.map_or(self.table.created_ms, |time| time.and_utc().timestamp_millis() as u64)
    }
}

impl<E: Engine + Documents> Database<E> {
    pub fn stream_arn(&self, table: &str, label: &str) -> String {
        format!("{}/stream/{label}", self.table_arn(table))
    }

    pub fn table_arn(&self, table: &str) -> String {
        format!("arn:aws:dynamodb:{}:{}:table/{table}", self.region(), self.account())
    }

    /// Every stream that can be read, of tables that are there and that were.
    pub async fn all_streams(&self) -> Result<Vec<Found>, ApiError> {
        let mut tables: Vec<_> = self.tables().iter().map(|table| table.document()).collect();
        for (_, dropped) in self.shared.engine.list(DROPPED).await.map_err(unavailable)? {
            tables.extend(serde_json::from_slice(&dropped.body).ok().map(Arc::new));
        }
        let streams = |table: &Arc<TableDocument>| {
            let streams = table.streams.clone().into_iter();
            let table = table.clone();
            streams.map(move |stream| Found { table: table.clone(), stream })
        };
        Ok(tables.iter().flat_map(streams).collect())
    }

    pub async fn find_stream(&self, named: &StreamRef) -> Result<Found, ApiError> {
        let matches =
            |table: &TableDocument, stream: &Stream| table.name == named.table && stream.label == named.label;
        if let Some(table) = self.table(&named.table) {
            let table = table.document();
            if let Some(stream) = table.streams.iter().find(|stream| matches(&table, stream)).cloned() {
                return Ok(Found { table, stream });
            }
        }
        let mut dropped = self.all_streams().await?.into_iter();
        dropped.find(|found| matches(&found.table, &found.stream)).ok_or_else(|| {
            ApiError::resource_not_found(format!(
                "Requested resource not found: Stream: {} not found",
                named.arn
            ))
        })
    }

    pub async fn list_streams(&self, request: ListStreams) -> Result<StreamPage, ApiError> {
        let mut streams: Vec<_> = self
            .all_streams()
            .await?
            .into_iter()
            .filter(|found| request.table.as_ref().is_none_or(|name| *name == found.table.name))
            .map(|found| StreamSummary {
                arn: self.stream_arn(&found.table.name, &found.stream.label),
                table: found.table.name.clone(),
                label: found.stream.label,
            })
            .filter(|summary| request.start.as_ref().is_none_or(|start| summary.arn > *start))
            .collect();
        streams.sort_by(|a, b| a.arn.cmp(&b.arn));
        streams.truncate(request.limit);
        let full = streams.len() == request.limit;
        let last = streams.last().filter(|_| full).map(|summary| summary.arn.clone());
        Ok(StreamPage { streams, last })
    }

    pub async fn describe_stream(&self, request: DescribeStream) -> Result<StreamDescription, ApiError> {
        let found = self.find_stream(&request.stream).await?;
        let mut shards: Vec<_> = found
            .table
            .partitions
            .iter()
            .map(|range| describe_shard(&found, range.number))
            .filter(|shard| request.start.as_ref().is_none_or(|start| shard.id > *start))
            // Shards have children once partitions split.
            .filter(|shard| request.children_of.is_none() || shard.parent == request.children_of)
            .collect();
        shards.sort_by(|a, b| a.id.cmp(&b.id));
        let more = shards.len() > request.limit;
        shards.truncate(request.limit);
        let enabled = found.stream.ends_at.is_none();
        Ok(StreamDescription {
            arn: self.stream_arn(&found.table.name, &found.stream.label),
            label: found.stream.label.clone(),
            status: if enabled { StreamStatus::Enabled } else { StreamStatus::Disabled },
            view: found.stream.view,
            created_ms: found.created_ms(),
            table: found.table.name.clone(),
            keys: found.table.keys.clone(),
            last_shard: shards.last().filter(|_| more).map(|shard| shard.id.clone()),
            shards,
        })
    }

    pub async fn get_shard_iterator(&self, request: GetShardIterator) -> Result<String, ApiError> {
        let found = self.find_stream(&request.stream).await?;
        let number = found.shard_number(&request.shard).ok_or_else(|| {
            ApiError::resource_not_found(format!(
                "Requested resource not found: Shard does not exist: {}",
                request.shard
            ))
        })?;
        let log = self.change_log();
        let kept = log.kept(found.partition(number)).await.map_err(log_failed)?;
        let horizon = found.begins_after(number).max(Sequence(kept.start.0.saturating_sub(1)));
        // What is committed, also where it is still on its way to the log.
        let next = self.shared.engine.kept(found.partition(number)).await.map_err(unavailable)?.end;
        let end = found.ends_at(number).unwrap_or(Sequence(next.0.saturating_sub(1)));
        let after = match request.start {
            IteratorStart::TrimHorizon => horizon,
            IteratorStart::Latest => end,
            IteratorStart::At(number) => Sequence(sequence_of(number).0.saturating_sub(1)),
            IteratorStart::After(number) => sequence_of(number),
            IteratorStart::Time { epoch_ms } => self.search(&found, number, horizon, epoch_ms).await?,
        };
        if after < horizon {
            return Err(trimmed());
        }
        Ok(self.iterator(&found, number, after))
    }

    /// The position before the first record that was written at `epoch_ms` or later.
    async fn search(
        &self,
        found: &Found,
        number: u32,
        from: Sequence,
        epoch_ms: u64,
    ) -> Result<Sequence, ApiError> {
        if epoch_ms > self.shared.clock.now_ms() {
            return Err(ApiError::validation(
                "The timestamp of an AT_TIMESTAMP iterator cannot be in the future",
            ));
        }
        let partition = found.partition(number);
        let earlier = self.shared.engine.committed_before(partition, epoch_ms.saturating_sub(AHEAD_MS)).await;
        let from = from.max(earlier.map_err(unavailable)?);
        let log = self.change_log();
        let end = log.kept(partition).await.map_err(log_failed)?.end;
        let seek = Seek { log, partition, here: self.region(), epoch_ms };
        // Beside the threads that answer requests: it reads many pages.
        let runtime = tokio::runtime::Handle::current();
        let searched = tokio::task::spawn_blocking(move || runtime.block_on(seek.run(from, end)));
        match searched.await {
            Ok(position) => position.map_err(log_failed),
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(ApiError::unavailable("the service stops")),
        }
    }

    fn iterator(&self, found: &Found, number: u32, after: Sequence) -> String {
        let arn = self.stream_arn(&found.table.name, &found.stream.label);
        let issued = self.shared.clock.now_ms();
        let position = [&number.to_be_bytes()[..], &after.0.to_be_bytes(), &issued.to_be_bytes()].concat();
        format!("{arn}|1|{}", BASE64.encode(position))
    }

    pub async fn get_records(&self, request: GetRecords) -> Result<RecordPage, ApiError> {
        let (named, number, after, issued_ms) =
            read_iterator(&request.iterator).ok_or_else(|| ApiError::validation("Invalid ShardIterator"))?;
        if issued_ms.saturating_add(ITERATOR_MS) < self.shared.clock.now_ms() {
            return Err(ApiError::new(
                Code::ExpiredIterator,
                "Iterator expired. The iterator was created more than 15 minutes ago.",
            ));
        }
        let found = self.find_stream(&named).await?;
        let page = self.read_shard(&found, number, after, request.limit).await?;
        let ended = found.ends_at(number).is_some_and(|end| page.through >= end);
        let records =
            page.changes.iter().map(|(sequence, change)| self.record(&found, number, *sequence, change));
        Ok(RecordPage {
            records: records.collect(),
            next_iterator: (!ended).then(|| self.iterator(&found, number, page.through)),
        })
    }

    /// Changes of a shard that its stream shows, after `after`.
    pub async fn read_shard(
        &self,
        found: &Found,
        number: u32,
        after: Sequence,
        limit: usize,
    ) -> Result<Page, ApiError> {
        let log = self.change_log();
        let mut page =
            log.read(found.partition(number), after, limit, PAGE_BYTES).await.map_err(log_failed)?;
        if let Some(end) = found.ends_at(number) {
            page.changes.retain(|(sequence, _)| *sequence <= end);
            page.through = page.through.min(end).max(after);
        }
        page.changes.retain(|(_, change)| is_shown(change));
        Ok(page)
    }

    /// A change as the stream shows it.
    pub fn record(&self, found: &Found, number: u32, sequence: Sequence, change: &Change) -> StreamRecord {
        let view = found.stream.view;
        let keys = change.key.attributes(&found.table.keys);
        let new_image =
            change.new.clone().filter(|_| matches!(view, StreamView::NewImage | StreamView::NewAndOldImages));
        let old_image =
            change.old.clone().filter(|_| matches!(view, StreamView::OldImage | StreamView::NewAndOldImages));
        let size_bytes = keys.size() + new_image.iter().chain(&old_image).map(Item::size).sum::<usize>();
        let identity = [&found.partition(number).to_bytes()[..], &sequence.0.to_be_bytes()].concat();
        // Only the region in which an item expired says that it did.
        let expired = change.expired && change.version.origin == self.region();
        StreamRecord {
            event_id: format!("{:032x}", xxh3_128(&identity)),
            event: event(change),
            region: self.region().to_string(),
            created_ms: change.version.hlc.ms(),
            keys,
            new_image,
            old_image,
            sequence: sequence_number(sequence),
            size_bytes: size_bytes as u64,
            view,
            expired,
        }
    }
}

/// A change that left the item equal by value is no record: it is there for other regions.
fn is_shown(change: &Change) -> bool {
    !change.same
}

fn event(change: &Change) -> EventName {
    match (change.existed, change.exists) {
        (false, _) => EventName::Insert,
        (true, true) => EventName::Modify,
        (true, false) => EventName::Remove,
    }
}

fn describe_shard(found: &Found, number: u32) -> ShardDescription {
    let first = found.begins_after(number).next();
    ShardDescription {
        id: found.shard_id(number),
        parent: None,
        first: sequence_number(first),
        last: found.ends_at(number).map(|end| sequence_number(end.max(first))),
    }
}

fn read_iterator(iterator: &str) -> Option<(StreamRef, u32, Sequence, u64)> {
    let (arn, position) = iterator.split_once("|1|")?;
    let position = BASE64.decode(position).ok()?;
    let number = u32::from_be_bytes(position.get(..4)?.try_into().ok()?);
    let after = u64::from_be_bytes(position.get(4..12)?.try_into().ok()?);
    let issued = u64::from_be_bytes(position.get(12..20)?.try_into().ok()?);
    // Anybody may write one: there is always a sequence after the position.
    let after = Some(Sequence(after)).filter(|after| after.0 < u64::MAX)?;
    Some((StreamRef::from_arn(arn)?, number, after, issued))
}

fn trimmed() -> ApiError {
    ApiError::new(
        Code::TrimmedDataAccess,
        "The operation attempted to read past the oldest stream record in a shard.",
    )
}

fn log_failed(error: LogError) -> ApiError {
    match error {
        LogError::Trimmed { .. } => trimmed(),
        LogError::Unavailable(_) | LogError::Corrupt(..) => ApiError::internal(error.to_string()),
    }
}
