//! One request of DynamoDB, from its head and body to its answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine};
use tradewind_telemetry::trace;
use tradewind_wire::error::Code;
use tradewind_wire::http::{Admission, Envelope, Head, Reply, RequestId, admit, body, operation, too_large};
use tradewind_wire::{Answer, ApiError, Operation, Request, check_syntax, decode, encode, encode_error};

use crate::access::refused;
use crate::front::{Answered, Front};
use crate::session::Session;
use crate::spans;

/// Answers a request whose body has been read; `None`: it was too large to be.
pub async fn answer<E: Engine + Documents>(front: &Front<E>, parts: &Parts, sent: Option<Bytes>) -> Answered {
    let Some(sent) = sent else { return render(too_large()) };
    let id = RequestId::from_random(random());
    let head = head_of(parts);
    let region =
        || front.fixed.clone().unwrap_or_else(|| front.regions.first().database.region().to_string());
    let envelope = match admit(&head, !sent.is_empty(), region, id) {
        Admission::Answered(reply) => return render(reply),
        Admission::Call(envelope) => envelope,
    };
    let plain = match body::plain(head.content_encoding, &sent) {
        Ok(plain) => plain,
        Err(error) => {
            return match error.api_error() {
                Some(error) => fail(envelope, &error, id),
                None => render(too_large()),
            };
        }
    };
    match call(front, parts, &head, &sent, &plain).await {
        Ok((answer, headers)) => {
            let mut out = Vec::with_capacity(256);
            encode(&answer, &mut out);
            let mut response = render(envelope.seal(200, out, id));
            response.headers_mut().extend(headers);
            response
        }
        Err(error) => fail(envelope, &error, id),
    }
}

async fn call<E: Engine + Documents>(
    front: &Front<E>,
    parts: &Parts,
    head: &Head<'_>,
    sent: &[u8],
    plain: &[u8],
) -> Result<(Answer, Vec<(HeaderName, HeaderValue)>), ApiError> {
    let began = Instant::now();
    let operation = operation(head, plain)?;
    let signed = tradewind_iam::Request {
        method: head.method,
        path: head.path,
        query: parts.uri.query(),
        headers: &parts.headers,
        body: sent,
    };
    let identity = match front.access.check(&signed, "dynamodb") {
        Ok(identity) => identity,
        // A body that is no JSON is told before a signature that is none; that there is no body, only by decoding.
        Err(error) => {
            let syntax = if plain.is_empty() { Ok(()) } else { check_syntax(plain) };
            return Err(syntax.err().unwrap_or_else(|| refused(&error)));
        }
    };
    let database = front
        .database(&identity.region)
        .ok_or_else(|| refused(&tradewind_iam::Error::unserved_region(&identity.region)))?;
    let session = Session::read(&parts.headers)?;
    let result = match spans::entry(operation, &database, parts, plain) {
        None => perform(front, database.clone(), operation, plain, &session).await,
        Some(span) => {
            let performed = perform(front, database.clone(), operation, plain, &session);
            Box::pin(spans::traced(span, performed)).await
        }
    };
    database.count_request(operation, &result, began.elapsed());
    let answer = result?;
    let headers = session.end(&database, &answer).await;
    Ok((answer, headers))
}

async fn perform<E: Engine + Documents>(
    front: &Front<E>,
    database: Arc<Database<E>>,
    operation: Operation,
    plain: &[u8],
    session: &Session,
) -> Result<Answer, ApiError> {
    match decode(operation, plain)? {
        request if !front.claims_encryption && asks_for_encryption(&request) => Err(no_encryption()),
        Request::DescribeEndpoints => Ok(Answer::Endpoints(vec![front.address.clone()])),
        mut request => {
            session.begin(&database, &mut request).await?;
            let result = execute(database, operation, request).await;
            if let Err(error) = &result {
                log_fault(operation, error);
            }
            result
        }
    }
}

