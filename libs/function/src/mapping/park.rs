//! Batches that are given up: kept in the dead-letter log first, then sent to the mapping's destination if it has one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tradewind_engine::Documents;

use super::drive::Shared;
use super::failed::{BatchInfo, FailedBatch, FailureRecord, RequestContext, ResponseContext};
use super::metrics::MappingMetrics;
use super::payload;
use super::shard::{Batch, GivenUp};
use crate::invoke::{Invocation, Invoker, MAX_PAYLOAD};
use crate::lambda::destination_function;

/// How often a destination is tried; the batch is safe in the log whatever comes of it.
const DELIVERIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// The last answer of a lane.
#[derive(Clone, Default)]
pub struct LastAnswer {
    pub request_id: String,
    pub response: Option<ResponseContext>,
    pub error: Option<String>,
    pub invocations: u32,
}

/// Says whether the batch is safe.
pub async fn park<D: Documents, I: Invoker, S>(
    shared: &Arc<Shared<D, I, S>>,
    shard_id: &str,
    batch: &Batch,
    why: GivenUp,
    answer: LastAnswer,
) -> bool {
    let error = answer.error.clone();
    let Some(failed) = failed_batch(shared, shard_id, batch, why, answer) else { return true };
    let (mapping, count) = (&shared.mapping, batch.records.len());
    let kept =
        shared.failed.keep(mapping.function_name(), &mapping.uuid, &failed, error, (shared.clock)()).await;
    match kept {
        Ok(id) => {
            MappingMetrics::add(&shared.metrics.dropped_event_count, count);
            let condition = why.as_str();
            tracing::warn!(mapping = %mapping.uuid, shard = shard_id, condition, count, id, "a batch was given up and kept");
        }
        Err(error) => {
            tracing::error!(mapping = %mapping.uuid, %error, "keeping a failed batch");
            return false;
        }
    }
    if let Some(target) = mapping.knobs.on_failure.as_deref().and_then(destination_function) {
        deliver(shared, &target, &failed, count).await;
    }
    true
}

/// Invokes the destination with Lambda's record, the event as its payload where it fits.
async fn deliver<D, I: Invoker, S>(
    shared: &Shared<D, I, S>,
    target: &str,
    failed: &FailedBatch,
    count: usize,
) {
    let whole = serde_json::to_vec(failed).unwrap_or_default();
    let event = if whole.len() > MAX_PAYLOAD {
        serde_json::to_vec(&failed.record).unwrap_or_default()
    } else {
        whole
    };
    let event = Bytes::from(event);
    for attempt in 1..=DELIVERIES {
        let mut invocation = Invocation::new(target, event.clone());
        invocation.cause.attempt = attempt;
        let delivered = shared.invoker.invoke(invocation).await;
        if delivered.is_ok_and(|outcome| outcome.function_error.is_none()) {
            MappingMetrics::add(&shared.metrics.on_failure_destination_delivered_event_count, count);
            return;
        }
        tokio::time::sleep(PAUSE * attempt).await;
    }
    MappingMetrics::add(&shared.metrics.destination_delivery_failures, 1);
    tracing::warn!(mapping = %shared.mapping.uuid, target, "a failed batch did not reach its destination; it is kept");
}

fn failed_batch<D, I, S>(
    shared: &Shared<D, I, S>,
    shard_id: &str,
    batch: &Batch,
    why: GivenUp,
    answer: LastAnswer,
) -> Option<FailedBatch> {
    let (first, last) = (batch.records.first()?, batch.records.last()?);
    let Shared { mapping, region, account, clock, .. } = shared;
    let event = payload::event(batch, shard_id, &mapping.stream_arn);
    let payload = String::from_utf8(event.into()).ok().and_then(|text| RawValue::from_string(text).ok())?;
    let record = FailureRecord {
        request: RequestContext {
            request_id: answer.request_id,
            function_arn: format!("arn:aws:lambda:{region}:{account}:function:{}", mapping.function),
            condition: why.as_str().to_owned(),
            approximate_invoke_count: answer.invocations,
        },
        response: answer.response,
        version: "1.0".to_owned(),
        timestamp: payload::iso_millis(clock()),
        batch: BatchInfo {
            shard_id: shard_id.to_owned(),
            start_sequence_number: first.sequence_number.clone(),
            end_sequence_number: last.sequence_number.clone(),
            approximate_arrival_of_first_record: payload::iso_seconds(first.approximate_time_ms),
            approximate_arrival_of_last_record: payload::iso_seconds(last.approximate_time_ms),
            batch_size: batch.records.len(),
            stream_arn: mapping.stream_arn.clone(),
        },
    };
    Some(FailedBatch { record, payload })
}
