//! What Lambda has no operation for: logs, history, failed batches, pausing, replaying, numbers. For `tradewind function`.
//!
//! ```text
//! GET    /2026-11-01/functions/NAME/logs?Position=N&Last=BYTES&WaitSeconds=S
//! GET    /2026-11-01/functions/NAME/invocations?MaxItems=N&Failed=true      newest first, without bodies
//! GET    /2026-11-01/functions/NAME/invocations/REQUEST_ID
//! GET    /2026-11-01/functions/NAME/failed                                  oldest first, without records
//! GET    /2026-11-01/functions/NAME/failed/ID
//! DELETE /2026-11-01/functions/NAME/failed/ID
//! POST   /2026-11-01/functions/NAME/failed/ID/replay                        runs it; gone from the log if that succeeds
//! GET    /2026-11-01/event-source-mappings/UUID/progress
//! POST   /2026-11-01/event-source-mappings/UUID/pause                       {"Reason": "…"}
//! POST   /2026-11-01/event-source-mappings/UUID/resume
//! POST   /2026-11-01/event-source-mappings/UUID/replay                      {"From", "To", "Shard", "DryRun"}
//! GET    /2026-11-01/metrics
//! GET    /2026-11-01/nodes                                                  those that run functions, where there are several
//! ```
//!
//! Logs, history and numbers are those of the process that answers; where a region has several, the header
//! `x-tradewind-node` says which (`services/storage/src/node/functions.rs`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_engine::Documents;
use uuid::Uuid;

use super::functions::page_size;
use super::{Answer, ApiError, LambdaApi, Request, Response, parse, path};
use crate::catalogue::Mapping;
use crate::catalogue::mapping::{Knobs, StartingPosition};
use crate::history::{Entry, Shown};
use crate::invoke::{Invocation, Invoker};
use crate::mapping::checkpoint::Checkpoints;
use crate::mapping::failed::Header;
use crate::mapping::replay::{Place, ReplayError, Wish, count, plan};
use crate::mapping::source::ShardSource;
use crate::metrics::Kind;

