//! The answering end: a port that only nodes of the region can speak to.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::authority::Identity;
use crate::call::{CallError, Question};
use crate::node::node_server::{Node as Protocol, NodeServer};
use crate::node::{Call, Reply, reply};

/// The largest is a request of Lambda with a package of 50 MB in base64; a link's batch or a transaction stays far below.
pub(crate) const MAX_MESSAGE_BYTES: usize = 80 << 20;
/// Calls of one other node that are answered at the same time; more wait at that node.
const MAX_CALLS: u32 = 8192;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(4);
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// An answer to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + 'a>>;

/// What answers the other nodes.
pub trait Node: Send + Sync + 'static {
    /// The id of this process: calls meant for another are answered [`CallError::Moved`].
    fn id(&self) -> Uuid;

    /// The future may be dropped at any time: the asker went away.
    fn answer(&self, question: Question, body: Bytes) -> Answering<'_>;
}

/// A port that will be served, and as whom.
pub struct Serving {
    pub listener: TcpListener,
    pub identity: Identity,
}

/// Serves until `stop`; calls that are under way are answered before this returns.
pub async fn serve(serving: Serving, node: Arc<dyn Node>, stop: CancellationToken) -> io::Result<()> {
    let Serving { listener, identity } = serving;
    let tls = ServerTlsConfig::new()
        .identity(tonic::transport::Identity::from_pem(&identity.certificate_pem, &identity.key_pem))
        .client_ca_root(Certificate::from_pem(&identity.authority_pem))
        .timeout(HANDSHAKE_TIMEOUT);
    let service = NodeServer::new(Answers(node))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .tls_config(tls)
        .map_err(io::Error::other)?
        .max_concurrent_streams(MAX_CALLS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled())
        .await
        .map_err(io::Error::other)
}

struct Answers(Arc<dyn Node>);

impl Answers {
    async fn answer(&self, question: Question, call: Request<Call>) -> Result<Response<Reply>, Status> {
        let Call { to, body } = call.into_inner();
        let outcome = if to[..] == self.0.id().as_bytes()[..] {
            self.0.answer(question, body).await
        } else {
            Err(CallError::Moved)
        };
        let reply = match outcome {
            Ok(answer) => Reply { outcome: Some(reply::Outcome::Answer(answer)) },
            Err(error) => error.into_reply(),
        };
        Ok(Response::new(reply))
    }
}

#[tonic::async_trait]
impl Protocol for Answers {
    async fn submit(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Submit, call).await
    }

    async fn hold(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Hold, call).await
    }

    async fn release(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Release, call).await
    }

    async fn inquire(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Inquire, call).await
    }

    async fn announce(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Announce, call).await
    }

    async fn lambda(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Lambda, call).await
    }

    async fn spend(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Spend, call).await
    }

    async fn replicate(&self, call: Request<Call>) -> Result<Response<Reply>, Status> {
        self.answer(Question::Replicate, call).await
    }
}
