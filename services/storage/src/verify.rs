//! Questions about comparisons of a table between regions, as the command line asks them: JSON, by POST.
//!
//! ```text
//! verify          { table, wait_ms?, limit? }     { comparison }
//! verify/status   { comparison }                  { progress, outcome? }     outcome: { equal, … } or { error }
//! ```

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_database::digest::Standing;
use tradewind_model::{ItemRef, KeySchema};
use tradewind_replication::Comparison;
use tradewind_replication::verify::{Difference, Progress, Verified, Why, Wish};
use tradewind_wire::{ApiError, attribute_value};
use uuid::Uuid;

const MAX_WAIT_MS: u64 = 600_000;
const MAX_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    table: String,
    #[serde(default = "default_wait_ms")]
    wait_ms: u64,
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_wait_ms() -> u64 {
    10_000
}

fn default_limit() -> usize {
    100
}

#[derive(Deserialize)]
struct Status {
    comparison: Uuid,
}

/// What is to be compared.
///
/// # Errors
/// What the question has wrong.
pub fn wish(body: &[u8]) -> Result<Wish, ApiError> {
    let begin: Begin =
        serde_json::from_slice(body).map_err(|error| ApiError::validation(error.to_string()))?;
    let wait = Duration::from_millis(begin.wait_ms.min(MAX_WAIT_MS));
    Ok(Wish { table: begin.table, wait, limit: begin.limit.clamp(1, MAX_LIMIT) })
}

/// Which comparison is asked after.
///
/// # Errors
/// What the question has wrong.
pub fn asked_after(body: &[u8]) -> Result<Uuid, ApiError> {
    let status: Result<Status, _> = serde_json::from_slice(body);
    status.map(|status| status.comparison).map_err(|error| ApiError::validation(error.to_string()))
}

/// The answer to a question after a comparison; `None`: it is not known.
///
/// # Errors
/// It is not known.
pub fn show_comparison(comparison: Option<&Comparison>) -> Result<Value, ApiError> {
    let unknown = || ApiError::resource_not_found("there is no such comparison, or no more");
    let Comparison { table, keys, progress, outcome } = comparison.ok_or_else(unknown)?;
    let Progress { percent, items, looked_at_again } = progress;
    Ok(json!({
        "progress": { "percent": percent, "items": items, "looked_at_again": looked_at_again },
        "outcome": outcome.as_ref().map(|outcome| match outcome {
            Ok(verified) => show(table, keys, verified),
            Err(error) => json!({ "error": error }),
        }),
    }))
}

fn show(table: &str, keys: &KeySchema, verified: &Verified) -> Value {
    let differences: Vec<_> = verified.differences.iter().map(|each| show_difference(each, keys)).collect();
    let behind = verified.behind.iter().map(|(region, of)| json!({ "region": region, "of": of }));
    json!({
        "table": table,
        "equal": verified.is_equal(),
        "regions": verified.regions,
        "items": verified.items,
        "differences": differences,
        "more": verified.more,
        "behind": behind.collect::<Vec<_>>(),
    })
}

fn show_difference(difference: &Difference, keys: &KeySchema) -> Value {
    let why = match difference.why {
        Why::Diverged => "diverged",
        Why::Behind => "behind",
        Why::Moving => "moving",
    };
    let standings =
        difference.standings.iter().map(|(region, standing)| (region.to_string(), stands(standing)));
    json!({
        "key": item(difference.key.attributes(keys).as_ref()),
        "why": why,
        "regions": standings.collect::<serde_json::Map<_, _>>(),
    })
}

/// `null`: the region has nothing, and remembers no delete.
fn stands(standing: &Option<Standing>) -> Value {
    let Some(Standing { version, item }) = standing else { return Value::Null };
    json!({
        "version": version.to_string(),
        "written_in": version.origin,
        "written_ms": version.hlc.ms(),
        "deleted": item.is_none(),
    })
}

fn item(stored: ItemRef<'_>) -> Value {
    let mut out = Vec::new();
    attribute_value::render_item(stored, &mut out);
    serde_json::from_slice(&out).unwrap_or_default()
}
