//! Answers as tables for people, or as they came for machines.

use anyhow::Context;
use comfy_table::{Table, presets};
use serde_json::Value;

use crate::arguments::Query;

/// A column: its title, and its text in a row.
pub type Column = (&'static str, fn(&Value) -> String);

pub fn rows(query: &Query, answer: &Value, name: &str, columns: &[Column]) -> anyhow::Result<()> {
    table(query.json, answer, name, columns)
}

/// The list `name` of the answer, or with `json` the answer itself.
pub fn table(json: bool, answer: &Value, name: &str, columns: &[Column]) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(answer)?);
        return Ok(());
    }
    let rows = answer[name].as_array().with_context(|| format!("the answer has no {name}"))?;
    if rows.is_empty() {
        println!("no {name}");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(columns.iter().map(|(title, _)| title.to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|(_, text)| text(row)));
    }
    println!("{table}");
    if answer["more"] == Value::Bool(true) {
        println!("there are more: use --limit");
    }
    Ok(())
}

pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn list(value: &Value, member: &str) -> String {
    let members = value.as_array().into_iter().flatten();
    let texts: Vec<_> = members.map(|element| text(&element[member])).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

/// Of Unix milliseconds.
pub fn time(value: &Value) -> String {
    let time = value.as_i64().filter(|ms| *ms > 0).and_then(chrono::DateTime::from_timestamp_millis);
    time.map_or("-".to_owned(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
