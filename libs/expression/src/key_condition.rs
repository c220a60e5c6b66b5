//! Key conditions: which keys a query reads, not yet matched with a schema.

use crate::condition::{Comparator, Condition, Operand};
use crate::error::{Kind, ParseError};
use crate::placeholders::Placeholders;

/// Tests joined by AND, in the order of the text, at most one per attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCondition {
    pub terms: Vec<KeyTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerm {
    pub name: String,
    pub test: KeyTest,
}

/// Operands are stored values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTest {
    Eq(Vec<u8>),
    Lt(Vec<u8>),
    Le(Vec<u8>),
    Gt(Vec<u8>),
    Ge(Vec<u8>),
    /// Both bounds inclusive.
    Between(Vec<u8>, Vec<u8>),
    BeginsWith(Vec<u8>),
}

impl KeyCondition {
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<KeyCondition, ParseError> {
        let condition = Condition::parse(Kind::KeyCondition, text, placeholders)?;
        let mut terms = Vec::new();
        collect(&condition, &mut terms)?;
        Ok(KeyCondition { terms })
    }
}

fn collect(condition: &Condition, terms: &mut Vec<KeyTerm>) -> Result<(), ParseError> {
    let term = match condition {
        Condition::All(parts) => return parts.iter().try_for_each(|part| collect(part, terms)),
        Condition::Compare(Comparator::Ne, ..) => return Err(ParseError::KeyOperator("<>")),
        Condition::Compare(comparator, a, b) => comparison(*comparator, a, b)?,
        Condition::Between(value, lower, upper) => between(value, lower, upper)?,
        Condition::BeginsWith(value, prefix) => begins_with(value, prefix)?,
        Condition::Any(_) => return Err(ParseError::KeyOperator("OR")),
        Condition::Not(_) => return Err(ParseError::KeyOperator("NOT")),
        Condition::In(..) => return Err(ParseError::KeyOperator("IN")),
        Condition::Exists(_) => return Err(ParseError::KeyOperator("attribute_exists")),
        Condition::Missing(_) => return Err(ParseError::KeyOperator("attribute_not_exists")),
        Condition::HasType(..) => return Err(ParseError::KeyOperator("attribute_type")),
        Condition::Contains(..) => return Err(ParseError::KeyOperator("contains")),
    };
    if terms.iter().any(|earlier| earlier.name == term.name) {
        return Err(ParseError::RepeatedKey);
    }
    terms.push(term);
    Ok(())
}

fn comparison(comparator: Comparator, a: &Operand, b: &Operand) -> Result<KeyTerm, ParseError> {
    plain(&[a, b])?;
    let (path, constant, comparator) = match (a, b) {
        (Operand::Path(_), Operand::Path(_)) => return Err(several_names()),
        (path @ Operand::Path(_), constant) => (path, constant, comparator),
        (constant, path) => (path, constant, comparator.mirrored()),
    };
    let no_name = || operands("No key attribute specified");
    let name = key_name(path).ok_or_else(no_name)?;
    let stored = stored(constant).ok_or_else(no_name)?;
    let test = match comparator {
        Comparator::Eq => KeyTest::Eq(stored),
        Comparator::Lt => KeyTest::Lt(stored),
        Comparator::Le => KeyTest::Le(stored),
        Comparator::Gt => KeyTest::Gt(stored),
        Comparator::Ge => KeyTest::Ge(stored),
        Comparator::Ne => return Err(ParseError::KeyOperator("<>")),
    };
    Ok(KeyTerm { name, test })
}

fn between(value: &Operand, lower: &Operand, upper: &Operand) -> Result<KeyTerm, ParseError> {
    plain(&[value, lower, upper])?;
    let name = key_name(value).ok_or_else(|| first_operand("BETWEEN"))?;
    let bounds = stored(lower).zip(stored(upper)).ok_or_else(several_names)?;
    Ok(KeyTerm { name, test: KeyTest::Between(bounds.0, bounds.1) })
}

fn begins_with(value: &Operand, prefix: &Operand) -> Result<KeyTerm, ParseError> {
    plain(&[value, prefix])?;
    let name = key_name(value).ok_or_else(|| first_operand("begins_with"))?;
    let prefix = stored(prefix).ok_or_else(several_names)?;
    Ok(KeyTerm { name, test: KeyTest::BeginsWith(prefix) })
}

/// Operands can be top-level attributes and values; of others the first is told.
fn plain(operands: &[&Operand]) -> Result<(), ParseError> {
    operands.iter().try_for_each(|operand| match operand {
        Operand::Size(_) => Err(ParseError::NestedKeyOperation),
        Operand::Path(path) if !path.steps.is_empty() => Err(ParseError::NestedKey),
        Operand::Path(_) | Operand::Value(_) => Ok(()),
    })
}

/// The attribute that an operand names, if it is one.
fn key_name(operand: &Operand) -> Option<String> {
    if let Operand::Path(path) = operand { Some(path.name.clone()) } else { None }
}

fn stored(operand: &Operand) -> Option<Vec<u8>> {
    if let Operand::Value(constant) = operand { Some(constant.as_bytes().to_vec()) } else { None }
}

fn several_names() -> ParseError {
    operands("Multiple attribute names used in one condition")
}

fn first_operand(operator: &str) -> ParseError {
    ParseError::KeyOperands(format!("{operator} operator must have the key attribute as its first operand"))
}

fn operands(problem: &str) -> ParseError {
    ParseError::KeyOperands(problem.to_owned())
}
