//! Other regions as this process is told of them: what can be wrong with the arguments is said here, by their names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use tradewind_model::Region;
use tradewind_rpc::{Destination, LinkTls};
use tradewind_storage::node::LinkPort;

use crate::arguments::link::{Link, is_plain};

/// The regions beside `here`, each by its addresses.
pub fn peers(here: Region, link: &Link) -> anyhow::Result<BTreeMap<Region, Destination>> {
    let tls = tls(link)?;
    let mut peers = BTreeMap::new();
    for peer in link.peers() {
        let said = format!("--peer {}={}", peer.region, peer.urls[0]);
        if peer.region == here {
            bail!("{said}: that is this region");
        }
        if let Some(url) = peer.urls.iter().find(|url| is_plain(url)).filter(|_| !link.insecure) {
            bail!("{said}: {url} is plain HTTP: regions speak mutual TLS, or on one machine give --insecure");
        }
        if tls.is_none() && !peer.urls.iter().all(is_plain) {
            bail!("{said}: regions speak mutual TLS: give --link-cert, --link-key and --link-ca");
        }
        let destination = Destination { urls: peer.urls.clone(), tls: tls.clone() };
        if peers.insert(peer.region, destination).is_some() {
            bail!("{said}: name each region once");
        }
    }
    Ok(peers)
}

/// The port for other regions; plain HTTP only on loopback, and only if asked for.
pub fn port(listen: SocketAddr, link: &Link) -> anyhow::Result<LinkPort> {
    let tls = tls(link)?;
    if tls.is_none() && !(link.insecure && listen.ip().is_loopback()) {
        bail!(
            "--link-listen {listen}: regions speak mutual TLS: give --link-cert, --link-key and --link-ca; on a loopback \
             address --insecure is enough"
        );
    }
    Ok(LinkPort { listen, tls })
}

fn tls(link: &Link) -> anyhow::Result<Option<LinkTls>> {
    let (Some(certificate), Some(key), Some(authority)) = (&link.link_cert, &link.link_key, &link.link_ca)
    else {
        return Ok(None);
    };
    Ok(Some(LinkTls {
        certificate_pem: read("--link-cert", certificate)?,
        key_pem: read("--link-key", key)?,
        authority_pem: read("--link-ca", authority)?,
    }))
}

fn read(setting: &str, file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{setting} {}", file.display()))
}
