//! Commands that ask a running process, for people (a table) and for machines (`--json`).

mod client;
mod function;
mod show;

use anyhow::Context;
use serde_json::Value;

use crate::arguments::{Conflicts, Query, Replication};
use client::Client;

pub use function::function;

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

pub fn conflicts(command: &Conflicts) -> anyhow::Result<()> {
    let Conflicts::List { table, limit, query } = command;
    let answer = Client::new(query)?.get(&format!("/_tradewind/conflicts/{table}?limit={limit}"))?;
    show::rows(
        query,
        &answer,
        "conflicts",
        &[
            ("time", |row| show::time(&row["at_ms"])),
            ("kind", |row| show::text(&row["kind"])),
            ("key", |row| show::text(&row["key"])),
            ("won", |row| show::text(&row["winner"]["region"])),
            ("kept", |row| show::text(&row["winner"]["item"])),
            ("lost", |row| show::text(&row["loser"]["region"])),
            ("lost item", |row| show::text(&row["loser"]["item"])),
        ],
    )
}

pub fn replication(command: &Replication) -> anyhow::Result<()> {
    let Replication::Status(query) = command;
    let answer = Client::new(query)?.get("/_tradewind/replication")?;
    show::rows(
        query,
        &answer,
        "links",
        &[
            ("table", |row| show::text(&row["table"])),
            ("partition", |row| show::text(&row["partition"])),
            ("from", |row| show::text(&row["from"])),
            ("to", |row| show::text(&row["to"])),
            ("state", |row| show::text(&row["state"])),
            ("pending", |row| show::text(&row["pending"])),
            ("latency ms", |row| show::text(&row["latency_ms"])),
            ("last answer", |row| show::time(&row["last_answer_ms"])),
            ("error", |row| show::text(&row["error"])),
        ],
    )
}

/// A member that has to be there.
fn member<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("the answer has no {name}"))
}
