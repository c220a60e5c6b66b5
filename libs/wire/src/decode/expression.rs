//! What requests with expressions have in common: the parameters that exclude each other, and the placeholders.

use tradewind_expression::condition::Condition;
use tradewind_expression::{KeyCondition, Kind, ParseError, Placeholders, Projection, Update};

use tradewind_model::ValueRef;

use crate::attribute_value::read::{EMPTY_NAME, LARGE_NAME, MAX_NAME_BYTES, NULL_VALUE};
use crate::error::ApiError;
use crate::shape::node::{Fault, Members, Node};

const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";
const MAX_PLACEHOLDER_BYTES: usize = 255;
const MAX_SUBSTITUTED_BYTES: usize = 2 * 1024 * 1024;

/// Expressions exclude the parameters of the older API, and placeholders need an expression to stand in.
pub(crate) fn check_mixing(
    members: &Members<'_>,
    expressions: &[&str],
    legacy: &[&str],
) -> Result<(), ApiError> {
    let used = present(members, expressions);
    if used.is_empty() && members.has(NAMES) {
        return invalid("ExpressionAttributeNames can only be specified when using expressions");
    }
    if !used.is_empty() {
        // Key conditions of the older kind may stand beside other expressions.
        let mut legacy = present(members, legacy);
        legacy.retain(|name| *name != "KeyConditions" || members.has("KeyConditionExpression"));
        if !legacy.is_empty() {
            return invalid(format!(
                "Can not use both expression and non-expression parameters in the same request: \
                 Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
                legacy.join(", "),
                used.join(", ")
            ));
        }
    }
    check_values_have_use(members, expressions)
}

fn present<'n>(members: &Members<'_>, names: &[&'n str]) -> Vec<&'n str> {
    names.iter().filter(|name| members.has(name)).copied().collect()
}

fn check_values_have_use(members: &Members<'_>, expressions: &[&str]) -> Result<(), ApiError> {
    let mut takers = expressions.iter().copied().filter(|expression| *expression != "ProjectionExpression");
    if !members.has(VALUES) || takers.clone().count() == 0 || takers.any(|taker| members.has(taker)) {
        return Ok(());
    }
    let takers: Vec<_> = expressions.iter().copied().filter(|e| *e != "ProjectionExpression").collect();
    let verb = if takers.len() > 1 { "are" } else { "is" };
    invalid(format!(
        "ExpressionAttributeValues can only be specified when using expressions: {} {verb} null",
        takers.join(" and ")
    ))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::validation(message))
}

/// The expressions of one request, over its placeholders.
pub(crate) struct Expressions {
    placeholders: Placeholders,
}

impl Expressions {
    /// Takes the placeholders out of `members` and checks their shapes and values.
    pub fn begin(members: &mut Members<'_>) -> Result<Expressions, ApiError> {
        let names = take_names(members)?;
        let values = take_values(members)?;
        check_sizes(&names, &values)?;
        Ok(Expressions { placeholders: Placeholders::new(names, values) })
    }

    pub fn condition(&mut self, members: &Members<'_>) -> Result<Option<Condition>, ApiError> {
        self.parse(members, Kind::Condition, |text, placeholders| {
            Condition::parse(Kind::Condition, text, placeholders)
        })
    }

    pub fn filter(&mut self, members: &Members<'_>) -> Result<Option<Condition>, ApiError> {
        self.parse(members, Kind::Filter, |text, placeholders| {
            Condition::parse(Kind::Filter, text, placeholders)
        })
    }

    pub fn update(&mut self, members: &Members<'_>) -> Result<Option<Update>, ApiError> {
        self.parse(members, Kind::Update, Update::parse)
    }

    pub fn projection(&mut self, members: &Members<'_>) -> Result<Option<Projection>, ApiError> {
        self.parse(members, Kind::Projection, Projection::parse)
    }

    pub fn key_condition(&mut self, members: &Members<'_>) -> Result<Option<KeyCondition>, ApiError> {
        self.parse(members, Kind::KeyCondition, KeyCondition::parse)
    }