fn asks_for_encryption(request: &Request) -> bool {
    let encryption = match request {
        Request::CreateTable(create) => &create.encryption,
        Request::UpdateTable(update) => &update.encryption,
        _ => return false,
    };
    encryption.as_ref().is_some_and(|encryption| encryption.enabled)
}

fn no_encryption() -> ApiError {
    ApiError::validation(
        "One or more parameter values were invalid: SSESpecification is not supported here: tables are not encrypted \
         with keys of their own",
    )
}

/// A client that goes away takes its request's future with it. That must not leave the catalogue and its copy in memory
/// apart, or partitions held: what takes several steps goes on by itself.
async fn execute<E: Engine + Documents>(
    database: Arc<Database<E>>,
    operation: Operation,
    request: Request,
) -> Result<Answer, ApiError> {
    if !has_steps(operation) {
        return database.execute(request).await;
    }
    let running = trace::within(trace::current(), async move { database.execute(request).await });
    match tokio::spawn(running).await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(ApiError::unavailable("the service stops")),
    }
}

fn has_steps(operation: Operation) -> bool {
    use Operation::{
        CreateGlobalTable, CreateTable, DeleteTable, ExecuteTransaction, TagResource, TransactWriteItems,
        UntagResource, UpdateGlobalTable, UpdateGlobalTableSettings, UpdateTable, UpdateTimeToLive,
    };
    matches!(
        operation,
        CreateGlobalTable
            | CreateTable
            | DeleteTable
            | ExecuteTransaction
            | TagResource
            | TransactWriteItems
            | UntagResource
            | UpdateGlobalTable
            | UpdateGlobalTableSettings
            | UpdateTable
            | UpdateTimeToLive
    )
}

/// Faults of the server are logged here, once; errors of clients are theirs.
fn log_fault(operation: Operation, error: &ApiError) {
    if matches!(error.code, Code::InternalServerError | Code::ServiceUnavailable) {
        tracing::error!(operation = operation.name(), error = error.message, "a request failed");
    }
}

fn fail(envelope: Envelope, error: &ApiError, id: RequestId) -> Answered {
    let mut body = Vec::new();
    let status = encode_error(error, &mut body);
    render(envelope.seal(status, body, id))
}

fn render(reply: Reply) -> Answered {
    let mut response = http::Response::new(Bytes::from(reply.body));
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).expect("statuses are named in one place");
    for (name, value) in reply.headers {
        let value = match value {
            std::borrow::Cow::Borrowed(text) => Ok(HeaderValue::from_static(text)),
            std::borrow::Cow::Owned(text) => HeaderValue::try_from(text),
        };
        // What a client wrote into a header is echoed only if it can be one.
        if let (Ok(name), Ok(value)) = (header_name(name), value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The headers that every answer has are not parsed each time.
fn header_name(name: &'static str) -> Result<HeaderName, header::InvalidHeaderName> {
    match name {
        "x-amzn-RequestId" => Ok(const { HeaderName::from_static("x-amzn-requestid") }),
        "x-amz-crc32" => Ok(const { HeaderName::from_static("x-amz-crc32") }),
        "Content-Type" => Ok(header::CONTENT_TYPE),
        other => HeaderName::try_from(other),
    }
}

fn head_of(parts: &Parts) -> Head<'_> {
    // Names that are known before are found without being parsed.
    let header = |name: HeaderName| text(&parts.headers, &name);
    Head {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        content_type: header(header::CONTENT_TYPE),
        content_encoding: header(header::CONTENT_ENCODING),
        accept_encoding: header(header::ACCEPT_ENCODING),
        target: header(const { HeaderName::from_static("x-amz-target") }),
        origin: header(header::ORIGIN),
        requested_headers: header(header::ACCESS_CONTROL_REQUEST_HEADERS),
        requested_method: header(header::ACCESS_CONTROL_REQUEST_METHOD),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Request ids have to be different, not secret.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    fastrand::fill(&mut bytes);
    bytes
}
