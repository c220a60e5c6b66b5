//! The parameters of the older API, as the expressions they stand for.

use std::borrow::Cow;
use std::collections::HashSet;

use tradewind_expression::condition::{Comparator, Condition, Operand};
use tradewind_expression::update::{self, Action, Update};
use tradewind_expression::{Constant, KeyCondition, KeyTerm, KeyTest, Path, Projection};
use tradewind_model::{Type, ValueRef};

use crate::attribute_value::read::{EMPTY_NAME, LARGE_NAME, MAX_NAME_BYTES};
use crate::error::ApiError;
use crate::shape::node::{Members, Node, Value};

type Entries<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// AttributesToGet.
pub(crate) fn attributes_to_get(request: &mut Members<'_>) -> Result<Option<Projection>, ApiError> {
    let Some(names) = request.texts("AttributesToGet") else { return Ok(None) };
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(ApiError::invalid_value(format_args!("Duplicate value in attribute name: {twice}")));
    }
    check_names(names.iter().map(String::as_str))?;
    Ok(Some(Projection::from_names(names)))
}

/// Names of attributes that no item can have are told last.
fn check_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(), ApiError> {
    names.into_iter().try_for_each(|name| match name.len() {
        0 => Err(ApiError::validation(EMPTY_NAME)),
        length if length > MAX_NAME_BYTES => Err(ApiError::validation(LARGE_NAME)),
        _ => Ok(()),
    })
}

/// Expected, joined by ConditionalOperator.
pub(crate) fn expected(request: &mut Members<'_>) -> Result<Option<Condition>, ApiError> {
    let entries = request.map("Expected").unwrap_or_default();
    let mut conditions = Vec::with_capacity(entries.len());
    let mut names = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let Node::Struct(members) = node else {
            return Err(ApiError::invalid_value(format_args!(
                "ExpectedAttributeValue must not be null for Attribute: {name}"
            )));
        };
        conditions.push(expectation(&name, members)?);
        names.push(name);
    }
    check_names(names.iter().map(AsRef::as_ref))?;
    joined(request, conditions)
}

/// QueryFilter or ScanFilter, joined by ConditionalOperator; with the attributes it names.
pub(crate) fn filter(request: &mut Members<'_>, name: &str) -> Result<Option<Condition>, ApiError> {
    let entries = request.map(name).unwrap_or_default();
    let mut conditions = Vec::with_capacity(entries.len());
    for comparison in comparisons(entries)? {
        let Comparison { name, operator, values } = comparison;
        conditions.push(condition(&name, operator, values));
    }
    joined(request, conditions)
}

