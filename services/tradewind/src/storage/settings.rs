//! What a node is told, from the command line; everything that can be wrong with it is said here, by its setting.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;

use anyhow::bail;
use http::Uri;
use tokio_rustls::TlsAcceptor;
use tradewind_storage::acceptor;
use tradewind_storage::node::{Advertise, Settings};

use crate::arguments::storage::{self as arguments, Storage};
use crate::link;

pub fn of(arguments: &Storage) -> anyhow::Result<Settings> {
    let tls = tls(
        arguments.listen,
        arguments.tls_cert.as_deref(),
        arguments.tls_key.as_deref(),
        arguments.link.insecure,
    )?;
    let node_listen = arguments.node_listen.unwrap_or_else(|| SocketAddr::new(arguments.listen.ip(), 0));
    Ok(Settings {
        region: arguments.database.region,
        account: arguments.account_id.clone(),
        catch_up_share: arguments.catch_up_share,
        name: arguments.name.clone(),
        listen: arguments.listen,
        tls,
        node_listen,
        advertise: advertised(arguments.advertise.as_ref(), node_listen, &arguments.database.postgres)?,
        link: arguments.link_listen.map(|listen| link::port(listen, &arguments.link)).transpose()?,
        peers: link::peers(arguments.database.region, &arguments.link)?,
        kafka: arguments.kafka.settings(),
    })
}

/// How clients are spoken to at `listen`; `None`: plain HTTP.
pub fn tls(
    listen: SocketAddr,
    certificate: Option<&Path>,
    key: Option<&Path>,
    insecure: bool,
) -> anyhow::Result<Option<TlsAcceptor>> {
    if let (Some(certificate), Some(key)) = (certificate, key) {
        return Ok(Some(acceptor(certificate, key)?));
    }
    if !insecure && !listen.ip().is_loopback() {
        bail!(
            "--listen {listen}: others than this machine are not served plain HTTP: give --tls-cert and --tls-key, or \
             --insecure"
        );
    }
    Ok(None)
}

/// Where the other nodes find what listens at `node_listen`.
pub fn advertised(
    given: Option<&arguments::Advertise>,
    node_listen: SocketAddr,
    postgres: &[String],
) -> anyhow::Result<Advertise> {
    if let Some(given) = given {
        return Ok(Advertise { host: given.host.clone(), port: given.port });
    }
    let host = match node_listen.ip() {
        unspecified if unspecified.is_unspecified() => address_towards(postgres)?,
        ip => ip,
    };
    Ok(Advertise { host: host.to_string(), port: None })
}

/// The address that this machine has on its way to the database; nothing is sent.
fn address_towards(postgres: &[String]) -> anyhow::Result<IpAddr> {
    let found = postgres.iter().find_map(|url| {
        let mut addresses = first_host(url)?.to_socket_addrs().ok()?;
        addresses.find_map(|address| {
            let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect(address).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
    });
    match found {
        Some(address) => Ok(address),
        None => bail!("--advertise: say by which host the other nodes reach this one"),
    }
}

/// `host:port` of the first host of a PostgreSQL URL, which may name several.
fn first_host(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let first: Uri = hosts.split(',').next()?.parse().ok()?;
    let authority = first.authority()?;
    Some(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(5432)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_url_is_where_the_database_is() {
        let first = |url| first_host(url).unwrap();
        assert_eq!(first("postgres://u:p@db1:6432,db2/x"), "db1:6432");
        assert_eq!(first("postgres://127.0.0.1/x"), "127.0.0.1:5432");
        assert_eq!(first_host("postgres:///x?host=/run/postgresql"), None);
    }

    #[test]
    fn the_address_towards_this_machine_is_its_own() {
        let url = "postgres://127.0.0.1:1/x".to_owned();
        assert!(address_towards(&[url]).unwrap().is_loopback());
        assert!(address_towards(&["postgres:///x".to_owned()]).is_err());
    }
}
