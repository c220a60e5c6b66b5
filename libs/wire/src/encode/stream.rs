//! Streams and their records, as the Streams API and as functions see them.

use crate::encode::table::key_schema;
use crate::json::write::{Object, object};
use crate::response::stream::{
    RecordPage, ShardDescription, StreamDescription, StreamPage, StreamRecord, StreamSummary,
};

/// Sequence numbers have 21 digits at least.
const SEQUENCE_DIGITS: usize = 21;

pub(crate) fn list(page: &StreamPage, out: &mut Object<'_>) {
    out.objects("Streams", &page.streams, |stream: &StreamSummary, out| {
        out.text("StreamArn", &stream.arn);
        out.text("TableName", &stream.table);
        out.text("StreamLabel", &stream.label);
    });
    out.maybe_text("LastEvaluatedStreamArn", page.last.as_deref());
}

pub(crate) fn describe(stream: &StreamDescription, out: &mut Object<'_>) {
    out.text("StreamArn", &stream.arn);
    out.text("StreamLabel", &stream.label);
    out.text("StreamStatus", stream.status.name());
    out.text("StreamViewType", stream.view.name());
    out.time("CreationRequestDateTime", stream.created_ms);
    out.text("TableName", &stream.table);
    key_schema(&stream.keys, out);
    out.objects("Shards", &stream.shards, shard);
    out.maybe_text("LastEvaluatedShardId", stream.last_shard.as_deref());
}

fn shard(shard: &ShardDescription, out: &mut Object<'_>) {
    out.text("ShardId", &shard.id);
    out.object("SequenceNumberRange", |out| {
        out.text("StartingSequenceNumber", &sequence_text(shard.first));
        out.maybe_text("EndingSequenceNumber", shard.last.map(sequence_text).as_deref());
    });
    out.maybe_text("ParentShardId", shard.parent.as_deref());
}

pub(crate) fn records(page: &RecordPage, out: &mut Object<'_>) {
    out.objects("Records", &page.records, |record, out| members(record, None, out));
    out.maybe_text("NextShardIterator", page.next_iterator.as_deref());
}

/// Appends one record as a function's event has it: with the stream's ARN, and identities in lower case.
pub fn render_event(record: &StreamRecord, stream_arn: &str, out: &mut Vec<u8>) {
    object(out, |out| members(record, Some(stream_arn), out));
}

fn members(record: &StreamRecord, stream_arn: Option<&str>, out: &mut Object<'_>) {
    out.text("eventID", &record.event_id);
    out.text("eventName", record.event.name());
    out.text("eventVersion", "1.1");
    out.text("eventSource", "aws:dynamodb");
    out.text("awsRegion", &record.region);
    out.object("dynamodb", |out| change(record, out));
    if record.expired {
        let (kind, principal) =
            if stream_arn.is_some() { ("type", "principalId") } else { ("Type", "PrincipalId") };
        out.object("userIdentity", |out| {
            out.text(kind, "Service");
            out.text(principal, "dynamodb.amazonaws.com");
        });
    }
    out.maybe_text("eventSourceARN", stream_arn);
}

fn change(record: &StreamRecord, out: &mut Object<'_>) {
    out.whole("ApproximateCreationDateTime", record.created_ms / 1000);
    out.item("Keys", record.keys.as_ref());
    if let Some(image) = &record.new_image {
        out.item("NewImage", image.as_ref());
    }
    if let Some(image) = &record.old_image {
        out.item("OldImage", image.as_ref());
    }
    out.text("SequenceNumber", &sequence_text(record.sequence));
    out.whole("SizeBytes", record.size_bytes);
    out.text("StreamViewType", record.view.name());
}

/// A sequence number as the API writes it, with leading zeros up to 21 digits.
pub fn sequence_text(sequence: u128) -> String {
    format!("{sequence:0SEQUENCE_DIGITS$}")
}
