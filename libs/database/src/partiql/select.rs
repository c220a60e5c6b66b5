//! SELECT: the pages of a query where the WHERE pins the partition key, once for each of its values, else of a scan.
//!
//! The whole WHERE is the filter of what is read; what it says of keys only narrows the rows.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use tradewind_engine::{Documents, Engine};
use tradewind_expression::partiql::{Columns, Select};
use tradewind_expression::{Condition, KeyCondition, KeyTerm, KeyTest, ParseError, Projection};
use tradewind_model::{Item, ValueRef};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{ReturnCapacity, TableRef};
use tradewind_wire::response::item::{Capacity, PageOutput, StatementPageOutput};

use crate::capacity::{self, Reading};
use crate::page::{PAGE_BYTES, PageRequest, check_select, find_index};
use crate::partiql::key::{Test, check_type, tests};
use crate::partiql::token::{self, Start};
use crate::query::{KeysAsked, key_attributes, start_position};
use crate::region::Database;
use crate::scan::segment_keys;
use crate::table::document::{Index, TableDocument};

/// Values of the partition key that one statement may ask for. (Developer guide, "PartiQL select statements".)
const MAX_PARTITION_KEYS: usize = 50;

/// Which page, and what is asked to be told.
pub(super) struct PageOfStatement {
    pub fingerprint: u128,
    pub next_token: Option<String>,
    pub limit: Option<usize>,
    pub consistent: bool,
    pub capacity: ReturnCapacity,
}

/// What to read: the ranges one after another, each in the same direction.
struct Plan {
    ranges: Vec<Range<Bytes>>,
    reverse: bool,
}

impl<E: Engine + Documents> Database<E> {
    pub(super) async fn select(
        &self,
        select: &Select,
        page: PageOfStatement,
    ) -> Result<StatementPageOutput, ApiError> {
        let named = TableRef::parse(&select.table);
        let table = self.find(&named)?.document();
        let index = find_index(&table, select.index.as_deref(), page.consistent)?;
        let projection = select
            .columns
            .as_ref()
            .map(|columns| Projection::from_names(columns.attribute_names().map(str::to_owned).collect()));
        check_select(&table, index, None, projection.as_ref())?;
        let plan = Plan::of(&table, index, select)?;
        let start = match &page.next_token {
            Some(token) => token::decode(token, page.fingerprint)?,
            None => Start::default(),
        };
        let reader = Reader { table: &table, index, plan, select, projection, page };
        let (mut output, used) = self.read_ranges(&reader, start).await?;
        output.capacity = capacity::named(&named, reader.page.capacity, used);
        Ok(output)
    }

    /// One page over as many ranges as fit.
    async fn read_ranges(
        &self,
        reader: &Reader<'_>,
        mut start: Start,
    ) -> Result<(StatementPageOutput, Capacity), ApiError> {
        let mut output = StatementPageOutput::default();
        let mut used = Capacity::default();
        let mut limit = reader.page.limit;
        loop {
            let request = reader.request(&start, limit)?;
            let page = self.page(&request).await?;
            capacity::add(&mut used, page.capacity.as_ref().unwrap_or(&Capacity::default()));
            limit = limit.map(|limit| limit.saturating_sub(page.scanned));
            let next = reader.next(&start, &page, &used)?;
            output.items.extend(page.items.into_iter().flatten().map(|item| reader.shown(item)));
            match next {
                Next::Range => start = Start { range: start.range + 1, position: None },
                Next::Page(next) => {
                    output.next_token = Some(token::encode(reader.page.fingerprint, &next));
                    output.last_key = page.last_key;
                    return Ok((output, used));
                }
                Next::End => return Ok((output, used)),
            }
        }
    }
}

/// How a statement goes on behind what was read last.
enum Next {
    /// In this page, with the next range.
    Range,
    /// With another page that begins there.
    Page(Start),
    End,
}

struct Reader<'a> {
    table: &'a TableDocument,
    index: Option<&'a Index>,
    plan: Plan,
    select: &'a Select,
    /// The attributes that the columns are parts of.
    projection: Option<Projection>,
    page: PageOfStatement,
}

impl Reader<'_> {
    fn request(&self, start: &Start, limit: Option<usize>) -> Result<PageRequest<'_>, ApiError> {
        let mut keys = self.plan.ranges.get(start.range).cloned().ok_or_else(token::invalid)?;
        if let Some(position) = &start.position {
            if !keys.contains(position) {
                return Err(token::invalid());
            }
            match self.plan.reverse {
                true => keys.end = position.clone(),
                false => keys.start = [&position[..], &[0]].concat().into(),
            }
        }
        Ok(PageRequest {
            table: self.table,
            index: self.index,
            keys,
            reverse: self.plan.reverse,
            limit,
            filter: self.select.condition.as_ref(),
            projection: self.projection.as_ref(),
            select: None,
            consistent: self.page.consistent,
        })
    }

    fn next(&self, start: &Start, page: &PageOutput, used: &Capacity) -> Result<Next, ApiError> {
        if let Some(last) = &page.last_key {
            let position = Some(start_position(self.table, self.index, last)?);
            return Ok(Next::Page(Start { range: start.range, position }));
        }
        if start.range + 1 >= self.plan.ranges.len() {
            return Ok(Next::End);
        }
        // Each range alone may hold as much as a page does.
        let full = used.total() >= capacity::read_units(PAGE_BYTES, Reading::of(self.page.consistent));
        Ok(if full { Next::Page(Start { range: start.range + 1, position: None }) } else { Next::Range })
    }

    fn shown(&self, item: Item) -> Item {
        self.select
            .columns
            .as_ref()
            .map_or_else(|| item.clone(), |columns: &Columns| columns.flat(item.as_ref()))
    }
}

