//! ExecuteTransaction: statements that are all reads, or all writes and checks, of which all or none take place.

use tradewind_engine::{Documents, Engine};
use tradewind_expression::partiql::{self, Statement, StatementError};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{
    ReturnCapacity, TransactAction, TransactGet, TransactGetItems, TransactWrite,
};
use tradewind_wire::request::statement::ExecuteTransaction;
use tradewind_wire::response::item::{TransactGetOutput, TransactWriteOutput};

use crate::partiql::by_key::already_there;
use crate::partition::group::Refusals;
use crate::region::Database;
use crate::transaction::{Outcome, Token, canceled, canceled_by};

const NOT_BY_KEY: &str =
    "Select statements within ExecuteTransaction must specify the primary key in the where clause.";
const NOT_ONE_CHECK: &str = "EXISTS() must contain a single item read with additional condition";

/// A parsed statement and whether a failed condition of it answers the item it met.
type Parsed = (Statement, bool);

impl<E: Engine + Documents> Database<E> {
    pub async fn execute_transaction(
        &self,
        request: ExecuteTransaction,
    ) -> Result<TransactGetOutput, ApiError> {
        let mut parsed: Vec<Parsed> = Vec::with_capacity(request.statements.len());
        for (at, statement) in request.statements.into_iter().enumerate() {
            let one =
                partiql::parse(&statement.text, statement.parameters).map_err(|error| refused(at, &error))?;
            parsed.push((one, statement.item_on_failure));
        }
        if all_reads(&parsed)? {
            return self.read_transaction(parsed, request.capacity).await;
        }
        let token = request.token.map(|name| Token { name, digest: request.digest });
        self.write_transaction(parsed, token, request.capacity).await
    }

    async fn read_transaction(
        &self,
        parsed: Vec<Parsed>,
        capacity: ReturnCapacity,
    ) -> Result<TransactGetOutput, ApiError> {
        let count = parsed.len();
        let mut reads = Vec::with_capacity(count);
        for (at, (statement, _)) in parsed.into_iter().enumerate() {
            let Statement::Select(select) = statement else { continue };
            if select.index.is_some() {
                return Err(failed(at, "Reads on indices are not supported within transactions."));
            }
            let read = self.statement_read(select).map_err(|error| canceled_by(error, at, count))?;
            reads.push(read.ok_or_else(|| failed(at, NOT_BY_KEY))?);
        }
        let get = |table, key| TransactGet { table, key, projection: None };
        let gets = reads.iter().map(|read| get(read.table.clone(), read.key.clone())).collect();
        let mut output = self.transact_get_items(TransactGetItems { gets, capacity }).await?;
        let shown =
            output.items.into_iter().zip(&reads).map(|(item, read)| item.map(|item| read.shown(item)));
        output.items = shown.collect();
        Ok(output)
    }

    async fn write_transaction(
        &self,
        parsed: Vec<Parsed>,
        token: Option<Token>,
        capacity: ReturnCapacity,
    ) -> Result<TransactGetOutput, ApiError> {
        let count = parsed.len();
        let mut writes = Vec::with_capacity(count);
        for (at, (statement, item_on_failure)) in parsed.into_iter().enumerate() {
            check_supported(&statement).map_err(|message| failed(at, message))?;
            let write = self.transaction_part(statement, item_on_failure);
            let write = write.map_err(|error| canceled_by(error, at, count))?;
            writes.push(write.ok_or_else(|| failed(at, NOT_ONE_CHECK))?);
        }
        let inserts: Vec<bool> =
            writes.iter().map(|write| matches!(write.action, TransactAction::Put { .. })).collect();
        let parts = self.parts(writes)?;
        let (written, repeated) = match self.transact(&parts, token.as_ref()).await? {
            Outcome::Committed(written) => (written, false),
            Outcome::Repeated => (self.unchanged(&parts).await?, true),
            Outcome::Refused(refusals) => return Err(canceled(name_duplicates(refusals, &inserts))),
        };
        let output = self.transaction_output(&parts, &written, repeated, capacity, false);
        let TransactWriteOutput { capacity, tokens, .. } = output;
        Ok(TransactGetOutput { items: Vec::new(), capacity, tokens })
    }

    fn transaction_part(
        &self,
        statement: Statement,
        item_on_failure: bool,
    ) -> Result<Option<TransactWrite>, ApiError> {
        match statement {
            Statement::Exists(select) => self.exists(select, item_on_failure),
            other => self.statement_write(other, item_on_failure).map(|statement| Some(statement.write)),
        }
    }
}

/// Whether transactions have such writes and checks at all.
fn check_supported(statement: &Statement) -> Result<(), &'static str> {
    let returning = match statement {
        Statement::Update(update) => update.returning,
        Statement::Delete(delete) => delete.returning,
        Statement::Exists(select) if select.index.is_some() => {
            return Err("Operations on indices are not supported in transactions");
        }
        _ => None,
    };
    match returning {
        None => Ok(()),
        Some(_) => Err("RETURNING clause is not supported in ExecuteTransaction."),
    }
}

/// Whether the statements are all reads; they may not be of both kinds.
fn all_reads(parsed: &[Parsed]) -> Result<bool, ApiError> {
    let reads = parsed.iter().filter(|(statement, _)| matches!(statement, Statement::Select(_))).count();
    match reads {
        0 => Ok(false),
        reads if reads == parsed.len() => Ok(true),
        _ => Err(ApiError::validation(
            "ExecuteTransaction API does not support both read and write operations in the same request.",
        )),
    }
}

fn name_duplicates(mut refusals: Refusals, inserts: &[bool]) -> Refusals {
    for (refused, _) in refusals.iter_mut().zip(inserts).filter(|(_, insert)| **insert) {
        if let Some(refused) = refused {
            refused.error = already_there(refused.error.clone());
        }
    }
    refusals
}

/// A text that is no statement is told as it is; of a statement that means nothing it is said which.
fn refused(at: usize, error: &StatementError) -> ApiError {
    match error {
        StatementError::Malformed(_) | StatementError::UnsupportedOperation(_) => {
            ApiError::validation(error.to_string())
        }
        _ => failed(at, &error.to_string()),
    }
}

fn failed(at: usize, message: &str) -> ApiError {
    ApiError::validation(format!("Validation failed in TransactStatements[{at}]: {message}"))
}
