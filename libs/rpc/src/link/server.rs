//! The answering end of links.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::protocol::link_server::{Link, LinkServer as Protocol};
use super::protocol::{Answer, Busy, Call, answer};
use super::speaker::refusal;
use super::{LinkCall, LinkError, LinkQuestion, LinkTls, MAX_MESSAGE_BYTES, MAX_UNDER_WAY};

/// Streams of one connection; askers keep fewer under way.
const MAX_STREAMS: u32 = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// An answer to come.
pub type LinkAnswering<'a> = Pin<Box<dyn Future<Output = Result<Bytes, LinkError>> + Send + 'a>>;

/// What answers other regions.
pub trait Links: Send + Sync + 'static {
    /// The future may be dropped at any time: the asker went away.
    fn answer(&self, question: LinkQuestion, call: LinkCall) -> LinkAnswering<'_>;
}

/// A port that will be served; without TLS whoever reaches it is believed.
pub struct LinkServer {
    listener: TcpListener,
    server: Server,
    /// Whether askers show certificates.
    shown: bool,
}

impl LinkServer {
    /// # Errors
    /// The certificate, its key or the authority cannot be used.
    pub fn new(listener: TcpListener, tls: Option<&LinkTls>) -> io::Result<LinkServer> {
        let mut server = Server::builder();
        if let Some(tls) = tls {
            let tls = ServerTlsConfig::new()
                .identity(Identity::from_pem(&tls.certificate_pem, &tls.key_pem))
                .client_ca_root(Certificate::from_pem(&tls.authority_pem))
                .timeout(HANDSHAKE_TIMEOUT);
            server = server.tls_config(tls).map_err(io::Error::other)?;
        }
        let server = server
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PING_TIMEOUT));
        Ok(LinkServer { listener, server, shown: tls.is_some() })
    }

    /// Serves until `stop`; calls that are under way are answered before this returns.
    pub async fn serve(mut self, links: Arc<dyn Links>, stop: CancellationToken) -> io::Result<()> {
        let answers = Answers { links, permits: Semaphore::new(MAX_UNDER_WAY), shown: self.shown };
        let service = Protocol::new(answers)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let serving = self.server.add_service(service);
        serving.serve_with_incoming_shutdown(incoming, stop.cancelled()).await.map_err(io::Error::other)
    }
}

struct Answers {
    links: Arc<dyn Links>,
    permits: Semaphore,
    shown: bool,
}

impl Answers {
    async fn carry_out(&self, question: LinkQuestion, call: LinkCall) -> Result<Bytes, LinkError> {
        let _permit = self.permits.try_acquire().map_err(|_| LinkError::Busy)?;
        self.links.answer(question, call).await
    }

    async fn answer(&self, question: LinkQuestion, call: Request<Call>) -> Result<Response<Answer>, Status> {
        let certificates = call.peer_certs().filter(|_| self.shown);
        let Call { from, to, table, body } = call.into_inner();
        let certificate = certificates.as_ref().and_then(|chain| chain.first()).map(|first| &first[..]);
        let refused = self.shown.then(|| refusal(certificate, &from)).flatten();
        let outcome = match refused {
            Some(cause) => Err(LinkError::Refused(cause)),
            None => self.carry_out(question, LinkCall { from, to, table, body }).await,
        };
        let outcome = match outcome {
            Ok(answer) => answer::Outcome::Answer(answer),
            Err(LinkError::Refused(cause)) => answer::Outcome::Refused(cause),
            Err(LinkError::Failed(cause)) => answer::Outcome::Failed(cause),
            Err(LinkError::Busy) => answer::Outcome::Busy(Busy {}),
        };
        Ok(Response::new(Answer { outcome: Some(outcome) }))
    }
}

#[tonic::async_trait]
impl Link for Answers {
    async fn push(&self, call: Request<Call>) -> Result<Response<Answer>, Status> {
        self.answer(LinkQuestion::Push, call).await
    }

    async fn ask(&self, call: Request<Call>) -> Result<Response<Answer>, Status> {
        self.answer(LinkQuestion::Ask, call).await
    }
}
