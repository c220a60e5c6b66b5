//! Query: the items of one partition key, or of one index partition key, in sort key order.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use tradewind_engine::{Documents, Engine};
use tradewind_expression::{KeyCondition, KeyTest};
use tradewind_model::key::{after_prefix, index_collection, put_escaped, put_escaped_prefix};
use tradewind_model::{Item, ItemKey, KeyAttribute, ValueRef};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::Query;
use tradewind_wire::response::item::PageOutput;

use crate::index;
use crate::item;
use crate::key_paths;
use crate::page::{PageRequest, check_select, find_index, name_capacity, projects};
use crate::region::Database;
use crate::table::document::{Index, TableDocument};

impl<E: Engine + Documents> Database<E> {
    pub async fn query(&self, request: Query) -> Result<PageOutput, ApiError> {
        let table = self.find(&request.table)?.document();
        let index = find_index(&table, request.index.as_deref(), request.consistent)?;
        let asked = KeysAsked::of(&table, index, &request.key_condition)?;
        if let (None, [partition_key]) = (index, &asked.hash[..]) {
            self.touch(&table, partition_key);
        }
        let mut keys = asked.range(&table, index);
        if let Some(start) = &request.start {
            let position = asked.position(&table, index, start, &keys)?;
            match request.forward {
                true => keys.start = [&position[..], &[0]].concat().into(),
                false => keys.end = position,
            }
        }
        key_paths::check_projection(&table, request.projection.as_ref())?;
        check_filter(&table, index, &request)?;
        check_select(&table, index, request.select, request.projection.as_ref())?;
        key_paths::check_condition(&table, request.filter.as_ref())?;
        let page = PageRequest {
            table: &table,
            index,
            keys,
            reverse: !request.forward,
            limit: request.limit,
            filter: request.filter.as_ref(),
            projection: request.projection.as_ref(),
            select: request.select,
            consistent: request.consistent,
            fresh: request.fresh,
        };
        Ok(name_capacity(self.page(&page).await?, &request.table, request.capacity))
    }
}

/// The keys a condition asks for, matched with a schema: every partition key attribute, sort key attributes from the
/// left, and at most one test that is not an equality, on the last of them.
pub(crate) struct KeysAsked<'a> {
    hash: Vec<&'a [u8]>,
    range: Vec<&'a [u8]>,
    test: Option<&'a KeyTest>,
}

