//! `tradewind function`: over the Lambda API, and over what this program answers beside it.

mod add;
mod replay;
mod watch;

use anyhow::{Context, bail};
use http::Method;
use serde_json::{Value, json};

use super::{client::Client, member, show};
use crate::arguments::{Function, Query};

const FUNCTIONS: &str = "/2015-03-31/functions";
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
/// What Lambda has no operation for.
const OURS: &str = "/2026-11-01";

pub fn function(command: &Function) -> anyhow::Result<()> {
    match command {
        Function::Add(add) => add::add(add),
        Function::List(query) => list(query),
        Function::Show { name, query } => show_one(name, query),
        Function::Logs { name, follow, last, query } => watch::logs(name, *follow, *last, query),
        Function::Invocations { name, request_id, failed, limit, query } => match request_id {
            Some(request_id) => watch::invocation(name, request_id, query),
            None => watch::invocations(name, *failed, *limit, query),
        },
        Function::Pause { name, reason, table, query } => pause(name, Some(reason), table.as_deref(), query),
        Function::Resume { name, table, query } => pause(name, None, table.as_deref(), query),
        Function::Replay(command) => replay::replay(command),
        Function::Failed { name, id, remove, query } => replay::failed(name, id.as_deref(), *remove, query),
        Function::Delete { name, query } => delete(name, query),
    }
}

/// All pages of a list.
fn all(client: &Client, path: &str, member: &str) -> anyhow::Result<Vec<Value>> {
    let (mut found, mut marker) = (Vec::new(), String::new());
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = match marker.as_str() {
            "" => client.lambda_get(path)?,
            marker => client.lambda_get(&format!("{path}{separator}Marker={marker}"))?,
        };
        found.extend(page[member].as_array().cloned().unwrap_or_default());
        match page["NextMarker"].as_str() {
            Some(next) => marker = next.to_owned(),
            None => return Ok(found),
        }
    }
}

/// A function's mappings, of one table if it is named.
fn mappings(client: &Client, name: &str, table: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let mut found = all(client, &format!("{MAPPINGS}?FunctionName={name}"), "EventSourceMappings")?;
    found.retain(|mapping| table.is_none_or(|table| table_of(mapping) == table));
    Ok(found)
}

fn one_mapping(client: &Client, name: &str, table: Option<&str>) -> anyhow::Result<Value> {
    let mut found = mappings(client, name, table)?;
    match (found.pop(), found.is_empty()) {
        (Some(mapping), true) => Ok(mapping),
        (None, _) => {
            bail!("{name} reads no table{}", table.map_or_else(String::new, |table| format!(" {table}")))
        }
        (Some(_), false) => bail!("{name} reads several tables: say which with --table"),
    }
}

/// `arn:aws:dynamodb:region:account:table/NAME/stream/…`
fn table_of(mapping: &Value) -> String {
    let arn = mapping["EventSourceArn"].as_str().unwrap_or_default();
    let table = arn.split("table/").nth(1).and_then(|rest| rest.split('/').next());
    table.unwrap_or_default().to_owned()
}

fn list(query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let functions = all(&client, FUNCTIONS, "Functions")?;
    let mappings = all(&client, MAPPINGS, "EventSourceMappings")?;
    let metrics = client.lambda_get(&format!("{OURS}/metrics"))?;
    let number = |function: &str, name: &str| {
        let samples = metrics["Metrics"].as_array().into_iter().flatten();
        let of = samples.filter(|sample| sample["Name"] == name && sample["FunctionName"] == function);
        of.filter_map(|sample| sample["Value"].as_f64()).fold(0.0, f64::max)
    };
    let row = |function: &Value| {
        let name = function["FunctionName"].as_str().unwrap_or_default();
        let reads: Vec<_> = mappings
            .iter()
            .filter(|mapping| mapping["FunctionArn"] == function["FunctionArn"])
            .map(|mapping| json!({
                "table": table_of(mapping), "uuid": mapping["UUID"], "state": mapping["State"],
                "reason": mapping["StateTransitionReason"], "last_result": mapping["LastProcessingResult"],
            }))
            .collect();
        json!({
            "function": name,
            "kind": kind(function),
            "reads": reads,
            "invocations": number(name, "Invocations"),
            "errors": number(name, "Errors"),
            "throttles": number(name, "Throttles"),
            "iterator_age_ms": number(name, "IteratorAge"),
        })
    };
    let rows: Vec<_> = functions.iter().map(row).collect();
    show::rows(
        query,
        &json!({ "functions": rows }),
        "functions",
        &[
            ("function", |row| show::text(&row["function"])),
            ("kind", |row| show::text(&row["kind"])),
            ("reads", |row| show::list(&row["reads"], "table")),
            ("state", |row| show::list(&row["reads"], "state")),
            ("invocations", |row| show::text(&row["invocations"])),
            ("errors", |row| show::text(&row["errors"])),
            ("age ms", |row| show::text(&row["iterator_age_ms"])),
            ("last result", |row| show::list(&row["reads"], "last_result")),
        ],
    )
}

