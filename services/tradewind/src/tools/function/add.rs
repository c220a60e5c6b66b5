//! `tradewind function add`.

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::super::{client::Client, member};
use super::{FUNCTIONS, MAPPINGS};
use crate::arguments::{Add, Form, Origin, Reading};

pub fn add(command: &Add) -> anyhow::Result<()> {
    let Add { name, table, reading, query, .. } = command;
    let client = Client::new(query)?;
    let added = create(&client, command)?;
    let mapping = table.as_ref().map(|table| read_table(&client, name, table, reading)).transpose()?;
    if query.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "function": added, "mapping": mapping }))?);
        return Ok(());
    }
    println!("{}", member(&added, "FunctionArn")?);
    if let Some(secret) = added["XTradewind"]["Secret"].as_str() {
        println!("signs with {secret} (shown this once)");
    }
    if let Some(table) = table {
        let Reading { attempts, pause_after, .. } = reading;
        let then = match pause_after {
            Some(count) => format!("; {count} failures in a row pause it"),
            None => String::new(),
        };
        println!(
            "runs on changes of {table}; a batch that fails is tried {attempts} more times and halved each time, then \
             kept with the failed batches{then}"
        );
    }
    Ok(())
}

fn create(client: &Client, command: &Add) -> anyhow::Result<Value> {
    let directory = &command.directory;
    let directory =
        directory.canonicalize().with_context(|| format!("--directory {}", directory.display()))?;
    let directory = directory.to_str().context("--directory is not UTF-8")?;
    let kind = &command.kind;
    let mut headers = Vec::new();
    let mut body = json!({
        "FunctionName": command.name,
        "Role": "arn:aws:iam::000000000000:role/tradewind",
        "Timeout": command.timeout,
        "MemorySize": command.memory,
        "Environment": { "Variables": environment(&command.environment)? },
        "Code": {},
    });
    match (&kind.command, &kind.runtime, &kind.url) {
        (Some(line), _, _) => {
            headers.extend([("x-tradewind-directory", directory), ("x-tradewind-command", line.as_str())]);
            body["Runtime"] = json!("provided.al2023");
            body["Handler"] = json!("command");
        }
        (None, Some(runtime), _) => {
            headers.push(("x-tradewind-directory", directory));
            body["Runtime"] = json!(runtime);
            body["Handler"] = match (&command.handler, runtime.starts_with("provided")) {
                (Some(handler), _) => json!(handler),
                (None, true) => json!("bootstrap"),
                (None, false) => bail!("--runtime {runtime} needs --handler"),
            };
        }
        (None, None, Some(url)) => {
            let form = if command.form == Form::Emulator { "emulator" } else { "webhook" };
            headers.extend([("x-tradewind-url", url.as_str()), ("x-tradewind-form", form)]);
            headers.extend(command.secret.as_ref().map(|secret| ("x-tradewind-secret", secret.as_str())));
        }
        (None, None, None) => bail!("one of --command, --runtime and --url"),
    }
    client.lambda(FUNCTIONS, &headers, &body)
}

fn environment(given: &[String]) -> anyhow::Result<Map<String, Value>> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').with_context(|| format!("--env {text}: NAME=VALUE"))?;
        Ok((name.to_owned(), json!(value)))
    };
    given.iter().map(pair).collect()
}

/// The table's stream is enabled if it is not.
fn read_table(client: &Client, name: &str, table: &str, reading: &Reading) -> anyhow::Result<Value> {
    let described = client.call("DynamoDB_20120810.DescribeTable", &json!({ "TableName": table }))?;
    let enabled = described["Table"]["StreamSpecification"]["StreamEnabled"] == Value::Bool(true);
    let described = if enabled { described["Table"].clone() } else { enable_stream(client, table)? };
    let mut body = json!({
        "FunctionName": name,
        "EventSourceArn": member(&described, "LatestStreamArn")?,
        "StartingPosition": if reading.latest { "LATEST" } else { "TRIM_HORIZON" },
        "BatchSize": reading.batch_size,
        "ParallelizationFactor": reading.parallel,
        "MaximumRetryAttempts": reading.attempts,
        "BisectBatchOnFunctionError": true,
    });
    if !reading.filter.is_empty() {
        let filters: Vec<_> = reading.filter.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        body["FilterCriteria"] = json!({ "Filters": filters });
    }
    let origin = match reading.origin {
        Origin::All => "all",
        Origin::Local => "local",
        Origin::Remote => "remote",
    };
    let pause_after = reading.pause_after.map(|count| count.to_string());
    let mut headers = vec![("x-tradewind-origin", origin)];
    headers.extend(pause_after.as_ref().map(|count| ("x-tradewind-pause-after", count.as_str())));
    client.lambda(MAPPINGS, &headers, &body)
}

fn enable_stream(client: &Client, table: &str) -> anyhow::Result<Value> {
    let body = json!({
        "TableName": table,
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
    });
    let answer = client.call("DynamoDB_20120810.UpdateTable", &body)?;
    Ok(answer["TableDescription"].clone())
}