impl<'a> KeysAsked<'a> {
    pub fn of(
        table: &TableDocument,
        index: Option<&Index>,
        condition: &'a KeyCondition,
    ) -> Result<KeysAsked<'a>, ApiError> {
        let (hash, range) = key_attributes(table, index);
        let term = |name: &str| condition.terms.iter().find(|term| term.name == name).map(|term| &term.test);
        let mut asked = KeysAsked { hash: Vec::new(), range: Vec::new(), test: None };
        for attribute in &hash {
            let test = term(&attribute.name).ok_or_else(|| missed(attribute))?;
            let KeyTest::Eq(value) = test else { return Err(unsupported()) };
            asked.hash.push(operand(index, attribute, value)?);
        }
        let mut used = hash.len();
        for attribute in &range {
            match term(&attribute.name) {
                Some(KeyTest::Eq(value)) => asked.range.push(operand(index, attribute, value)?),
                Some(test) => {
                    check_test(index, attribute, test)?;
                    asked.test = Some(test);
                    used += 1;
                    break;
                }
                None => break,
            }
            used += 1;
        }
        if used < condition.terms.len() {
            // A condition on something else, or on a sort key whose predecessors have none.
            return Err(range.get(used - hash.len()).map_or_else(unsupported, |attribute| missed(attribute)));
        }
        Ok(asked)
    }

    /// The rows with these keys.
    pub fn range(&self, table: &TableDocument, index: Option<&Index>) -> Range<Bytes> {
        match index {
            None => self.table_range(table),
            Some(index) => self.index_range(index),
        }
    }

    /// A table's sort key ends the row's key and is not escaped.
    fn table_range(&self, table: &TableDocument) -> Range<Bytes> {
        let prefix = ItemKey::collection(table.incarnation, self.hash[0]);
        let at = |value: &[u8]| Bytes::from([&prefix[..], value].concat());
        let behind = |value: &[u8]| Bytes::from([&prefix[..], value, &[0]].concat());
        if let Some(value) = self.range.first() {
            return at(value)..behind(value);
        }
        let whole = prefix.clone()..after_prefix(&prefix);
        self.bounds(whole, at, behind, |start| at(start)..after_prefix(&at(start)))
    }

    fn index_range(&self, index: &Index) -> Range<Bytes> {
        let mut prefix = index_collection(index.id, &self.hash);
        self.range.iter().for_each(|part| put_escaped(&mut prefix, part));
        let at = |value: &[u8]| with_part(&prefix, value);
        let behind = |value: &[u8]| after_prefix(&with_part(&prefix, value));
        let beginning_with = |start: &[u8]| {
            let mut begin = prefix.clone();
            put_escaped_prefix(&mut begin, start);
            let end = after_prefix(&begin);
            begin.freeze()..end
        };
        let whole = Bytes::copy_from_slice(&prefix)..after_prefix(&prefix);
        self.bounds(whole, at, behind, beginning_with)
    }

    /// The part of `whole` that passes the test, given where rows with a value begin and where they end.
    fn bounds(
        &self,
        whole: Range<Bytes>,
        at: impl Fn(&[u8]) -> Bytes,
        behind: impl Fn(&[u8]) -> Bytes,
        beginning_with: impl Fn(&[u8]) -> Range<Bytes>,
    ) -> Range<Bytes> {
        match self.test {
            None => whole,
            Some(KeyTest::Eq(value)) => at(bytes(value))..behind(bytes(value)),
            Some(KeyTest::Lt(value)) => whole.start..at(bytes(value)),
            Some(KeyTest::Le(value)) => whole.start..behind(bytes(value)),
            Some(KeyTest::Gt(value)) => behind(bytes(value))..whole.end,
            Some(KeyTest::Ge(value)) => at(bytes(value))..whole.end,
            Some(KeyTest::Between(low, high)) => at(bytes(low))..behind(bytes(high)),
            Some(KeyTest::BeginsWith(start)) => beginning_with(bytes(start)),
        }
    }

    /// Where ExclusiveStartKey lies on disk; it must be a key of what the query reads.
    fn position(
        &self,
        table: &TableDocument,
        index: Option<&Index>,
        start: &Item,
        keys: &Range<Bytes>,
    ) -> Result<Bytes, ApiError> {
        let position = start_position(table, index, start)?;
        let (hash, _) = key_attributes(table, index);
        let same_partition = hash.iter().zip(&self.hash).all(|(attribute, asked)| {
            start.get(&attribute.name).and_then(|value| value.key_bytes()) == Some(asked)
        });
        if !same_partition {
            return Err(self.outside(table, index, start));
        }
        if !keys.contains(&position) {
            return Err(ApiError::validation(MISMATCH));
        }
        Ok(position)
    }

    /// What a start key of another partition is told: the service looks at the sort key first, if there is a condition on
    /// it.
    fn outside(&self, table: &TableDocument, index: Option<&Index>, start: &Item) -> ApiError {
        let (_, range) = key_attributes(table, index);
        let mut given = range.iter().map(|key| start.get(&key.name).and_then(|value| value.key_bytes()));
        let equal = self.range.iter().all(|asked| given.next().flatten() == Some(*asked));
        let passed = match (self.test, given.next().flatten()) {
            (Some(test), Some(value)) => passes(test, value),
            _ => true,
        };
        ApiError::validation(match (self.range.is_empty() && self.test.is_none(), equal && passed) {
            (true, _) => "The provided starting key is outside query boundaries based on provided conditions",
            (false, true) => "The query can return at most one row and cannot be restarted",
            (false, false) => MISMATCH,
        })
    }
}

const MISMATCH: &str = "The provided starting key does not match the range key predicate";

/// By key bytes, which are in key order.
fn passes(test: &KeyTest, value: &[u8]) -> bool {
    match test {
        KeyTest::Eq(other) => value == bytes(other),
        KeyTest::Lt(other) => value < bytes(other),
        KeyTest::Le(other) => value <= bytes(other),
        KeyTest::Gt(other) => value > bytes(other),
        KeyTest::Ge(other) => value >= bytes(other),
        KeyTest::Between(low, high) => (bytes(low)..=bytes(high)).contains(&value),
        KeyTest::BeginsWith(start) => value.starts_with(bytes(start)),
    }
}

