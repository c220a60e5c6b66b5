//! A change as a Kafka record, and back.
//!
//! ```text
//! key       the item's key attributes as JSON
//! value     see `value`
//! headers   sequence      21 digits, as in the Streams API
//!           previous      the sequence number that the record follows: nothing lies between
//!           version       milliseconds.counter@region
//!           origin        the region that wrote it
//!           incarnation   of the table
//!           content-type  application/json
//!           same          true, only where the item was equal by value before: no change to those who watch items
//!           request       32 hex digits, if there was a request with an id
//!           traceparent   W3C Trace Context, if the write was traced
//!           tradewind     the change in the stored form of `model::change`, without its images, as base64: tools show
//!                         headers as text
//! ```
//!
//! The last header has what the JSON does not tell, in a form with a version of its own. A record without key and value
//! is a mark: there is no change between `previous` and `sequence`.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use tradewind_model::{Change, PartitionId, Sequence};
use tradewind_telemetry::trace::{self, SpanKind};
use tradewind_wire::attribute_value::render_item;
use tradewind_wire::sequence_text;

use crate::order::Span;
use crate::topic::Topic;
use crate::value;

const SEQUENCE: &str = "sequence";
const PREVIOUS: &str = "previous";
const INCARNATION: &str = "incarnation";
const BINARY: &str = "tradewind";

/// A record to be published.
pub(crate) struct Encoded {
    pub span: Span,
    /// Unix milliseconds of the change's version.
    pub created_ms: Option<u64>,
    pub headers: OwnedHeaders,
    /// Of a change that is traced: it ends when the broker has confirmed the record.
    pub traced: Option<trace::Span>,
    /// Key and value; nothing for a mark.
    pub body: Option<(Vec<u8>, Vec<u8>)>,
}

impl Encoded {
    /// What it takes, about, while it is on its way.
    pub fn bytes(&self) -> usize {
        512 + self.body.as_ref().map_or(0, |(key, value)| key.len() + value.len())
    }

    pub fn mark(partition: PartitionId, span: Span) -> Encoded {
        Encoded { span, created_ms: None, headers: position(partition, span), traced: None, body: None }
    }

    pub fn change(topic: &Topic, partition: PartitionId, span: Span, mut change: Change) -> Encoded {
        let traced = publishing(topic, partition, &mut change);
        let mut key = Vec::new();
        render_item(change.key.attributes(&topic.keys).as_ref(), &mut key);
        let value = value::render(topic, partition, span.sequence, &change);
        let mut headers = position(partition, span);
        headers = text(headers, "version", &change.version.to_string());
        headers = text(headers, "origin", change.version.origin.as_str());
        headers = text(headers, "content-type", "application/json");
        if change.same {
            headers = text(headers, "same", "true");
        }
        if let Some(request) = &change.request {
            headers = text(headers, "request", &hex(request));
        }
        if let Some(context) = &change.trace {
            headers = text(headers, "traceparent", &trace::traceparent(context));
        }
        let created_ms = Some(change.version.hlc.ms());
        let rest = Change { old: None, new: None, ..change };
        headers = text(headers, BINARY, &BASE64.encode(rest.encode()));
        Encoded { span, created_ms, headers, traced, body: Some((key, value)) }
    }
}

fn position(partition: PartitionId, span: Span) -> OwnedHeaders {
    let headers = text(OwnedHeaders::new(), SEQUENCE, &sequence_text(span.sequence.number()));
    let headers = text(headers, PREVIOUS, &sequence_text(span.previous.number()));
    text(headers, INCARNATION, &partition.incarnation.to_string())
}

fn text(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// The span of a traced change's way to the broker; what reads the record is a part of it.
fn publishing(topic: &Topic, partition: PartitionId, change: &mut Change) -> Option<trace::Span> {
    let name = format!("publish {}", topic.table);
    let mut span = trace::child(change.trace.as_ref()?, name, SpanKind::Producer)?;
    span.set("messaging.system", "kafka");
    span.set("messaging.operation.type", "send");
    span.set("messaging.destination.name", topic.table.clone());
    span.set("messaging.destination.partition.id", partition.number.to_string());
    span.set("cloud.region", topic.region.to_string());
    change.trace = Some(span.context());
    Some(span)
}

/// Where a record stands; `None` if it is none of this partition's.
pub(crate) fn span(partition: PartitionId, message: &BorrowedMessage<'_>) -> Option<Span> {
    let headers = message.headers()?;
    if header(headers, INCARNATION)? != partition.incarnation.to_string().as_bytes() {
        return None;
    }
    let sequence = |name| {
        let text = std::str::from_utf8(header(headers, name)?).ok()?;
        Some(Sequence::from_number(text.parse().ok()?))
    };
    Some(Span { previous: sequence(PREVIOUS)?, sequence: sequence(SEQUENCE)? })
}

/// What a record says: a change, or nothing if it is a mark.
pub(crate) fn decode(message: &BorrowedMessage<'_>) -> Option<Option<Change>> {
    match message.payload() {
        None => Some(None),
        Some(payload) => decode_parts(header(message.headers()?, BINARY)?, payload).map(Some),
    }
}

fn decode_parts(binary: &[u8], payload: &[u8]) -> Option<Change> {
    let change = Change::decode(&BASE64.decode(binary).ok()?)?;
    let images = value::read(payload)?;
    Some(Change { old: images.old, new: images.new, ..change })
}

fn header<'a>(headers: &'a impl Headers, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.key == name)?.value
}

#[cfg(test)]
mod tests;
