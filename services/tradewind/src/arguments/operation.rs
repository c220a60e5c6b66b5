//! The arguments of commands that look after a region's services.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::storage::Database;

#[derive(Subcommand)]
pub enum Credentials {
    /// Make an access key and show it, once, as an entry of AWS's shared credentials file
    Create {
        #[command(flatten)]
        database: Database,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
    },
    /// List the access keys, without their secrets
    List {
        #[command(flatten)]
        database: Database,
        /// Print JSON for machines
        #[arg(long)]
        json: bool,
    },
    /// Refuse what is signed with an access key, from now on
    Disable {
        access_key_id: String,
        #[command(flatten)]
        database: Database,
    },
}

#[derive(Args, Clone)]
pub struct Healthcheck {
    /// The service's own --listen
    #[arg(long, env = "TRADEWIND_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// The service's own --tls-cert: TLS is spoken, and the certificate has to be that one
    #[arg(long, env = "TRADEWIND_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Only whether the process lives, not whether it can serve
    #[arg(long)]
    pub live: bool,
}
