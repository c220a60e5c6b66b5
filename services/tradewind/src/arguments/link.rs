//! The arguments of services that speak with other regions.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use http::Uri;
use tradewind_model::Region;

#[derive(Args, Clone)]
pub struct Link {
    /// Another region and its nodes' --link-listen, https://HOST:PORT, several with commas between: one is used for as long as
    /// it answers. May be given again (in the environment with spaces between)
    #[arg(long, env = "TRADEWIND_PEER", value_name = "REGION=URL[,URL…]")]
    pub peer: Vec<Peers>,
    /// The certificate that this region's services show other regions, with its chain, as PEM: for the host by which they are
    /// reached, and for servers and clients
    #[arg(
        long,
        env = "TRADEWIND_LINK_CERT",
        value_name = "FILE",
        requires = "link_key",
        requires = "link_ca"
    )]
    pub link_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, env = "TRADEWIND_LINK_KEY", value_name = "FILE", requires = "link_cert")]
    pub link_key: Option<PathBuf>,
    /// The authority that every region's certificate is of, as PEM: whoever has one takes part in replication
    #[arg(long, env = "TRADEWIND_LINK_CA", value_name = "FILE", requires = "link_cert")]
    pub link_ca: Option<PathBuf>,
    /// Speak plain HTTP with clients on an address that others than this machine can reach, and with regions of this machine
    #[arg(long, env = "TRADEWIND_INSECURE")]
    pub insecure: bool,
}

impl Link {
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peer.iter().flat_map(|peers| &peers.0)
    }
}

/// Any number of regions, with spaces between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peers(Vec<Peer>);

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Peers, String> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(Peers)
    }
}

/// Another region, and where it is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    pub region: Region,
    pub urls: Vec<Uri>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Peer, String> {
        let (region, urls) =
            text.split_once('=').ok_or("REGION=URL, as eu-west-1=https://eu.example.com:7000")?;
        let region = Region::new(region).map_err(|error| error.to_string())?;
        let urls = urls.split(',').map(url).collect::<Result<_, _>>()?;
        Ok(Peer { region, urls })
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{text}: {error}"))?;
    let has_scheme = url.scheme_str() == Some("https") || (is_plain(&url) && is_loopback(&url));
    if !has_scheme || url.authority().is_none() || !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(format!("{text}: regions speak mutual TLS: https://HOST:PORT"));
    }
    Ok(url)
}

pub fn is_plain(url: &Uri) -> bool {
    url.scheme_str() == Some("http")
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_region_and_addresses_with_tls() {
        let peer: Peer = "eu-west-1=https://eu.example.com:7000,https://b:7000".parse().unwrap();
        assert_eq!((peer.region.as_str(), peer.urls[0].host()), ("eu-west-1", Some("eu.example.com")));
        assert_eq!(peer.urls.len(), 2);
        for bad in [
            "eu-west-1",
            "eu west=https://a",
            "eu-west-1=http://a:1",
            "eu-west-1=https://a:1,http://10.0.0.1:1",
            "eu-west-1=https://a/x",
            "eu-west-1=a",
            "eu-west-1=https://a:1,",
        ] {
            assert!(bad.parse::<Peer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn there_may_be_no_peers_or_several() {
        let count = |text: &str| text.parse::<Peers>().map(|peers| peers.0.len());
        assert_eq!((count(""), count("a=https://a:1  b=https://b:1")), (Ok(0), Ok(2)));
        assert!(count("a=https://a:1 b").is_err());
    }

    #[test]
    fn plain_http_is_for_regions_of_one_machine() {
        for good in ["a=http://127.0.0.1:1", "a=http://localhost:1", "a=http://[::1]:1"] {
            assert!(good.parse::<Peer>().is_ok(), "{good}");
        }
    }
}
