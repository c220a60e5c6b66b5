//! The clauses of SELECT, and the tables that statements name.

use crate::partiql::columns::Columns;
use crate::partiql::condition;
use crate::partiql::cursor::Cursor;
use crate::partiql::error::StatementError;
use crate::partiql::lexer::Kind;
use crate::partiql::term::{at_arithmetic, path};
use crate::partiql::{Order, Select};

/// Behind the word SELECT.
pub(super) fn select(cursor: &mut Cursor<'_>) -> Result<Select, StatementError> {
    let columns = columns(cursor)?;
    cursor.expect_word("FROM")?;
    let mut source = source(cursor)?.into_iter();
    let table = source.next().ok_or_else(|| cursor.unexpected())?;
    let index = source.next();
    if source.next().is_some() {
        return Err(StatementError::LongSource);
    }
    let joins = ["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS"];
    if cursor.at_symbol(",") || joins.iter().any(|word| cursor.at_word(word)) {
        return Err(StatementError::SeveralSources);
    }
    let condition = condition::clause(cursor)?;
    let order = order(cursor)?;
    if !order.is_empty() && condition.is_none() {
        return Err(StatementError::OrderWithoutCondition);
    }
    refuse_further(cursor)?;
    Ok(Select { table, index, columns, condition, order })
}

/// The table of a statement that writes.
pub(super) fn table(cursor: &mut Cursor<'_>) -> Result<String, StatementError> {
    let mut source = source(cursor)?;
    match (source.pop(), source.is_empty()) {
        (Some(table), true) => Ok(table),
        _ => Err(StatementError::IndexSource),
    }
}

/// `name ('.' name)*`, without an alias.
fn source(cursor: &mut Cursor<'_>) -> Result<Vec<String>, StatementError> {
    if matches!(cursor.kind(), Kind::Text | Kind::Number | Kind::Parameter) {
        return Err(StatementError::Source);
    }
    let mut names = vec![cursor.name()?];
    while cursor.accept(".") {
        names.push(cursor.name()?);
    }
    match cursor.at_word("AS") || cursor.at_name() && !cursor.at_word("OFFSET") {
        true => Err(StatementError::Alias),
        false => Ok(names),
    }
}

fn columns(cursor: &mut Cursor<'_>) -> Result<Option<Columns>, StatementError> {
    if cursor.at_word("DISTINCT") {
        return Err(StatementError::UnsupportedToken("DISTINCT"));
    }
    if cursor.at_word("VALUE") {
        return Err(StatementError::ProjectedValue);
    }
    if cursor.accept("*") {
        return Ok(None);
    }
    let mut columns = Columns::default();
    loop {
        column(cursor, &mut columns)?;
        if !cursor.accept(",") {
            break;
        }
    }
    columns.check()?;
    Ok(Some(columns))
}

fn column(cursor: &mut Cursor<'_>, columns: &mut Columns) -> Result<(), StatementError> {
    let literal = matches!(cursor.kind(), Kind::Text | Kind::Number | Kind::Parameter);
    if literal || cursor.at_call() {
        return Err(StatementError::PathComponent(cursor.place()));
    }
    let path = path(cursor)?;
    if at_arithmetic(cursor) {
        return Err(StatementError::PathComponent(cursor.place()));
    }
    if cursor.at_word("AS") || cursor.at_name() {
        return Err(StatementError::Alias);
    }
    columns.add(path);
    Ok(())
}

fn order(cursor: &mut Cursor<'_>) -> Result<Vec<Order>, StatementError> {
    let mut order = Vec::new();
    if !cursor.accept_word("ORDER") {
        return Ok(order);
    }
    cursor.expect_word("BY")?;
    loop {
        let path = path(cursor)?;
        if !path.steps.is_empty() {
            return Err(StatementError::OrderByPath);
        }
        let descending = cursor.accept_word("DESC");
        if !descending {
            cursor.accept_word("ASC");
        }
        order.push(Order { name: path.name, descending });
        if !cursor.accept(",") {
            return Ok(order);
        }
    }
}

/// Clauses of PartiQL that DynamoDB does not have.
const FURTHER: [(&str, &str); 4] =
    [("LIMIT", "LIMIT"), ("OFFSET", "OFFSET"), ("GROUP", "GROUP BY"), ("HAVING", "HAVING")];

fn refuse_further(cursor: &mut Cursor<'_>) -> Result<(), StatementError> {
    let Some((word, clause)) = FURTHER.iter().find(|(word, _)| cursor.at_word(word)) else { return Ok(()) };
    cursor.take();
    Err(match *word {
        "LIMIT" | "OFFSET" => StatementError::UnsupportedLimit(clause, cursor.place()),
        _ => StatementError::UnsupportedClause(clause),
    })
}
