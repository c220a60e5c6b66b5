//! Operands: paths, literals, functions and arithmetic, before it is known whether they may stand where they do.

use tradewind_model::{ValueRef, Writer};

use crate::error::ParseError;
use crate::partiql::cursor::Cursor;
use crate::partiql::error::StatementError;
use crate::partiql::lexer::Kind;
use crate::partiql::literal;
use crate::path::{Path, Step};

/// Levels of a document path. (Developer guide, "Service quotas".)
const MAX_LEVELS: usize = 32;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Term {
    Path(Path),
    /// A stored value.
    Value(Vec<u8>),
    Call(Call),
    /// Left, `+` or `-`, right; neither side has arithmetic of its own.
    Arithmetic(Box<Term>, &'static str, Box<Term>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Call {
    /// In lower case.
    pub name: String,
    pub operands: Vec<Term>,
}

/// Where a term stands: which functions and operators there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Usage {
    Condition,
    Update,
}

impl Usage {
    fn functions(self) -> &'static [&'static str] {
        match self {
            Usage::Condition => &[
                "attribute_exists",
                "attribute_not_exists",
                "attribute_type",
                "begins_with",
                "contains",
                "size",
            ],
            Usage::Update => &["if_not_exists", "list_append", "set_add", "set_delete"],
        }
    }

    /// `EXISTS` is a function, but a statement's own.
    fn has_function(self, word: &str) -> bool {
        let name = word.to_ascii_lowercase();
        name == "exists" || self.functions().contains(&name.as_str())
    }

    pub fn refuses(self, operator: &str) -> StatementError {
        let expression = match self {
            Usage::Condition => "Condition",
            Usage::Update => "Update",
        };
        StatementError::Operator { expression, operator: operator.to_owned() }
    }
}

pub(super) fn at_arithmetic(cursor: &Cursor<'_>) -> bool {
    ["+", "-", "*", "/", "%", "||"].iter().any(|symbol| cursor.at_symbol(symbol))
}

pub(super) fn term(cursor: &mut Cursor<'_>, usage: Usage) -> Result<Term, StatementError> {
    let mut left = primary(cursor, usage)?;
    while at_arithmetic(cursor) {
        let operator = match cursor.take() {
            "+" if usage == Usage::Update => "+",
            "-" if usage == Usage::Update => "-",
            other => return Err(usage.refuses(other)),
        };
        cursor.operator()?;
        let right = primary(cursor, usage)?;
        left = Term::Arithmetic(Box::new(plain(left)?), operator, Box::new(plain(right)?));
    }
    Ok(left)
}

/// As in other update expressions, there is one operator at most, and none inside functions.
fn plain(term: Term) -> Result<Term, StatementError> {
    match term {
        Term::Arithmetic(_, operator, _) => Err(Usage::Update.refuses(operator)),
        other => Ok(other),
    }
}

fn primary(cursor: &mut Cursor<'_>, usage: Usage) -> Result<Term, StatementError> {
    if cursor.at_symbol("(") {
        return cursor.nested(|cursor| {
            cursor.take();
            let inner = term(cursor, usage)?;
            cursor.expect(")")?;
            Ok(inner)
        });
    }
    if cursor.at_symbol("-") || cursor.at_symbol("+") {
        return signed(cursor, usage);
    }
    if cursor.at_word("MISSING") {
        return Err(StatementError::MissingValue);
    }
    if literal::at_value(cursor) {
        let mut out = Writer::default();
        literal::value(cursor, &mut out)?;
        return Ok(Term::Value(out.finish()));
    }
    if cursor.at_call() && (cursor.at_name() || usage.has_function(cursor.shown())) {
        return call(cursor, usage).map(Term::Call);
    }
    path(cursor).map(Term::Path)
}

fn signed(cursor: &mut Cursor<'_>, usage: Usage) -> Result<Term, StatementError> {
    let mut sign = "+";
    while cursor.at_symbol("-") || cursor.at_symbol("+") {
        if cursor.take() == "-" {
            sign = if sign == "-" { "+" } else { "-" };
        }
    }
    let operand = primary(cursor, usage)?;
    let number = match &operand {
        Term::Value(stored) => ValueRef::new(stored).as_number(),
        _ => None,
    };
    let number = number.ok_or_else(|| ParseError::OperandCount { function: sign.to_owned(), count: 1 })?;
    let mut out = Writer::default();
    out.number(if sign == "-" { number.negated() } else { number });
    Ok(Term::Value(out.finish()))
}

fn call(cursor: &mut Cursor<'_>, usage: Usage) -> Result<Call, StatementError> {
    let written = cursor.take();
    let name = written.to_ascii_lowercase();
    if !usage.functions().contains(&name.as_str()) {
        return Err(StatementError::UnknownFunction(written.to_owned()));
    }
    cursor.operator()?;
    let operands = cursor.nested(|cursor| {
        cursor.expect("(")?;
        let mut operands = Vec::new();
        while !cursor.at_symbol(")") {
            if !operands.is_empty() {
                cursor.expect(",")?;
            }
            operands.push(plain(term(cursor, usage)?)?);
        }
        cursor.expect(")")?;
        Ok(operands)
    })?;
    match operands.len() {
        0 => Err(ParseError::OperandCount { function: name, count: 0 }.into()),
        _ => Ok(Call { name, operands }),
    }
}

pub(super) fn path(cursor: &mut Cursor<'_>) -> Result<Path, StatementError> {
    let mut path = Path::top(cursor.name()?);
    loop {
        if cursor.accept(".") {
            if cursor.at_symbol("*") {
                return Err(StatementError::Unnesting);
            }
            path.steps.push(Step::Name(cursor.name()?));
        } else if cursor.accept("[") {
            path.steps.push(step(cursor)?);
            cursor.expect("]")?;
        } else {
            break;
        }
    }
    let levels = 1 + path.steps.len();
    if levels > MAX_LEVELS {
        return Err(ParseError::TooManyLevels(levels).into());
    }
    Ok(path)
}

/// What stands in brackets: an index, or a name as a string.
fn step(cursor: &mut Cursor<'_>) -> Result<Step, StatementError> {
    match cursor.kind() {
        Kind::Text => Ok(Step::Name(cursor.string())),
        Kind::Number => {
            let digits = cursor.take();
            let index = digits.parse::<i32>().ok().and_then(|index| usize::try_from(index).ok());
            index.map(Step::Index).ok_or_else(|| ParseError::IndexRange(digits.to_owned()).into())
        }
        Kind::Symbol if cursor.accept("-") => {
            Err(ParseError::IndexRange(format!("-{}", cursor.shown())).into())
        }
        Kind::End => Err(cursor.unexpected()),
        _ => Err(StatementError::PathComponent(cursor.place())),
    }
}
