//! Which keys a SELECT reads, and in which order.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use tradewind_expression::partiql::{Order, Select};
use tradewind_expression::{Condition, KeyCondition, KeyTerm, KeyTest, ParseError};
use tradewind_model::{KeyAttribute, ValueRef};
use tradewind_wire::ApiError;

use crate::partiql::key::{Test, check_type, tests};
use crate::query::{KeysAsked, key_attributes};
use crate::scan::segment_keys;
use crate::table::document::{Index, TableDocument};

/// Values of the partition key that one statement may ask for. (Developer guide, "PartiQL select statements".)
const MAX_PARTITION_KEYS: usize = 50;

const NOT_PINNED: &str =
    "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.";

/// What to read: the ranges one after another, each in the same direction.
pub(super) struct Plan {
    pub ranges: Vec<Range<Bytes>>,
    pub reverse: bool,
}

/// One partition key, by its values in the order of the schema, and what is to be read of it.
struct Partition {
    values: Vec<Vec<u8>>,
    keys: Range<Bytes>,
}

impl Plan {
    pub fn of(table: &TableDocument, index: Option<&Index>, select: &Select) -> Result<Plan, ApiError> {
        let (hash, range) = key_attributes(table, index);
        check_order(&select.order, hash.iter().chain(&range))?;
        let pinned = match &select.condition {
            Some(condition) => pinned(table, index, condition)?,
            None => None,
        };
        let Some(mut partitions) = pinned else {
            if !select.order.is_empty() {
                return Err(ApiError::validation(NOT_PINNED));
            }
            let all = segment_keys(index.map_or(table.incarnation, |index| index.id), None);
            return Ok(Plan { ranges: vec![all], reverse: false });
        };
        if !select.order.is_empty() {
            partitions.sort_by_cached_key(Partition::key_bytes);
            if descends(&select.order, &hash)? {
                partitions.reverse();
            }
        }
        let reverse = descends(&select.order, &range)?;
        Ok(Plan { ranges: partitions.into_iter().map(|partition| partition.keys).collect(), reverse })
    }
}

impl Partition {
    fn key_bytes(&self) -> Vec<Vec<u8>> {
        self.values
            .iter()
            .map(|stored| ValueRef::new(stored).key_bytes().unwrap_or_default().to_vec())
            .collect()
    }
}

fn check_order<'a>(
    order: &[Order],
    keys: impl Iterator<Item = &'a &'a KeyAttribute> + Clone,
) -> Result<(), ApiError> {
    let unknown = order.iter().find(|order| !keys.clone().any(|key| key.name == order.name));
    unknown.map_or(Ok(()), |Order { name, .. }| {
        Err(ApiError::validation(format!(
            "Variable reference {name} in ORDER BY clause must be part of the primary key"
        )))
    })
}

/// Whether an order goes down these attributes. They are read in one direction.
fn descends(order: &[Order], keys: &[&KeyAttribute]) -> Result<bool, ApiError> {
    let mut descending = keys
        .iter()
        .filter_map(|key| order.iter().find(|order| order.name == key.name))
        .map(|order| order.descending);
    let first = descending.next().unwrap_or(false);
    match descending.all(|other| other == first) {
        true => Ok(first),
        false => {
            Err(ApiError::validation("All keys of an ORDER BY clause must be ordered in the same direction"))
        }
    }
}

/// The partition keys that a WHERE asks for; `None`: it asks for all.
fn pinned(
    table: &TableDocument,
    index: Option<&Index>,
    condition: &Condition,
) -> Result<Option<Vec<Partition>>, ApiError> {
    let tests = tests(condition);
    let (hash, range) = key_attributes(table, index);
    let Some(combinations) = partition_keys(&tests, &hash)? else { return Ok(None) };
    let (prefix, last) = sort_keys(&tests, &range)?;
    let partitions = combinations.into_iter().map(|terms| {
        let values = terms.iter().flat_map(|term| operands(&term.test)).map(<[u8]>::to_vec).collect();
        let keys = narrowed(table, index, &[&terms[..], &prefix[..]].concat(), &last)?;
        Ok(Partition { values, keys })
    });
    partitions.collect::<Result<Vec<_>, _>>().map(Some)
}

