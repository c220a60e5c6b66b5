//! `tradewind function`: functions made of what lies on this machine.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::{client::Client, member};
use crate::arguments::Function;

const FUNCTIONS: &str = "/2015-03-31/functions";
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
/// Lambda's default is to retry until the record is 24 hours old, and one bad record then blocks its shard for a day.
const SAFE_ATTEMPTS: u32 = 10;

pub fn function(command: &Function) -> anyhow::Result<()> {
    let Function::Add { name, command, table, directory, batch_size, query } = command;
    let client = Client::new(query)?;
    let added = add(&client, name, command, directory)?;
    let mapping = table.as_ref().map(|table| read_table(&client, name, table, *batch_size)).transpose()?;
    if query.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "function": added, "mapping": mapping }))?);
        return Ok(());
    }
    println!("{}", member(&added, "FunctionArn")?);
    if let Some(table) = table {
        println!(
            "runs on changes of {table}; a batch that fails is tried {SAFE_ATTEMPTS} more times and halved each time, then \
             kept with the failed batches"
        );
    }
    Ok(())
}

fn add(client: &Client, name: &str, command: &str, directory: &Path) -> anyhow::Result<Value> {
    let directory =
        directory.canonicalize().with_context(|| format!("--directory {}", directory.display()))?;
    let directory = directory.to_str().context("--directory is not UTF-8")?;
    let headers = [("x-tradewind-directory", directory), ("x-tradewind-command", command)];
    let body = json!({
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Role": "arn:aws:iam::000000000000:role/tradewind",
        "Handler": "command",
        "Timeout": 60,
        "Code": {},
    });
    client.lambda(FUNCTIONS, &headers, &body)
}

/// The table's stream is enabled if it is not.
fn read_table(client: &Client, name: &str, table: &str, batch_size: u32) -> anyhow::Result<Value> {
    let described = client.call("DynamoDB_20120810.DescribeTable", &json!({ "TableName": table }))?;
    let enabled = described["Table"]["StreamSpecification"]["StreamEnabled"] == Value::Bool(true);
    let described = if enabled { described["Table"].clone() } else { enable_stream(client, table)? };
    let body = json!({
        "FunctionName": name,
        "EventSourceArn": member(&described, "LatestStreamArn")?,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": batch_size,
        "MaximumRetryAttempts": SAFE_ATTEMPTS,
        "BisectBatchOnFunctionError": true,
    });
    client.lambda(MAPPINGS, &[], &body)
}

fn enable_stream(client: &Client, table: &str) -> anyhow::Result<Value> {
    let body = json!({
        "TableName": table,
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
    });
    let answer = client.call("DynamoDB_20120810.UpdateTable", &body)?;
    Ok(answer["TableDescription"].clone())
}
