//! PartiQL statements: the requests of every other kind, said in another language.
//!
//! A statement is parsed and matched with its table's keys; from there on a SELECT is pages of a query or scan
//! ([`select`]), and everything else is a read or write by key ([`by_key`]), alone, in a batch or in a transaction.

mod batch;
mod by_key;
mod key;
mod plan;
mod select;
mod token;
mod transaction;

use tradewind_engine::{Documents, Engine};
use tradewind_expression::partiql::{self, StatementError};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::item::Returns;
use tradewind_wire::request::statement::{ExecuteStatement, Statement};
use tradewind_wire::response::item::StatementPageOutput;

use crate::region::Database;

const EXISTS_ALONE: &str = "EXISTS can only be used in ExecuteTransaction write requests.";

impl<E: Engine + Documents> Database<E> {
    pub async fn execute_statement(
        &self,
        request: ExecuteStatement,
    ) -> Result<StatementPageOutput, ApiError> {
        let fingerprint = token::fingerprint(&request.statement);
        let Statement { text, parameters, consistent, fresh, item_on_failure } = request.statement;
        let statement = partiql::parse(&text, parameters).map_err(refused)?;
        if let partiql::Statement::Select(select) = statement {
            let page = select::PageOfStatement {
                fingerprint,
                next_token: request.next_token,
                limit: request.limit,
                consistent,
                fresh,
                capacity: request.capacity,
            };
            return self.select(&select, page).await;
        }
        let write = self.statement_write(statement, item_on_failure)?;
        let returns = Returns { capacity: request.capacity, ..write.returns };
        let output = self.write_statement(write, returns).await?;
        let items = output.attributes.into_iter().collect();
        let (capacity, tokens) = (output.capacity, output.tokens);
        Ok(StatementPageOutput { items, capacity, tokens, ..StatementPageOutput::default() })
    }
}

fn refused(error: StatementError) -> ApiError {
    ApiError::validation(error.to_string())
}

/// What a failed condition of an INSERT means: the item is there already.
fn duplicate() -> ApiError {
    ApiError::new(Code::DuplicateItem, "Duplicate primary key exists in table")
}
