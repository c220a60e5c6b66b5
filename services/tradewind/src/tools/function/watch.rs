//! `tradewind function logs` and `invocations`.

use std::io::Write;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::{client::Client, show};
use super::{OURS, rows_of};
use crate::arguments::Query;

/// The server waits no longer than this for something new.
const WAIT_S: u32 = 5;

pub fn logs(name: &str, follow: bool, last: u64, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let mut answer = client.lambda_get(&format!("{OURS}/functions/{name}/logs?Last={last}"))?;
    loop {
        let text = BASE64.decode(answer["Log"].as_str().context("the answer has no Log")?)?;
        let mut out = std::io::stdout().lock();
        if query.json && !text.is_empty() {
            writeln!(
                out,
                "{}",
                json!({ "position": answer["Start"], "log": String::from_utf8_lossy(&text) })
            )?;
        } else {
            out.write_all(&text)?;
        }
        out.flush()?;
        if !follow {
            return Ok(());
        }
        let position = answer["End"].as_u64().context("the answer has no End")?;
        answer = client
            .lambda_get(&format!("{OURS}/functions/{name}/logs?Position={position}&WaitSeconds={WAIT_S}"))?;
    }
}

pub fn invocations(name: &str, only_failed: bool, limit: usize, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let path = format!("{OURS}/functions/{name}/invocations?MaxItems={limit}&Failed={only_failed}");
    let answer = client.lambda_get(&path)?;
    let shown = json!({ "invocations": rows_of(&answer, "Invocations")? });
    show::rows(
        query,
        &shown,
        "invocations",
        &[
            ("started", |row| show::time(&row["Started"])),
            ("request", |row| show::text(&row["RequestId"])),
            ("records", |row| show::text(&row["Batch"]["Records"])),
            ("attempt", |row| show::text(&row["Attempt"])),
            ("ms", |row| format!("{:.1}", row["DurationMs"].as_f64().unwrap_or_default())),
            ("in", |row| show::text(&row["InputBytes"])),
            ("out", |row| show::text(&row["OutputBytes"])),
            ("error", error),
        ],
    )
}

fn error(row: &Value) -> String {
    match row["ErrorType"].is_null() {
        true => show::text(&row["Error"]),
        false => show::text(&row["ErrorType"]),
    }
}

pub fn invocation(name: &str, request_id: &str, query: &Query) -> anyhow::Result<()> {
    let answer =
        Client::new(query)?.lambda_get(&format!("{OURS}/functions/{name}/invocations/{request_id}"))?;
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(())
}
