//! The grammar of WHERE.
//!
//! ```text
//! condition  all (OR all)*
//! all        negation (AND negation)*
//! negation   NOT negation | test
//! test       term comparator term | term [NOT] BETWEEN term AND term | term [NOT] IN list
//!            | term IS [NOT] (NULL | MISSING) | function | '(' condition ')'
//! list       '[' term (',' term)* ']'       parentheses or << >> do as well
//! ```

use tradewind_model::{Type, Writer};

use crate::condition::Condition;
use crate::partiql::cursor::Cursor;
use crate::partiql::error::StatementError;
use crate::partiql::lexer::Kind;
use crate::partiql::rendering::Rendering;
use crate::partiql::term::{Call, Term, Usage, at_arithmetic, term};

/// What a parenthesis may hold: which it is shows only behind it.
enum Part {
    Condition(Condition),
    Term(Term),
}

impl Part {
    fn into_condition(self) -> Result<Condition, StatementError> {
        match self {
            Part::Condition(condition) => Ok(condition),
            Part::Term(_) => Err(StatementError::NoCondition),
        }
    }
}

/// `[WHERE condition]`
pub(super) fn clause(cursor: &mut Cursor<'_>) -> Result<Option<Condition>, StatementError> {
    if !cursor.accept_word("WHERE") {
        return Ok(None);
    }
    any(cursor)?.into_condition().map(Some)
}

fn any(cursor: &mut Cursor<'_>) -> Result<Part, StatementError> {
    chain(cursor, "OR", Condition::Any, all)
}

fn all(cursor: &mut Cursor<'_>) -> Result<Part, StatementError> {
    chain(cursor, "AND", Condition::All, negation)
}

fn chain(
    cursor: &mut Cursor<'_>,
    word: &str,
    join: fn(Vec<Condition>) -> Condition,
    next: fn(&mut Cursor<'_>) -> Result<Part, StatementError>,
) -> Result<Part, StatementError> {
    let first = next(cursor)?;
    if !cursor.at_word(word) {
        return Ok(first);
    }
    let mut parts = vec![first.into_condition()?];
    while cursor.accept_word(word) {
        cursor.operator()?;
        parts.push(next(cursor)?.into_condition()?);
    }
    Ok(Part::Condition(join(parts)))
}

fn negation(cursor: &mut Cursor<'_>) -> Result<Part, StatementError> {
    let mut negations = 0;
    while cursor.accept_word("NOT") {
        cursor.operator()?;
        negations += 1;
    }
    let part = test(cursor)?;
    if negations == 0 {
        return Ok(part);
    }
    let negate = |inner, _| Condition::Not(Box::new(inner));
    Ok(Part::Condition((0..negations).fold(part.into_condition()?, negate)))
}

fn test(cursor: &mut Cursor<'_>) -> Result<Part, StatementError> {
    if !cursor.at_symbol("(") {
        let left = term(cursor, Usage::Condition)?;
        return rest(cursor, left);
    }
    let inner = cursor.nested(|cursor| {
        cursor.take();
        let inner = any(cursor)?;
        cursor.expect(")")?;
        Ok(inner)
    })?;
    match inner {
        Part::Condition(_) => Ok(inner),
        Part::Term(left) => rest(cursor, left),
    }
}

/// What follows a test's first operand, if it is one.
fn rest(cursor: &mut Cursor<'_>, left: Term) -> Result<Part, StatementError> {
    if let Some(comparator) = comparator(cursor) {
        cursor.operator()?;
        let right = term(cursor, Usage::Condition)?;
        let rendering = Rendering::default().term(left).word(comparator).term(right);
        return rendering.condition().map(Part::Condition);
    }
    if at_arithmetic(cursor) || cursor.at_word("LIKE") {
        return Err(Usage::Condition.refuses(&cursor.shown().to_ascii_lowercase()));
    }
    if cursor.accept_word("IS") {
        return is(cursor, left).map(Part::Condition);
    }
    let negated = cursor.accept_word("NOT");
    let condition = if cursor.accept_word("BETWEEN") {
        between(cursor, left)?
    } else if cursor.accept_word("IN") {
        within(cursor, left)?
    } else if negated {
        return Err(cursor.unexpected());
    } else if let Term::Call(_) = left {
        Rendering::default().term(left).condition()?
    } else {
        return Ok(Part::Term(left));
    };
    Ok(Part::Condition(if negated { Condition::Not(Box::new(condition)) } else { condition }))
}

fn comparator(cursor: &mut Cursor<'_>) -> Option<&'static str> {
    let symbols =
        [("=", "="), ("<>", "<>"), ("!=", "<>"), ("<", "<"), ("<=", "<="), (">", ">"), (">=", ">=")];
    symbols.iter().find(|(symbol, _)| cursor.accept(symbol)).map(|(_, comparator)| *comparator)
}

fn is(cursor: &mut Cursor<'_>, left: Term) -> Result<Condition, StatementError> {
    cursor.operator()?;
    let negated = cursor.accept_word("NOT");
    let (name, operands) = if cursor.accept_word("MISSING") {
        ("attribute_not_exists", vec![left])
    } else {
        cursor.expect_word("NULL")?;
        let mut null = Writer::default();
        null.string(Type::Null.name());
        ("attribute_type", vec![left, Term::Value(null.finish())])
    };
    let call = Call { name: name.to_owned(), operands };
    let condition = Rendering::default().term(Term::Call(call)).condition()?;
    Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
}

fn between(cursor: &mut Cursor<'_>, value: Term) -> Result<Condition, StatementError> {
    cursor.operator()?;
    let lower = term(cursor, Usage::Condition)?;
    cursor.expect_word("AND")?;
    let upper = term(cursor, Usage::Condition)?;
    Rendering::default().term(value).word("BETWEEN").term(lower).word("AND").term(upper).condition()
}

fn within(cursor: &mut Cursor<'_>, value: Term) -> Result<Condition, StatementError> {
    cursor.operator()?;
    let pairs = [("[", "]"), ("(", ")"), ("<<", ">>")];
    let Some((_, close)) = pairs.iter().find(|(open, _)| cursor.accept(open)) else {
        return Err(if cursor.kind() == Kind::End {
            cursor.unexpected()
        } else {
            StatementError::InOperands
        });
    };
    if cursor.at_symbol(close) {
        return Err(StatementError::InOperands);
    }
    let mut candidates = vec![term(cursor, Usage::Condition)?];
    while cursor.accept(",") {
        candidates.push(term(cursor, Usage::Condition)?);
    }
    cursor.expect(close)?;
    Rendering::default().term(value).word("IN").list(candidates).condition()
}
