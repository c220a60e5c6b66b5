//! Connections: accepted, served by HTTP/1.1 with keep-alive, and drained when the service stops.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tradewind_engine::{Documents, Engine};
use tradewind_wire::http::{MAX_BODY_BYTES, MAX_LAMBDA_BYTES, is_lambda_path};

use crate::dynamodb;
use crate::front::{Answered, Front, Guard, Region};
use crate::lambda;
use crate::silence::{Heard, Seen, Silence, Watch};

/// Headers of one request together. (DynamoDB answers 400 beyond it.)
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A client may take so long for its next request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// A client may be silent for so long in the middle of its body, and take so long for the whole of it.
const BODY_SILENCE: Duration = Duration::from_secs(20);
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// A client may take so long to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read beyond the largest body, so that the client sees the answer and not a reset.
const MAX_DRAIN_BYTES: usize = 3 * MAX_BODY_BYTES;

/// A bound port.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Binds the port, 0 for any free one.
    ///
    /// # Errors
    /// One line that names the address.
    pub async fn bind(address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let cause = match error.kind() {
                io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
                _ => error.to_string(),
            };
            io::Error::new(error.kind(), format!("cannot listen on {address}: {cause}"))
        })?;
        Ok(Server { listener, tls: None })
    }

    /// Speaks TLS, and nothing else.
    pub fn with_tls(self, tls: TlsAcceptor) -> Server {
        Server { tls: Some(tls), ..self }
    }

    pub fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }
}

/// Serves until `stop`, connections spread over the runtimes of `data`; requests that are under way are answered before
/// this returns.
pub async fn serve<E: Engine + Documents>(
    server: Server,
    front: Front<E>,
    data: Arc<[Handle]>,
    stop: CancellationToken,
) {
    let front = Arc::new(front);
    let connections = TaskTracker::new();
    let mut runtimes = data.iter().cycle();
    loop {
        let accepted = tokio::select! {
            accepted = server.listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (front, stop, tls) = (front.clone(), stop.clone(), server.tls.clone());
                let served = connections.track_future(async move {
                    // A socket belongs to the runtime on which it was made; it may be served on another.
                    match stream.into_std().and_then(TcpStream::from_std) {
                        Ok(stream) => welcome(stream, tls, front, stop).await,
                        Err(error) => tracing::warn!(%error, "a connection was lost"),
                    }
                });
                runtimes.next().expect("there is at least one runtime").spawn(served);
            }
            // Too many open files and the like: there is room again once connections end.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn welcome<E: Engine + Documents>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    front: Arc<Front<E>>,
    stop: CancellationToken,
) {
    // Answers are small and wait for nothing.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return connection(stream, front, stop).await };
    let agreed = tokio::select! {
        agreed = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)) => agreed,
        () = stop.cancelled() => return,
    };
    // Who does not agree on TLS is told so by TLS.
    if let Ok(Ok(stream)) = agreed {
        Box::pin(connection(stream, front, stop)).await;
    }
}

async fn connection<E: Engine + Documents>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    front: Arc<Front<E>>,
    stop: CancellationToken,
) {
    let silence = Silence::new();
    // In a box: hyper keeps room for a request's future as long as the connection lives, and most rest most of the time.
    let service = service_fn(|request| {
        let (front, under_way) = (&front, silence.request());
        Box::pin(async move {
            let answered = answer(front, request).await.map(Full::new);
            drop(under_way);
            Ok::<_, Infallible>(answered)
        })
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .max_buf_size(MAX_HEADER_BYTES * 4)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(Heard { stream, silence: &silence }), service)
    );
    let mut watch = Watch::new(&silence, HEADER_TIMEOUT, stop);
    let mut draining = false;
    poll_fn(|context| {
        // A client that goes away in the middle is its own affair.
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        match watch.look(context) {
            Seen::Silence => Poll::Ready(()),
            Seen::Stop if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
                connection.as_mut().poll(context).map(|_| ())
            }
            Seen::Stop | Seen::Nothing => Poll::Pending,
        }
    })
    .await;
}

