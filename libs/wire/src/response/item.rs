//! Answers to requests for items, before they are rendered.

use std::collections::BTreeMap;

use tradewind_model::{Item, Tokens};

use crate::error::ApiError;
use crate::request::item::BatchWrite;

/// Capacity units used, by part; rendered as far as the request asked for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Capacity {
    /// Name or ARN, as the caller named the table.
    pub table_name: String,
    pub read: f64,
    pub write: f64,
    pub local_indexes: BTreeMap<String, Units>,
    pub global_indexes: BTreeMap<String, Units>,
    /// Transactions show read and write units apart.
    pub split: bool,
    /// ReturnConsumedCapacity = INDEXES: the parts are shown too.
    pub by_index: bool,
}

/// Of one index; the table's own part is in [`Capacity::read`] and [`Capacity::write`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Units {
    pub read: f64,
    pub write: f64,
}

impl Capacity {
    /// All parts together.
    pub fn total(&self) -> f64 {
        let indexes = self.local_indexes.values().chain(self.global_indexes.values());
        self.read + self.write + indexes.map(|units| units.read + units.write).sum::<f64>()
    }
}

/// ItemCollectionMetrics: the collection's partition key and its estimated size.
#[derive(Clone, PartialEq, Debug)]
pub struct CollectionMetrics {
    pub key: Item,
    pub size_gb: (f64, f64),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct WriteOutput {
    pub attributes: Option<Item>,
    pub capacity: Option<Capacity>,
    pub metrics: Option<CollectionMetrics>,
    pub tokens: Tokens,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct GetOutput {
    /// `None`: no such item. An empty item: none of its attributes were asked for.
    pub item: Option<Item>,
    pub capacity: Option<Capacity>,
}

/// Of a query or a scan.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PageOutput {
    /// `None` with Select = COUNT.
    pub items: Option<Vec<Item>>,
    pub count: usize,
    pub scanned: usize,
    pub last_key: Option<Item>,
    pub capacity: Option<Capacity>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct BatchGetOutput {
    /// By the name (or ARN) the caller used.
    pub responses: Vec<(String, Vec<Item>)>,
    /// Name, keys, and the other members as they came.
    pub unprocessed: Vec<(String, Vec<Item>, String)>,
    pub capacity: Vec<Capacity>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct BatchWriteOutput {
    pub unprocessed: Vec<(String, Vec<BatchWrite>)>,
    pub metrics: Vec<(String, Vec<CollectionMetrics>)>,
    pub capacity: Vec<Capacity>,
    pub tokens: Tokens,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TransactWriteOutput {
    pub metrics: Vec<(String, Vec<CollectionMetrics>)>,
    pub capacity: Vec<Capacity>,
    pub tokens: Tokens,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TransactGetOutput {
    pub items: Vec<Option<Item>>,
    pub capacity: Vec<Capacity>,
    /// Of a transaction of PartiQL that writes.
    pub tokens: Tokens,
}

/// Of one PartiQL statement.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StatementPageOutput {
    pub items: Vec<Item>,
    pub next_token: Option<String>,
    pub last_key: Option<Item>,
    pub capacity: Option<Capacity>,
    pub tokens: Tokens,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct StatementBatchOutput {
    /// In the order of the statements.
    pub responses: Vec<StatementOutput>,
    pub capacity: Vec<Capacity>,
    pub tokens: Tokens,
}

/// One statement's result in a batch of PartiQL statements.
#[derive(Clone, PartialEq, Debug)]
pub struct StatementOutput {
    pub table: Option<String>,
    pub result: Result<Option<Item>, ApiError>,
}
