//! An invocation as a span: a part of the trace of the write that its batch begins with.

use tradewind_model::Region;
use tradewind_telemetry::trace::{self, Span, SpanKind};

use super::shard::Batch;
use crate::catalogue::Mapping;
use crate::invoke::{Invocation, InvokeError, Outcome};

/// The span of an invocation, if any record of its batch is traced; the function is told of it. Of several traces it is
/// part of the first.
pub(super) fn invoking(
    mapping: &Mapping,
    region: Region,
    batch: &Batch,
    invocation: &mut Invocation,
) -> Option<Span> {
    if !trace::is_on() {
        return None;
    }
    let first = batch.records.iter().find_map(|record| record.trace)?;
    let mut span = trace::child(&first, format!("process {}", mapping.function), SpanKind::Consumer)?;
    span.set("faas.trigger", "datasource");
    span.set("faas.invoked_name", mapping.function.clone());
    span.set("faas.invocation_id", invocation.request_id.to_string());
    span.set("messaging.system", "tradewind");
    span.set("messaging.operation.type", "process");
    span.set("messaging.batch.message_count", batch.records.len() as i64);
    span.set("cloud.region", region.to_string());
    let context = span.context();
    invocation.trace_id = Some(trace::xray(&context));
    invocation.trace = Some(context);
    Some(span)
}

/// How it went.
pub(super) fn invoked(span: Option<&mut Span>, result: &Result<Outcome, InvokeError>) {
    let Some(span) = span else { return };
    match result {
        Ok(outcome) => {
            span.set("faas.coldstart", outcome.cold_start);
            if let Some(error) = outcome.function_error {
                span.fail(error.as_str());
            }
        }
        Err(InvokeError::Throttled) => span.fail("throttled"),
        Err(_) => span.fail("not_run"),
    }
}
