//! Request bodies to typed requests.
//!
//! The order of complaints is DynamoDB's: syntax of the JSON, types of members, constraints of the model (all at once),
//! then what each operation checks by itself, all before any table is looked up.

mod batch;
mod expression;
mod item;
mod legacy;
mod page;
mod statement;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod transaction;

use crate::error::ApiError;
use crate::request::Request;
use crate::shape::check::check;
use crate::shape::{Structure, read};
use crate::shapes;
use crate::target::Operation;

pub use crate::shape::read::check_syntax;

/// The typed request in `body`.
pub fn decode(operation: Operation, body: &[u8]) -> Result<Request, ApiError> {
    let request = read::read_body(shape_of(operation), body)?;
    if !table::checks_itself(operation) {
        check(&request)?;
    }
    Ok(match operation {
        Operation::PutItem => Request::PutItem(item::put(request)?),
        Operation::GetItem => Request::GetItem(item::get(request)?),
        Operation::UpdateItem => Request::UpdateItem(item::update(request)?),
        Operation::DeleteItem => Request::DeleteItem(item::delete(request)?),
        Operation::Query => Request::Query(page::query(request)?),
        Operation::Scan => Request::Scan(page::scan(request)?),
        Operation::BatchGetItem => Request::BatchGetItem(batch::get(request)?),
        Operation::BatchWriteItem => Request::BatchWriteItem(batch::write(request)?),
        Operation::TransactGetItems => Request::TransactGetItems(transaction::get(request)?),
        Operation::TransactWriteItems => Request::TransactWriteItems(transaction::write(request)?),
        Operation::ExecuteStatement => Request::ExecuteStatement(statement::execute(request)?),
        Operation::BatchExecuteStatement => Request::BatchExecuteStatement(statement::batch(request)?),
        Operation::ExecuteTransaction => Request::ExecuteTransaction(statement::transaction(request)?),
        Operation::ListStreams => Request::ListStreams(stream::list(request)?),
        Operation::DescribeStream => Request::DescribeStream(stream::describe(request)?),
        Operation::GetShardIterator => Request::GetShardIterator(stream::iterator(request)?),
        Operation::GetRecords => Request::GetRecords(stream::records(request)?),
        _ => table::decode(operation, request)?,
    })
}

fn shape_of(operation: Operation) -> &'static Structure {
    match operation {
        Operation::PutItem => &shapes::item::PUT_ITEM,
        Operation::GetItem => &shapes::item::GET_ITEM,
        Operation::UpdateItem => &shapes::item::UPDATE_ITEM,
        Operation::DeleteItem => &shapes::item::DELETE_ITEM,
        Operation::Query => &shapes::item::QUERY,
        Operation::Scan => &shapes::item::SCAN,
        Operation::BatchGetItem => &shapes::item::BATCH_GET_ITEM,
        Operation::BatchWriteItem => &shapes::item::BATCH_WRITE_ITEM,
        Operation::TransactGetItems => &shapes::item::TRANSACT_GET_ITEMS,
        Operation::TransactWriteItems => &shapes::item::TRANSACT_WRITE_ITEMS,
        Operation::ExecuteStatement => &shapes::statement::EXECUTE_STATEMENT,
        Operation::BatchExecuteStatement => &shapes::statement::BATCH_EXECUTE_STATEMENT,
        Operation::ExecuteTransaction => &shapes::statement::EXECUTE_TRANSACTION,
        Operation::ListStreams => &shapes::stream::LIST_STREAMS,
        Operation::DescribeStream => &shapes::stream::DESCRIBE_STREAM,
        Operation::GetShardIterator => &shapes::stream::GET_SHARD_ITERATOR,
        Operation::GetRecords => &shapes::stream::GET_RECORDS,
        _ => shapes::table::of(operation),
    }
}