/// Every combination of values that the attributes of the partition key can have.
fn partition_keys(
    tests: &[(&str, Test)],
    hash: &[&KeyAttribute],
) -> Result<Option<Vec<Vec<KeyTerm>>>, ApiError> {
    let mut combinations: Vec<Vec<KeyTerm>> = vec![Vec::new()];
    for attribute in hash {
        let Some(values) = candidates(tests, &attribute.name) else { return Ok(None) };
        values.iter().try_for_each(|value| check_type(attribute, value))?;
        let count = combinations.len() * values.len();
        if count > MAX_PARTITION_KEYS {
            return Err(ApiError::validation(ParseError::TooManyInOperands(count).to_string()));
        }
        let term =
            |value: &Vec<u8>| KeyTerm { name: attribute.name.clone(), test: KeyTest::Eq(value.clone()) };
        combinations = combinations
            .iter()
            .flat_map(|terms| values.iter().map(|value| [&terms[..], &[term(value)]].concat()))
            .collect();
    }
    Ok(Some(combinations))
}

/// Equalities with the first attributes of the sort key, and all tests of the one behind those.
fn sort_keys(
    tests: &[(&str, Test)],
    range: &[&KeyAttribute],
) -> Result<(Vec<KeyTerm>, Vec<KeyTerm>), ApiError> {
    let mut prefix = Vec::new();
    for attribute in range {
        let mut terms = Vec::new();
        for (_, test) in tests.iter().filter(|(name, _)| *name == attribute.name) {
            let Test::Key(test) = test else { continue };
            operands(test).into_iter().try_for_each(|value| check_type(attribute, value))?;
            terms.push(KeyTerm { name: attribute.name.clone(), test: test.clone() });
        }
        match terms.iter().position(|term| matches!(term.test, KeyTest::Eq(_))) {
            Some(equality) => prefix.push(terms.swap_remove(equality)),
            None => return Ok((prefix, terms)),
        }
    }
    Ok((prefix, Vec::new()))
}

/// The values that an attribute can have, each once.
fn candidates(tests: &[(&str, Test)], name: &str) -> Option<Vec<Vec<u8>>> {
    let of_attribute = || tests.iter().filter(|(tested, _)| *tested == name).map(|(_, test)| test);
    let equality = of_attribute().find_map(|test| match test {
        Test::Key(KeyTest::Eq(value)) => Some(vec![value.clone()]),
        _ => None,
    });
    let one_of = || {
        of_attribute()
            .find_map(|test| if let Test::OneOf(values) = test { Some(values.clone()) } else { None })
    };
    let mut values = equality.or_else(one_of)?;
    let mut seen = HashSet::new();
    values.retain(|value| seen.insert(value.clone()));
    Some(values)
}

/// The rows that pass all of `terms`, and each of `last`, which are about one sort key attribute.
fn narrowed(
    table: &TableDocument,
    index: Option<&Index>,
    terms: &[KeyTerm],
    last: &[KeyTerm],
) -> Result<Range<Bytes>, ApiError> {
    let range = |terms: Vec<KeyTerm>| -> Result<Range<Bytes>, ApiError> {
        let condition = KeyCondition { terms };
        Ok(KeysAsked::of(table, index, &condition)?.range(table, index))
    };
    let mut keys = range(terms.to_vec())?;
    for term in last {
        let one = range([terms, std::slice::from_ref(term)].concat())?;
        keys = keys.start.max(one.start)..keys.end.min(one.end);
    }
    Ok(keys)
}

fn operands(test: &KeyTest) -> Vec<&[u8]> {
    match test {
        KeyTest::Eq(value)
        | KeyTest::Lt(value)
        | KeyTest::Le(value)
        | KeyTest::Gt(value)
        | KeyTest::Ge(value)
        | KeyTest::BeginsWith(value) => vec![value],
        KeyTest::Between(lower, upper) => vec![lower, upper],
    }
}
