//! Requests, decoded.

pub mod global_table;
pub mod item;
pub mod statement;
pub mod stream;
pub mod table;

use global_table::{CreateGlobalTable, ListGlobalTables, UpdateGlobalTable, UpdateGlobalTableSettings};
use item::{
    BatchGetItem, BatchWriteItem, DeleteItem, GetItem, PutItem, Query, Scan, TableRef, TransactGetItems,
    TransactWriteItems, UpdateItem,
};
use statement::{BatchExecuteStatement, ExecuteStatement, ExecuteTransaction};
use stream::{DescribeStream, GetRecords, GetShardIterator, ListStreams};
use table::{
    CreateTable, DescribeContributorInsights, ListTables, ListTagsOfResource, TagResource, UntagResource,
    UpdateTable, UpdateTimeToLive,
};

/// One request of any operation.
#[derive(Clone, Debug)]
pub enum Request {
    PutItem(PutItem),
    GetItem(GetItem),
    UpdateItem(UpdateItem),
    DeleteItem(DeleteItem),
    Query(Query),
    Scan(Scan),
    BatchGetItem(BatchGetItem),
    BatchWriteItem(BatchWriteItem),
    TransactGetItems(TransactGetItems),
    TransactWriteItems(TransactWriteItems),
    ExecuteStatement(ExecuteStatement),
    BatchExecuteStatement(BatchExecuteStatement),
    ExecuteTransaction(ExecuteTransaction),
    CreateTable(Box<CreateTable>),
    UpdateTable(Box<UpdateTable>),
    DeleteTable(TableRef),
    DescribeTable(TableRef),
    ListTables(ListTables),
    TagResource(TagResource),
    UntagResource(UntagResource),
    ListTagsOfResource(ListTagsOfResource),
    UpdateTimeToLive(UpdateTimeToLive),
    DescribeTimeToLive(TableRef),
    DescribeLimits,
    DescribeEndpoints,
    DescribeContinuousBackups(TableRef),
    DescribeKinesisStreamingDestination(TableRef),
    DescribeContributorInsights(DescribeContributorInsights),
    DescribeTableReplicaAutoScaling(TableRef),
    /// By the ARN of a table or stream.
    GetResourcePolicy(String),
    CreateGlobalTable(CreateGlobalTable),
    UpdateGlobalTable(UpdateGlobalTable),
    /// By the global table's name.
    DescribeGlobalTable(String),
    /// By the global table's name.
    DescribeGlobalTableSettings(String),
    UpdateGlobalTableSettings(UpdateGlobalTableSettings),
    ListGlobalTables(ListGlobalTables),
    ListStreams(ListStreams),
    DescribeStream(DescribeStream),
    GetShardIterator(GetShardIterator),
    GetRecords(GetRecords),
}

impl Request {
    /// What it reads is of where writes go, not of a standby.
    pub fn make_fresh(&mut self) {
        match self {
            Request::GetItem(request) => request.fresh = true,
            Request::Query(request) => request.fresh = true,
            Request::Scan(request) => request.fresh = true,
            Request::BatchGetItem(request) => request.tables.iter_mut().for_each(|gets| gets.fresh = true),
            Request::ExecuteStatement(request) => request.statement.fresh = true,
            Request::BatchExecuteStatement(request) => {
                request.statements.iter_mut().for_each(|statement| statement.fresh = true);
            }
            _ => (),
        }
    }
}
