//! The span of a request. (OpenTelemetry semantic conventions for DynamoDB, databases and HTTP.)

use std::borrow::Cow;
use std::future::Future;

use http::request::Parts;
use serde::Deserialize;
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine};
use tradewind_telemetry::trace::{self, Span, SpanKind};
use tradewind_wire::error::Code;
use tradewind_wire::{Answer, ApiError, Operation};

/// What of a request's body its span shows.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "TableName")]
    table: Option<Cow<'a, str>>,
}

/// The span of a request, if it is traced.
pub fn entry<E: Engine + Documents>(
    operation: Operation,
    database: &Database<E>,
    parts: &Parts,
    body: &[u8],
) -> Option<Span> {
    if !trace::is_on() {
        return None;
    }
    let traceparent = parts.headers.get("traceparent").and_then(|value| value.to_str().ok());
    let mut span = trace::entry(traceparent, operation.name(), SpanKind::Server)?;
    span.set("rpc.system", "aws-api");
    span.set("rpc.service", "DynamoDB");
    span.set("rpc.method", operation.name());
    span.set("db.system.name", "aws.dynamodb");
    span.set("db.operation.name", operation.name());
    span.set("cloud.region", database.region().to_string());
    span.set("http.request.method", "POST");
    span.set("url.path", "/");
    let named = serde_json::from_slice::<Named<'_>>(body).ok().and_then(|named| named.table);
    if let Some(table) = named.filter(|table| database.table(table).is_some()) {
        span.set("aws.dynamodb.table_names", trace::strings([&*table]));
        span.set("db.collection.name", table.into_owned());
    }
    Some(span)
}

/// Runs the request inside its span.
pub async fn traced(
    mut span: Span,
    performed: impl Future<Output = Result<Answer, ApiError>>,
) -> Result<Answer, ApiError> {
    let result = trace::within(Some(span.context()), performed).await;
    match &result {
        Ok(_) => span.set("http.response.status_code", 200),
        Err(error) => {
            let is_ours = matches!(error.code, Code::InternalServerError | Code::ServiceUnavailable);
            span.set("http.response.status_code", if is_ours { 500 } else { 400 });
            span.fail(format!("{:?}", error.code));
        }
    }
    result
}
