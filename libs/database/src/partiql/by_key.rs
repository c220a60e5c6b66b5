//! Statements that read or write one item by its whole key.

use tradewind_engine::{Documents, Engine};
use tradewind_expression::Condition;
use tradewind_expression::partiql::{Columns, DeleteItem, Insert, Returning, Select, Statement, UpdateItem};
use tradewind_model::Item;
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::item::{
    self as request, ReturnValues, Returns, TableRef, TransactAction, TransactWrite,
};
use tradewind_wire::response::item::WriteOutput;

use crate::partiql::EXISTS_ALONE;
use crate::partiql::key::{OneItem, absent, one_item, present, wrong_type};
use crate::region::Database;
use crate::table::document::TableDocument;

const NOT_ONE_ITEM: &str = "Where clause does not contain a mandatory equality on all key attributes";

/// A statement as a write of one item.
pub(super) struct StatementWrite {
    pub write: TransactWrite,
    pub returns: Returns,
}

/// A SELECT of one item.
pub(super) struct StatementRead {
    pub table: TableRef,
    pub key: Item,
    pub columns: Option<Columns>,
}

impl StatementRead {
    pub fn shown(&self, item: Item) -> Item {
        match &self.columns {
            Some(columns) => columns.nested(item.as_ref()),
            None => item,
        }
    }
}

impl<E: Engine + Documents> Database<E> {
    /// Of any statement but SELECT and EXISTS.
    pub(super) fn statement_write(
        &self,
        statement: Statement,
        item_on_failure: bool,
    ) -> Result<StatementWrite, ApiError> {
        let (mut write, values) = match statement {
            Statement::Insert(insert) => (self.insert(insert)?, ReturnValues::None),
            Statement::Update(update) => {
                let values = return_values(update.returning);
                (self.update(update)?, values)
            }
            Statement::Delete(delete) => {
                let values = return_values(delete.returning);
                (self.delete(delete)?, values)
            }
            Statement::Select(_) | Statement::Exists(_) => return Err(ApiError::validation(EXISTS_ALONE)),
        };
        write.item_on_failure = item_on_failure;
        Ok(StatementWrite { write, returns: Returns { values, item_on_failure, ..Returns::default() } })
    }

    fn insert(&self, insert: Insert) -> Result<TransactWrite, ApiError> {
        let named = TableRef::parse(&insert.table);
        let table = self.find(&named)?.document();
        for key in table.keys.attributes() {
            let name = &key.name;
            let value = insert.item.get(name).ok_or_else(|| {
                ApiError::validation(format!("Key attribute should be present in the item: Key {name}"))
            })?;
            if value.kind() != key.kind {
                return Err(wrong_type(name));
            }
        }
        Ok(write(named, TransactAction::Put { item: insert.item }, absent(&table)))
    }

    fn update(&self, update: UpdateItem) -> Result<TransactWrite, ApiError> {
        let named = TableRef::parse(&update.table);
        let table = self.find(&named)?.document();
        let key = whole_key(&table, update.condition.as_ref())?;
        let condition = and_present(&table, update.condition);
        Ok(write(named, TransactAction::Update { key, update: update.update }, condition))
    }

    /// A missing item is none to delete, whatever else is asked of it.
    fn delete(&self, delete: DeleteItem) -> Result<TransactWrite, ApiError> {
        let named = TableRef::parse(&delete.table);
        let table = self.find(&named)?.document();
        let key = whole_key(&table, delete.condition.as_ref())?;
        let condition = Condition::Any(std::iter::once(absent(&table)).chain(delete.condition).collect());
        Ok(write(named, TransactAction::Delete { key }, condition))
    }

    /// `EXISTS(SELECT …)`, which checks an item and changes nothing. `None`: it is not about one item, or asks nothing
    /// more than its key.
    pub(super) fn exists(
        &self,
        select: Select,
        item_on_failure: bool,
    ) -> Result<Option<TransactWrite>, ApiError> {
        let named = TableRef::parse(&select.table);
        let table = self.find(&named)?.document();
        let Some(OneItem { key, has_more: true }) = one_item(&table, select.condition.as_ref())? else {
            return Ok(None);
        };
        let condition = and_present(&table, select.condition);
        Ok(Some(TransactWrite { item_on_failure, ..write(named, TransactAction::Check { key }, condition) }))
    }

    /// `None`: it does not ask for one item by its key and nothing else.
    pub(super) fn statement_read(&self, select: Select) -> Result<Option<StatementRead>, ApiError> {
        let table = TableRef::parse(&select.table);
        let document = self.find(&table)?.document();
        let one = match select.index {
            Some(_) => None,
            None => one_item(&document, select.condition.as_ref())?,
        };
        let only_key = one.filter(|one| !one.has_more);
        Ok(only_key.map(|one| StatementRead { table, key: one.key, columns: select.columns }))
    }

    pub(super) async fn write_statement(
        &self,
        statement: StatementWrite,
        returns: Returns,
    ) -> Result<WriteOutput, ApiError> {
        let TransactWrite { table, action, condition, .. } = statement.write;
        match action {
            TransactAction::Put { item } => {
                let put = request::PutItem { table, item, condition, returns };
                self.put_item(put).await.map_err(already_there)
            }
            TransactAction::Update { key, update } => {
                let update = Some(update);
                self.update_item(request::UpdateItem { table, key, update, condition, returns }).await
            }
            TransactAction::Delete { key } => {
                self.delete_item(request::DeleteItem { table, key, condition, returns }).await
            }
            TransactAction::Check { .. } => Err(ApiError::validation(EXISTS_ALONE)),
        }
    }
}

fn write(table: TableRef, action: TransactAction, condition: Condition) -> TransactWrite {
    TransactWrite { table, action, condition: Some(condition), item_on_failure: false }
}

fn whole_key(table: &TableDocument, condition: Option<&Condition>) -> Result<Item, ApiError> {
    match one_item(table, condition)? {
        Some(one) => Ok(one.key),
        None => Err(ApiError::validation(NOT_ONE_ITEM)),
    }
}

/// An item that is there has the key that the condition repeats.
fn and_present(table: &TableDocument, condition: Option<Condition>) -> Condition {
    Condition::All(std::iter::once(present(table)).chain(condition).collect())
}

/// The one condition of an INSERT is that there is no such item.
pub(super) fn already_there(error: ApiError) -> ApiError {
    match error.code {
        Code::ConditionalCheckFailed => super::duplicate(),
        _ => error,
    }
}

fn return_values(returning: Option<Returning>) -> ReturnValues {
    match returning {
        None => ReturnValues::None,
        Some(Returning::AllOld) => ReturnValues::AllOld,
        Some(Returning::AllNew) => ReturnValues::AllNew,
        Some(Returning::ModifiedOld) => ReturnValues::UpdatedOld,
        Some(Returning::ModifiedNew) => ReturnValues::UpdatedNew,
    }
}
