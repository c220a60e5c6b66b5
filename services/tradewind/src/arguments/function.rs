//! `tradewind function`: what it can be told.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Query;

#[derive(Subcommand)]
pub enum Function {
    /// Add a function, and have it run on the changes of a table
    ///
    /// A function is a command that speaks the Lambda Runtime API, a Python or Node.js handler in a folder, a webhook, or a
    /// container behind AWS's Runtime Interface Emulator. With --table a batch that fails is tried a bounded number of
    /// times, halved each time, and then kept: Lambda's own default would try for a day, while everything behind it waits.
    Add(Box<Add>),
    /// List functions with the tables they read and what becomes of their invocations
    List(Query),
    /// Show what a function reads: each shard, how far it has come, and until when the log keeps what waits
    Show {
        name: String,
        #[command(flatten)]
        query: Query,
    },
    /// Show what a function prints
    Logs {
        name: String,
        /// Go on showing what comes, until interrupted
        #[arg(short, long)]
        follow: bool,
        /// Begin so many bytes before the end; the newest megabyte is kept
        #[arg(long, default_value_t = 16 * 1024)]
        last: u64,
        #[command(flatten)]
        query: Query,
    },
    /// Show the newest invocations, or one of them with its input and output
    ///
    /// The newest thousand of a function are kept for an hour, in the memory of the process that ran them.
    Invocations {
        name: String,
        /// Show this one, whole
        request_id: Option<String>,
        /// Only those that failed
        #[arg(long)]
        failed: bool,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        query: Query,
    },
    /// Stop running a function on changes, without losing its place
    ///
    /// Changes wait in the table's log, which keeps them for 24 hours; the answer says until when.
    Pause {
        name: String,
        /// Why, for whoever finds it paused
        #[arg(long)]
        reason: String,
        /// Only where it reads this table
        #[arg(long)]
        table: Option<String>,
        #[command(flatten)]
        query: Query,
    },
    /// Go on where a function was paused
    Resume {
        name: String,
        /// Only where it reads this table
        #[arg(long)]
        table: Option<String>,
        #[command(flatten)]
        query: Query,
    },
    /// Run a function again: on what it failed on, or on a part of the log
    ///
    /// A replay of the log runs beside the function's own reading and does not move its place. Records keep their eventID,
    /// by which a function can tell that it has seen them.
    Replay(Replay),
    /// List the batches that were given up, or show one with its records
    Failed {
        name: String,
        /// Show this one, whole
        id: Option<String>,
        /// Remove this one
        #[arg(long, requires = "id")]
        remove: bool,
        #[command(flatten)]
        query: Query,
    },
    /// Delete a function, its mappings, and the batches kept for it
    Delete {
        name: String,
        #[command(flatten)]
        query: Query,
    },
}

#[derive(Args)]
pub struct Add {
    pub name: String,
    #[command(flatten)]
    pub kind: Kind,
    /// The folder of the command or the handler; when a file in it changes, the next invocation sees that
    #[arg(long, default_value = ".")]
    pub directory: PathBuf,
    /// The handler, as on Lambda: module.function
    #[arg(long, requires = "runtime")]
    pub handler: Option<String>,
    /// How the URL is spoken to
    #[arg(long, value_enum, default_value_t = Form::Webhook, requires = "url")]
    pub form: Form,
    /// The key of the webhook's signatures (whsec_…); one is made and shown if none is given
    #[arg(long, env = "TRADEWIND_WEBHOOK_SECRET", hide_env_values = true, requires = "url")]
    pub secret: Option<String>,
    /// Seconds that an invocation may take
    #[arg(long, default_value_t = 60)]
    pub timeout: u32,
    /// Megabytes of memory that a process may have
    #[arg(long, default_value_t = 512)]
    pub memory: u32,
    /// A variable of the function's environment, NAME=VALUE; may be given again
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub environment: Vec<String>,
    /// The table whose stream it reads; without one it runs only when it is invoked
    #[arg(long)]
    pub table: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub query: Query,
}

/// What the function is made of.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Kind {
    /// A command, run by sh in --directory; AWS_LAMBDA_RUNTIME_API tells it where to ask for work
    #[arg(long)]
    pub command: Option<String>,
    /// A runtime of Lambda's for the handler in --directory: python3.12, nodejs20.x, provided.al2023
    #[arg(long)]
    pub runtime: Option<String>,
    /// An HTTP endpoint
    #[arg(long)]
    pub url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Events are posted with signatures of Standard Webhooks; any 2xx is success
    Webhook,
    /// A Lambda container image behind AWS's Runtime Interface Emulator, e.g. http://localhost:9000
    Emulator,
}

/// How changes reach it.
#[derive(Args)]
pub struct Reading {
    /// Records of one invocation at most
    #[arg(long, default_value_t = 100)]
    pub batch_size: u32,
    /// Batches of one shard at once; the order of each item is kept
    #[arg(long, default_value_t = 1)]
    pub parallel: u32,
    /// How often a batch is tried again before it is kept with the failed ones
    #[arg(long, default_value_t = 10)]
    pub attempts: u32,
    /// Pause after so many failures in a row instead of giving batches up
    #[arg(long)]
    pub pause_after: Option<u32>,
    /// Only changes that match this EventBridge pattern; may be given again, then any has to match
    #[arg(long, value_name = "PATTERN")]
    pub filter: Vec<String>,
    /// Only changes written in this region, or only those written elsewhere
    #[arg(long, value_enum, default_value_t = Origin::All)]
    pub origin: Origin,
    /// Begin with what is written from now on instead of with the oldest change kept
    #[arg(long)]
    pub latest: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Origin {
    All,
    Local,
    Remote,
}

#[derive(Args)]
pub struct Replay {
    pub name: String,
    /// The batches that were given up, all or those named; one that succeeds is kept no more
    #[arg(long, num_args = 0.., value_name = "ID", conflicts_with_all = ["from", "to", "shard"])]
    pub failed: Option<Vec<String>>,
    /// Begin with what was written at this time (2026-01-31T12:00:00Z, Unix seconds, or how long ago: 90s, 15m, 2h) or with
    /// this sequence number
    #[arg(long, required_unless_present = "failed")]
    pub from: Option<String>,
    /// End before this time, or with this sequence number; without it, where the log ends now
    #[arg(long)]
    pub to: Option<String>,
    /// Only this shard; sequence numbers need it where there are several
    #[arg(long)]
    pub shard: Option<String>,
    /// Only say what would be run
    #[arg(long)]
    pub dry_run: bool,
    /// The table, where the function reads several
    #[arg(long)]
    pub table: Option<String>,
    #[command(flatten)]
    pub query: Query,
}
