//! Commands that ask a running process, for people (a table) and for machines (`--json`).

mod chaos;
mod client;
mod function;
mod global;
pub mod show;
mod verify;

use anyhow::Context;
use serde_json::Value;

use crate::arguments::Query;
use client::Client;

pub use chaos::chaos;
pub use function::function;
pub use global::{conflicts, replication};
pub use verify::verify;

pub fn tables(query: &Query) -> anyhow::Result<()> {
    let answer = Client::new(query)?.get("/_tradewind/tables")?;
    show::rows(
        query,
        &answer,
        "tables",
        &[
            ("table", |row| show::text(&row["table"])),
            ("region", |row| show::text(&row["region"])),
            ("status", |row| show::text(&row["status"])),
            ("items", |row| show::text(&row["items"])),
            ("bytes", |row| show::text(&row["bytes"])),
            ("replicas", |row| show::list(&row["replicas"], "region")),
        ],
    )
}

/// A member that has to be there.
fn member<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("the answer has no {name}"))
}
