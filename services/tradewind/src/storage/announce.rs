//! What a node says once it takes requests: a line for people, a file for machines.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tradewind_model::Region;

/// Where a node is.
pub struct Facts {
    pub region: Region,
    pub is_tls: bool,
    pub name: String,
    /// Where clients are served.
    pub address: SocketAddr,
    /// As the other nodes know it.
    pub node_address: String,
}

pub fn say(facts: &Facts, ready_file: Option<&Path>) -> io::Result<()> {
    let Facts { region, is_tls, name, address, node_address } = facts;
    let scheme = if *is_tls { "https" } else { "http" };
    println!(
        "Tradewind is ready: {region}, node {name}, at {scheme}://{address}; other nodes at {node_address}"
    );
    let port = address.port();
    let ready = json!({
        "pid": std::process::id(),
        "ports": { "all": port, region.as_str(): port },
        "node": { "name": name, "address": node_address },
    });
    write(ready_file, &ready)
}

/// Renamed into place, so that nobody reads half of it.
pub fn write(file: Option<&Path>, ready: &Value) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let part = file.with_extension("part");
    std::fs::write(&part, ready.to_string())
        .and_then(|()| std::fs::rename(&part, file))
        .map_err(|error| io::Error::new(error.kind(), format!("--ready-file {}: {error}", file.display())))
}
