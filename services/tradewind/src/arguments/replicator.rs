//! The arguments of a region's replicators.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::account_id;
use super::kafka::Kafka;
use super::link::Link;
use super::storage::{Advertise, Database, node_name};
use super::telemetry::Telemetry;

#[derive(Args, Clone)]
pub struct Replicator {
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub link: Link,
    /// Where health checks are answered (GET /health, GET /ready); port 0 takes a free one
    #[arg(long, env = "TRADEWIND_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8010")]
    pub listen: SocketAddr,
    /// Where the region's storage nodes ask this replicator, by mutual TLS [default: a free port of --listen's address]
    #[arg(long, env = "TRADEWIND_NODE_LISTEN", value_name = "ADDR")]
    pub node_listen: Option<SocketAddr>,
    /// The host, or host:port, by which they reach --node-listen [default: its address; where that is 0.0.0.0 or ::, the
    /// address this machine has on its way to PostgreSQL]
    #[arg(long, env = "TRADEWIND_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<Advertise>,
    /// A name of its own among the region's replicators, that it keeps when it is started again [default: its advertised
    /// address]
    #[arg(long, env = "TRADEWIND_NAME", value_parser = node_name)]
    pub name: Option<String>,
    /// The account that owns all tables
    #[arg(long, env = "TRADEWIND_ACCOUNT_ID", default_value = "000000000000", value_parser = account_id)]
    pub account_id: String,
    /// Write the ports and the process id to this file, as JSON, once links run
    #[arg(long, env = "TRADEWIND_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub telemetry: Telemetry,
}
