//! `tradewind conflicts` and `tradewind replication`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::client::Client;
use super::show::{self, Column};
use crate::arguments::{ConflictList, Conflicts, Query, Replication};

const COLUMNS: [Column; 8] = [
    ("time", |row| show::time(&row["at_ms"])),
    ("kind", |row| show::text(&row["kind"])),
    ("key", |row| show::text(&row["key"])),
    ("won", |row| show::text(&row["winner"]["region"])),
    ("kept", |row| show::text(&row["winner"]["item"])),
    ("lost", |row| show::text(&row["loser"]["region"])),
    ("lost item", |row| show::text(&row["loser"]["item"])),
    ("id", |row| show::text(&row["id"])),
];
/// Conflicts are listed again that are not older than this: partitions record them side by side, and one that was decided
/// first may be recorded last.
const OVERLAP_MS: u64 = 10_000;
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

pub fn conflicts(command: &Conflicts) -> anyhow::Result<()> {
    match command {
        Conflicts::List(list) => {
            let answer = ask(&Client::new(&list.query)?, list, list.from_ms, &Value::Null)?;
            show::rows(&list.query, &answer, "conflicts", &COLUMNS)
        }
        Conflicts::Follow(list) => follow(list),
        Conflicts::Count { table, query } => {
            let answer =
                Client::new(query)?.post(&format!("/_tradewind/conflicts/{table}/counts"), &json!({}))?;
            show::rows(
                query,
                &answer,
                "counts",
                &[
                    ("kind", |row| show::text(&row["kind"])),
                    ("lost", |row| show::text(&row["lost"])),
                    ("to", |row| show::text(&row["won"])),
                    ("count", |row| show::text(&row["count"])),
                ],
            )
        }
        Conflicts::Restore { table, id, query } => {
            let path = format!("/_tradewind/conflicts/{table}/restore");
            let answer = Client::new(query)?.post(&path, &json!({ "id": id }))?;
            said(query, &answer, "restored")
        }
    }
}

fn ask(client: &Client, list: &ConflictList, from_ms: Option<u64>, after: &Value) -> anyhow::Result<Value> {
    let key = list.key.as_deref().map(serde_json::from_str::<Value>).transpose().context("--key")?;
    let body = json!({
        "key": key,
        "region": list.of,
        "from_ms": from_ms,
        "to_ms": list.to_ms,
        "after": after,
        "limit": list.limit,
    });
    client.post(&format!("/_tradewind/conflicts/{}", list.table), &body)
}

/// One line of JSON for each, once each.
fn follow(list: &ConflictList) -> anyhow::Result<()> {
    let client = Client::new(&list.query)?;
    let now_ms = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default();
    let mut from_ms = list.from_ms.unwrap_or(now_ms);
    let mut shown = BTreeSet::new();
    loop {
        let mut after = Value::Null;
        loop {
            let answer = ask(&client, list, Some(from_ms), &after)?;
            for conflict in answer["conflicts"].as_array().into_iter().flatten() {
                let at_ms = conflict["at_ms"].as_u64().unwrap_or_default();
                let id = conflict["id"].as_str().unwrap_or_default().to_owned();
                if shown.insert((at_ms, id)) {
                    println!("{conflict}");
                }
            }
            after = answer["next"].clone();
            if after.is_null() {
                break;
            }
        }
        if let Some((newest_ms, _)) = shown.last() {
            from_ms = from_ms.max(newest_ms.saturating_sub(OVERLAP_MS));
            shown = shown.split_off(&(from_ms, String::new()));
        }
        std::thread::sleep(FOLLOW_EVERY);
    }
}

pub fn replication(command: &Replication) -> anyhow::Result<()> {
    match command {
        Replication::Status(query) => status(query),
        Replication::Evict { lost, table, query } => {
            let body = json!({ "table": table, "region": lost });
            let answer = Client::new(query)?.post("/_tradewind/replication/evict", &body)?;
            said(query, &answer, "evicting")
        }
        Replication::Repair { table, query } => {
            let answer =
                Client::new(query)?.post("/_tradewind/replication/repair", &json!({ "table": table }))?;
            said(query, &answer, "repaired")
        }
    }
}

fn said(query: &Query, answer: &Value, member: &str) -> anyhow::Result<()> {
    match query.json {
        true => println!("{}", serde_json::to_string_pretty(answer)?),
        false => println!("{member}: {}", show::text(&answer[member])),
    }
    Ok(())
}

fn status(query: &Query) -> anyhow::Result<()> {
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
            ("left ms", |row| show::text(&row["left_ms"])),
            ("last answer", |row| show::time(&row["last_answer_ms"])),
            ("error", |row| show::text(&row["error"])),
        ],
    )
}