/// The version in the paths of what is not Lambda's.
pub const VERSION: &str = "2026-11-01";
/// The longest a reader of a log waits for more: less than what a process has to drain.
const MAX_WAIT: Duration = Duration::from_secs(5);
const MAX_LISTED: usize = 1000;
/// How long a stream keeps its records.
const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Pause {
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Replay {
    from: Option<String>,
    to: Option<String>,
    shard: Option<String>,
    dry_run: bool,
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn tools(&self, request: Request<'_>, parts: &[&str]) -> Answer {
        match (request.method, parts) {
            ("GET", ["functions", name, "logs"]) => self.logs(request, name).await,
            ("GET", ["functions", name, "invocations"]) => self.invocations(request, name).await,
            ("GET", ["functions", name, "invocations", id]) => self.invocation(request, name, id).await,
            ("GET", ["functions", name, "failed"]) => self.failed_batches(request, name).await,
            ("GET", ["functions", name, "failed", id]) => self.failed_batch(request, name, id).await,
            ("DELETE", ["functions", name, "failed", id]) => self.drop_failed(request, name, id).await,
            ("POST", ["functions", name, "failed", id, "replay"]) => {
                self.replay_failed(request, name, id).await
            }
            ("GET", ["event-source-mappings", uuid, "progress"]) => self.progress(uuid).await,
            ("POST", ["event-source-mappings", uuid, "pause"]) => self.pause(request, uuid).await,
            ("POST", ["event-source-mappings", uuid, "resume"]) => self.resume(uuid).await,
            ("POST", ["event-source-mappings", uuid, "replay"]) => self.replay(request, uuid).await,
            ("GET", ["metrics"]) => Ok(self.metrics()),
            // One process is all there is, unless whoever stands before it knows of more.
            ("GET", ["nodes"]) => Ok(Response::json(200, &json!({ "Nodes": [] }))),
            _ => Err(ApiError::unsupported(request.method, request.path)),
        }
    }

    async fn logs(&self, request: Request<'_>, name: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        let log = self.journal.page(&function).log.clone();
        let mut grown = log.subscribe();
        let last = number(&request, "Last")?.unwrap_or(64 * 1024);
        let position = number(&request, "Position")?.unwrap_or_else(|| log.position_before_end(last));
        let wait = Duration::from_secs(number(&request, "WaitSeconds")?.unwrap_or(0)).min(MAX_WAIT);
        // A position of a former process: its log is gone.
        let end = *grown.borrow_and_update();
        let position = if position > end { 0 } else { position };
        let mut piece = log.read(position);
        if piece.bytes.is_empty() && !wait.is_zero() {
            let _ = tokio::time::timeout(wait, grown.changed()).await;
            piece = log.read(position);
        }
        let body = json!({ "Start": piece.start, "End": piece.end(), "Log": BASE64.encode(&piece.bytes) });
        Ok(Response::json(200, &body))
    }

    async fn invocations(&self, request: Request<'_>, name: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        let limit = page_size(&request, 10_000, MAX_LISTED)?;
        let only_failed = path::value(request.query, "Failed").as_deref() == Some("true");
        let entries = self.journal.page(&function).history.newest(limit, only_failed, (self.clock)());
        let shown: Vec<_> = entries.iter().map(summary).collect();
        Ok(Response::json(200, &json!({ "Invocations": shown })))
    }

    async fn invocation(&self, request: Request<'_>, name: &str, id: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        let found = Uuid::parse_str(id).ok().and_then(|id| self.journal.page(&function).history.find(id));
        let entry = found
            .ok_or_else(|| ApiError::not_found(format!("No invocation {id} of {function} is kept here")))?;
        let mut shown = summary(&entry);
        shown["Input"] = body(&entry.input);
        shown["Output"] = body(&entry.output);
        shown["Log"] = json!(String::from_utf8_lossy(&entry.log_tail));
        Ok(Response::json(200, &shown))
    }

    async fn failed_batches(&self, request: Request<'_>, name: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        let limit = page_size(&request, 10_000, MAX_LISTED)?;
        let kept = self.failed.list(&function).await?;
        let shown: Vec<_> = kept.iter().take(limit).map(|(id, header)| failed_header(id, header)).collect();
        Ok(Response::json(200, &json!({ "FailedBatches": shown, "Count": kept.len() })))
    }

    async fn failed_batch(&self, request: Request<'_>, name: &str, id: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        let (header, batch) = self.failed.read(&function, id).await?.ok_or_else(|| no_batch(id))?;
        let mut shown = failed_header(id, &header);
        shown["Event"] = serde_json::from_str(batch.payload.get()).unwrap_or_default();
        Ok(Response::json(200, &shown))
    }

    async fn drop_failed(&self, request: Request<'_>, name: &str, id: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        match self.failed.remove(&function, id).await? {
            true => Ok(Response::empty(204)),
            false => Err(no_batch(id)),
        }
    }

    /// Runs a failed batch once more, out of order: what came after it has long been seen.
    async fn replay_failed(&self, request: Request<'_>, name: &str, id: &str) -> Answer {
        let function = self.find(&request, name).await?.name;
        let (header, batch) = self.failed.read(&function, id).await?.ok_or_else(|| no_batch(id))?;
        let mut invocation = Invocation::new(&function, batch.payload.get().to_owned().into());
        invocation.cause.attempt = header.record.request.approximate_invoke_count.saturating_add(1);
        let request_id = invocation.request_id;
        let outcome = self.invoker.invoke(invocation).await.map_err(super::invocations::refused)?;
        if outcome.function_error.is_none() {
            self.failed.remove(&function, id).await?;
        }
        let shown = json!({
            "Id": id,
            "RequestId": request_id,
            "FunctionError": outcome.function_error.map(|error| error.as_str()),
            "Output": body(&Shown::of(&outcome.payload)),
        });
        Ok(Response::json(200, &shown))
    }

    async fn progress(&self, uuid: &str) -> Answer {
        let mapping = self.mapping_of(uuid).await?;
        let mut shown = self.show(&mapping).await?;
        let (shards, kept_until_ms) = self.shards_of(&mapping).await?;
        let mappings = self.catalogue.mappings().await?;
        let is_replay =
            |other: &&Mapping| other.replay.as_ref().is_some_and(|replay| replay.of == mapping.uuid);
        let replays: Vec<_> = mappings.iter().filter(is_replay).map(|replay| json!(replay.uuid)).collect();
        shown["Shards"] = json!(shards);
        shown["KeptUntil"] = json!(kept_until_ms);
        shown["Replays"] = json!(replays);
        Ok(Response::json(200, &shown))
    }

    /// Each shard with where the mapping stands in it, and until when the log keeps the oldest record that waits.
    async fn shards_of(&self, mapping: &Mapping) -> Result<(Vec<Value>, Option<u64>), ApiError> {
        let positions = Checkpoints::new(self.catalogue.documents().clone()).positions(&mapping.uuid).await;
        let positions = positions.map_err(|error| ApiError::service(error.to_string()))?;
        let unavailable = |error: crate::mapping::source::SourceError| ApiError::service(error.to_string());
        let (mut shown, mut oldest_ms) = (Vec::new(), None::<u64>);
        for shard in self.source.shards(&mapping.stream_arn).await.map_err(unavailable)? {
            let until = mapping.replay.as_ref().map(|replay| replay.until.get(&shard.shard_id).copied());
            let last = match until {
                Some(None) => continue,
                Some(Some(until)) => until,
                None => shard.last,
            };
            let standing = positions.get(&shard.shard_id);
            let start = mapping.start_after.get(&shard.shard_id).copied().unwrap_or_default();
            let after = standing.map_or(start, |standing| standing.position.sequence);
            let mut waiting_ms = None;
            if after < last && !standing.is_some_and(|standing| standing.finished) {
                let read = self.source.read(&mapping.stream_arn, &shard.shard_id, after, 1, 1).await;
                let first = read.map_err(unavailable)?.records.into_iter().next();
                waiting_ms =
                    first.filter(|record| record.sequence <= last).map(|record| record.approximate_time_ms);
            }
            oldest_ms = [oldest_ms, waiting_ms].into_iter().flatten().min();
            shown.push(json!({
                "ShardId": shard.shard_id,
                "After": after,
                "Last": last,
                "Closed": shard.closed,
                "Finished": standing.is_some_and(|standing| standing.finished),
                "Owner": standing.map(|standing| &standing.owner),
                "OldestWaiting": waiting_ms,
            }));
        }
        Ok((shown, oldest_ms.map(|oldest_ms| oldest_ms + RETENTION_MS)))
    }

    async fn pause(&self, request: Request<'_>, uuid: &str) -> Answer {
        let input: Pause = parse(&request)?;
        let reason = input.reason.unwrap_or_default();
        if reason.trim().is_empty() || reason.chars().count() > 256 {
            return Err(ApiError::invalid_parameter("Reason: 1 to 256 characters that say why"));
        }
        let paused = self.catalogue.pause_mapping(uuid, &reason, (self.clock)()).await?;
        paused.ok_or_else(super::mappings::not_found)?;
        self.progress(uuid).await
    }

    async fn resume(&self, uuid: &str) -> Answer {
        let edit = |mapping: &mut Mapping| {
            super::mappings::refuse_deleting(mapping, "update")?;
            if !mapping.enabled {
                mapping.transition = "Enabling".to_owned();
                mapping.generation += 1;
            }
            mapping.enabled = true;
            mapping.pause_reason = None;
            mapping.last_modified_ms = (self.clock)();
            Ok::<_, ApiError>(())
        };
        self.catalogue.update_mapping(uuid, edit).await?.ok_or_else(super::mappings::not_found)??;
        self.progress(uuid).await
    }

    async fn replay(&self, request: Request<'_>, uuid: &str) -> Answer {
        let input: Replay = parse(&request)?;
        let mapping = self.mapping_of(uuid).await?;
        let place = |name: &str, given: &Option<String>| {
            given.as_deref().map(|text| parse_place(name, text)).transpose()
        };
        let wish =
            Wish { from: place("From", &input.from)?, to: place("To", &input.to)?, shard: input.shard };
        let (start_after, replay) = plan(&*self.source, &mapping, &wish).await.map_err(refused)?;
        let region = tradewind_model::Region::new(&self.region)
            .map_err(|error| ApiError::service(error.to_string()))?;
        if input.dry_run {
            let count =
                count(&*self.source, &mapping, &start_after, &replay, region).await.map_err(refused)?;
            let shown = json!({
                "Records": count.records,
                "AtLeast": count.is_partial,
                "First": count.first_ms,
                "Last": count.last_ms,
                "Shards": replay.until.len(),
            });
            return Ok(Response::json(200, &shown));
        }
        let now_ms = (self.clock)();
        let repeated = Mapping {
            uuid: Uuid::new_v4().to_string(),
            stream_arn: mapping.stream_arn,
            function: mapping.function,
            enabled: true,
            starting_position: StartingPosition::TrimHorizon,
            start_after,
            // A tumbling window belongs to the mapping that opened it.
            knobs: Knobs { tumbling_window_s: 0, ..mapping.knobs },
            tags: Default::default(),
            deleting: false,
            generation: 1,
            transition: "Creating".to_owned(),
            pause_reason: None,
            replay: Some(replay),
            last_modified_ms: now_ms,
        };
        self.catalogue.create_mapping(&repeated).await?;
        Ok(Response::json(202, &self.show(&repeated).await?))
    }

    fn metrics(&self) -> Response {
        let samples = self.journal.metrics().snapshot((self.clock)());
        let shown: Vec<_> = samples
            .iter()
            .map(|sample| {
                json!({
                    "Name": sample.name,
                    "Kind": match sample.kind { Kind::Counter => "Counter", Kind::Gauge => "Gauge" },
                    "FunctionName": sample.function,
                    "EventSourceMappingUUID": sample.mapping,
                    "Value": sample.value,
                })
            })
            .collect();
        Response::json(200, &json!({ "Metrics": shown }))
    }

    async fn mapping_of(&self, uuid: &str) -> Result<Mapping, ApiError> {
        self.catalogue.mapping(uuid).await?.ok_or_else(super::mappings::not_found)
    }
}