fn kind(function: &Value) -> String {
    let local = &function["XTradewind"];
    match (local["Form"].as_str(), local["Command"].as_str(), function["Runtime"].as_str()) {
        (Some(form), _, _) => form.to_owned(),
        (None, Some(_), _) => "command".to_owned(),
        (None, None, Some(runtime)) => runtime.to_owned(),
        (None, None, None) => "in process".to_owned(),
    }
}

fn show_one(name: &str, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let function = client.lambda_get(&format!("{FUNCTIONS}/{name}/configuration"))?;
    let mut shown = Vec::new();
    for mapping in mappings(&client, name, None)? {
        shown.push(
            client.lambda_get(&format!(
                "{OURS}/event-source-mappings/{}/progress",
                member(&mapping, "UUID")?
            ))?,
        );
    }
    if query.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "function": function, "mappings": shown }))?);
        return Ok(());
    }
    println!("{} ({})", member(&function, "FunctionArn")?, kind(&function));
    for mapping in &shown {
        say_progress(mapping);
        let shards = json!({ "shards": mapping["Shards"] });
        show::rows(
            query,
            &shards,
            "shards",
            &[
                ("shard", |row| show::text(&row["ShardId"])),
                ("after", |row| show::text(&row["After"])),
                ("last", |row| show::text(&row["Last"])),
                ("oldest waiting", |row| show::time(&row["OldestWaiting"])),
                ("runs at", |row| show::text(&row["Owner"])),
            ],
        )?;
    }
    Ok(())
}

/// In one line or two: what it reads, in what state, and how long that can last.
fn say_progress(mapping: &Value) {
    let (table, state) = (table_of(mapping), show::text(&mapping["State"]));
    println!("{table}: {state}, {}", show::text(&mapping["LastProcessingResult"]));
    if matches!(state.as_str(), "Disabled" | "Disabling") {
        println!("  why: {}", show::text(&mapping["StateTransitionReason"]));
        match mapping["KeptUntil"].is_null() {
            true => println!("  nothing waits; what is written from now on is kept for 24 hours"),
            false => println!("  what waits is kept until {}", show::time(&mapping["KeptUntil"])),
        }
    }
    for replay in mapping["Replays"].as_array().into_iter().flatten() {
        println!("  a replay runs: {}", show::text(replay));
    }
}

/// With a reason it pauses, without it goes on.
fn pause(name: &str, reason: Option<&String>, table: Option<&str>, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let found = mappings(&client, name, table)?;
    if found.is_empty() {
        bail!("{name} reads no table{}", table.map_or_else(String::new, |table| format!(" {table}")));
    }
    let mut shown = Vec::new();
    for mapping in &found {
        let path = format!("{OURS}/event-source-mappings/{}", member(mapping, "UUID")?);
        shown.push(match reason {
            Some(reason) => client.lambda(&format!("{path}/pause"), &[], &json!({ "Reason": reason }))?,
            None => client.lambda(&format!("{path}/resume"), &[], &json!({}))?,
        });
    }
    if query.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "mappings": shown }))?);
    } else {
        shown.iter().for_each(say_progress);
    }
    Ok(())
}

fn delete(name: &str, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let found = mappings(&client, name, None)?;
    for mapping in &found {
        client.lambda_as(Method::DELETE, &format!("{MAPPINGS}/{}", member(mapping, "UUID")?))?;
    }
    client.lambda_as(Method::DELETE, &format!("{FUNCTIONS}/{name}"))?;
    if query.json {
        println!("{}", json!({ "deleted": name, "mappings": found.len() }));
    } else {
        println!("{name} is deleted, and {} of its mappings", found.len());
    }
    Ok(())
}

/// An answer's list, which has to be there.
fn rows_of<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a Vec<Value>> {
    answer[name].as_array().with_context(|| format!("the answer has no {name}"))
}
