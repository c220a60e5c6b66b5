//! Requests of the 2017 version of global tables.

use crate::request::table::{BillingMode, TableClass};

#[derive(Clone, PartialEq, Debug)]
pub struct CreateGlobalTable {
    pub name: String,
    pub regions: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct UpdateGlobalTable {
    pub name: String,
    pub create: Vec<String>,
    pub delete: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ListGlobalTables {
    pub start: Option<String>,
    pub limit: Option<usize>,
    /// Only global tables with a replica there.
    pub region: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct UpdateGlobalTableSettings {
    pub name: String,
    pub billing: Option<BillingMode>,
    pub write_capacity: Option<u64>,
    /// By index name.
    pub index_write_capacity: Vec<(String, Option<u64>)>,
    pub replicas: Vec<GlobalTableReplicaSettings>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GlobalTableReplicaSettings {
    pub region: String,
    pub read_capacity: Option<u64>,
    pub index_read_capacity: Vec<(String, Option<u64>)>,
    pub class: Option<TableClass>,
}
