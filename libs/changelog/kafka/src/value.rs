//! A record's value: the JSON that Kinesis Data Streams for DynamoDB uses, so that whatever reads Kafka reads it.
//!
//! Binary attributes are base64 once: there is no Kinesis around it that would encode them again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use serde::Deserialize;
use serde_json::value::RawValue;
use tradewind_model::{Change, Item, PartitionId, Sequence, ValueRef};
use tradewind_wire::attribute_value::{read_value, render_item};
use xxhash_rust::xxh3::xxh3_128;

use crate::topic::Topic;

pub(crate) fn render(topic: &Topic, partition: PartitionId, sequence: Sequence, change: &Change) -> Vec<u8> {
    let keys = change.key.attributes(&topic.keys);
    let images = [("NewImage", &change.new), ("OldImage", &change.old)];
    let sizes = change.new.iter().chain(&change.old).map(Item::size).sum::<usize>();
    let mut out = Vec::with_capacity(512 + 2 * sizes);
    // Names of regions and tables have nothing that JSON escapes.
    let put = |out: &mut Vec<u8>, text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).expect("a vector takes all");
    };
    put(
        &mut out,
        format_args!(
            r#"{{"awsRegion":"{}","eventID":"{}","eventName":"{}","userIdentity":{},"recordFormat":"application/json","tableName":"{}","dynamodb":{{"ApproximateCreationDateTime":{},"Keys":"#,
            topic.region,
            event_id(partition, sequence),
            event_name(change),
            identity(topic, change),
            topic.table,
            change.version.hlc.ms(),
        ),
    );
    render_item(keys.as_ref(), &mut out);
    for (name, image) in images {
        if let Some(image) = image {
            put(&mut out, format_args!(r#","{name}":"#));
            render_item(image.as_ref(), &mut out);
        }
    }
    put(
        &mut out,
        format_args!(
            r#","SizeBytes":{},"ApproximateCreationDateTimePrecision":"MILLISECOND"}},"eventSource":"aws:dynamodb"}}"#,
            keys.size() + sizes
        ),
    );
    out
}

/// The same as in the Streams API and for functions.
fn event_id(partition: PartitionId, sequence: Sequence) -> String {
    let identity = [&partition.to_bytes()[..], &sequence.0.to_be_bytes()].concat();
    format!("{:032x}", xxh3_128(&identity))
}

fn event_name(change: &Change) -> &'static str {
    match (change.existed, change.exists) {
        (_, false) => "REMOVE",
        (true, true) => "MODIFY",
        (false, true) => "INSERT",
    }
}

/// Only the region in which an item expired says that it did.
fn identity(topic: &Topic, change: &Change) -> &'static str {
    if change.expired && change.version.origin == topic.region {
        r#"{"principalId":"dynamodb.amazonaws.com","type":"Service"}"#
    } else {
        "null"
    }
}

/// The images before and after.
#[derive(Default, Debug)]
pub(crate) struct Images {
    pub old: Option<Item>,
    pub new: Option<Item>,
}

/// Reads the images back; `None` if the bytes are no such value.
pub(crate) fn read(bytes: &[u8]) -> Option<Images> {
    let value: Value<'_> = serde_json::from_slice(bytes).ok()?;
    let image = |image: Option<Image<'_>>| match image {
        None => Some(None),
        Some(image) => item(&image).map(Some),
    };
    Some(Images { old: image(value.dynamodb.old)?, new: image(value.dynamodb.new)? })
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    dynamodb: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "OldImage")]
    old: Option<Image<'a>>,
    #[serde(borrow, rename = "NewImage")]
    new: Option<Image<'a>>,
}

#[derive(Deserialize)]
struct Image<'a>(#[serde(borrow)] BTreeMap<Name<'a>, &'a RawValue>);

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn item(image: &Image<'_>) -> Option<Item> {
    let mut sound = true;
    let item = Item::build(|out| {
        for (name, value) in &image.0 {
            match read_value(value.get()) {
                Some(stored) => {
                    out.name(&name.0);
                    out.value(ValueRef::new(&stored));
                }
                None => sound = false,
            }
        }
    });
    sound.then_some(item)
}
