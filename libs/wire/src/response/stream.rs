//! Answers of DynamoDB Streams, before they are rendered.

use tradewind_model::{Item, KeySchema};

use crate::request::stream::SequenceNumber;
use crate::request::table::StreamView;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct StreamPage {
    pub streams: Vec<StreamSummary>,
    pub last: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct StreamSummary {
    pub arn: String,
    pub table: String,
    pub label: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamStatus {
    Enabling,
    Enabled,
    Disabling,
    Disabled,
}

impl StreamStatus {
    pub fn name(self) -> &'static str {
        match self {
            StreamStatus::Enabling => "ENABLING",
            StreamStatus::Enabled => "ENABLED",
            StreamStatus::Disabling => "DISABLING",
            StreamStatus::Disabled => "DISABLED",
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct StreamDescription {
    pub arn: String,
    pub label: String,
    pub status: StreamStatus,
    pub view: StreamView,
    pub created_ms: u64,
    pub table: String,
    pub keys: KeySchema,
    pub shards: Vec<ShardDescription>,
    pub last_shard: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ShardDescription {
    pub id: String,
    pub parent: Option<String>,
    pub first: SequenceNumber,
    /// Of a closed shard.
    pub last: Option<SequenceNumber>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct RecordPage {
    pub records: Vec<StreamRecord>,
    /// `None`: the shard is closed and has been read to its end.
    pub next_iterator: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventName {
    Insert,
    Modify,
    Remove,
}

impl EventName {
    pub fn name(self) -> &'static str {
        match self {
            EventName::Insert => "INSERT",
            EventName::Modify => "MODIFY",
            EventName::Remove => "REMOVE",
        }
    }
}

/// One change as a stream shows it. Which images are there depends on the event and the view.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamRecord {
    /// 32 hexadecimal digits.
    pub event_id: String,
    pub event: EventName,
    pub region: String,
    /// Of the write; shown in whole seconds.
    pub created_ms: u64,
    pub keys: Item,
    pub new_image: Option<Item>,
    pub old_image: Option<Item>,
    pub sequence: SequenceNumber,
    pub size_bytes: u64,
    pub view: StreamView,
    /// The service deleted the item because its time had come.
    pub expired: bool,
}
