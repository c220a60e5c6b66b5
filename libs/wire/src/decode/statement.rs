//! ExecuteStatement, BatchExecuteStatement and ExecuteTransaction. The statements themselves are not parsed here.

use xxhash_rust::xxh3::Xxh3;

use crate::decode::item::{capacity, item_on_failure};
use crate::error::ApiError;
use crate::request::statement::{BatchExecuteStatement, ExecuteStatement, ExecuteTransaction, Statement};
use crate::shape::node::{Members, Node};

pub(crate) fn execute(mut request: Members<'_>) -> Result<ExecuteStatement, ApiError> {
    let statement = statement(&mut request)?;
    Ok(ExecuteStatement {
        statement,
        next_token: request.owned_text("NextToken"),
        limit: request.int("Limit").and_then(|limit| usize::try_from(limit).ok()),
        capacity: capacity(&request),
    })
}

pub(crate) fn batch(mut request: Members<'_>) -> Result<BatchExecuteStatement, ApiError> {
    let statements = statements(&mut request, "Statements")?;
    Ok(BatchExecuteStatement { statements, capacity: capacity(&request) })
}

pub(crate) fn transaction(mut request: Members<'_>) -> Result<ExecuteTransaction, ApiError> {
    let mut hash = Xxh3::new();
    if let Some(statements) = request.get("TransactStatements") {
        statements.digest(&mut hash);
    }
    let statements = statements(&mut request, "TransactStatements")?;
    Ok(ExecuteTransaction {
        statements,
        token: request.owned_text("ClientRequestToken"),
        digest: hash.digest128(),
        capacity: capacity(&request),
    })
}

fn statements(request: &mut Members<'_>, name: &str) -> Result<Vec<Statement>, ApiError> {
    let all = request.structures(name).unwrap_or_default();
    all.into_iter().map(|mut members| statement(&mut members)).collect()
}

fn statement(members: &mut Members<'_>) -> Result<Statement, ApiError> {
    let mut parameters = Vec::new();
    for node in members.list("Parameters").unwrap_or_default() {
        if let Node::Value(value) = node {
            parameters.push(value.stored()?);
        }
    }
    Ok(Statement {
        text: members.owned_text("Statement").unwrap_or_default(),
        parameters,
        consistent: members.bool("ConsistentRead").unwrap_or(false),
        fresh: false,
        item_on_failure: item_on_failure(members),
    })
}
