//! `tradewind function replay` and `failed`.

use anyhow::bail;
use chrono::{SecondsFormat, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json};

use super::super::{client::Client, member, show};
use super::{OURS, one_mapping, rows_of};
use crate::arguments::{Query, Replay};

pub fn replay(command: &Replay) -> anyhow::Result<()> {
    let client = Client::new(&command.query)?;
    match &command.failed {
        Some(ids) => replay_failed(&client, command, ids),
        None => replay_log(&client, command),
    }
}

fn replay_log(client: &Client, command: &Replay) -> anyhow::Result<()> {
    let mapping = one_mapping(client, &command.name, command.table.as_deref())?;
    let path = format!("{OURS}/event-source-mappings/{}/replay", member(&mapping, "UUID")?);
    let body = json!({
        "From": command.from.as_deref().map(place),
        "To": command.to.as_deref().map(place),
        "Shard": command.shard,
        "DryRun": command.dry_run,
    });
    let answer = client.lambda(&path, &[], &body)?;
    if command.query.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else if command.dry_run {
        let at_least = if answer["AtLeast"] == Value::Bool(true) { "at least " } else { "" };
        println!("{at_least}{} records of {} shards", answer["Records"], answer["Shards"]);
        if !answer["First"].is_null() {
            println!("written between {} and {}", show::time(&answer["First"]), show::time(&answer["Last"]));
        }
    } else {
        println!(
            "replay {} has begun; `tradewind function show {}` says how far it is",
            member(&answer, "UUID")?,
            command.name
        );
    }
    Ok(())
}

/// `90s`, `15m`, `2h`, `1d`: so long ago. Everything else as it is.
fn place(text: &str) -> String {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return text.to_owned(),
    };
    let ago = number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        .and_then(TimeDelta::try_seconds);
    match ago.and_then(|ago| Utc::now().checked_sub_signed(ago)) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => text.to_owned(),
    }
}

fn replay_failed(client: &Client, command: &Replay, ids: &[String]) -> anyhow::Result<()> {
    let name = &command.name;
    let kept = client.lambda_get(&format!("{OURS}/functions/{name}/failed"))?;
    let rows = rows_of(&kept, "FailedBatches")?;
    if let Some(unknown) = ids.iter().find(|id| rows.iter().all(|row| row["Id"] != **id)) {
        bail!("no failed batch {unknown} of {name} is kept");
    }
    let wanted: Vec<_> =
        rows.iter().filter(|row| ids.is_empty() || ids.iter().any(|id| row["Id"] == *id)).collect();
    if command.dry_run {
        return list(&command.query, &json!({ "batches": wanted }));
    }
    let (mut answers, mut failures) = (Vec::new(), 0);
    for batch in wanted {
        let id = member(batch, "Id")?;
        let answer =
            client.lambda(&format!("{OURS}/functions/{name}/failed/{id}/replay"), &[], &json!({}))?;
        let failed = !answer["FunctionError"].is_null();
        failures += usize::from(failed);
        if !command.query.json {
            let became = if failed { "failed again and is kept" } else { "succeeded" };
            println!("{id}: {} records, {became}", batch["DDBStreamBatchInfo"]["batchSize"]);
        }
        answers.push(answer);
    }
    if command.query.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "replayed": answers }))?);
    } else if answers.is_empty() {
        println!("no batches are kept");
    }
    if failures > 0 {
        bail!("{failures} of {} batches failed again", answers.len());
    }
    Ok(())
}

pub fn failed(name: &str, id: Option<&str>, remove: bool, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let path = format!("{OURS}/functions/{name}/failed");
    match id {
        Some(id) if remove => {
            client.lambda_as(Method::DELETE, &format!("{path}/{id}"))?;
            println!("{id} is removed");
            Ok(())
        }
        Some(id) => {
            println!("{}", serde_json::to_string_pretty(&client.lambda_get(&format!("{path}/{id}"))?)?);
            Ok(())
        }
        None => {
            let answer = client.lambda_get(&path)?;
            list(query, &json!({ "batches": rows_of(&answer, "FailedBatches")? }))
        }
    }
}

fn list(query: &Query, batches: &Value) -> anyhow::Result<()> {
    show::rows(
        query,
        batches,
        "batches",
        &[
            ("id", |row| show::text(&row["Id"])),
            ("given up", |row| show::text(&row["timestamp"])),
            ("records", |row| show::text(&row["DDBStreamBatchInfo"]["batchSize"])),
            ("attempts", |row| show::text(&row["requestContext"]["approximateInvokeCount"])),
            ("why", |row| show::text(&row["requestContext"]["condition"])),
            ("error", |row| match row["Error"]["errorType"].is_null() {
                true => show::text(&row["Error"]),
                false => show::text(&row["Error"]["errorType"]),
            }),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_a_time_and_everything_else_stays() {
        for text in ["2026-01-31T12:00:00Z", "1700000000", "100000000000000000001", "", "xm", "é"] {
            assert_eq!(place(text), text);
        }
        let ago = chrono::DateTime::parse_from_rfc3339(&place("15m")).unwrap();
        let minutes = (Utc::now() - ago.to_utc()).num_seconds();
        assert!((899..=902).contains(&minutes), "{minutes}");
    }
}
