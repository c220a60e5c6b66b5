//! The dead-letter log: batches that were given up, with the records themselves. Lambda keeps only pointers, and what they
//! point to expires.
//!
//! ```text
//! failed-batches/<function>    <id>          Header: Lambda's failure record, and how large the payload is
//! failed-records/<function>    <id>/<piece>  {"text": "…"}: the payload's JSON, cut in pieces
//! ```
//!
//! Documents of the region's engine, so that every node sees them and they outlive a node. A header is written first with
//! `is_whole` unset and again when all pieces are there: whatever a crash leaves behind is found by its header. Ids sort by
//! time. Kept by function and not by mapping: a mapping that is made anew finds what the former one gave up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tradewind_engine::Documents;
use uuid::Uuid;

const HEADERS: &str = "failed-batches";
const PIECES: &str = "failed-records";
/// Documents are meant to be small.
const PIECE_BYTES: usize = 256 * 1024;
/// What is kept of one function; then the oldest go.
const MAX_BATCHES: usize = 10_000;
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A batch that was given up, in the words of Lambda's record for failed invocations, with the event as `payload`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedBatch {
    #[serde(flatten)]
    pub record: FailureRecord,
    pub payload: Box<RawValue>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailureRecord {
    #[serde(rename = "requestContext")]
    pub request: RequestContext,
    /// Missing if the function was never run on it.
    #[serde(rename = "responseContext", default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseContext>,
    pub version: String,
    pub timestamp: String,
    #[serde(rename = "DDBStreamBatchInfo")]
    pub batch: BatchInfo,
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

/// What is known of a kept batch without its records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    pub mapping: String,
    pub record: FailureRecord,
    /// The error object of the last attempt, as far as it is short.
    #[serde(default)]
    pub error: Option<String>,
    pub bytes: u64,
    pieces: usize,
    is_whole: bool,
}

