//! BatchExecuteStatement: statements that are all reads or all writes, each of one item and with a result of its own.

use std::collections::HashSet;

use futures_util::future::join_all;
use tradewind_engine::{Documents, Engine};
use tradewind_expression::partiql::{self, Statement};
use tradewind_model::{Item, Tokens};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{GetItem, ReturnCapacity, Returns, TransactAction};
use tradewind_wire::request::statement::{self as request, BatchExecuteStatement};
use tradewind_wire::response::item::{Capacity, StatementBatchOutput, StatementOutput};

use crate::item;
use crate::partiql::by_key::{StatementRead, StatementWrite};
use crate::partiql::{EXISTS_ALONE, refused};
use crate::read::merge_capacity;
use crate::region::Database;

/// A statement matched with its table.
enum Matched {
    Read { read: StatementRead, consistent: bool, fresh: bool },
    Write(StatementWrite),
}

impl<E: Engine + Documents> Database<E> {
    pub async fn batch_execute_statement(
        &self,
        request: BatchExecuteStatement,
    ) -> Result<StatementBatchOutput, ApiError> {
        let parsed: Vec<_> = request.statements.into_iter().map(parse).collect();
        check_kinds(&parsed)?;
        let matched: Vec<_> = parsed.into_iter().map(|one| self.matched(one)).collect();
        self.check_distinct(&matched)?;
        let run = matched.into_iter().map(|one| self.run(one, request.capacity));
        let mut output = StatementBatchOutput::default();
        for (response, capacity, tokens) in join_all(run).await {
            output.tokens.extend(tokens);
            output.responses.push(response);
            merge_capacity(&mut output.capacity, capacity);
        }
        Ok(output)
    }

    fn matched(&self, parsed: Result<Parsed, ApiError>) -> Result<Matched, ApiError> {
        let Parsed { statement, consistent, fresh, item_on_failure } = parsed?;
        match statement {
            Statement::Select(select) => {
                let read = self.statement_read(select)?.ok_or_else(not_by_key)?;
                Ok(Matched::Read { read, consistent, fresh })
            }
            other => self.statement_write(other, item_on_failure).map(Matched::Write),
        }
    }

    /// No two statements may be about one item. A key that is none is told where its statement runs.
    fn check_distinct(&self, matched: &[Result<Matched, ApiError>]) -> Result<(), ApiError> {
        let mut distinct = HashSet::new();
        for matched in matched.iter().flatten() {
            let table = self.find(matched.table())?.document();
            let key = match matched.key() {
                Ok(key) => item::key_of_key(&table, key.as_ref()),
                Err(item) => item::key_of_item(&table, item.as_ref()),
            };
            if key.is_ok_and(|key| !distinct.insert(key.stored(table.incarnation))) {
                return Err(ApiError::validation("Provided list of item keys contains duplicates"));
            }
        }
        Ok(())
    }

    async fn run(
        &self,
        matched: Result<Matched, ApiError>,
        capacity: ReturnCapacity,
    ) -> (StatementOutput, Option<Capacity>, Tokens) {
        let matched = match matched {
            Ok(matched) => matched,
            Err(error) => {
                return (StatementOutput { table: None, result: Err(error) }, None, Tokens::default());
            }
        };
        let table = Some(matched.table().shown().to_owned());
        let (result, capacity, tokens) = match self.run_matched(matched, capacity).await {
            Ok((item, capacity, tokens)) => (Ok(item), capacity, tokens),
            Err(error) => (Err(error), None, Tokens::default()),
        };
        (StatementOutput { table, result }, capacity, tokens)
    }

    async fn run_matched(
        &self,
        matched: Matched,
        capacity: ReturnCapacity,
    ) -> Result<(Option<Item>, Option<Capacity>, Tokens), ApiError> {
        match matched {
            Matched::Read { read, consistent, fresh } => {
                let (table, key) = (read.table.clone(), read.key.clone());
                let output = self
                    .get_item(GetItem { table, key, projection: None, consistent, fresh, capacity })
                    .await?;
                Ok((output.item.map(|item| read.shown(item)), output.capacity, Tokens::default()))
            }
            Matched::Write(write) => {
                let returns = Returns { capacity, ..write.returns };
                let output = self.write_statement(write, returns).await?;
                Ok((output.attributes, output.capacity, output.tokens))
            }
        }
    }
}

impl Matched {
    fn table(&self) -> &tradewind_wire::request::item::TableRef {
        match self {
            Matched::Read { read, .. } => &read.table,
            Matched::Write(write) => &write.write.table,
        }
    }

    /// The key, or the item that has it.
    fn key(&self) -> Result<&Item, &Item> {
        match self {
            Matched::Read { read, .. } => Ok(&read.key),
            Matched::Write(write) => match &write.write.action {
                TransactAction::Put { item } => Err(item),
                TransactAction::Update { key, .. }
                | TransactAction::Delete { key }
                | TransactAction::Check { key } => Ok(key),
            },
        }
    }
}

struct Parsed {
    statement: Statement,
    consistent: bool,
    fresh: bool,
    item_on_failure: bool,
}

fn parse(request: request::Statement) -> Result<Parsed, ApiError> {
    let request::Statement { text, parameters, consistent, fresh, item_on_failure } = request;
    let statement = partiql::parse(&text, parameters).map_err(refused)?;
    match statement {
        Statement::Exists(_) => Err(ApiError::validation(EXISTS_ALONE)),
        statement => Ok(Parsed { statement, consistent, fresh, item_on_failure }),
    }
}

fn not_by_key() -> ApiError {
    ApiError::validation(
        "Select statements within BatchExecuteStatement must specify the primary key in the where clause.",
    )
}

fn check_kinds(parsed: &[Result<Parsed, ApiError>]) -> Result<(), ApiError> {
    let is_read = |parsed: &Parsed| matches!(parsed.statement, Statement::Select(_));
    let mut reads = parsed.iter().flatten().map(is_read);
    let first = reads.next();
    match reads.all(|read| Some(read) == first) {
        true => Ok(()),
        false => {
            Err(ApiError::validation("Read and write requests together in the same batch is not supported."))
        }
    }
}
