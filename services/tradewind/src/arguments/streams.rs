//! The arguments of `tradewind streams`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::account_id;
use super::kafka::Kafka;
use super::storage::{Advertise, Database, node_name};
use super::telemetry::Telemetry;

#[derive(Args, Clone)]
pub struct Streams {
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub kafka: Kafka,
    /// Where clients are served: the Lambda API and DynamoDB, as at a storage node; port 0 takes a free one
    #[arg(long, env = "TRADEWIND_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Where the nodes of the region hand on requests of the Lambda API, by mutual TLS [default: a free port of --listen's
    /// address]
    #[arg(long, env = "TRADEWIND_NODE_LISTEN", value_name = "ADDR")]
    pub node_listen: Option<SocketAddr>,
    /// The host, or host:port, by which the other nodes reach --node-listen [default: its address; where that is 0.0.0.0
    /// or ::, the address this machine has on its way to PostgreSQL]
    #[arg(long, env = "TRADEWIND_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<Advertise>,
    /// A name of its own among the region's nodes that run functions, kept when it is started again [default: its
    /// advertised address]
    #[arg(long, env = "TRADEWIND_NAME", value_parser = node_name)]
    pub name: Option<String>,
    /// The certificate that clients see, with its chain, as PEM
    #[arg(long, env = "TRADEWIND_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, env = "TRADEWIND_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Speak plain HTTP on an address that others than this machine can reach
    #[arg(long, env = "TRADEWIND_INSECURE", conflicts_with = "tls_cert")]
    pub insecure: bool,
    /// The account that owns all tables
    #[arg(long, env = "TRADEWIND_ACCOUNT_ID", default_value = "000000000000", value_parser = account_id)]
    pub account_id: String,
    /// A folder for unpacked code, which is fetched again when it is not there [default: a new one among the system's
    /// temporary folders, removed at the end]
    #[arg(long, env = "TRADEWIND_WORK_DIR", value_name = "FOLDER")]
    pub work_dir: Option<PathBuf>,
    /// The interpreter of Python functions
    #[arg(long, env = "TRADEWIND_PYTHON", default_value = "python3")]
    pub python: String,
    /// The interpreter of Node.js functions
    #[arg(long, env = "TRADEWIND_NODE", default_value = "node")]
    pub node: String,
    /// Write the ports and the process id to this file, as JSON, once requests are taken
    #[arg(long, env = "TRADEWIND_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub telemetry: Telemetry,
}
