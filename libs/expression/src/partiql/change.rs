//! The clauses SET and REMOVE of UPDATE.

use tradewind_model::{Type, ValueRef};

use crate::constant::Constant;
use crate::error::ParseError;
use crate::partiql::cursor::Cursor;
use crate::partiql::error::StatementError;
use crate::partiql::rendering::Rendering;
use crate::partiql::term::{Call, Term, Usage, path, term};
use crate::path::Path;
use crate::update::{Action, Update};

/// Clauses in any number and order.
pub(super) fn changes(cursor: &mut Cursor<'_>) -> Result<Update, StatementError> {
    let mut update = Update::default();
    loop {
        if cursor.accept_word("SET") {
            update.actions.extend(assignment(cursor)?);
            while cursor.accept(",") {
                update.actions.extend(assignment(cursor)?);
            }
        } else if cursor.accept_word("REMOVE") {
            cursor.operator()?;
            update.actions.push(Action::Remove(path(cursor)?));
        } else if update.actions.is_empty() {
            return Err(cursor.unexpected());
        } else {
            update.check_paths()?;
            return Ok(update);
        }
    }
}

fn assignment(cursor: &mut Cursor<'_>) -> Result<Vec<Action>, StatementError> {
    cursor.operator()?;
    let target = path(cursor)?;
    cursor.expect("=")?;
    match term(cursor, Usage::Update)? {
        Term::Call(call) if call.name == "set_add" => {
            Ok(vec![Action::Add(target.clone(), set_operand(&target, call, "SET_ADD")?)])
        }
        Term::Call(call) if call.name == "set_delete" => {
            Ok(vec![Action::Delete(target.clone(), set_operand(&target, call, "SET_DELETE")?)])
        }
        value => Ok(Rendering::default().word("SET").path(&target).word("=").term(value).update()?.actions),
    }
}

/// What is added to the target or taken from it, by a function whose first operand is the target itself.
fn set_operand(target: &Path, call: Call, function: &'static str) -> Result<Constant, StatementError> {
    let [first, second]: [Term; 2] = call
        .operands
        .try_into()
        .map_err(|given: Vec<Term>| ParseError::OperandCount { function: call.name, count: given.len() })?;
    if !matches!(&first, Term::Path(path) if path == target) {
        return Err(StatementError::SetTarget(function));
    }
    match second {
        Term::Value(stored) if is_set(ValueRef::new(&stored).kind()) => Ok(Constant::from(stored)),
        _ => Err(StatementError::SetOperand(function)),
    }
}

fn is_set(kind: Type) -> bool {
    matches!(kind, Type::Ss | Type::Ns | Type::Bs)
}
