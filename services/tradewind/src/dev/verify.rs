//! Comparisons of a table between regions, which take seconds: begun by one request, asked after by others. All are JSON,
//! by POST.
//!
//! ```text
//! verify          { table, wait_ms?, limit? }     { comparison }
//! verify/status   { comparison }                  { progress, outcome? }     outcome: { equal, … } or { error }
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tradewind_database::digest::Standing;
use tradewind_model::{ItemRef, KeySchema};
use tradewind_replication::LocalPeer;
use tradewind_replication::verify::{Difference, Progress, Verified, Why, Wish};
use tradewind_wire::{ApiError, attribute_value};
use uuid::Uuid;

use super::global::read;
use super::region::{RegionProcess, Store};
use super::regions::RegionSet;

/// Comparisons that are remembered, the newest.
const REMEMBERED: usize = 16;
/// Comparisons that run at the same time.
const MAX_RUNNING: usize = 4;
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

/// The comparisons of a region.
#[derive(Default)]
pub struct Comparisons(Mutex<VecDeque<(Uuid, watch::Receiver<Comparison>)>>);

#[derive(Clone, Default)]
struct Comparison {
    progress: Progress,
    outcome: Option<Value>,
}

impl Comparisons {
    fn begin(&self) -> Result<(Uuid, watch::Sender<Comparison>), ApiError> {
        let mut known = self.0.lock().expect("no panic while held");
        let running = known.iter().filter(|(_, comparison)| comparison.borrow().outcome.is_none()).count();
        if running >= MAX_RUNNING {
            return Err(ApiError::validation(format!("{MAX_RUNNING} comparisons run already")));
        }
        let (id, (sender, receiver)) = (Uuid::new_v4(), watch::channel(Comparison::default()));
        known.push_back((id, receiver));
        if known.len() > REMEMBERED {
            known.pop_front();
        }
        Ok((id, sender))
    }

    fn get(&self, id: Uuid) -> Option<Comparison> {
        let known = self.0.lock().expect("no panic while held");
        known.iter().find(|(known, _)| *known == id).map(|(_, comparison)| comparison.borrow().clone())
    }
}

impl RegionProcess {
    pub fn verify(
        self: &Arc<Self>,
        regions: &RegionSet,
        order: &str,
        body: &[u8],
    ) -> Result<Value, ApiError> {
        match order {
            "" => self.begin_comparison(regions, read(body)?),
            "status" => self.comparison(&read(body)?),
            _ => Err(ApiError::resource_not_found("there is no such question about equality")),
        }
    }

    fn begin_comparison(self: &Arc<Self>, regions: &RegionSet, begin: Begin) -> Result<Value, ApiError> {
        let wait = Duration::from_millis(begin.wait_ms.min(MAX_WAIT_MS));
        let wish = Wish { table: begin.table, wait, limit: begin.limit.clamp(1, MAX_LIMIT) };
        let document = self.database.table(&wish.table).map(|table| table.document());
        let document =
            document.ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))?;
        let (id, comparison) = self.comparisons.begin()?;
        let (this, peers) = (self.clone(), self.undisturbed(regions));
        // Apart from the threads that answer requests.
        regions.background().spawn(async move {
            let progress = |progress| comparison.send_modify(|comparison| comparison.progress = progress);
            let outcome = match this.replicator.verify(&wish, Some(peers), progress).await {
                Ok(verified) => show(&wish.table, &document.keys, &verified),
                Err(error) => json!({ "error": error.to_string() }),
            };
            comparison.send_modify(|comparison| comparison.outcome = Some(outcome));
        });
        Ok(json!({ "comparison": id }))
    }

    /// The other regions as an operator sees them who goes there: whatever their links suffer.
    fn undisturbed(&self, regions: &RegionSet) -> Vec<Arc<LocalPeer<Store>>> {
        let here = self.database.region();
        let others = regions.all().into_iter().filter(|other| other.database.region() != here);
        others
            .map(|other| Arc::new(LocalPeer::new(here, other.database.clone(), Default::default())))
            .collect()
    }

    fn comparison(&self, status: &Status) -> Result<Value, ApiError> {
        let known = self.comparisons.get(status.comparison);
        let known =
            known.ok_or_else(|| ApiError::resource_not_found("there is no such comparison, or no more"))?;
        let Progress { percent, items, looked_at_again } = known.progress;
        Ok(json!({
            "progress": { "percent": percent, "items": items, "looked_at_again": looked_at_again },
            "outcome": known.outcome,
        }))
    }
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