    fn parse<T>(
        &mut self,
        members: &Members<'_>,
        kind: Kind,
        parse: impl FnOnce(&str, &mut Placeholders) -> Result<T, ParseError>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = members.text(kind.name()) else { return Ok(None) };
        match parse(text, &mut self.placeholders) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(error) => invalid(error.message(kind)),
        }
    }

    /// Every placeholder has to be used by an expression.
    pub fn end(self) -> Result<(), ApiError> {
        unused(NAMES, &self.placeholders.unused_names())?;
        unused(VALUES, &self.placeholders.unused_values())
    }
}

fn unused(parameter: &str, keys: &[&str]) -> Result<(), ApiError> {
    if keys.is_empty() {
        return Ok(());
    }
    invalid(format!("Value provided in {parameter} unused in expressions: keys: {{{}}}", keys.join(", ")))
}

/// What the placeholders stand for, in bytes.
fn check_sizes(names: &[(String, String)], values: &[(String, Vec<u8>)]) -> Result<(), ApiError> {
    let of_names: usize = names.iter().map(|(_, name)| name.len()).sum();
    let of_values: usize = values.iter().map(|(_, stored)| ValueRef::new(stored).size()).sum();
    if of_names > MAX_SUBSTITUTED_BYTES {
        return invalid("ExpressionAttributeNames exceeds max size");
    }
    if of_values > MAX_SUBSTITUTED_BYTES {
        return invalid("ExpressionAttributeValues exceeds max size");
    }
    if of_names + of_values > MAX_SUBSTITUTED_BYTES {
        return invalid(
            "Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max size",
        );
    }
    Ok(())
}

fn take_names(members: &mut Members<'_>) -> Result<Vec<(String, String)>, ApiError> {
    let Some(entries) = members.map(NAMES) else { return Ok(Vec::new()) };
    if entries.is_empty() {
        return invalid("ExpressionAttributeNames must not be empty");
    }
    entries.iter().try_for_each(|(key, _)| check_placeholder(NAMES, b'#', key))?;
    let mut names = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let name = if let Node::Text(name) = node { Some(name) } else { None };
        let fault = match &name {
            None => Some("null"),
            Some(name) if name.is_empty() => Some(EMPTY_NAME),
            Some(name) if name.len() > MAX_NAME_BYTES => Some(LARGE_NAME),
            Some(_) => None,
        };
        if let Some(fault) = fault {
            return invalid(format!(
                "ExpressionAttributeNames contains invalid value: {fault} for key {key}"
            ));
        }
        names.push((key.into_owned(), name.unwrap_or_default().into_owned()));
    }
    Ok(names)
}

fn take_values(members: &mut Members<'_>) -> Result<Vec<(String, Vec<u8>)>, ApiError> {
    let Some(entries) = members.map(VALUES) else { return Ok(Vec::new()) };
    if entries.is_empty() {
        return invalid("ExpressionAttributeValues must not be empty");
    }
    entries.iter().try_for_each(|(key, _)| check_placeholder(VALUES, b':', key))?;
    let mut values = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let stored = match node {
            Node::Value(value) => value.stored(),
            _ => Err(Fault::from(NULL_VALUE)),
        };
        match stored {
            Ok(stored) => values.push((key.into_owned(), stored)),
            Err(fault) => {
                return invalid(format!(
                    "ExpressionAttributeValues contains invalid value: {} for key {key}",
                    fault.0
                ));
            }
        }
    }
    Ok(values)
}

fn check_placeholder(parameter: &str, sign: u8, key: &str) -> Result<(), ApiError> {
    let fault = match key.as_bytes() {
        [] => "The expression attribute map contains an empty key;".to_owned(),
        _ if key.len() > MAX_PLACEHOLDER_BYTES => {
            let size = key.len();
            format!("The expression attribute map contains a key that is too long; size of key: {size}")
        }
        [first, rest @ ..]
            if *first == sign
                && !rest.is_empty()
                && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') =>
        {
            return Ok(());
        }
        _ => format!("Syntax error; key: \"{key}\""),
    };
    invalid(format!("{parameter} contains invalid key: {fault}"))
}
