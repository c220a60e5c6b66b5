//! The asking end of links: one connection to one of a region's addresses, made again when it is lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};

use super::protocol::link_client::LinkClient as Protocol;
use super::protocol::{Answer, Call, answer};
use super::{LinkCall, LinkError, LinkQuestion, LinkTls, MAX_MESSAGE_BYTES};

/// Between regions half the world may lie.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Calls under way to one region; more wait here.
const MAX_UNDER_WAY: usize = 32;

/// Where a region is reached: any of its nodes answers for all of it.
#[derive(Clone)]
pub struct Destination {
    /// `https://HOST:PORT`, or `http://HOST:PORT` on this machine; at least one.
    pub urls: Vec<Uri>,
    pub tls: Option<LinkTls>,
}

/// A region, as this process asks it.
pub struct LinkClient {
    /// One for each address; the connection of one is used until a call over it fails.
    channels: Vec<Protocol<Channel>>,
    used: AtomicUsize,
    permits: Semaphore,
}

impl LinkClient {
    /// Connects at the first call. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// A certificate, a key or an address cannot be used.
    pub fn new(destination: &Destination) -> Result<LinkClient, String> {
        let channels = destination.urls.iter().map(|url| channel(url, destination.tls.as_ref()));
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        if channels.is_empty() {
            return Err("a region needs an address".to_owned());
        }
        Ok(LinkClient { channels, used: AtomicUsize::new(0), permits: Semaphore::new(MAX_UNDER_WAY) })
    }

    /// # Errors
    /// See [`LinkError`]; an answer that does not come within `deadline` is `Failed`, and the next call goes to another of
    /// the region's addresses, if it has several.
    pub async fn call(
        &self,
        question: LinkQuestion,
        call: LinkCall,
        deadline: Duration,
    ) -> Result<Bytes, LinkError> {
        let _permit = self.permits.acquire().await.map_err(|error| LinkError::Failed(error.to_string()))?;
        let used = self.used.load(Ordering::Relaxed);
        let mut client = self.channels[used % self.channels.len()].clone();
        let LinkCall { from, to, table, body } = call;
        let call = Call { from, to, table, body };
        let asked = async {
            match question {
                LinkQuestion::Push => client.push(call).await,
                LinkQuestion::Ask => client.ask(call).await,
            }
        };
        let outcome = match tokio::time::timeout(deadline, asked).await {
            Ok(Ok(answer)) => outcome(answer.into_inner()),
            Ok(Err(status)) => Err(of_status(&status)),
            Err(_) => Err(LinkError::Failed(format!("no answer within {deadline:?}"))),
        };
        if let Err(LinkError::Failed(_)) = &outcome {
            // Only one of several that failed at the same time moves on.
            let next = used.wrapping_add(1);
            let _ = self.used.compare_exchange(used, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        outcome
    }
}

fn outcome(answer: Answer) -> Result<Bytes, LinkError> {
    match answer.outcome {
        Some(answer::Outcome::Answer(answer)) => Ok(answer),
        Some(answer::Outcome::Refused(cause)) => Err(LinkError::Refused(cause)),
        Some(answer::Outcome::Failed(cause)) => Err(LinkError::Failed(cause)),
        Some(answer::Outcome::Busy(_)) => Err(LinkError::Busy),
        None => Err(LinkError::Failed("a newer region answered what this one does not know".to_owned())),
    }
}

/// A status that no handler made. A message that is too large for the other end is so at every attempt.
fn of_status(status: &tonic::Status) -> LinkError {
    let reason = crate::call::described(status);
    match status.code() {
        tonic::Code::OutOfRange => LinkError::Refused(reason),
        _ => LinkError::Failed(reason),
    }
}

fn channel(url: &Uri, tls: Option<&LinkTls>) -> Result<Protocol<Channel>, String> {
    let endpoint = Endpoint::from(url.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(client_tls(tls)).map_err(|error| error.to_string())?,
        None => endpoint,
    };
    Ok(Protocol::new(endpoint.connect_lazy())
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES))
}

/// The other end has to have a certificate of the authority, for the host by which it is reached.
fn client_tls(tls: &LinkTls) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&tls.authority_pem))
        .identity(Identity::from_pem(&tls.certificate_pem, &tls.key_pem))
}
