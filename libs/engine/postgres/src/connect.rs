//! Connections: where the server is, what every session is set to, and which servers are refused.
//!
//! Hosts are tried one after another, each for a bounded time, the one that answered last first. Sessions that write are
//! read-only outside of an explicit `BEGIN … READ WRITE`: should a BEGIN in a pipeline fail, the statements behind it must
//! not each commit by themselves.

use std::future::poll_fn;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::Severity;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;
use crate::settings::Settings;
use crate::tls;

/// A host that does not finish its greeting in this time is passed over.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Planner: every statement has one plan that is good on empty and on full tables, so none is made again for its values,
/// and scans of whole tables are never it. Times: nothing waits for ever, on either side.
pub const SESSION: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off -c jit=off \
     -c client_min_messages=warning -c statement_timeout=10s -c lock_timeout=3s \
     -c idle_in_transaction_session_timeout=5s -c tcp_user_timeout=10s -c tcp_keepalives_idle=5 \
     -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3";

/// Knows how to reach the server. Clones share which host answered last.
#[derive(Clone)]
pub struct Connector {
    hosts: Arc<[Config]>,
    tls: MakeRustlsConnect,
    last: Arc<AtomicUsize>,
}

impl Connector {
    pub fn new(url: &str, settings: &Settings) -> Result<Connector, OpenError> {
        Connector::to(url, settings, TargetSessionAttrs::ReadWrite)
    }

    /// To servers that need not take writes.
    pub fn to_any(url: &str, settings: &Settings) -> Result<Connector, OpenError> {
        Connector::to(url, settings, TargetSessionAttrs::Any)
    }

    fn to(url: &str, settings: &Settings, wanted: TargetSessionAttrs) -> Result<Connector, OpenError> {
        let (url, verify) = without_verification(url);
        let config = Config::from_str(&url).map_err(|e| OpenError::BadUrl(crate::error::reason(&e)))?;
        let mut hosts = hosts_of(&config, settings);
        hosts.iter_mut().for_each(|host| _ = host.target_session_attrs(wanted));
        if hosts.is_empty() {
            return Err(OpenError::BadUrl("it names no host".to_owned()));
        }
        let tls = tls::connector(verify, settings.root_certificates.as_deref())?;
        Ok(Connector { hosts: hosts.into(), tls, last: Arc::default() })
    }

    /// A connection to the first host that will do.
    pub async fn connect(&self) -> Result<Connection, tokio_postgres::Error> {
        let (client, driver, doubt) = self.connect_apart().await?;
        Ok(Connection { client, doubt, driver: driver.abort_handle() })
    }

    async fn connect_apart(
        &self,
    ) -> Result<(Client, JoinHandle<()>, Arc<AtomicBool>), tokio_postgres::Error> {
        let (first, count) = (self.last.load(Relaxed), self.hosts.len());
        // What a host says that is there is worth more than that another one is not.
        let mut said = None;
        for at in (0..count).map(|step| (first + step) % count) {
            let doubt = Arc::new(AtomicBool::new(false));
            let host = &self.hosts[at];
            let connect = async {
                if is_local(host) {
                    connect_to(host, NoTls, doubt.clone()).await
                } else {
                    connect_to(host, self.tls.clone(), doubt.clone()).await
                }
            };
            match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
                Ok(Ok((client, driver))) => {
                    self.last.store(at, Relaxed);
                    return Ok((client, driver, doubt));
                }
                Ok(Err(error)) if said.is_none() || error.as_db_error().is_some() => said = Some(error),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(said.unwrap_or_else(tokio_postgres::Error::__private_api_timeout))
    }
}

impl deadpool_postgres::Connect for Connector {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        self.connect_apart().map(|made| made.map(|(client, driver, _)| (client, driver))).boxed()
    }
}

/// One session of its own. Dropping it closes the socket, whatever is under way.
pub struct Connection {
    pub client: Client,
    /// Set when the server said a warning: after a commit it means that a standby may not have it.
    pub doubt: Arc<AtomicBool>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        self.client.prepare(sql).await
    }

    /// From now on nothing is written outside of an explicit transaction.
    pub async fn guard(&self) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute("SET default_transaction_read_only = on").await
    }
}