#[derive(Serialize, Deserialize)]
struct Piece {
    text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum FailedError {
    #[error(transparent)]
    Engine(#[from] tradewind_engine::Error),
    #[error("failed batch makes no sense: {0}")]
    Corrupt(#[from] serde_json::Error),
}

pub struct FailedLog<D> {
    documents: Arc<D>,
    /// How much each function has, as far as this process knows: whether it is time to look.
    known: Mutex<HashMap<String, (usize, u64)>>,
}

impl<D: Documents> FailedLog<D> {
    pub fn new(documents: Arc<D>) -> FailedLog<D> {
        FailedLog { documents, known: Mutex::default() }
    }

    /// Keeps a batch; durable when this returns, and only then the checkpoint passes it. May get the same batch again
    /// after a crash. Answers the batch's id.
    pub async fn keep(
        &self,
        function: &str,
        mapping: &str,
        batch: &FailedBatch,
        error: Option<String>,
        now_ms: u64,
    ) -> Result<String, FailedError> {
        let id = format!("{now_ms:014}-{}", &Uuid::new_v4().simple().to_string()[..8]);
        let texts = cut(batch.payload.get());
        let mut header = Header {
            mapping: mapping.to_owned(),
            record: batch.record.clone(),
            error,
            bytes: batch.payload.get().len() as u64,
            pieces: texts.len(),
            is_whole: false,
        };
        let revision = self.set(HEADERS, function, &id, None, &header).await?;
        for (number, text) in texts.iter().enumerate() {
            let piece = Piece { text: (*text).to_owned() };
            self.set(PIECES, function, &format!("{id}/{number:04}"), None, &piece).await?;
        }
        header.is_whole = true;
        self.set(HEADERS, function, &id, revision, &header).await?;
        self.bound(function, header.bytes).await?;
        Ok(id)
    }

    /// What is kept of a function, oldest first, by id.
    pub async fn list(&self, function: &str) -> Result<Vec<(String, Header)>, FailedError> {
        let mut kept = self.headers(function).await?;
        kept.retain(|(_, header)| header.is_whole);
        Ok(kept)
    }

    /// A batch with its records.
    pub async fn read(&self, function: &str, id: &str) -> Result<Option<(Header, FailedBatch)>, FailedError> {
        let Some(found) = self.documents.get(&collection(HEADERS, function), id).await? else {
            return Ok(None);
        };
        let header: Header = serde_json::from_slice(&found.body)?;
        let mut text = String::new();
        for number in 0..header.pieces {
            let name = format!("{id}/{number:04}");
            let Some(piece) = self.documents.get(&collection(PIECES, function), &name).await? else {
                return Ok(None);
            };
            text.push_str(&serde_json::from_slice::<Piece>(&piece.body)?.text);
        }
        let payload = RawValue::from_string(text)?;
        let batch = FailedBatch { record: header.record.clone(), payload };
        Ok(header.is_whole.then_some((header, batch)))
    }

    /// Says whether it was there.
    pub async fn remove(&self, function: &str, id: &str) -> Result<bool, FailedError> {
        let headers = collection(HEADERS, function);
        let Some(found) = self.documents.get(&headers, id).await? else { return Ok(false) };
        let header: Header = serde_json::from_slice(&found.body)?;
        for number in 0..header.pieces {
            let (pieces, name) = (collection(PIECES, function), format!("{id}/{number:04}"));
            if let Some(piece) = self.documents.get(&pieces, &name).await? {
                self.documents.compare_and_set(&pieces, &name, Some(piece.revision), None).await?;
            }
        }
        self.documents.compare_and_set(&headers, id, Some(found.revision), None).await?;
        Ok(true)
    }

    /// Removes all of a function.
    pub async fn forget(&self, function: &str) -> Result<(), FailedError> {
        for (id, _) in self.headers(function).await? {
            self.remove(function, &id).await?;
        }
        self.known.lock().expect("no panic while held").remove(function);
        Ok(())
    }

    async fn headers(&self, function: &str) -> Result<Vec<(String, Header)>, FailedError> {
        let found = self.documents.list(&collection(HEADERS, function)).await?;
        let decoded =
            found.into_iter().map(|(id, document)| Ok((id, serde_json::from_slice(&document.body)?)));
        decoded.collect()
    }

    /// Counts one more batch, and drops the oldest when there are too many.
    async fn bound(&self, function: &str, bytes: u64) -> Result<(), FailedError> {
        let is_over = {
            let mut known = self.known.lock().expect("no panic while held");
            // Unknown after a start: look once.
            let unknown = (MAX_BATCHES, MAX_BYTES);
            let of_function = known.entry(function.to_owned()).or_insert(unknown);
            *of_function = (of_function.0 + 1, of_function.1 + bytes);
            of_function.0 > MAX_BATCHES || of_function.1 > MAX_BYTES
        };
        if !is_over {
            return Ok(());
        }
        let headers = self.headers(function).await?;
        let mut count = headers.len();
        let mut total: u64 = headers.iter().map(|(_, header)| header.bytes).sum();
        for (id, header) in &headers {
            if count <= MAX_BATCHES && total <= MAX_BYTES {
                break;
            }
            tracing::warn!(function, id, "dropping the oldest failed batch of a function");
            self.remove(function, id).await?;
            (count, total) = (count - 1, total - header.bytes);
        }
        self.known.lock().expect("no panic while held").insert(function.to_owned(), (count, total));
        Ok(())
    }

    async fn set(
        &self,
        kind: &str,
        function: &str,
        name: &str,
        expected: Option<u64>,
        body: &impl Serialize,
    ) -> Result<Option<u64>, FailedError> {
        let body = serde_json::to_vec(body)?;
        Ok(self.documents.compare_and_set(&collection(kind, function), name, expected, Some(&body)).await?)
    }
}

fn collection(kind: &str, function: &str) -> String {
    format!("{kind}/{function}")
}

/// Pieces of at most [`PIECE_BYTES`], between characters.
fn cut(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE_BYTES {
        let at = (0..=PIECE_BYTES).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let (piece, more) = rest.split_at(at);
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::MemoryDocuments;

    fn batch(number: usize, filler: usize) -> FailedBatch {
        serde_json::from_value(serde_json::json!({
            "requestContext": {"requestId": "r", "functionArn": "a", "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 3},
            "version": "1.0", "timestamp": "2019-11-14T00:13:49.717Z",
            "DDBStreamBatchInfo": {"shardId": "s", "startSequenceNumber": number.to_string(),
                "endSequenceNumber": "2", "approximateArrivalOfFirstRecord": "", "approximateArrivalOfLastRecord": "",
                "batchSize": 1, "streamArn": "arn"},
            "payload": {"Records": [{"n": number, "filler": "ü".repeat(filler)}]},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn batches_are_kept_whole_and_removed_whole() {
        let documents = Arc::new(MemoryDocuments::default());
        let log = FailedLog::new(documents.clone());
        let large = batch(1, 3 * PIECE_BYTES);
        let id = log.keep("f", "m", &large, Some("boom".to_owned()), 5).await.unwrap();
        log.keep("f", "m", &batch(2, 0), None, 6).await.unwrap();
        let listed = log.list("f").await.unwrap();
        assert_eq!((listed.len(), &listed[0].0, listed[0].1.error.as_deref()), (2, &id, Some("boom")));
        let (_, read) = log.read("f", &id).await.unwrap().unwrap();
        assert_eq!(read.payload.get(), large.payload.get());
        assert!(log.list("g").await.unwrap().is_empty());
        assert!(log.remove("f", &id).await.unwrap() && !log.remove("f", &id).await.unwrap());
        assert_eq!(documents.list("failed-records/f").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_is_too_much() {
        let log = FailedLog::new(Arc::new(MemoryDocuments::default()));
        for number in 0..20 {
            log.keep("f", "m", &batch(number, 2 << 20), None, number as u64).await.unwrap();
        }
        let listed = log.list("f").await.unwrap();
        let total: u64 = listed.iter().map(|(_, header)| header.bytes).sum();
        assert!(total <= MAX_BYTES && total > MAX_BYTES / 2, "{total}");
        assert_eq!(listed.last().unwrap().1.record.batch.start_sequence_number, "19");
    }
}
