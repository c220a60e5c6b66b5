//! `tradewind chaos`.

use serde_json::{Value, json};

use super::client::Client;
use super::show;
use crate::arguments::Query;
use crate::arguments::chaos::{Chaos, LinkTrouble};

pub fn chaos(command: &Chaos) -> anyhow::Result<()> {
    match command {
        Chaos::Link(link) => order(&link.query, "/link", &link_order(link)),
        Chaos::Clock { of, skew_ms, query } => {
            order(query, "/clock", &json!({ "region": of, "skew_ms": skew_ms }))
        }
        Chaos::Show(query) => order(query, "", &json!({})),
        Chaos::Reset(query) => order(query, "/reset", &json!({})),
    }
}

fn link_order(link: &LinkTrouble) -> Value {
    json!({
        "from": link.from,
        "to": link.to,
        "one_way": link.one_way,
        "cut": link.what.cut,
        "paused": link.what.pause,
        "delay_ms": link.what.delay.map_or(0, |delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// Shows what is disturbed after it.
fn order(query: &Query, which: &str, body: &Value) -> anyhow::Result<()> {
    let answer = Client::new(query)?.post(&format!("/_tradewind/chaos{which}"), body)?;
    if query.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let (links, clocks) = (answer["links"].as_array(), answer["clocks"].as_array());
    for link in links.into_iter().flatten() {
        let from_to = format!("{} -> {}", show::text(&link["from"]), show::text(&link["to"]));
        println!("{from_to}: {}", suffers(link));
    }
    for clock in clocks.into_iter().flatten() {
        println!(
            "{}: the clock is off by {} ms",
            show::text(&clock["region"]),
            show::text(&clock["skew_ms"])
        );
    }
    if links.is_none_or(Vec::is_empty) && clocks.is_none_or(Vec::is_empty) {
        println!("nothing is disturbed");
    }
    Ok(())
}

fn suffers(link: &Value) -> String {
    match (link["cut"].as_bool(), link["paused"].as_bool()) {
        (Some(true), _) => "cut".to_owned(),
        (_, Some(true)) => "paused".to_owned(),
        _ => format!("delayed by {} ms", show::text(&link["delay_ms"])),
    }
}
