//! The arguments of a region's services on PostgreSQL.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use http::uri::Authority;
use tradewind_database::CATCH_UP_SHARE;
use tradewind_model::Region;

use super::account_id;
use super::kafka::Kafka;
use super::link::Link;
use super::telemetry::Telemetry;

/// Where a region keeps its data.
#[derive(Args, Clone)]
pub struct Database {
    /// The region
    #[arg(long, env = "TRADEWIND_REGION")]
    pub region: Region,
    /// The region's PostgreSQL: postgres://USER:PASSWORD@HOST/DATABASE, or several hosts of one server and its standbys:
    /// postgres://USER@HOST1,HOST2/DATABASE. Give it again for each further database (in the environment with spaces
    /// between), always in the same order
    #[arg(
        long,
        env = "TRADEWIND_POSTGRES",
        value_name = "URL",
        value_delimiter = ' ',
        required = true,
        hide_env_values = true
    )]
    pub postgres: Vec<String>,
    /// A file with the password, for URLs that have none
    #[arg(long, env = "TRADEWIND_POSTGRES_PASSWORD_FILE", value_name = "FILE")]
    pub postgres_password_file: Option<PathBuf>,
    /// Certificates by which PostgreSQL's own are verified, where a URL has sslmode=verify-ca or verify-full [default: the
    /// system's]
    #[arg(long, env = "TRADEWIND_POSTGRES_CA", value_name = "FILE")]
    pub postgres_ca: Option<PathBuf>,
}

#[derive(Args, Clone)]
pub struct Storage {
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub kafka: Kafka,
    /// A streaming standby of one of the databases, which answers eventually consistent reads while it is at most a second
    /// behind, and while its primary is away; may be given again (in the environment with spaces between)
    #[arg(
        long,
        env = "TRADEWIND_POSTGRES_REPLICA",
        value_name = "URL",
        value_delimiter = ' ',
        hide_env_values = true
    )]
    pub postgres_replica: Vec<String>,
    /// What changes that other regions made more than five seconds ago may take of a partition's commits while clients write,
    /// in percent: how fast the region catches up after an outage, and how little its clients notice
    #[arg(
        long,
        env = "TRADEWIND_CATCH_UP_SHARE",
        value_name = "PERCENT",
        default_value_t = CATCH_UP_SHARE,
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    pub catch_up_share: u8,
    /// Where clients are served; port 0 takes a free one
    #[arg(long, env = "TRADEWIND_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Where the other nodes of the region are served, by mutual TLS [default: a free port of --listen's address]
    #[arg(long, env = "TRADEWIND_NODE_LISTEN", value_name = "ADDR")]
    pub node_listen: Option<SocketAddr>,
    /// The host, or host:port, by which the other nodes reach --node-listen [default: its address; where that is 0.0.0.0
    /// or ::, the address this machine has on its way to PostgreSQL]
    #[arg(long, env = "TRADEWIND_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<Advertise>,
    /// A name of its own in the region, that a node keeps when it is started again [default: its advertised address]
    #[arg(long, env = "TRADEWIND_NAME", value_parser = node_name)]
    pub name: Option<String>,
    #[command(flatten)]
    pub link: Link,
    /// Where other regions' links arrive, by mutual TLS; port 0 takes a free one [default: there is no replication]
    #[arg(long, env = "TRADEWIND_LINK_LISTEN", value_name = "ADDR")]
    pub link_listen: Option<SocketAddr>,
    /// The certificate that clients see, with its chain, as PEM
    #[arg(
        long,
        env = "TRADEWIND_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "insecure"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, env = "TRADEWIND_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Access keys that are brought into the catalogue, in the format of AWS's shared credentials file; those that are
    /// there stay as they are
    #[arg(long, env = "TRADEWIND_CREDENTIALS", value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// The account that owns all tables
    #[arg(long, env = "TRADEWIND_ACCOUNT_ID", default_value = "000000000000", value_parser = account_id)]
    pub account_id: String,
    /// Write the ports and the process id to this file, as JSON, once requests are taken
    #[arg(long, env = "TRADEWIND_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// By which host, and which port if it is another than that listened on, the others come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advertise {
    pub host: String,
    pub port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Advertise, String> {
        let bad = || "a host or host:port, as node1.example.com:7000 or [2001:db8::1]:7000".to_owned();
        let bracketed = text.parse::<Ipv6Addr>().map(|host| format!("[{host}]"));
        let authority: Authority = bracketed.as_deref().unwrap_or(text).parse().map_err(|_| bad())?;
        let host = authority.host().trim_matches(['[', ']']);
        let has_port = authority.as_str() != authority.host();
        let port_is_read = !has_port || authority.port_u16().is_some_and(|port| port > 0);
        if host.is_empty() || !port_is_read || text.contains('@') || text.ends_with(':') {
            return Err(bad());
        }
        Ok(Advertise { host: host.to_owned(), port: authority.port_u16() })
    }
}

pub fn node_name(text: &str) -> Result<String, String> {
    let is_name = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { Ok(text.to_owned()) } else { Err("1 to 128 visible ASCII characters".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_is_a_host_with_or_without_a_port() {
        let read = |text: &str| text.parse::<Advertise>().map(|read| (read.host, read.port));
        assert_eq!(read("node1"), Ok(("node1".to_owned(), None)));
        assert_eq!(read("10.0.0.1:7000"), Ok(("10.0.0.1".to_owned(), Some(7000))));
        assert_eq!(read("2001:db8::1"), Ok(("2001:db8::1".to_owned(), None)));
        assert_eq!(read("[2001:db8::1]:7000"), Ok(("2001:db8::1".to_owned(), Some(7000))));
        for bad in ["", ":7000", "node1:", "node1:0", "node1:x", "node1:70000", "a@node1", "http://node1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
