//! Requests for items, decoded: constraints checked, items in their stored form, expressions parsed.
//!
//! What is left to check needs the table: its existence, its keys, sizes and indexes.

use tradewind_expression::{Condition, KeyCondition, Projection, Update};
use tradewind_model::Item;

use crate::shape::check::is_name;

/// A table as a request names it, by name or ARN.
#[derive(Clone, PartialEq, Debug)]
pub struct TableRef {
    pub name: String,
    /// The ARN, where the caller used one: answers then show it instead of the name.
    pub arn: Option<String>,
}

impl TableRef {
    pub fn named(name: impl Into<String>) -> TableRef {
        TableRef { name: name.into(), arn: None }
    }

    /// From what a request says: a name, or a table's ARN.
    pub fn parse(text: &str) -> TableRef {
        match TableRef::from_arn(text) {
            Some(name) => TableRef { name: name.to_owned(), arn: Some(text.to_owned()) },
            None => TableRef::named(text),
        }
    }

    /// The table's name in `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME`.
    pub fn from_arn(text: &str) -> Option<&str> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        let mut next = || parts.next();
        let (partition, service) = (next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let name = resource.strip_prefix("table/")?;
        let fits = partition.starts_with("aws")
            && service == "dynamodb"
            && !region.is_empty()
            && !account.is_empty()
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_name(name)
            && (3..=255).contains(&name.len());
        fits.then_some(name)
    }

    /// As the caller named it.
    pub fn shown(&self) -> &str {
        self.arn.as_deref().unwrap_or(&self.name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReturnValues {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReturnCapacity {
    #[default]
    None,
    Total,
    Indexes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Select {
    AllAttributes,
    AllProjectedAttributes,
    SpecificAttributes,
    Count,
}

/// What a single write asks to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Returns {
    pub values: ReturnValues,
    /// ReturnValuesOnConditionCheckFailure = ALL_OLD.
    pub item_on_failure: bool,
    pub capacity: ReturnCapacity,
    /// ReturnItemCollectionMetrics = SIZE.
    pub metrics: bool,
}

#[derive(Clone, Debug)]
pub struct PutItem {
    pub table: TableRef,
    pub item: Item,
    pub condition: Option<Condition>,
    pub returns: Returns,
}

#[derive(Clone, Debug)]
pub struct UpdateItem {
    pub table: TableRef,
    pub key: Item,
    /// Without one, only the item's existence is ensured.
    pub update: Option<Update>,
    pub condition: Option<Condition>,
    pub returns: Returns,
}

#[derive(Clone, Debug)]
pub struct DeleteItem {
    pub table: TableRef,
    pub key: Item,
    pub condition: Option<Condition>,
    pub returns: Returns,
}

#[derive(Clone, Debug)]
pub struct GetItem {
    pub table: TableRef,
    pub key: Item,
    pub projection: Option<Projection>,
    pub consistent: bool,
    /// Not from a standby, at the price of what `consistent` says: the reader knows of a write that it has to see.
    pub fresh: bool,
    pub capacity: ReturnCapacity,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub table: TableRef,
    pub index: Option<String>,
    pub key_condition: KeyCondition,
    pub filter: Option<Condition>,
    /// Whether the filter came as a QueryFilter, which errors name.
    pub legacy_filter: bool,
    pub projection: Option<Projection>,
    pub select: Option<Select>,
    /// At least 1.
    pub limit: Option<usize>,
    pub forward: bool,
    pub start: Option<Item>,
    pub consistent: bool,
    /// Not from a standby, at the price of what `consistent` says: the reader knows of a write that it has to see.
    pub fresh: bool,
    pub capacity: ReturnCapacity,
}

/// One of `total` parallel scans: `segment < total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    pub segment: u32,
    pub total: u32,
}

#[derive(Clone, Debug)]
pub struct Scan {
    pub table: TableRef,
    pub index: Option<String>,
    pub filter: Option<Condition>,
    pub projection: Option<Projection>,
    pub select: Option<Select>,
    /// At least 1.
    pub limit: Option<usize>,
    pub segment: Option<Segment>,
    pub start: Option<Item>,
    pub consistent: bool,
    /// Not from a standby, at the price of what `consistent` says: the reader knows of a write that it has to see.
    pub fresh: bool,
    pub capacity: ReturnCapacity,
}

#[derive(Clone, Debug)]
pub struct BatchGetItem {
    pub tables: Vec<TableGets>,
    pub capacity: ReturnCapacity,
}

#[derive(Clone, Debug)]
pub struct TableGets {
    pub table: TableRef,
    pub keys: Vec<Item>,
    pub projection: Option<Projection>,
    pub consistent: bool,
    /// Not from a standby, at the price of what `consistent` says: the reader knows of a write that it has to see.
    pub fresh: bool,
    /// This table's part of RequestItems without `Keys`, as JSON members: what UnprocessedKeys repeats.
    pub rest: String,
}

#[derive(Clone, Debug)]
pub struct BatchWriteItem {
    pub tables: Vec<(TableRef, Vec<BatchWrite>)>,
    pub capacity: ReturnCapacity,
    pub metrics: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum BatchWrite {
    Put(Item),
    Delete(Item),
}

#[derive(Clone, Debug)]
pub struct TransactWriteItems {
    pub actions: Vec<TransactWrite>,
    pub token: Option<String>,
    /// Of everything but the token and what it asks to be told: tells a repeat from another request with its token.
    pub digest: u128,
    pub capacity: ReturnCapacity,
    pub metrics: bool,
}

#[derive(Clone, Debug)]
pub struct TransactWrite {
    pub table: TableRef,
    pub action: TransactAction,
    pub condition: Option<Condition>,
    pub item_on_failure: bool,
}

#[derive(Clone, Debug)]
pub enum TransactAction {
    Put { item: Item },
    Update { key: Item, update: Update },
    Delete { key: Item },
    Check { key: Item },
}

#[derive(Clone, Debug)]
pub struct TransactGetItems {
    pub gets: Vec<TransactGet>,
    pub capacity: ReturnCapacity,
}

#[derive(Clone, Debug)]
pub struct TransactGet {
    pub table: TableRef,
    pub key: Item,
    pub projection: Option<Projection>,
}
