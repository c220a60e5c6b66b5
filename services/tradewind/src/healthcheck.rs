//! `tradewind healthcheck`: asks the service of this machine, for whatever restarts it or sends it requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tradewind_storage::pinned;

use crate::arguments::operation::Healthcheck;

/// Longer than a service that is well ever takes, shorter than whoever asks waits.
const TIMEOUT: Duration = Duration::from_secs(4);

pub fn run(arguments: &Healthcheck) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let address = reachable(arguments.listen);
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(address, arguments)).await });
    match asked {
        Ok(answer) => answer.with_context(|| format!("the service at {address}")),
        Err(_) => bail!("the service at {address} does not answer within {TIMEOUT:?}"),
    }
}

/// Where a service that listens everywhere is reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr, arguments: &Healthcheck) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let path = if arguments.live { "/health" } else { "/ready" };
    match &arguments.tls_cert {
        Some(certificate) => get(tls(stream, certificate).await?, path).await,
        None => get(stream, path).await,
    }
}

async fn tls(stream: TcpStream, certificate: &Path) -> anyhow::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(pinned(certificate)?));
    let name = "localhost".try_into().context("a name of TLS")?;
    Ok(connector.connect(name, stream).await?)
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> anyhow::Result<()> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body);
    if !status.is_success() {
        bail!("{body}");
    }
    println!("{body}");
    Ok(())
}