fn with_part(prefix: &BytesMut, value: &[u8]) -> Bytes {
    let mut key = prefix.clone();
    put_escaped(&mut key, value);
    key.freeze()
}

/// The key bytes of an operand that [`operand`] or [`check_test`] has accepted.
fn bytes(value: &[u8]) -> &[u8] {
    ValueRef::new(value).key_bytes().unwrap_or_default()
}

/// The row that a start key names, in a table or an index.
pub(crate) fn start_position(
    table: &TableDocument,
    index: Option<&Index>,
    start: &Item,
) -> Result<Bytes, ApiError> {
    let invalid = |why: &str| ApiError::validation(format!("The provided starting key is invalid{why}"));
    let mismatch = || invalid(": The provided key element does not match the schema");
    let Some(index) = index else {
        let key = item::key_of_key(table, start.as_ref())
            .map_err(|error| invalid(&format!(": {}", error.message)))?;
        return Ok(key.stored(table.incarnation));
    };
    let key = item::key_of_item(table, start.as_ref()).map_err(|_| mismatch())?;
    let names = table.keys.attributes().chain(index.keys()).map(|key| key.name.as_str());
    let known: std::collections::HashSet<_> = names.collect();
    if known.len() != start.as_ref().attributes().len() {
        return Err(invalid(""));
    }
    index::row(index, &table.keys, &key, start).map(|row| row.key).ok_or_else(mismatch)
}

pub(crate) fn key_attributes<'a>(
    table: &'a TableDocument,
    index: Option<&'a Index>,
) -> (Vec<&'a KeyAttribute>, Vec<&'a KeyAttribute>) {
    match index {
        None => (vec![&table.keys.hash], table.keys.range.iter().collect()),
        Some(index) => (index.hash.iter().collect(), index.range.iter().collect()),
    }
}

fn missed(attribute: &KeyAttribute) -> ApiError {
    ApiError::validation(format!("Query condition missed key schema element: {}", attribute.name))
}

fn unsupported() -> ApiError {
    ApiError::validation("Query key condition not supported")
}

fn operand<'a>(
    index: Option<&Index>,
    attribute: &KeyAttribute,
    value: &'a [u8],
) -> Result<&'a [u8], ApiError> {
    let value = ValueRef::new(value);
    if value.kind() != attribute.kind {
        return Err(ApiError::invalid_value("Condition parameter type does not match schema type"));
    }
    if let Some(index) = index {
        index::check_operand(&index.name, attribute, value)?;
    }
    match value.key_bytes().unwrap_or_default() {
        [] => Err(ApiError::validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty \
             {} value. Key: {}",
            if attribute.kind == tradewind_model::Type::B { "binary" } else { "string" },
            attribute.name
        ))),
        bytes => Ok(bytes),
    }
}

fn check_test(index: Option<&Index>, attribute: &KeyAttribute, test: &KeyTest) -> Result<(), ApiError> {
    let check = |value: &[u8]| operand(index, attribute, value).map(|_| ());
    match test {
        KeyTest::Eq(value)
        | KeyTest::Lt(value)
        | KeyTest::Le(value)
        | KeyTest::Gt(value)
        | KeyTest::Ge(value)
        | KeyTest::BeginsWith(value) => check(value),
        KeyTest::Between(low, high) => check(low).and_then(|()| check(high)),
    }
}

/// A filter is about what the keys do not already say, and what the index has.
fn check_filter(table: &TableDocument, index: Option<&Index>, request: &Query) -> Result<(), ApiError> {
    let (hash, range) = key_attributes(table, index);
    let is_key = |name: &&str| hash.iter().chain(&range).any(|key| key.name == *name);
    let what = if request.legacy_filter { "QueryFilter" } else { "Filter Expression" };
    let Some(filter) = &request.filter else { return Ok(()) };
    if let Some(name) = filter.attribute_names().find(is_key) {
        return Err(ApiError::validation(format!(
            "{what} can only contain non-primary key attributes: Primary key attribute: {name}"
        )));
    }
    let Some(index) = index else { return Ok(()) };
    let beyond: BTreeSet<_> = filter.attribute_names().filter(|name| !projects(table, index, name)).collect();
    match beyond.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid_value(format!(
            "Secondary index {} does not project one or more filter attributes: [{}]",
            index.name,
            Vec::from_iter(beyond).join(", ")
        ))),
    }
}
