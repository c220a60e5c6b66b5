//! The arguments of commands that look after a region's services.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use tradewind_model::Region;

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

#[derive(Subcommand)]
pub enum Secrets {
    /// Make the files that are missing: link certificates with their authority, a database password, a first access key
    Create {
        /// Where they lie
        folder: PathBuf,
        /// The regions, each with the host by which other regions reach it [default host: links.REGION]
        #[arg(long, value_name = "REGION[=HOST]", value_delimiter = ',', required = true)]
        region: Vec<LinkRegion>,
        /// The user id that the services run under; the authority's key stays with whoever runs this
        #[arg(long, value_name = "UID")]
        owner: Option<u32>,
    },
}

/// A region and the host by which its links arrive.
#[derive(Clone, Debug)]
pub struct LinkRegion {
    pub name: Region,
    pub host: String,
}

impl FromStr for LinkRegion {
    type Err = String;

    fn from_str(text: &str) -> Result<LinkRegion, String> {
        let (name, host) = text.split_once('=').unwrap_or((text, ""));
        let name = Region::new(name).map_err(|error| error.to_string())?;
        let host = if host.is_empty() { format!("links.{name}") } else { host.to_owned() };
        Ok(LinkRegion { name, host })
    }
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
