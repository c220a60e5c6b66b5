//! The event that a function gets for a batch.

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use super::shard::{Batch, WindowState};

/// `{"Records":[…]}`, with a tumbling window's fields where there is one.
pub fn event(batch: &Batch, shard_id: &str, stream_arn: &str) -> Bytes {
    let size: usize = batch.records.iter().map(|record| record.event.len() + 1).sum();
    let mut event = BytesMut::with_capacity(size + 256);
    event.put_slice(b"{\"Records\":[");
    for (index, record) in batch.records.iter().enumerate() {
        if index > 0 {
            event.put_u8(b',');
        }
        event.put_slice(&record.event);
    }
    event.put_u8(b']');
    if let Some(window) = &batch.window {
        event.put_u8(b',');
        let fields = window_fields(window, batch.is_final, shard_id, stream_arn);
        event.put_slice(&fields.as_bytes()[1..fields.len() - 1]);
    }
    event.put_u8(b'}');
    event.freeze()
}

fn window_fields(window: &WindowState, is_final: bool, shard_id: &str, stream_arn: &str) -> String {
    json!({
        "window": { "start": iso_seconds(window.start_ms), "end": iso_seconds(window.end_ms) },
        "state": window.state,
        "shardId": shard_id,
        "eventSourceARN": stream_arn,
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": is_final && window.is_terminated_early,
    })
    .to_string()
}

/// `2020-07-30T17:00:00Z`
pub fn iso_seconds(time_ms: u64) -> String {
    iso(time_ms, SecondsFormat::Secs)
}

/// `2020-07-30T17:00:00.123Z`
pub fn iso_millis(time_ms: u64) -> String {
    iso(time_ms, SecondsFormat::Millis)
}

fn iso(time_ms: u64, format: SecondsFormat) -> String {
    let time = i64::try_from(time_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.to_rfc3339_opts(format, true)
}
