//! The asking end: one connection for each address, kept, made again when it is lost, and given up when it is silent.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use uuid::Uuid;

use crate::authority::{Identity, NODE_NAME};
use crate::call::{CallError, Question};
use crate::node::node_client::NodeClient;
use crate::node::{Call, Reply};
use crate::server::MAX_MESSAGE_BYTES;

/// A node that is there accepts at once; one that is not must not cost a request its deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A machine that went without a word is noticed after these two: sooner than its lease ends.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Large enough that no call waits for another's window.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The other nodes, as this process asks them.
pub struct Nodes {
    tls: ClientTlsConfig,
    /// Connections live here, whoever asks.
    runtime: Handle,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    client: NodeClient<Channel>,
    gone: CancellationToken,
}

impl Nodes {
    pub fn new(identity: &Identity, runtime: Handle) -> Nodes {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&identity.authority_pem))
            .identity(tonic::transport::Identity::from_pem(&identity.certificate_pem, &identity.key_pem))
            .domain_name(NODE_NAME);
        Nodes { tls, runtime, known: Mutex::default() }
    }

    /// Asks the process `to` at `address` (`host:port`).
    ///
    /// # Errors
    /// See [`CallError`]. An answer that does not come within `deadline`, or whose node is let go by [`Nodes::keep`] while
    /// it is awaited, is `Unknown`.
    pub async fn ask(
        &self,
        to: Uuid,
        address: &str,
        question: Question,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let Known { client, gone } = self.connection(address)?;
        let call = Call { to: Bytes::copy_from_slice(to.as_bytes()), body };
        let unknown = |why: &str| Err(CallError::Unknown(why.to_owned()));
        let reply = tokio::select! {
            reply = ask(client, question, call) => reply,
            () = gone.cancelled() => return unknown("the node is no member any more"),
            () = tokio::time::sleep(deadline) => return unknown("no answer in time"),
        };
        match reply {
            Ok(reply) => CallError::from_reply(reply.into_inner()),
            Err(status) => Err(CallError::of(&status)),
        }
    }

    /// Keeps connections to these addresses only: calls to others end now, with an unknown outcome.
    pub fn keep<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) {
        let kept: HashSet<&str> = addresses.into_iter().collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|address, node| {
            let stays = kept.contains(address.as_str());
            if !stays {
                node.gone.cancel();
            }
            stays
        });
    }

    fn connection(&self, address: &str) -> Result<Known, CallError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = known.get(address) {
            return Ok(node.clone());
        }
        let endpoint = self.endpoint(address).map_err(|error| CallError::NotSent(error.to_string()))?;
        let _inside = self.runtime.enter();
        let client = NodeClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let node = Known { client, gone: CancellationToken::new() };
        known.insert(address.to_owned(), node.clone());
        Ok(node)
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?
            .tls_config(self.tls.clone())?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(endpoint)
    }
}

async fn ask(
    mut client: NodeClient<Channel>,
    question: Question,
    call: Call,
) -> Result<tonic::Response<Reply>, tonic::Status> {
    match question {
        Question::Submit => client.submit(call).await,
        Question::Hold => client.hold(call).await,
        Question::Release => client.release(call).await,
        Question::Inquire => client.inquire(call).await,
        Question::Announce => client.announce(call).await,
        Question::Lambda => client.lambda(call).await,
        Question::Spend => client.spend(call).await,
        Question::Replicate => client.replicate(call).await,
    }
}
