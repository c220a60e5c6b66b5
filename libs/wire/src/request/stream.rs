//! Requests of DynamoDB Streams.

#[derive(Clone, PartialEq, Debug)]
pub struct ListStreams {
    pub table: Option<String>,
    /// 1 to 100.
    pub limit: usize,
    pub start: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct DescribeStream {
    pub stream: StreamRef,
    /// 1 to 100.
    pub limit: usize,
    pub start: Option<String>,
    /// Only the children of this shard.
    pub children_of: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GetShardIterator {
    pub stream: StreamRef,
    pub shard: String,
    pub start: IteratorStart,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum IteratorStart {
    TrimHorizon,
    Latest,
    At(SequenceNumber),
    After(SequenceNumber),
    /// Of records that were written then or later.
    Time {
        epoch_ms: u64,
    },
}

/// A sequence number as the Streams API writes it: up to 40 decimal digits, of which 38 may differ from 0.
pub type SequenceNumber = u128;

#[derive(Clone, PartialEq, Debug)]
pub struct GetRecords {
    pub iterator: String,
    /// 1 to 1000.
    pub limit: usize,
}

/// A stream by its ARN, which has the right form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamRef {
    pub arn: String,
    pub region: String,
    pub table: String,
    pub label: String,
}

impl StreamRef {
    /// Of `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL`.
    pub fn from_arn(text: &str) -> Option<StreamRef> {
        let (table, label) = text.split_once("/stream/")?;
        let name = crate::request::item::TableRef::from_arn(table)?;
        let region = table.split(':').nth(3)?.to_owned();
        let fits = !label.is_empty() && !label.contains('/');
        fits.then(|| StreamRef {
            arn: text.to_owned(),
            region,
            table: name.to_owned(),
            label: label.to_owned(),
        })
    }
}
