//! What can be refused of a condition's parts before any item is seen.

use std::cmp::Ordering;

use tradewind_model::{Type, ValueRef, View};

use crate::condition::{Comparator, Condition, Operand, evaluate};
use crate::constant::Constant;
use crate::error::{Faults, ParseError};
use crate::path::Path;

/// Operands of one IN. (Developer guide, "Service quotas".)
const MAX_IN_OPERANDS: usize = 100;

/// What DynamoDB names for an operand whose type is not known before the item is.
const ANY_TYPE: &str = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}";

/// A function that is not yet known as condition or operand.
pub(super) struct Call<'a> {
    name: &'a str,
    arguments: Vec<Operand>,
}

impl<'a> Call<'a> {
    pub fn new(name: &'a str, arguments: Vec<Operand>) -> Call<'a> {
        Call { name, arguments }
    }

    pub fn into_condition(self, faults: &mut Faults) -> Condition {
        let test = match self.name {
            "attribute_exists" => self.only_path("attribute_exists").map(Condition::Exists),
            "attribute_not_exists" => self.only_path("attribute_not_exists").map(Condition::Missing),
            "attribute_type" => self.attribute_type(),
            "begins_with" => self.begins_with(faults),
            "contains" => self.contains(faults),
            _ => Err(self.refused()),
        };
        test.unwrap_or_else(|error| {
            faults.note(error);
            Condition::All(Vec::new())
        })
    }

    pub fn into_operand(self, faults: &mut Faults) -> Operand {
        let operand = if self.name == "size" { self.size() } else { Err(self.refused()) };
        operand.unwrap_or_else(|error| {
            faults.note(error);
            Operand::Path(Path::top(""))
        })
    }

    /// A function that cannot stand here.
    fn refused(self) -> ParseError {
        let name = self.name.to_owned();
        match self.name {
            "attribute_exists"
            | "attribute_not_exists"
            | "attribute_type"
            | "begins_with"
            | "contains"
            | "size" => ParseError::MisusedFunction(name),
            "if_not_exists" | "list_append" => ParseError::NotInCondition(name),
            _ => ParseError::UnknownFunction(name),
        }
    }

    fn operands<const COUNT: usize>(self) -> Result<[Operand; COUNT], ParseError> {
        let function = self.name.to_owned();
        self.arguments
            .try_into()
            .map_err(|given: Vec<_>| ParseError::OperandCount { function, count: given.len() })
    }

    fn only_path(self, function: &'static str) -> Result<Path, ParseError> {
        match self.operands()? {
            [Operand::Path(path)] => Ok(path),
            _ => Err(ParseError::PathRequired(function)),
        }
    }

    fn attribute_type(self) -> Result<Condition, ParseError> {
        let [operand, kind] = self.operands()?;
        let Operand::Value(constant) = &kind else {
            let found = kind.known_type().map_or(ANY_TYPE, Type::name);
            return Err(ParseError::OperandType { operator: "attribute_type", found });
        };
        let View::S(name) = constant.value().view() else {
            let found = constant.value().kind().name();
            return Err(ParseError::OperandType { operator: "attribute_type", found });
        };
        let kind = Type::from_name(name).ok_or_else(|| ParseError::UnknownType(name.to_owned()))?;
        Ok(Condition::HasType(operand, kind))
    }

    fn begins_with(self, faults: &mut Faults) -> Result<Condition, ParseError> {
        let [value, prefix] = self.operands()?;
        for operand in [&value, &prefix] {
            only_types(faults, "begins_with", operand, &[Type::S, Type::B]);
        }
        distinct(faults, "begins_with", &value, std::slice::from_ref(&prefix));
        Ok(Condition::BeginsWith(value, prefix))
    }

    fn contains(self, faults: &mut Faults) -> Result<Condition, ParseError> {
        let [value, part] = self.operands()?;
        distinct(faults, "contains", &value, std::slice::from_ref(&part));
        Ok(Condition::Contains(value, part))
    }

    fn size(self) -> Result<Operand, ParseError> {
        let [operand] = self.operands()?;
        match operand.known_type() {
            Some(kind @ (Type::N | Type::Bool | Type::Null)) => {
                Err(ParseError::OperandType { operator: "size", found: kind.name() })
            }
            _ => Ok(Operand::Size(Box::new(operand))),
        }
    }
}

pub(super) fn comparison(faults: &mut Faults, comparator: Comparator, left: &Operand, right: &Operand) {
    let operator = comparator.symbol();
    if !matches!(comparator, Comparator::Eq | Comparator::Ne) {
        [left, right].into_iter().for_each(|operand| only_ordered(faults, operator, operand));
    }
    distinct(faults, operator, left, std::slice::from_ref(right));
}

pub(super) fn between(faults: &mut Faults, value: &Operand, lower: &Operand, upper: &Operand) {
    [value, lower, upper].into_iter().for_each(|operand| only_ordered(faults, "BETWEEN", operand));
    if let (Operand::Value(lower), Operand::Value(upper)) = (lower, upper) {
        bounds(faults, lower, upper);
    }
    [lower, upper]
        .into_iter()
        .for_each(|bound| distinct(faults, "BETWEEN", value, std::slice::from_ref(bound)));
}

fn bounds(faults: &mut Faults, lower: &Constant, upper: &Constant) {
    let texts = || (shown(lower.value()), shown(upper.value()));
    if lower.value().kind() != upper.value().kind() {
        let (lower, upper) = texts();
        faults.note(ParseError::BoundTypes(lower, upper));
    } else if evaluate::order(lower.value(), upper.value()) == Some(Ordering::Greater) {
        let (lower, upper) = texts();
        faults.note(ParseError::BoundOrder(lower, upper));
    }
}

/// A bound, as DynamoDB's message has it.
fn shown(value: ValueRef<'_>) -> String {
    let kind = value.kind().name();
    match value.view() {
        View::S(text) => format!("AttributeValue: {{{kind}:{text}}}"),
        View::N(_) => match value.as_number() {
            Some(number) => format!("AttributeValue: {{{kind}:{number}}}"),
            None => format!("AttributeValue: {{{kind}}}"),
        },
        View::B(bytes) => {
            let length = bytes.len();
            format!("AttributeValue: {{{kind}:java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]}}")
        }
        _ => format!("AttributeValue: {{{kind}}}"),
    }
}

pub(super) fn within(faults: &mut Faults, value: &Operand, candidates: &[Operand]) {
    if candidates.len() > MAX_IN_OPERANDS {
        faults.note(ParseError::TooManyInOperands(candidates.len()));
    }
    distinct(faults, "IN", value, candidates);
}

fn only_ordered(faults: &mut Faults, operator: &'static str, operand: &Operand) {
    only_types(faults, operator, operand, &[Type::S, Type::N, Type::B]);
}

fn only_types(faults: &mut Faults, operator: &'static str, operand: &Operand, allowed: &[Type]) {
    if let Some(kind) = operand.known_type().filter(|kind| !allowed.contains(kind)) {
        faults.note(ParseError::OperandType { operator, found: kind.name() });
    }
}

/// A path must not be compared with itself.
fn distinct(faults: &mut Faults, operator: &'static str, first: &Operand, rest: &[Operand]) {
    if let Operand::Path(path) = first
        && rest.contains(first)
    {
        faults.note(ParseError::SameOperand { operator, operand: path.to_string() });
    }
}
