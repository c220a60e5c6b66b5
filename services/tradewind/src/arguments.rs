//! The command line. Every setting of a service can be given by environment as well.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tradewind_model::Region;

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
    /// List tables in every region
    Tables(Query),
    /// Show writes that lost to another they did not know
    #[command(subcommand)]
    Conflicts(Conflicts),
    /// Show what replication does
    #[command(subcommand)]
    Replication(Replication),
    /// Add functions that run on changes
    #[command(subcommand)]
    Function(Function),
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
    List {
        table: String,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        query: Query,
    },
}

#[derive(Subcommand)]
pub enum Replication {
    /// Show every link: from, to, state, lag
    Status(Query),
}

#[derive(Subcommand)]
pub enum Function {
    /// Run a command on the changes of a table; it speaks the Lambda Runtime API
    Add {
        name: String,
        /// The command, run by sh in --directory; AWS_LAMBDA_RUNTIME_API tells it where to ask for work
        #[arg(long)]
        command: String,
        /// The table whose stream it reads; without one it runs only when it is invoked
        #[arg(long)]
        table: Option<String>,
        /// Where the command runs; when a file in it changes, the next invocation sees that
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        /// Records of one invocation at most
        #[arg(long, default_value_t = 100)]
        batch_size: u32,
        #[command(flatten)]
        query: Query,
    },
}
