//! Literals, written in the stored form as they are read.

use std::collections::BTreeSet;

use tradewind_model::{Item, Number, NumberError, Type, ValueRef, Writer};

use crate::partiql::cursor::Cursor;
use crate::partiql::error::StatementError;
use crate::partiql::lexer::Kind;

/// Lists and maps inside each other, the item around them not counted. (Developer guide, "Service quotas": 32 levels.)
const MAX_LEVELS: usize = 31;

/// The map of an INSERT.
pub(super) fn item(cursor: &mut Cursor<'_>) -> Result<Item, StatementError> {
    if !cursor.at_symbol("{") {
        return Err(match cursor.kind() {
            Kind::End | Kind::Unknown => cursor.unexpected(),
            _ => StatementError::ItemFormat(cursor.place()),
        });
    }
    let mut out = Writer::default();
    value(cursor, &mut out)?;
    let item = Item::from_bytes(out.finish()).ok_or_else(|| cursor.unexpected())?;
    let depth = item.as_ref().attributes().iter().map(|(_, value)| value.depth()).max();
    if depth.is_some_and(|depth| depth > MAX_LEVELS) {
        return Err(StatementError::Nesting);
    }
    Ok(item)
}

/// Whether a literal begins here; a sign may be an operator's.
pub(super) fn at_value(cursor: &Cursor<'_>) -> bool {
    let constant = ["TRUE", "FALSE", "NULL", "MISSING"].iter().any(|word| cursor.at_word(word));
    let opens = ["[", "{", "<<"].iter().any(|symbol| cursor.at_symbol(symbol));
    constant || opens || matches!(cursor.kind(), Kind::Text | Kind::Number | Kind::Parameter)
}

pub(super) fn value(cursor: &mut Cursor<'_>, out: &mut Writer) -> Result<(), StatementError> {
    match cursor.kind() {
        Kind::Text => out.string(&cursor.string()),
        Kind::Number => out.number(number(cursor)?),
        Kind::Parameter => out.value(ValueRef::new(&cursor.parameter())),
        Kind::Symbol => return compound(cursor, out),
        Kind::Word if cursor.accept_word("TRUE") => out.bool(true),
        Kind::Word if cursor.accept_word("FALSE") => out.bool(false),
        Kind::Word if cursor.accept_word("NULL") => out.null(),
        Kind::Word | Kind::Name => {
            return Err(StatementError::DataType(cursor.shown().to_owned(), cursor.place()));
        }
        Kind::Unknown | Kind::End => return Err(cursor.unexpected()),
    }
    Ok(())
}

fn compound(cursor: &mut Cursor<'_>, out: &mut Writer) -> Result<(), StatementError> {
    match cursor.shown() {
        "[" => cursor.nested(|cursor| list(cursor, out)),
        "{" => cursor.nested(|cursor| map(cursor, out)),
        "<<" => bag(cursor, out),
        "(" => cursor.nested(|cursor| {
            cursor.take();
            value(cursor, out)?;
            cursor.expect(")")
        }),
        "-" | "+" => {
            out.number(signed(cursor)?);
            Ok(())
        }
        _ => Err(cursor.unexpected()),
    }
}

fn signed(cursor: &mut Cursor<'_>) -> Result<Number, StatementError> {
    let mut negative = false;
    while cursor.at_symbol("-") || cursor.at_symbol("+") {
        negative ^= cursor.take() == "-";
    }
    if cursor.kind() != Kind::Number {
        return Err(cursor.unexpected());
    }
    let number = number(cursor)?;
    Ok(if negative { number.negated() } else { number })
}

fn number(cursor: &mut Cursor<'_>) -> Result<Number, StatementError> {
    Number::parse(cursor.take()).map_err(|error| match error {
        NumberError::TooManyDigits => StatementError::Precision,
        other => other.into(),
    })
}

fn list(cursor: &mut Cursor<'_>, out: &mut Writer) -> Result<(), StatementError> {
    let mark = out.begin(Type::L);
    let mut count = 0;
    cursor.take();
    if !cursor.accept("]") {
        loop {
            value(cursor, out)?;
            count += 1;
            if !cursor.accept(",") {
                break;
            }
        }
        cursor.expect("]")?;
    }
    out.end_list(mark, count);
    Ok(())
}

fn map(cursor: &mut Cursor<'_>, out: &mut Writer) -> Result<(), StatementError> {
    let mark = out.begin(Type::M);
    let mut names = BTreeSet::new();
    cursor.take();
    if !cursor.accept("}") {
        loop {
            let (place, name) = (cursor.place(), key(cursor)?);
            cursor.expect(":")?;
            out.name(&name);
            value(cursor, out)?;
            if let Some(name) = names.replace(name) {
                return Err(StatementError::DuplicateKey(name, place));
            }
            if !cursor.accept(",") {
                break;
            }
        }
        cursor.expect("}")?;
    }
    out.end_map(mark);
    Ok(())
}

fn key(cursor: &mut Cursor<'_>) -> Result<String, StatementError> {
    match cursor.kind() {
        Kind::Text => Some(cursor.string()).filter(|name| !name.is_empty()).ok_or(StatementError::EmptyName),
        Kind::Word | Kind::Name => Err(StatementError::TupleKey(cursor.place())),
        _ => Err(cursor.unexpected()),
    }
}

/// `<<…>>`: a set, of the type of its elements.
fn bag(cursor: &mut Cursor<'_>, out: &mut Writer) -> Result<(), StatementError> {
    let opened = cursor.place();
    cursor.take();
    if cursor.at_symbol(">>") {
        return Err(StatementError::EmptyBag(opened));
    }
    let mut elements = Vec::new();
    loop {
        elements.push(element(cursor)?);
        if kind_of(&elements[0]) != kind_of(&elements[elements.len() - 1]) {
            return Err(StatementError::BagElement(opened));
        }
        if !cursor.accept(",") {
            break;
        }
    }
    cursor.expect(">>")?;
    let kind = match elements.first().map(|stored| kind_of(stored)) {
        Some(Type::N) => Type::Ns,
        Some(Type::B) => Type::Bs,
        _ => Type::Ss,
    };
    let mark = out.begin(kind);
    elements.iter().for_each(|stored| out.element(ValueRef::new(stored).key_bytes().unwrap_or_default()));
    if out.end_set(mark) { Ok(()) } else { Err(StatementError::BagDuplicates) }
}

fn kind_of(stored: &[u8]) -> Type {
    ValueRef::new(stored).kind()
}

/// A scalar that can be in a set, stored.
fn element(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, StatementError> {
    let place = cursor.place();
    let mut out = Writer::default();
    cursor.nested(|cursor| value(cursor, &mut out))?;
    let stored = out.finish();
    match kind_of(&stored) {
        Type::S | Type::N | Type::B => Ok(stored),
        _ => Err(StatementError::BagElement(place)),
    }
}