fn refused(error: ReplayError) -> ApiError {
    match error {
        ReplayError::Refused(message) => ApiError::invalid_parameter(message),
        ReplayError::Source(error) => ApiError::service(error.to_string()),
    }
}

/// 21 digits are a sequence number, fewer are Unix seconds; else RFC 3339.
fn parse_place(name: &str, text: &str) -> Result<Place, ApiError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && text.len() >= 20 {
        return Ok(Place::Sequence(text.to_owned()));
    }
    let time_ms = match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e11).contains(&seconds) => Some((seconds * 1000.0) as u64),
        Ok(_) => None,
        Err(_) => chrono::DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|time| u64::try_from(time.timestamp_millis()).ok()),
    };
    let message = || {
        format!(
            "{name} is a time (2026-01-31T12:00:00Z or Unix seconds) or a sequence number of 21 digits: {text}"
        )
    };
    time_ms.map(Place::Time).ok_or_else(|| ApiError::invalid_parameter(message()))
}

fn number(request: &Request<'_>, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(given) = path::value(request.query, name) else { return Ok(None) };
    let parsed =
        given.parse().map_err(|_| ApiError::invalid_parameter(format!("{name} is not a number: {given}")));
    parsed.map(Some)
}

fn summary(entry: &Entry) -> Value {
    let batch = entry.cause.batch.as_ref().map(|batch| {
        json!({
            "Mapping": batch.mapping,
            "ShardId": batch.shard_id,
            "Records": batch.records,
            "First": batch.first_sequence,
            "Last": batch.last_sequence,
        })
    });
    json!({
        "RequestId": entry.request_id,
        "Started": entry.started_ms,
        "DurationMs": entry.duration.as_secs_f64() * 1000.0,
        "Attempt": entry.cause.attempt,
        "Asynchronous": entry.cause.is_event,
        "ColdStart": entry.cold_start,
        "Batch": batch,
        "Error": entry.error,
        "ErrorType": entry.error.as_ref().and_then(|_| error_type(&entry.output)),
        "InputBytes": entry.input.size,
        "OutputBytes": entry.output.size,
    })
}

fn error_type(output: &Shown) -> Option<String> {
    let object: Value = serde_json::from_slice(&output.bytes).ok()?;
    object["errorType"].as_str().map(str::to_owned)
}

/// JSON as itself, anything else as text; what was too large to keep as far as it was kept.
fn body(shown: &Shown) -> Value {
    match serde_json::from_slice(&shown.bytes) {
        Ok(value) => value,
        Err(_) => json!(String::from_utf8_lossy(&shown.bytes)),
    }
}

fn failed_header(id: &str, header: &Header) -> Value {
    let mut shown = serde_json::to_value(&header.record).unwrap_or_default();
    shown["Id"] = json!(id);
    shown["Mapping"] = json!(header.mapping);
    shown["Bytes"] = json!(header.bytes);
    shown["Error"] = header
        .error
        .as_ref()
        .map_or(Value::Null, |error| serde_json::from_str(error).unwrap_or_else(|_| json!(error)));
    shown
}

fn no_batch(id: &str) -> ApiError {
    ApiError::not_found(format!("No failed batch {id} is kept"))
}