/// A socket of this machine needs no TLS, and has no name to check.
fn is_local(host: &Config) -> bool {
    matches!(host.get_hosts(), [Host::Unix(_)])
}

async fn connect_to<T>(
    host: &Config,
    tls: T,
    doubt: Arc<AtomicBool>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = host.connect(tls).await?;
    Ok((client, tokio::spawn(drive(connection, doubt))))
}

async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, doubt: Arc<AtomicBool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                if notice.parsed_severity() == Some(Severity::Warning) {
                    doubt.store(true, Relaxed);
                    tracing::warn!("PostgreSQL warns: {} ({})", notice.message(), notice.code().code());
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!("a connection to PostgreSQL ended: {}", crate::error::reason(&error));
                return;
            }
            None => return,
        }
    }
}

/// The driver knows no verification by URL: takes it out, and says whether it was asked for.
fn without_verification(url: &str) -> (String, bool) {
    let verify = ["sslmode=verify-full", "sslmode=verify-ca"];
    let found = verify.iter().find(|mode| url.contains(*mode));
    (found.map_or(url.to_owned(), |mode| url.replace(mode, "sslmode=require")), found.is_some())
}

/// One configuration per host.
fn hosts_of(config: &Config, settings: &Settings) -> Vec<Config> {
    let port = |at: usize| config.get_ports().get(at).or(config.get_ports().first()).copied().unwrap_or(5432);
    let host = |(at, host): (usize, &Host)| {
        let mut one = Config::new();
        match host {
            Host::Tcp(name) => one.host(name),
            Host::Unix(path) => one.host_path(path),
        };
        one.port(port(at));
        if let Some(address) = config.get_hostaddrs().get(at) {
            one.hostaddr(*address);
        }
        copy_rest(config, &mut one, settings);
        one
    };
    config.get_hosts().iter().enumerate().map(host).collect()
}

fn copy_rest(from: &Config, to: &mut Config, settings: &Settings) {
    from.get_user().map(|user| to.user(user));
    from.get_password().map(|password| to.password(password));
    from.get_dbname().map(|name| to.dbname(name));
    to.application_name(from.get_application_name().unwrap_or(&settings.name));
    to.options(format!("{} {SESSION}", from.get_options().unwrap_or_default()).trim_start());
    to.ssl_mode(if is_local(to) { SslMode::Disable } else { from.get_ssl_mode() });
    to.channel_binding(from.get_channel_binding());
    to.connect_timeout(CONNECT_TIMEOUT);
    to.tcp_user_timeout(Duration::from_secs(10));
    to.keepalives_idle(Duration::from_secs(5));
    to.keepalives_interval(Duration::from_secs(2));
}

/// Refuses servers that would lose what they acknowledged, or could not keep any text.
pub async fn check_server(client: &Client) -> Result<(), OpenError> {
    const RULES: [(&str, &[&str], bool, &str); 4] = [
        ("fsync", &["off"], false, "without it acknowledged writes are lost in a power cut; set it to on"),
        (
            "synchronous_commit",
            &["off"],
            false,
            "with off acknowledged writes are lost in a crash; set it to on",
        ),
        ("server_encoding", &["UTF8"], true, "the database must be made with encoding UTF8"),
        ("standard_conforming_strings", &["on"], true, "set it to on"),
    ];
    for (name, values, wanted, needed) in RULES {
        let value = show(client, name).await?;
        if values.contains(&&*value) != wanted {
            return Err(OpenError::Setting { name, value, needed });
        }
    }
    let version = show(client, "server_version_num").await?;
    if version.parse::<u32>().unwrap_or(0) < 140_000 {
        let needed = "version 14 or newer is needed";
        return Err(OpenError::Setting { name: "server_version_num", value: version, needed });
    }
    Ok(())
}

pub async fn show(client: &Client, name: &'static str) -> Result<String, OpenError> {
    let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
    Ok(row.try_get(0)?)
}
