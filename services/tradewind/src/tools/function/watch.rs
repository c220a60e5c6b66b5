//! `tradewind function logs` and `invocations`: of all nodes that run functions, each of which keeps its own.

use std::collections::HashMap;
use std::io::Write;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::{client::Client, show};
use super::{OURS, rows_of};
use crate::arguments::Query;

/// The server waits no longer than this for something new.
const WAIT_S: u32 = 5;
/// How often it is looked whether other nodes run functions now.
const LOOK: Duration = Duration::from_secs(2);

/// The names of the nodes that run functions; none where one process is all there is.
fn nodes(client: &Client) -> anyhow::Result<Vec<String>> {
    let answer = client.lambda_get(&format!("{OURS}/nodes"))?;
    let listed = answer["Nodes"].as_array().into_iter().flatten();
    Ok(listed.filter_map(|node| node["Name"].as_str()).map(str::to_owned).collect())
}

pub fn logs(name: &str, follow: bool, last: u64, query: &Query) -> anyhow::Result<()> {
    let log = |node: Option<String>| Log { function: name.to_owned(), node, query: query.clone() };
    let client = Client::new(query)?;
    let nodes = nodes(&client)?;
    if nodes.is_empty() {
        return log(None).show(follow, last);
    }
    if !follow {
        return show_each(nodes, |node| log(Some(node)).show(false, last));
    }
    let mut followed: HashMap<String, JoinHandle<anyhow::Result<()>>> = HashMap::new();
    let mut listed = nodes;
    loop {
        for node in listed {
            // One that was lost is shown from its newest lines on again: they may be those of another process.
            let log = log(Some(node.clone()));
            followed.entry(node).or_insert_with(|| std::thread::spawn(move || log.show(true, last)));
        }
        std::thread::sleep(LOOK);
        for (node, ended) in followed.extract_if(|_, following| following.is_finished()) {
            tell(&node, ended.join().expect("following a log does not panic"));
        }
        listed = self::nodes(&client)?;
    }
}

/// Of nodes that may have ended at this moment: an error only if not one of them could be asked.
fn show_each(nodes: Vec<String>, show: impl Fn(String) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    let count = nodes.len();
    for node in nodes {
        if let Err(error) = show(node.clone()) {
            missing.push((node, error));
        }
    }
    if missing.len() == count
        && let Some((_, error)) = missing.pop()
    {
        return Err(error);
    }
    missing.into_iter().for_each(|(node, error)| tell(&node, Err(error)));
    Ok(())
}

/// What is missing from what is shown.
fn tell(node: &str, ended: anyhow::Result<()>) {
    if let Err(error) = ended {
        eprintln!("{node}: {error:#}");
    }
}

/// One node's log of a function.
struct Log {
    function: String,
    node: Option<String>,
    query: Query,
}

impl Log {
    fn show(&self, follow: bool, last: u64) -> anyhow::Result<()> {
        let client = Client::new(&self.query)?;
        let path = format!("{OURS}/functions/{}/logs", self.function);
        let ask = |query: String| client.lambda_get_at(self.node.as_deref(), &format!("{path}?{query}"));
        let mut answer = ask(format!("Last={last}"))?;
        loop {
            let text = BASE64.decode(answer["Log"].as_str().context("the answer has no Log")?)?;
            self.print(&answer["Start"], &text)?;
            if !follow {
                return Ok(());
            }
            let position = answer["End"].as_u64().context("the answer has no End")?;
            answer = ask(format!("Position={position}&WaitSeconds={WAIT_S}"))?;
        }
    }

    /// The lines of several nodes come with their node's name.
    fn print(&self, position: &Value, text: &[u8]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match &self.node {
            _ if self.query.json && text.is_empty() => {}
            node if self.query.json => {
                let mut shown = json!({ "position": position, "log": String::from_utf8_lossy(text) });
                if let Some(node) = node {
                    shown["node"] = json!(node);
                }
                writeln!(out, "{shown}")?;
            }
            Some(node) => {
                for line in text.split_inclusive(|byte| *byte == b'\n') {
                    out.write_all(&[node.as_bytes(), b" | ", line].concat())?;
                    if !line.ends_with(b"\n") {
                        out.write_all(b"\n")?;
                    }
                }
            }
            None => out.write_all(text)?,
        }
        Ok(out.flush()?)
    }
}

pub fn invocations(name: &str, only_failed: bool, limit: usize, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let path = format!("{OURS}/functions/{name}/invocations?MaxItems={limit}&Failed={only_failed}");
    let nodes = nodes(&client)?;
    let mut rows = Vec::new();
    for node in at_each(&nodes) {
        let answer = match client.lambda_get_at(node, &path) {
            // One that ends at this moment takes its history with it.
            Err(error) if nodes.len() > 1 => {
                tell(node.unwrap_or_default(), Err(error));
                continue;
            }
            answer => answer?,
        };
        rows.extend(rows_of(&answer, "Invocations")?.iter().cloned().map(|mut row| {
            if let Some(node) = node {
                row["Node"] = json!(node);
            }
            row
        }));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row["Started"].as_u64()));
    rows.truncate(limit);
    let columns: [show::Column; 8] = [
        ("started", |row| show::time(&row["Started"])),
        ("request", |row| show::text(&row["RequestId"])),
        ("records", |row| show::text(&row["Batch"]["Records"])),
        ("attempt", |row| show::text(&row["Attempt"])),
        ("ms", |row| format!("{:.1}", row["DurationMs"].as_f64().unwrap_or_default())),
        ("in", |row| show::text(&row["InputBytes"])),
        ("out", |row| show::text(&row["OutputBytes"])),
        ("error", error),
    ];
    let mut columns = columns.to_vec();
    if !nodes.is_empty() {
        columns.insert(1, ("node", |row| show::text(&row["Node"])));
    }
    show::rows(query, &json!({ "invocations": rows }), "invocations", &columns)
}

/// Each node by its name, or the one process that there is.
fn at_each(nodes: &[String]) -> Vec<Option<&str>> {
    match nodes {
        [] => vec![None],
        nodes => nodes.iter().map(|node| Some(node.as_str())).collect(),
    }
}

fn error(row: &Value) -> String {
    match row["ErrorType"].is_null() {
        true => show::text(&row["Error"]),
        false => show::text(&row["ErrorType"]),
    }
}

pub fn invocation(name: &str, request_id: &str, query: &Query) -> anyhow::Result<()> {
    let client = Client::new(query)?;
    let path = format!("{OURS}/functions/{name}/invocations/{request_id}");
    let nodes = nodes(&client)?;
    let answers: Vec<_> = at_each(&nodes).into_iter().map(|node| client.lambda_get_at(node, &path)).collect();
    let mut failed = None;
    for answer in answers {
        match answer {
            Ok(found) => {
                println!("{}", serde_json::to_string_pretty(&found)?);
                return Ok(());
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.context("no node runs functions")?)
}
