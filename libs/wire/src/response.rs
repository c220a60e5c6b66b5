//! Answers, before they are rendered.

pub mod item;
pub mod stream;
pub mod table;

use tradewind_model::Tokens;

use item::{
    BatchGetOutput, BatchWriteOutput, GetOutput, PageOutput, StatementBatchOutput, StatementPageOutput,
    TransactGetOutput, TransactWriteOutput, WriteOutput,
};
use stream::{RecordPage, StreamDescription, StreamPage};
use table::{
    ContributorInsights, GlobalTableDescription, GlobalTablePage, GlobalTableSettings, Limits,
    ReplicaAutoScaling, TableDescription, TablePage, TagPage, TimeToLiveDescription,
};

/// The answer to a request of any operation.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// PutItem, UpdateItem and DeleteItem.
    Write(WriteOutput),
    Get(GetOutput),
    /// Query and Scan.
    Page(PageOutput),
    BatchGet(BatchGetOutput),
    BatchWrite(BatchWriteOutput),
    TransactGet(TransactGetOutput),
    TransactWrite(TransactWriteOutput),
    Statement(StatementPageOutput),
    StatementBatch(StatementBatchOutput),
    /// ExecuteTransaction.
    StatementTransaction(TransactGetOutput),
    /// CreateTable, UpdateTable and DeleteTable.
    TableChanged(Box<TableDescription>),
    DescribeTable(Box<TableDescription>),
    ListTables(TablePage),
    /// TagResource and UntagResource: no body at all.
    Tagged,
    Tags(TagPage),
    TimeToLiveUpdated {
        attribute: String,
        enabled: bool,
    },
    TimeToLive(TimeToLiveDescription),
    Limits(Limits),
    /// Addresses, `host:port`.
    Endpoints(Vec<String>),
    /// Point-in-time recovery is off.
    ContinuousBackups,
    /// There is none for this table.
    KinesisStreamingDestination {
        table: String,
    },
    ContributorInsights(ContributorInsights),
    ReplicaAutoScaling(ReplicaAutoScaling),
    ResourcePolicy {
        policy: String,
        revision: String,
    },
    /// CreateGlobalTable, UpdateGlobalTable and DescribeGlobalTable.
    GlobalTable(GlobalTableDescription),
    GlobalTables(GlobalTablePage),
    /// DescribeGlobalTableSettings and UpdateGlobalTableSettings.
    GlobalTableSettings(GlobalTableSettings),
    Streams(StreamPage),
    DescribeStream(StreamDescription),
    ShardIterator(String),
    Records(RecordPage),
}

impl Answer {
    /// Of the writes it answers.
    pub fn tokens(&self) -> Option<&Tokens> {
        match self {
            Answer::Write(output) => Some(&output.tokens),
            Answer::BatchWrite(output) => Some(&output.tokens),
            Answer::TransactWrite(output) => Some(&output.tokens),
            Answer::Statement(output) => Some(&output.tokens),
            Answer::StatementBatch(output) => Some(&output.tokens),
            Answer::StatementTransaction(output) => Some(&output.tokens),
            _ => None,
        }
    }
}
