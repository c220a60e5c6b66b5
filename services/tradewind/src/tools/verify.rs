//! `tradewind verify`.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::client::Client;
use super::show;
use crate::arguments::chaos::Verify;

const LOOK: Duration = Duration::from_millis(100);
/// Progress is told at most so often.
const TOLD: u32 = 10;

/// Whether the regions are equal.
pub fn verify(verify: &Verify) -> anyhow::Result<bool> {
    let client = Client::new(&verify.query)?;
    let wait_ms = u64::try_from(verify.wait.as_millis()).unwrap_or(u64::MAX);
    let begin = json!({ "table": verify.table, "wait_ms": wait_ms, "limit": verify.limit });
    let comparison = client.post("/_tradewind/verify", &begin)?;
    let outcome = follow(&client, &comparison)?;
    if let Some(error) = outcome["error"].as_str() {
        bail!("{} cannot be compared: {error}", verify.table);
    }
    match verify.query.json {
        true => println!("{}", serde_json::to_string_pretty(&outcome)?),
        false => tell(&outcome),
    }
    Ok(outcome["equal"] == Value::Bool(true))
}

/// Tells of the progress of long work, for people, beside the output.
fn follow(client: &Client, comparison: &Value) -> anyhow::Result<Value> {
    for look in 1.. {
        let status = client.post("/_tradewind/verify/status", comparison)?;
        if !status["outcome"].is_null() {
            return Ok(status["outcome"].clone());
        }
        if look % TOLD == 0 {
            let progress = &status["progress"];
            eprintln!("{} %, {} items", progress["percent"], progress["items"]);
        }
        std::thread::sleep(LOOK);
    }
    unreachable!("it ends with an outcome")
}

fn tell(outcome: &Value) {
    let regions: Vec<_> = outcome["regions"].as_array().into_iter().flatten().map(show::text).collect();
    for pair in outcome["behind"].as_array().into_iter().flatten() {
        println!("{} has not applied all of {}", show::text(&pair["region"]), show::text(&pair["of"]));
    }
    if outcome["equal"] == Value::Bool(true) {
        println!("equal: {} items in {}", outcome["items"], regions.join(", "));
        return;
    }
    let differences = outcome["differences"].as_array();
    for difference in differences.into_iter().flatten() {
        println!("{}  {}", difference["key"], show::text(&difference["why"]));
        for (region, stands) in difference["regions"].as_object().into_iter().flatten() {
            println!("    {region:<15} {}", standing(stands));
        }
    }
    let more = if outcome["more"] == Value::Bool(true) { " or more: use --limit" } else { "" };
    println!("different: {} keys{more}, of {} items", differences.map_or(0, Vec::len), outcome["items"]);
}

fn standing(stands: &Value) -> String {
    if stands.is_null() {
        return "nothing".to_owned();
    }
    let what = if stands["deleted"] == Value::Bool(true) { "deleted" } else { "written" };
    let (region, time) = (show::text(&stands["written_in"]), show::time(&stands["written_ms"]));
    format!("{what} in {region} at {time}, version {}", show::text(&stands["version"]))
}
