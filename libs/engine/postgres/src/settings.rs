//! What an engine on PostgreSQL is told, as plain data.

use std::path::PathBuf;
use std::time::Duration;

/// How long a request waits, for the server to come back or for others to let go, before it is refused.
pub const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://user:password@host1,host2/database?sslmode=…`; of several hosts the one that takes writes is used.
    pub url: String,
    /// Certificates that sign the servers'. Without them the system's are used, if the URL asks to verify.
    pub root_certificates: Option<PathBuf>,
    /// What the server's activity views and the partitions' rows call this process.
    pub name: String,
    /// Connections that point reads are gathered on.
    pub read_connections: usize,
    /// Connections for everything else: ranges, the log, the catalogue, takeovers.
    pub pool_size: usize,
    /// After so long a commit without an answer is unknown.
    pub commit_timeout: Duration,
}

impl Settings {
    pub fn new(url: impl Into<String>) -> Settings {
        Settings {
            url: url.into(),
            root_certificates: None,
            name: "tradewind".to_owned(),
            read_connections: 4,
            pool_size: 16,
            commit_timeout: PATIENCE,
        }
    }
}
