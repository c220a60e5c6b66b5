//! The command line. Every setting of a service can be given by environment as well.

pub mod chaos;
pub mod function;
pub mod kafka;
pub mod link;
pub mod operation;
pub mod replicator;
pub mod storage;
pub mod streams;
pub mod telemetry;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tradewind_model::Region;

pub use function::{Add, Form, Function, Origin, Reading, Replay};

#[derive(Parser)]
#[command(name = "tradewind", version, about = "DynamoDB-compatible global tables that you run yourself")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run any number of regions in this process
    Dev(Dev),
    /// Run a node of a region whose data is kept in PostgreSQL
    Storage(Box<storage::Storage>),
    /// Run functions on the changes of a region whose data is kept in PostgreSQL, on this node of any number
    Streams(Box<streams::Streams>),
    /// Carry a region's changes to the other regions; any number share the work
    Replicator(Box<replicator::Replicator>),
    /// Make, list and disable the access keys of a region on PostgreSQL
    #[command(subcommand)]
    Credentials(operation::Credentials),
    /// Make the certificates, passwords and keys of a deployment
    #[command(subcommand)]
    Secrets(operation::Secrets),
    /// Ask a service of this machine whether it can serve; the exit code says so
    Healthcheck(operation::Healthcheck),
    /// List tables in every region
    Tables(Query),
    /// Show writes that lost to another they did not know
    #[command(subcommand)]
    Conflicts(Conflicts),
    /// Show what replication does
    #[command(subcommand)]
    Replication(Replication),
    /// Cut, delay and pause links between the regions of `tradewind dev`, and set its clocks off
    #[command(subcommand)]
    Chaos(chaos::Chaos),
    /// Compare a table in all its regions, while it is written; exits with 0 only if they are equal
    Verify(chaos::Verify),
    /// Functions that run on changes: add, watch, pause, replay
    #[command(subcommand)]
    Function(Function),
    /// Load regions, measure them, and check that nothing was lost
    #[command(name = "loadtest")]
    LoadTest(tradewind_loadtest::LoadTest),
}

#[derive(Args, Clone)]
pub struct Dev {
    /// Regions to run; each has a port of its own after the first, in this order [default: us-east-1,eu-west-1,
    /// ap-southeast-1, and any other from its first use]
    #[arg(long, env = "TRADEWIND_REGIONS", value_delimiter = ',')]
    pub regions: Option<Vec<Region>>,
    /// The port that serves every region, chosen by the region of a request's signature; 0 takes free ports
    #[arg(long, env = "TRADEWIND_PORT", default_value_t = 8000)]
    pub port: u16,
    /// The address to listen on
    #[arg(long, env = "TRADEWIND_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Where data is kept
    #[arg(long, env = "TRADEWIND_DATA_DIR", default_value = "tradewind-data", conflicts_with = "in_memory")]
    pub data_dir: PathBuf,
    /// Keep nothing: data lies in a temporary folder and is never synced
    #[arg(long, env = "TRADEWIND_IN_MEMORY")]
    pub in_memory: bool,
    /// Verify signatures
    #[arg(long, env = "TRADEWIND_AUTH", requires = "credentials")]
    pub auth: bool,
    /// The keys that are accepted with --auth, in the format of AWS's shared credentials file
    #[arg(long, env = "TRADEWIND_CREDENTIALS")]
    pub credentials: Option<PathBuf>,
    /// Throttle tables and indexes by their throughput, as AWS does
    #[arg(long, env = "TRADEWIND_THROTTLE")]
    pub throttle: bool,
    /// Expired items that each region deletes in a second, at most
    #[arg(long, env = "TRADEWIND_TTL_PACE", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl_pace: u32,
    /// Show a table's most used partition keys in /metrics as they are, and not their hashes
    #[arg(long, env = "TRADEWIND_INSIGHTS_KEYS")]
    pub insights_keys: bool,
    /// The account that owns all tables
    #[arg(long, env = "TRADEWIND_ACCOUNT_ID", default_value = "000000000000", value_parser = account_id)]
    pub account_id: String,
    /// Write the ports and the process id to this file, as JSON, once requests are taken
    #[arg(long, env = "TRADEWIND_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// The interpreter of Python functions
    #[arg(long, env = "TRADEWIND_PYTHON", default_value = "python3")]
    pub python: String,
    /// The interpreter of Node.js functions
    #[arg(long, env = "TRADEWIND_NODE", default_value = "node")]
    pub node: String,
    #[command(flatten)]
    pub telemetry: telemetry::Telemetry,
}

fn account_id(text: &str) -> Result<String, String> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_account { Ok(text.to_owned()) } else { Err("an account id has twelve digits".to_owned()) }
}

/// Which process to ask, and how to show its answer.
#[derive(Args, Clone)]
pub struct Query {
    /// The running process
    #[arg(long, env = "TRADEWIND_ENDPOINT", default_value = "http://localhost:8000")]
    pub endpoint: String,
    /// The region to ask
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub region: Region,
    /// Print JSON for machines
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Conflicts {
    /// List a table's conflicts as the region saw them, oldest first
    List(ConflictList),
    /// Show conflicts as they happen, until interrupted
    Follow(ConflictList),
    /// Count conflicts by who lost to whom
    Count {
        table: String,
        #[command(flatten)]
        query: Query,
    },
    /// Write again what lost, if the item still is what won
    Restore {
        table: String,
        /// The conflict, as `list` names it
        id: String,
        #[command(flatten)]
        query: Query,
    },
}

#[derive(Args, Clone)]
pub struct ConflictList {
    pub table: String,
    /// Only of the item with this key, in DynamoDB's JSON: '{"id": {"S": "a"}}'
    #[arg(long)]
    pub key: Option<String>,
    /// Only where one of the two writes was made in this region
    #[arg(long)]
    pub of: Option<Region>,
    /// Only from this time on, in Unix milliseconds
    #[arg(long)]
    pub from_ms: Option<u64>,
    /// Only before this time, in Unix milliseconds
    #[arg(long)]
    pub to_ms: Option<u64>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    #[command(flatten)]
    pub query: Query,
}

#[derive(Subcommand)]
pub enum Replication {
    /// Show every link: from, to, state, lag
    Status(Query),
    /// End the replica of a region that is lost; ask a region that stays
    Evict {
        /// The region that is lost
        lost: Region,
        table: String,
        #[command(flatten)]
        query: Query,
    },
    /// Level a region whose database was restored from a backup with the others
    Repair {
        table: String,
        #[command(flatten)]
        query: Query,
    },
}
