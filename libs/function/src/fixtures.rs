//! What this crate's tests share: documents in memory, packages made on the spot.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tradewind_engine::{Document, Documents, Error};
use tradewind_model::{Region, Sequence};
use zip::write::SimpleFileOptions;

use crate::catalogue::{Code, Function, Mapping};
use crate::mapping::source::{Page, ShardInfo, ShardSource, SourceError, StreamRecord};

/// Documents that last as long as the value: the test of a restart keeps it.
#[derive(Default)]
pub struct MemoryDocuments {
    rows: Mutex<BTreeMap<(String, String), Document>>,
    changes: AtomicU64,
}

impl Documents for MemoryDocuments {
    async fn get(&self, collection: &str, name: &str) -> Result<Option<Document>, Error> {
        Ok(self.rows.lock().unwrap().get(&(collection.to_owned(), name.to_owned())).cloned())
    }

    async fn list(&self, collection: &str) -> Result<Vec<(String, Document)>, Error> {
        let rows = self.rows.lock().unwrap();
        let of_collection = rows.iter().filter(|((found, _), _)| found == collection);
        Ok(of_collection.map(|((_, name), document)| (name.clone(), document.clone())).collect())
    }

    async fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> Result<Option<u64>, Error> {
        let key = (collection.to_owned(), name.to_owned());
        let mut rows = self.rows.lock().unwrap();
        if rows.get(&key).map(|document| document.revision) != expected {
            return Ok(None);
        }
        let revision = expected.unwrap_or(0) + 1;
        match body {
            Some(body) => rows.insert(key, Document { revision, body: body.to_vec() }),
            None => rows.remove(&key),
        };
        self.changes.fetch_add(1, Relaxed);
        Ok(Some(revision))
    }

    async fn generation(&self, _collection: &str) -> Result<u64, Error> {
        Ok(self.changes.load(Relaxed))
    }
}

pub fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A function with Lambda's defaults.
pub fn function(name: &str, code: Code) -> Function {
    let mut function: Function = serde_json::from_value(serde_json::json!({
        "name": name, "runtime": null, "handler": "", "role": "arn:aws:iam::000000000000:role/r", "description": "",
        "code": {"kind": "handler"}, "timeout_s": 3, "memory_mb": 128, "ephemeral_storage_mb": 512,
        "architecture": "x86_64", "tracing_mode": "PassThrough", "revision_id": "1", "last_modified_ms": 0,
    }))
    .unwrap();
    function.code = code;
    function
}

/// A mapping with Lambda's defaults, from the horizon.
pub fn mapping(uuid: &str, stream_arn: &str) -> Mapping {
    serde_json::from_value(serde_json::json!({
        "uuid": uuid, "stream_arn": stream_arn, "function": "f", "enabled": true, "starting_position": "TRIM_HORIZON",
        "generation": 1, "transition": "Creating", "last_modified_ms": 0,
    }))
    .unwrap()
}

/// A stream in memory that tests append to. Sequences may have gaps, as where changes are not shown.
#[derive(Default)]
pub struct MemoryStream {
    shards: Mutex<BTreeMap<String, MemoryShard>>,
    wake: Option<tokio::sync::watch::Sender<u64>>,
}

#[derive(Default)]
struct MemoryShard {
    parent: Option<String>,
    records: Vec<StreamRecord>,
    closed: bool,
}

pub const STREAM_ARN: &str = "arn:aws:dynamodb:eu-west-1:000000000000:table/T/stream/2024-01-01T00:00:00.000";

impl MemoryStream {
    pub fn with_shards(shards: &[(&str, Option<&str>)]) -> MemoryStream {
        let shards = shards.iter().map(|(id, parent)| {
            let parent = parent.map(str::to_owned);
            ((*id).to_owned(), MemoryShard { parent, ..MemoryShard::default() })
        });
        let wake = Some(tokio::sync::watch::channel(0).0);
        MemoryStream { shards: Mutex::new(shards.collect()), wake }
    }

    /// Appends a change of the item `key`; answers its sequence.
    pub fn append(&self, shard_id: &str, key: u64, event_name: &str, time_ms: u64) -> u64 {
        let mut shards = self.shards.lock().unwrap();
        let shard = &shards[shard_id];
        // A child's numbers go on where its parent's ended.
        let parent = shard.parent.as_ref().and_then(|parent| shards[parent].records.last());
        let last = shard.records.last().or(parent);
        let sequence = last.map_or(1, |record| record.sequence.0 + 2);
        let shard = shards.get_mut(shard_id).unwrap();
        let event = serde_json::json!({
            "eventID": format!("{shard_id}-{sequence}"), "eventName": event_name, "eventSource": "aws:dynamodb",
            "dynamodb": {"Keys": {"Id": {"N": key.to_string()}}, "SequenceNumber": format!("{sequence:021}")},
            "eventSourceARN": STREAM_ARN,
        });
        shard.records.push(StreamRecord {
            sequence: Sequence(sequence),
            sequence_number: format!("{sequence:021}"),
            key_hash: key,
            event: event.to_string().into(),
            approximate_time_ms: time_ms,
            origin: Region::new("eu-west-1").unwrap(),
            trace: None,
        });
        drop(shards);
        self.wake.as_ref().unwrap().send_modify(|count| *count += 1);
        sequence
    }

    /// How many records all shards have.
    pub fn count(&self) -> usize {
        self.shards.lock().unwrap().values().map(|shard| shard.records.len()).sum()
    }

    pub fn close(&self, shard_id: &str) {
        self.shards.lock().unwrap().get_mut(shard_id).unwrap().closed = true;
        self.wake.as_ref().unwrap().send_modify(|count| *count += 1);
    }
}

impl ShardSource for MemoryStream {
    async fn shards(&self, stream_arn: &str) -> Result<Vec<ShardInfo>, SourceError> {
        if stream_arn != STREAM_ARN {
            return Err(SourceError::NotFound(stream_arn.to_owned()));
        }
        let shards = self.shards.lock().unwrap();
        let infos = shards.iter().map(|(shard_id, shard)| ShardInfo {
            shard_id: shard_id.clone(),
            parent: shard.parent.clone(),
            last: shard.records.last().map_or(Sequence::ZERO, |record| record.sequence),
            closed: shard.closed,
        });
        Ok(infos.collect())
    }

    async fn read(
        &self,
        _stream_arn: &str,
        shard_id: &str,
        after: Sequence,
        limit: usize,
        _max_bytes: usize,
    ) -> Result<Page, SourceError> {
        let shards = self.shards.lock().unwrap();
        let shard = shards.get(shard_id).ok_or_else(|| SourceError::NotFound(shard_id.to_owned()))?;
        let records = shard.records.iter().filter(|record| record.sequence > after).take(limit);
        let records: Vec<_> = records.cloned().collect();
        let through = records.last().map_or(after, |record| record.sequence);
        let last = shard.records.last().map_or(Sequence::ZERO, |record| record.sequence);
        Ok(Page { records, through, end: shard.closed && through >= last })
    }

    fn sequence(&self, sequence_number: &str) -> Option<Sequence> {
        sequence_number.parse().ok().map(Sequence)
    }

    fn wake(&self, _stream_arn: &str, _shard_id: &str) -> tokio::sync::watch::Receiver<u64> {
        self.wake.as_ref().unwrap().subscribe()
    }
}
