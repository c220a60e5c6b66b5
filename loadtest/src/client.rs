//! The client: one HTTP/1.1 connection that is kept open, its requests signed. It knows what the outcome of a failed
//! call can be, because the check asks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tradewind_iam::{Credentials, Signer};

use crate::arguments::Target;

/// What takes longer counts as failed, with an outcome that is not known.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const DYNAMODB: &str = "DynamoDB_20120810";
pub const STREAMS: &str = "DynamoDBStreams_20120810";

type Sender = SendRequest<Full<Bytes>>;

/// One region's endpoint.
pub struct Endpoint {
    pub region: String,
    pub url: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<TlsConnector>,
    dynamodb: Signer,
    lambda: Signer,
}

impl Endpoint {
    pub fn new(target: &Target, credentials: &Credentials) -> anyhow::Result<Endpoint> {
        let uri: Uri = target.url.parse().with_context(|| format!("--target {}", target.url))?;
        let authority = uri.authority().with_context(|| format!("{} names no host", target.url))?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(tls()), 443),
            _ => bail!("{}: http:// or https://, please", target.url),
        };
        let signer = |service| Signer::new(credentials.clone(), &target.region, service);
        Ok(Endpoint {
            region: target.region.clone(),
            url: target.url.clone(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: HeaderValue::from_str(authority.as_str())?,
            tls,
            dynamodb: signer("dynamodb"),
            lambda: signer("lambda"),
        })
    }

    /// Where it listens, if that is this machine.
    pub fn local_port(&self) -> Option<u16> {
        let is_local = matches!(&self.host[..], "localhost" | "127.0.0.1" | "::1");
        is_local.then_some(self.port)
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let connecting = TcpStream::connect((&self.host[..], self.port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| Failure::not_done("cannot connect: timeout"))?
            .map_err(|_| Failure::not_done("cannot connect"))?;
        // Requests are small and wait for nothing.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return converse(stream).await };
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|_| Failure::not_done("cannot connect: no name for TLS"))?;
        match tls.connect(name, stream).await {
            Ok(secured) => converse(secured).await,
            Err(_) => Err(Failure::not_done("cannot connect: TLS refused")),
        }
    }
}

async fn converse(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, Failure> {
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|_| Failure::not_done("cannot connect"))?;
    // Ends with the connection; what went wrong there is seen by whoever waits for an answer.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}

fn tls() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Why a call has no good answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Short, and the same for all failures of its kind.
    pub kind: String,
    /// What the server said, if it did.
    pub message: String,
    /// Whether it is sure that the call changed nothing.
    pub not_done: bool,
}

impl Failure {
    fn not_done(kind: &str) -> Failure {
        Failure { kind: kind.to_owned(), message: String::new(), not_done: true }
    }

    pub fn unknown(kind: &str) -> Failure {
        Failure { kind: kind.to_owned(), message: String::new(), not_done: false }
    }

    fn answered(status: http::StatusCode, body: &[u8]) -> Failure {
        let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let name = answer["__type"].as_str().and_then(|name| name.rsplit('#').next());
        let message = ["message", "Message"].iter().find_map(|name| answer[name].as_str());
        let mut kind = name.map_or_else(|| format!("HTTP {}", status.as_u16()), str::to_owned);
        let met_another = message.is_some_and(|message| message.contains("TransactionConflict"));
        if kind == "TransactionCanceledException" && met_another {
            kind = "TransactionConflict".to_owned();
        }
        let message = message.unwrap_or_default().to_owned();
        Failure { kind, message, not_done: status.is_client_error() }
    }

    /// An answer that the API gives to a good request in a good state.
    pub fn is_refusal(&self) -> bool {
        is_refusal(&self.kind)
    }
}

pub fn is_refusal(kind: &str) -> bool {
    matches!(kind, "ConditionalCheckFailedException" | "TransactionConflict" | "TransactionConflictException")
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message[..] {
            "" => out.write_str(&self.kind),
            message => write!(out, "{}: {message}", self.kind),
        }
    }
}

