//! Batches that were given up, with the records themselves: Lambda keeps only pointers, and what they point to expires.
//!
//! ```text
//! <directory>/<mapping uuid>.jsonl       one batch per line, newest last
//! <directory>/<mapping uuid>.old.jsonl   the piece before, replaced when the newest is full
//! ```
//!
//! A line is Lambda's failure record with `payload`, the event, as for an S3 destination; but the payload is JSON itself
//! and not a string of it.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How large a piece may grow; two are kept.
const MAX_PIECE: u64 = 64 * 1024 * 1024;

/// A batch that was given up, in the words of Lambda's record for failed invocations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedBatch {
    #[serde(rename = "requestContext")]
    pub request: RequestContext,
    /// Missing if the function was never run on it.
    #[serde(rename = "responseContext", default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseContext>,
    pub version: String,
    pub timestamp: String,
    #[serde(rename = "DDBStreamBatchInfo")]
    pub batch: BatchInfo,
    pub payload: Box<RawValue>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    pub request_id: String,
    pub function_arn: String,
    pub condition: String,
    pub approximate_invoke_count: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseContext {
    pub status_code: u16,
    pub executed_version: String,
    pub function_error: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    pub shard_id: String,
    pub start_sequence_number: String,
    pub end_sequence_number: String,
    pub approximate_arrival_of_first_record: String,
    pub approximate_arrival_of_last_record: String,
    pub batch_size: usize,
    pub stream_arn: String,
}

/// Where batches go that were given up. Durable when `keep` returns: the checkpoint passes them after that. May get the
/// same batch again after a crash.
pub trait FailedBatches: Send + Sync + 'static {
    fn keep(&self, mapping: &str, batch: FailedBatch) -> impl Future<Output = io::Result<()>> + Send;
}

/// Failed batches in files, bounded by dropping the oldest.
pub struct FailedLog {
    directory: PathBuf,
    max_piece: u64,
    // One writer at a time: lines must not mix, nor a piece be replaced twice.
    writing: std::sync::Arc<Mutex<()>>,
}

impl FailedLog {
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<FailedLog> {
        FailedLog::with_piece(directory.into(), MAX_PIECE)
    }

    fn with_piece(directory: PathBuf, max_piece: u64) -> io::Result<FailedLog> {
        fs::create_dir_all(&directory)?;
        Ok(FailedLog { directory, max_piece, writing: Default::default() })
    }

    /// What is kept of a mapping, oldest first. A last line that a crash cut short is left out. Blocks.
    pub fn read(&self, mapping: &str) -> io::Result<Vec<FailedBatch>> {
        let mut batches = Vec::new();
        for path in [self.path(mapping, ".old"), self.path(mapping, "")] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for line in BufReader::new(file).lines() {
                batches.extend(serde_json::from_str::<FailedBatch>(&line?).ok());
            }
        }
        Ok(batches)
    }

    fn path(&self, mapping: &str, suffix: &str) -> PathBuf {
        self.directory.join(format!("{mapping}{suffix}.jsonl"))
    }
}

impl FailedBatches for FailedLog {
    async fn keep(&self, mapping: &str, batch: FailedBatch) -> io::Result<()> {
        let mut line = serde_json::to_vec(&batch)?;
        line.push(b'\n');
        let (newest, old) = (self.path(mapping, ""), self.path(mapping, ".old"));
        let (max_piece, writing) = (self.max_piece, self.writing.clone());
        let written = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = writing.lock().expect("no panic while held");
            append(&newest, &old, &line, max_piece)
        });
        written.await.map_err(io::Error::other)?
    }
}

fn append(newest: &PathBuf, old: &PathBuf, line: &[u8], max_piece: u64) -> io::Result<()> {
    let size = fs::metadata(newest).map_or(0, |metadata| metadata.len());
    if size > 0 && size + line.len() as u64 > max_piece {
        if old.exists() {
            tracing::warn!(file = %old.display(), "dropping the oldest failed batches of a mapping");
        }
        fs::rename(newest, old)?;
    }
    let is_new = !newest.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(newest)?;
    file.write_all(line)?;
    file.sync_all()?;
    if let (true, Some(directory)) = (is_new, newest.parent()) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: usize) -> FailedBatch {
        serde_json::from_value(serde_json::json!({
            "requestContext": {"requestId": "r", "functionArn": "a", "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 3},
            "version": "1.0", "timestamp": "2019-11-14T00:13:49.717Z",
            "DDBStreamBatchInfo": {"shardId": "s", "startSequenceNumber": number.to_string(),
                "endSequenceNumber": "2", "approximateArrivalOfFirstRecord": "", "approximateArrivalOfLastRecord": "",
                "batchSize": 1, "streamArn": "arn"},
            "payload": {"Records": [{"n": number}]},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn batches_are_kept_with_their_records_and_bounded_by_dropping_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let log = FailedLog::with_piece(folder.path().to_owned(), 1000).unwrap();
        for number in 0..10 {
            log.keep("m", batch(number)).await.unwrap();
        }
        let kept = log.read("m").unwrap();
        let numbers: Vec<_> = kept.iter().map(|batch| batch.batch.start_sequence_number.clone()).collect();
        assert!((2..10).contains(&numbers.len()), "{numbers:?}");
        assert_eq!(numbers.last().unwrap(), "9");
        assert_eq!(kept.last().unwrap().payload.get(), r#"{"Records":[{"n":9}]}"#);
        assert!(log.read("other").unwrap().is_empty());
    }
}