impl Plan {
    fn of(table: &TableDocument, index: Option<&Index>, select: &Select) -> Result<Plan, ApiError> {
        let pinned = match &select.condition {
            Some(condition) => pinned(table, index, condition)?,
            None => None,
        };
        let (hash, range) = key_attributes(table, index);
        let key_order = |name: &str| select.order.iter().find(|order| order.name == name);
        for order in &select.order {
            if !hash.iter().chain(&range).any(|key| key.name == order.name) {
                let name = &order.name;
                return Err(ApiError::validation(format!(
                    "Variable reference {name} in ORDER BY clause must be part of the primary key"
                )));
            }
        }
        let Some(mut partitions) = pinned else {
            if !select.order.is_empty() {
                return Err(ApiError::validation(
                    "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
                ));
            }
            let all = segment_keys(index.map_or(table.incarnation, |index| index.id), None);
            return Ok(Plan { ranges: vec![all], reverse: false });
        };
        if !select.order.is_empty() {
            partitions.sort();
            if hash.iter().filter_map(|key| key_order(&key.name)).any(|order| order.descending) {
                partitions.reverse();
            }
        }
        let reverse =
            direction(range.iter().filter_map(|key| key_order(&key.name)).map(|order| order.descending))?;
        Ok(Plan { ranges: partitions.into_iter().map(|partition| partition.keys).collect(), reverse })
    }
}

/// Whether sort keys descend. Several of them are read in one direction.
fn direction(mut descending: impl Iterator<Item = bool>) -> Result<bool, ApiError> {
    let first = descending.next().unwrap_or(false);
    match descending.all(|other| other == first) {
        true => Ok(first),
        false => {
            Err(ApiError::validation("All keys of an ORDER BY clause must be ordered in the same direction"))
        }
    }
}

/// One partition key, by its values in the order of the schema, and what is to be read of it.
#[derive(PartialEq, Eq)]
struct Partition {
    values: Vec<Vec<u8>>,
    keys: Range<Bytes>,
}

impl Ord for Partition {
    fn cmp(&self, other: &Partition) -> std::cmp::Ordering {
        let bytes = |partition: &Partition| -> Vec<Vec<u8>> {
            let key = |stored: &Vec<u8>| ValueRef::new(stored).key_bytes().unwrap_or_default().to_vec();
            partition.values.iter().map(key).collect()
        };
        bytes(self).cmp(&bytes(other))
    }
}

impl PartialOrd for Partition {
    fn partial_cmp(&self, other: &Partition) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
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
    let mut combinations: Vec<Vec<KeyTerm>> = vec![Vec::new()];
    for attribute in hash {
        let Some(values) = candidates(&tests, &attribute.name) else { return Ok(None) };
        values.iter().try_for_each(|value| check_type(attribute, value))?;
        let term =
            |value: &Vec<u8>| KeyTerm { name: attribute.name.clone(), test: KeyTest::Eq(value.clone()) };
        combinations = combinations
            .iter()
            .flat_map(|terms| values.iter().map(|value| [&terms[..], &[term(value)]].concat()))
            .collect();
        if combinations.len() > MAX_PARTITION_KEYS {
            return Err(ApiError::validation(ParseError::TooManyInOperands(combinations.len()).to_string()));
        }
    }
    let mut prefix = Vec::new();
    let mut last = Vec::new();
    for attribute in range {
        let of_attribute = tests.iter().filter(|(name, _)| *name == attribute.name);
        for test in
            of_attribute.filter_map(|(_, test)| if let Test::Key(test) = test { Some(test) } else { None })
        {
            operands(test).into_iter().try_for_each(|value| check_type(attribute, value))?;
            last.push(KeyTerm { name: attribute.name.clone(), test: test.clone() });
        }
        match last.iter().position(|term| matches!(term.test, KeyTest::Eq(_))) {
            Some(equality) => {
                prefix.push(last.swap_remove(equality));
                last.clear();
            }
            None => break,
        }
    }
    let partitions = combinations.into_iter().map(|terms| {
        let values = terms.iter().flat_map(|term| operands(&term.test)).map(<[u8]>::to_vec).collect();
        let keys = narrowed(table, index, &[&terms[..], &prefix[..]].concat(), &last)?;
        Ok(Partition { values, keys })
    });
    partitions.collect::<Result<Vec<_>, _>>().map(Some)
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