impl std::error::Error for Failure {}

/// A connection to an endpoint, opened when it is first used and again after it broke.
pub struct Connection {
    endpoint: Arc<Endpoint>,
    sender: Option<Sender>,
}

impl Connection {
    pub fn new(endpoint: Arc<Endpoint>) -> Connection {
        Connection { endpoint, sender: None }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub async fn open(&mut self) -> Result<(), Failure> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            self.sender = Some(self.endpoint.connect().await?);
        }
        Ok(())
    }

    /// An operation of DynamoDB.
    pub async fn call(&mut self, operation: &str, body: impl Into<Bytes>) -> Result<Bytes, Failure> {
        self.operation(DYNAMODB, operation, body.into()).await
    }

    /// An operation of the API whose target begins so.
    pub async fn operation(&mut self, api: &str, operation: &str, body: Bytes) -> Result<Bytes, Failure> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.0"));
        let target = HeaderValue::try_from(format!("{api}.{operation}")).expect("operations are words");
        headers.insert(HeaderName::from_static("x-amz-target"), target);
        let endpoint = self.endpoint.clone();
        self.send(&endpoint.dynamodb, Method::POST, "/", headers, body).await
    }

    /// A call of the Lambda API.
    pub async fn lambda(
        &mut self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let endpoint = self.endpoint.clone();
        self.send(&endpoint.lambda, method, path, headers, body).await
    }

    /// A question to Tradewind itself, beside DynamoDB's API.
    pub async fn ask(&mut self, path: &str, question: &serde_json::Value) -> Result<Bytes, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let (method, body) = match question {
            serde_json::Value::Null => (Method::GET, Bytes::new()),
            question => (Method::POST, Bytes::from(question.to_string())),
        };
        let endpoint = self.endpoint.clone();
        self.send(&endpoint.dynamodb, method, path, headers, body).await
    }

    async fn send(
        &mut self,
        signer: &Signer,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        self.open().await?;
        headers.insert(http::header::HOST, self.endpoint.authority.clone());
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let signed =
            tradewind_iam::Request { method: method.as_str(), path, query, headers: &headers, body: &body };
        let signature = signer.sign(&signed, chrono::Utc::now().timestamp());
        signature.map_err(|error| Failure::not_done(&error.to_string()))?.apply(&mut headers);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| Failure::not_done("no path"))?;
        *request.headers_mut() = headers;
        let answered = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        let outcome = answered.unwrap_or_else(|_| Err(Failure::unknown("timeout")));
        if outcome.as_ref().is_err_and(|failure| !failure.not_done) {
            // An answer that comes late must not be taken for that of the next call.
            self.sender = None;
        }
        outcome
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Bytes, Failure> {
        let sender = self.sender.as_mut().expect("opened before");
        let lost = |_: hyper::Error| Failure::unknown("connection lost");
        // A closed connection takes no request; one that closes later leaves it open whether the request arrived.
        if sender.ready().await.is_err() {
            self.sender = None;
            return Err(Failure::not_done("connection closed"));
        }
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(lost)?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(Failure::answered(status, &body)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn refusals_go_by_their_short_names_and_changed_nothing() {
        let body = br#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no"}"#;
        let failure = Failure::answered(StatusCode::BAD_REQUEST, body);
        assert_eq!((&failure.kind[..], failure.not_done), ("ConditionalCheckFailedException", true));
    }

    #[test]
    fn the_outcome_of_a_server_error_is_not_known() {
        let failure = Failure::answered(StatusCode::INTERNAL_SERVER_ERROR, b"");
        assert_eq!((&failure.kind[..], failure.not_done), ("HTTP 500", false));
    }

    #[test]
    fn transactions_that_met_another_are_told_apart() {
        let body =
            br#"{"__type":"x#TransactionCanceledException","Message":"... [None, TransactionConflict]"}"#;
        assert_eq!(Failure::answered(StatusCode::BAD_REQUEST, body).kind, "TransactionConflict");
    }
}