async fn answer<E: Engine + Documents>(front: &Front<E>, request: http::Request<Incoming>) -> Answered {
    let (parts, body) = request.into_parts();
    let is_lambda = parts.uri.path() != "/" && is_lambda_path(parts.uri.path());
    let limit = if is_lambda { MAX_LAMBDA_BYTES } else { MAX_BODY_BYTES };
    let body = match read_in_time(body, limit).await {
        Some(Ok(body)) => body,
        Some(Err(_)) => return empty(StatusCode::BAD_REQUEST),
        // Answered before the body is read, the connection ends with the answer.
        None => return empty(StatusCode::REQUEST_TIMEOUT),
    };
    let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADER_BYTES || parts.uri.path().len() > MAX_HEADER_BYTES {
        return empty(StatusCode::BAD_REQUEST);
    }
    // DynamoDB has only this path.
    if parts.uri.path() == "/" {
        return dynamodb::answer(front, &parts, body).await;
    }
    let other = other_region(front, &parts).other;
    match (body, other.guard(parts.uri.path())) {
        (Some(body), Some(guard)) => match check(front, &parts, &body, guard) {
            Ok(()) => other.answer(&parts, body).await,
            Err(error) => forbidden(&error),
        },
        (None, Some(_)) if is_lambda => package_too_large(),
        (body, _) => dynamodb::answer(front, &parts, body).await,
    }
}

fn check<E: 'static>(
    front: &Front<E>,
    parts: &Parts,
    body: &[u8],
    guard: Guard,
) -> Result<(), tradewind_iam::Error> {
    let Guard::Signed(service) = guard else { return Ok(()) };
    let signed = tradewind_iam::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        body,
    };
    front.access.check(&signed, service).map(|_| ())
}

/// The refusal in the form of the REST services.
fn forbidden(error: &tradewind_iam::Error) -> Answered {
    let message = serde_json::json!({ "message": error.message() }).to_string();
    let mut response = http::Response::new(Bytes::from(message));
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-errortype", http::HeaderValue::from_static(error.code()));
    response
}

fn package_too_large() -> Answered {
    let message = format!("Request must be smaller than {MAX_LAMBDA_BYTES} bytes");
    lambda::error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", &message)
}

/// The region that the signature of a request names, if it has one.
fn other_region<E: 'static>(front: &Front<E>, parts: &Parts) -> Region<E> {
    let signed = tradewind_iam::shape(&parts.headers).ok();
    let named = signed.as_ref().map(|identity| &*identity.region).or(front.fixed.as_deref());
    named.and_then(|name| front.region(name)).unwrap_or_else(|| front.regions.first())
}

/// The whole body, or `None` if the client stops sending it. Most bodies are there already, and cost no timer.
async fn read_in_time(body: Incoming, limit: usize) -> Option<Result<Option<Bytes>, hyper::Error>> {
    let mut reading = std::pin::pin!(read(body, limit));
    match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        Poll::Ready(read) => read.transpose(),
        Poll::Pending => timeout(BODY_TIMEOUT, reading).await.ok().and_then(Result::transpose),
    }
}

/// The whole body; `None` inside if it is too large, and outside if the client falls silent.
async fn read(body: Incoming, limit: usize) -> Result<Option<Option<Bytes>>, hyper::Error> {
    let mut body = Limited::new(body, limit + MAX_DRAIN_BYTES);
    let mut first = None;
    let mut rest: Option<BytesMut> = None;
    let mut length = 0;
    loop {
        let frame = match next(&mut body).await {
            Some(Some(Ok(frame))) => frame,
            Some(None) => break,
            None => return Ok(None),
            Some(Some(Err(error))) if error.is::<LengthLimitError>() => return Ok(Some(None)),
            Some(Some(Err(error))) => {
                return Err(*error.downcast::<hyper::Error>().expect("the body's own error"));
            }
        };
        let Ok(piece) = frame.into_data() else { continue };
        length += piece.len();
        // A body beyond the bound is read and dropped.
        if length > limit {
            (first, rest) = (None, None);
            continue;
        }
        match (&first, &mut rest) {
            (None, None) => first = Some(piece),
            (_, Some(rest)) => rest.extend_from_slice(&piece),
            (Some(start), None) => {
                let mut joined = BytesMut::with_capacity(start.len() + piece.len());
                joined.extend_from_slice(start);
                joined.extend_from_slice(&piece);
                rest = Some(joined);
            }
        }
    }
    if length > limit {
        return Ok(Some(None));
    }
    Ok(Some(Some(rest.map(BytesMut::freeze).or(first).unwrap_or_default())))
}

type Piece<B> = Result<Frame<<B as Body>::Data>, <B as Body>::Error>;

/// The body's next piece, if there is one, or `None` once the client has been silent for too long.
async fn next<B: Body + Unpin>(body: &mut B) -> Option<Option<Piece<B>>> {
    match poll_fn(|context| Poll::Ready(Pin::new(&mut *body).poll_frame(context))).await {
        Poll::Ready(piece) => Some(piece),
        Poll::Pending => timeout(BODY_SILENCE, body.frame()).await.ok(),
    }
}

fn empty(status: StatusCode) -> Answered {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
