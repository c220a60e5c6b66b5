//! PartiQL: the text of one statement with its parameters to what it means, in the terms of the other expressions.
//!
//! ```text
//! statement  select | EXISTS '(' select ')' | insert | update | delete          a ';' may end it
//! select     SELECT ('*' | path (',' path)*) FROM name ['.' name] [WHERE condition] [ORDER BY name [ASC|DESC] (',' …)*]
//! insert     INSERT INTO name VALUE map
//! update     UPDATE name change+ [WHERE condition] [RETURNING (ALL|MODIFIED) (OLD|NEW) '*']
//! change     SET path '=' value (',' path '=' value)* | REMOVE path
//! delete     DELETE FROM name [WHERE condition] [RETURNING ALL OLD '*']
//! ```
//!
//! The grammar is DynamoDB's small part of PartiQL, and every node of it has a counterpart in the condition and update
//! expressions. So this is a parser of its own, by recursive descent, and no general PartiQL parser with a translation
//! of its far larger tree behind it: what cannot be said is refused where it stands, in DynamoDB's words. A single
//! test or assignment is handed to the parsers of those expressions ([`rendering`]), so that their checks and texts
//! are the same by construction.
//!
//! Nesting is bounded by [`cursor`], which is what bounds the stack. (Developer guide, "PartiQL reference".)

mod change;
mod columns;
mod condition;
mod cursor;
mod error;
mod lexer;
mod literal;
mod rendering;
mod reserved;
mod select;
mod term;

use tradewind_model::Item;

use crate::condition::Condition;
use crate::update::Update;
use cursor::Cursor;

pub use columns::Columns;
pub use error::{Place, StatementError};

#[derive(Clone, Debug)]
pub enum Statement {
    Select(Select),
    /// `EXISTS(SELECT …)`: that the item is there and fulfils the condition.
    Exists(Select),
    Insert(Insert),
    Update(UpdateItem),
    Delete(DeleteItem),
}

#[derive(Clone, Debug)]
pub struct Select {
    pub table: String,
    pub index: Option<String>,
    /// `None`: whole items.
    pub columns: Option<Columns>,
    pub condition: Option<Condition>,
    pub order: Vec<Order>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub name: String,
    pub descending: bool,
}

#[derive(Clone, Debug)]
pub struct Insert {
    pub table: String,
    pub item: Item,
}

#[derive(Clone, Debug)]
pub struct UpdateItem {
    pub table: String,
    pub update: Update,
    pub condition: Option<Condition>,
    pub returning: Option<Returning>,
}

#[derive(Clone, Debug)]
pub struct DeleteItem {
    pub table: String,
    pub condition: Option<Condition>,
    /// Only [`Returning::AllOld`].
    pub returning: Option<Returning>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returning {
    AllOld,
    AllNew,
    ModifiedOld,
    ModifiedNew,
}

/// The statement, with `parameters` (stored values) for its question marks, in their order.
pub fn parse(text: &str, parameters: Vec<Vec<u8>>) -> Result<Statement, StatementError> {
    let mut cursor = Cursor::new(text, parameters);
    let statement = statement(&mut cursor)?;
    cursor.finish()?;
    Ok(statement)
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, StatementError> {
    if cursor.accept_word("SELECT") {
        return select::select(cursor).map(Statement::Select);
    }
    if cursor.accept_word("EXISTS") {
        cursor.expect("(")?;
        cursor.expect_word("SELECT")?;
        let select = select::select(cursor)?;
        cursor.expect(")")?;
        return Ok(Statement::Exists(select));
    }
    if cursor.accept_word("INSERT") {
        return insert(cursor).map(Statement::Insert);
    }
    if cursor.accept_word("UPDATE") {
        return update(cursor).map(Statement::Update);
    }
    if cursor.accept_word("DELETE") {
        return delete(cursor).map(Statement::Delete);
    }
    let unsupported = [("CREATE", "CreateTable"), ("DROP", "DropTable")];
    match unsupported.iter().find(|(word, _)| cursor.at_word(word)) {
        Some((_, operation)) => Err(StatementError::UnsupportedOperation(operation)),
        None => Err(cursor.unexpected()),
    }
}

fn insert(cursor: &mut Cursor<'_>) -> Result<Insert, StatementError> {
    cursor.expect_word("INTO")?;
    let table = select::table(cursor)?;
    if !cursor.accept_word("VALUE") {
        let known = cursor.at_word("VALUES") || cursor.at_symbol("{") || cursor.at_symbol("<<");
        return Err(if known {
            StatementError::UnsupportedOperation("InsertOp")
        } else {
            cursor.unexpected()
        });
    }
    let item = literal::item(cursor)?;
    if cursor.at_word("RETURNING") {
        return Err(StatementError::ReturningInsert);
    }
    Ok(Insert { table, item })
}

fn update(cursor: &mut Cursor<'_>) -> Result<UpdateItem, StatementError> {
    let table = select::table(cursor)?;
    let update = change::changes(cursor)?;
    let condition = condition::clause(cursor)?;
    Ok(UpdateItem { table, update, condition, returning: returning(cursor)? })
}

fn delete(cursor: &mut Cursor<'_>) -> Result<DeleteItem, StatementError> {
    cursor.expect_word("FROM")?;
    let table = select::table(cursor)?;
    let condition = condition::clause(cursor)?;
    let returning = returning(cursor)?;
    match returning {
        None | Some(Returning::AllOld) => Ok(DeleteItem { table, condition, returning }),
        Some(other) => Err(StatementError::ReturningDelete(other.name())),
    }
}

impl Returning {
    fn name(self) -> &'static str {
        match self {
            Returning::AllOld => "ALL OLD *",
            Returning::AllNew => "ALL NEW *",
            Returning::ModifiedOld => "MODIFIED OLD *",
            Returning::ModifiedNew => "MODIFIED NEW *",
        }
    }
}

fn returning(cursor: &mut Cursor<'_>) -> Result<Option<Returning>, StatementError> {
    if !cursor.accept_word("RETURNING") {
        return Ok(None);
    }
    let modified = cursor.accept_word("MODIFIED");
    if !modified {
        cursor.expect_word("ALL")?;
    }
    let new = cursor.accept_word("NEW");
    if !new {
        cursor.expect_word("OLD")?;
    }
    if !cursor.accept("*") {
        return Err(StatementError::ReturningStar);
    }
    if cursor.at_symbol(",") {
        return Err(StatementError::SeveralReturning);
    }
    Ok(Some(match (modified, new) {
        (false, false) => Returning::AllOld,
        (false, true) => Returning::AllNew,
        (true, false) => Returning::ModifiedOld,
        (true, true) => Returning::ModifiedNew,
    }))
}

#[cfg(test)]
mod tests;