fn joined(request: &Members<'_>, mut conditions: Vec<Condition>) -> Result<Option<Condition>, ApiError> {
    let operator = request.text("ConditionalOperator");
    if operator.is_some() && conditions.len() < 2 {
        return Err(ApiError::validation(match conditions.len() {
            0 => "ConditionalOperator cannot be used without Filter or Expected",
            _ => "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        }));
    }
    Ok(match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ if operator == Some("OR") => Some(Condition::Any(conditions)),
        _ => Some(Condition::All(conditions)),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Eq,
    Ne,
    Le,
    Lt,
    Ge,
    Gt,
    NotNull,
    Null,
    Contains,
    NotContains,
    BeginsWith,
    In,
    Between,
}

impl Operator {
    /// The constraints have seen that it is one of these.
    fn named(name: &str) -> Operator {
        match name {
            "NE" => Operator::Ne,
            "LE" => Operator::Le,
            "LT" => Operator::Lt,
            "GE" => Operator::Ge,
            "GT" => Operator::Gt,
            "NOT_NULL" => Operator::NotNull,
            "NULL" => Operator::Null,
            "CONTAINS" => Operator::Contains,
            "NOT_CONTAINS" => Operator::NotContains,
            "BEGINS_WITH" => Operator::BeginsWith,
            "IN" => Operator::In,
            "BETWEEN" => Operator::Between,
            _ => Operator::Eq,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Operator::Eq => "EQ",
            Operator::Ne => "NE",
            Operator::Le => "LE",
            Operator::Lt => "LT",
            Operator::Ge => "GE",
            Operator::Gt => "GT",
            Operator::NotNull => "NOT_NULL",
            Operator::Null => "NULL",
            Operator::Contains => "CONTAINS",
            Operator::NotContains => "NOT_CONTAINS",
            Operator::BeginsWith => "BEGINS_WITH",
            Operator::In => "IN",
            Operator::Between => "BETWEEN",
        }
    }

    fn takes(self, values: usize) -> bool {
        match self {
            Operator::NotNull | Operator::Null => values == 0,
            Operator::In => values > 0,
            Operator::Between => values == 2,
            _ => values == 1,
        }
    }

    fn compares(self, kind: Type) -> bool {
        match self {
            Operator::Eq | Operator::Ne | Operator::NotNull | Operator::Null => true,
            Operator::BeginsWith => matches!(kind, Type::S | Type::B),
            Operator::Contains | Operator::NotContains => {
                matches!(kind, Type::S | Type::N | Type::B | Type::Bool | Type::Null)
            }
            _ => matches!(kind, Type::S | Type::N | Type::B),
        }
    }
}

fn expectation(name: &str, mut members: Members<'_>) -> Result<Condition, ApiError> {
    let (has_list, has_value) = (members.has("AttributeValueList"), members.has("Value"));
    let invalid = |message: String| Err(ApiError::invalid_value(message));
    if has_list && has_value {
        return invalid(format!(
            "Value and AttributeValueList cannot be used together for Attribute: {name}"
        ));
    }
    let Some(operator) = members.text("ComparisonOperator").map(Operator::named) else {
        if has_list {
            return invalid(format!(
                "AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}"
            ));
        }
        return existence(name, members);
    };
    if members.has("Exists") {
        return invalid(format!(
            "Exists and ComparisonOperator cannot be used together for Attribute: {name}"
        ));
    }
    if !operator.takes(0) && !has_list && !has_value {
        return invalid(format!(
            "Value or AttributeValueList must be used with ComparisonOperator: {} for Attribute: {name}",
            operator.name()
        ));
    }
    let values = match members.value("Value") {
        Some(value) => vec![value],
        None => value_list(&mut members),
    };
    check_count(operator, values.len())?;
    let values = sound(values)?;
    check_types(operator, &values)?;
    check_bounds(operator, &values)?;
    Ok(condition(name, operator, values))
}

fn existence(name: &str, mut members: Members<'_>) -> Result<Condition, ApiError> {
    let exists = members.bool("Exists");
    match (exists.unwrap_or(true), members.value("Value")) {
        (true, Some(value)) => Ok(condition(name, Operator::Eq, vec![value.stored()?])),
        (true, None) => Err(ApiError::invalid_value(format_args!(
            "Value must be provided when Exists is {} for Attribute: {name}",
            exists.map_or("null", |_| "true")
        ))),
        (false, Some(_)) => Err(ApiError::invalid_value(format_args!(
            "Value cannot be used when Exists is false for Attribute: {name}"
        ))),
        (false, None) => Ok(Condition::Missing(Path::top(name))),
    }
}

struct Comparison {
    name: String,
    operator: Operator,
    values: Vec<Vec<u8>>,
}

/// Conditions on attributes, checked.
fn comparisons(entries: Entries<'_>) -> Result<Vec<Comparison>, ApiError> {
    let mut all = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let Node::Struct(mut members) = node else {
            return Err(ApiError::validation(format!(
                "The filter condition for an attribute cannot be null: {name}"
            )));
        };
        let operator = Operator::named(members.text("ComparisonOperator").unwrap_or_default());
        let values = sound(value_list(&mut members))?;
        check_count(operator, values.len())?;
        check_types(operator, &values)?;
        check_bounds(operator, &values)?;
        all.push(Comparison { name: name.into_owned(), operator, values });
    }
    check_names(all.iter().map(|comparison| comparison.name.as_str()))?;
    Ok(all)
}

fn value_list(members: &mut Members<'_>) -> Vec<Value> {
    let nodes = members.list("AttributeValueList").unwrap_or_default();
    let value = |node| if let Node::Value(value) = node { Some(value) } else { None };
    nodes.into_iter().filter_map(value).collect()
}

fn sound(values: Vec<Value>) -> Result<Vec<Vec<u8>>, ApiError> {
    values.into_iter().map(|value| value.stored().map_err(ApiError::from)).collect()
}

fn check_count(operator: Operator, values: usize) -> Result<(), ApiError> {
    if operator.takes(values) {
        return Ok(());
    }
    Err(ApiError::invalid_value(format_args!(
        "Invalid number of argument(s) for the {} ComparisonOperator",
        operator.name()
    )))
}

fn check_types(operator: Operator, values: &[Vec<u8>]) -> Result<(), ApiError> {
    let kinds: Vec<Type> = values.iter().map(|value| ValueRef::new(value).kind()).collect();
    if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(ApiError::invalid_value(
            "AttributeValues inside AttributeValueList must be of same type",
        ));
    }
    match kinds.into_iter().find(|kind| !operator.compares(*kind)) {
        Some(kind) => Err(ApiError::invalid_value(format_args!(
            "ComparisonOperator {} is not valid for {} AttributeValue type",
            operator.name(),
            kind.name()
        ))),
        None => Ok(()),
    }
}

fn check_bounds(operator: Operator, values: &[Vec<u8>]) -> Result<(), ApiError> {
    let bound = |at: usize| values.get(at).and_then(|value| ValueRef::new(value).key_bytes());
    if operator == Operator::Between && bound(0) > bound(1) {
        return Err(ApiError::validation(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ));
    }
    Ok(())
}

fn condition(name: &str, operator: Operator, values: Vec<Vec<u8>>) -> Condition {
    let path = Path::top(name);
    let attribute = Operand::Path(path.clone());
    let mut values = values.into_iter().map(|value| Operand::Value(Constant::from(value)));
    if operator == Operator::In {
        return Condition::In(attribute, values.collect());
    }
    // The number of values was checked: where none is left, the operator takes none.
    let (first, second) = match (values.next(), values.next()) {
        (None, _) if operator == Operator::Null => return Condition::Missing(path),
        (None, _) => return Condition::Exists(path),
        (Some(first), second) => (first, second),
    };
    match (operator, second) {
        (Operator::Between, Some(second)) => Condition::Between(attribute, first, second),
        (Operator::Contains, _) => Condition::Contains(attribute, first),
        // Unlike its negation, it does not hold for an attribute that is missing.
        (Operator::NotContains, _) => Condition::All(vec![
            Condition::Exists(path),
            Condition::Not(Box::new(Condition::Contains(attribute, first))),
        ]),
        (Operator::BeginsWith, _) => Condition::BeginsWith(attribute, first),
        (operator, _) => Condition::Compare(comparator(operator), attribute, first),
    }
}

fn comparator(operator: Operator) -> Comparator {
    match operator {
        Operator::Ne => Comparator::Ne,
        Operator::Le => Comparator::Le,
        Operator::Lt => Comparator::Lt,
        Operator::Ge => Comparator::Ge,
        Operator::Gt => Comparator::Gt,
        _ => Comparator::Eq,
    }
}

/// KeyConditions.
pub(crate) fn key_conditions(request: &mut Members<'_>) -> Result<Option<KeyCondition>, ApiError> {
    let Some(entries) = request.map("KeyConditions") else { return Ok(None) };
    let comparisons = comparisons(entries)?;
    if !(1..=2).contains(&comparisons.len()) {
        return Err(ApiError::validation("Conditions can be of length 1 or 2 only"));
    }
    let terms: Result<Vec<_>, _> = comparisons.into_iter().map(key_term).collect();
    Ok(Some(KeyCondition { terms: terms? }))
}

fn key_term(comparison: Comparison) -> Result<KeyTerm, ApiError> {
    let Comparison { name, operator, values } = comparison;
    let mut values = values.into_iter();
    let (first, second) = (values.next().unwrap_or_default(), values.next());
    let test = match (operator, second) {
        (Operator::Eq, _) => KeyTest::Eq(first),
        (Operator::Lt, _) => KeyTest::Lt(first),
        (Operator::Le, _) => KeyTest::Le(first),
        (Operator::Gt, _) => KeyTest::Gt(first),
        (Operator::Ge, _) => KeyTest::Ge(first),
        (Operator::BeginsWith, _) => KeyTest::BeginsWith(first),
        (Operator::Between, Some(second)) => KeyTest::Between(first, second),
        _ => {
            return Err(ApiError::validation(
                "Attempted conditional constraint is not an indexable operation",
            ));
        }
    };
    Ok(KeyTerm { name, test })
}

/// The operands of a key condition, whichever way it was given, are of types that operators compare.
pub(crate) fn check_key_condition(condition: &KeyCondition) -> Result<(), ApiError> {
    for term in &condition.terms {
        let (operator, values) = match &term.test {
            KeyTest::Eq(value) => (Operator::Eq, vec![value]),
            KeyTest::Lt(value) => (Operator::Lt, vec![value]),
            KeyTest::Le(value) => (Operator::Le, vec![value]),
            KeyTest::Gt(value) => (Operator::Gt, vec![value]),
            KeyTest::Ge(value) => (Operator::Ge, vec![value]),
            KeyTest::Between(low, high) => (Operator::Between, vec![low, high]),
            KeyTest::BeginsWith(value) => (Operator::BeginsWith, vec![value]),
        };
        let values: Vec<_> = values.into_iter().cloned().collect();
        check_types(operator, &values)?;
        check_bounds(operator, &values)?;
    }
    Ok(())
}

/// AttributeUpdates.
pub(crate) fn attribute_updates(request: &mut Members<'_>) -> Result<Option<Update>, ApiError> {
    let Some(entries) = request.map("AttributeUpdates") else { return Ok(None) };
    let mut actions = Vec::with_capacity(entries.len());
    let mut names = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let Node::Struct(members) = node else { return Err(no_value()) };
        actions.push(action(&name, members)?);
        names.push(name);
    }
    check_names(names.iter().map(AsRef::as_ref))?;
    Ok(Some(Update { actions, legacy: true }))
}

fn no_value() -> ApiError {
    ApiError::invalid_value("Only DELETE action is allowed when no attribute value is specified")
}

fn action(name: &str, mut members: Members<'_>) -> Result<Action, ApiError> {
    let path = Path::top(name);
    let kind = members.owned_text("Action");
    let kind = kind.as_deref().unwrap_or("PUT");
    let Some(value) = members.value("Value") else {
        if kind == "DELETE" {
            return Ok(Action::Remove(path));
        }
        return Err(no_value());
    };
    let stored = value.stored()?;
    let of = ValueRef::new(&stored).kind();
    let is_set = matches!(of, Type::Ss | Type::Ns | Type::Bs);
    match kind {
        "DELETE" if is_set => Ok(Action::Delete(path, stored.into())),
        "DELETE" => Err(ApiError::invalid_value(format_args!(
            "DELETE action with value is not supported for the type {}",
            of.name()
        ))),
        "ADD" if is_set || matches!(of, Type::N | Type::L) => Ok(Action::Add(path, stored.into())),
        "ADD" => Err(ApiError::invalid_value(format_args!(
            "ADD action is not supported for the type {}",
            of.name()
        ))),
        _ => Ok(Action::Set(path, update::Value::Of(update::Operand::Value(stored.into())))),
    }
}
