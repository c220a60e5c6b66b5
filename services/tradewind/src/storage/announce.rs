//! What a node says once it takes requests: a line for people, a file for machines.

use std::io;

use serde_json::json;
use tradewind_storage::node::Started;

use crate::arguments::storage::Storage;

pub fn started(arguments: &Storage, started: &Started) -> io::Result<()> {
    let scheme = if arguments.tls_cert.is_some() { "https" } else { "http" };
    let region = arguments.database.region;
    println!(
        "Tradewind is ready: {region}, node {}, at {scheme}://{}; other nodes at {}",
        started.name, started.address, started.node_address,
    );
    let Some(file) = &arguments.ready_file else { return Ok(()) };
    let port = started.address.port();
    let ready = json!({
        "pid": std::process::id(),
        "ports": { "all": port, region.as_str(): port },
        "node": { "name": started.name, "address": started.node_address },
    });
    // Renamed into place, so that nobody reads half of it.
    let part = file.with_extension("part");
    std::fs::write(&part, ready.to_string())
        .and_then(|()| std::fs::rename(&part, file))
        .map_err(|error| io::Error::new(error.kind(), format!("--ready-file {}: {error}", file.display())))
}
