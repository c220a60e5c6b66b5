//! What a region's database counts, and what it answers when somebody reads the numbers. Counting is a few additions to
//! handles that telemetry keeps; everything else is looked up only when it is asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tradewind_engine::{Documents, Engine, PartitionCommit, Space};
use tradewind_model::{ItemKey, KeySchema, Region};
use tradewind_telemetry::insights::{Contributor, hashed};
use tradewind_telemetry::metrics::{Outcome, RegionMeters, Sample, TableMeters, declared};
use tradewind_telemetry::trace::{self, Context, Span, SpanKind};
use tradewind_wire::attribute_value::render_item;
use tradewind_wire::error::Code;
use tradewind_wire::response::item::{Capacity, Units};
use tradewind_wire::{ApiError, Operation};

use crate::partition::arrival::Arrival;
use crate::partition::group::{Answer, Op, Written};
use crate::region::Database;
use crate::table::Table;
use crate::table::document::TableDocument;

/// Keys of a table that are shown as metrics.
const SHOWN_KEYS: usize = 5;

/// A table's partition keys that are used most.
pub struct HotKeys {
    pub table: String,
    /// Each with its key attributes as DynamoDB's JSON.
    pub keys: Vec<(String, Contributor)>,
}

impl<E: Engine + Documents> Database<E> {
    /// A client's request ended.
    pub fn count_request<T>(&self, operation: Operation, result: &Result<T, ApiError>, took: Duration) {
        let outcome = outcome(result.as_ref().err());
        self.shared.meters.request(operation as usize, operation.name(), outcome, took);
    }

    fn meters<T>(&self, table: &TableDocument, count: impl FnOnce(&TableMeters) -> T) -> T {
        of_table(&self.shared.meters, table, count)
    }

    pub(crate) fn count_used(&self, table: &TableDocument, used: &Capacity) {
        let (mut read, mut write) = (used.read, used.write);
        for Units { read: more_read, write: more_write } in
            used.local_indexes.values().chain(used.global_indexes.values())
        {
            read += more_read;
            write += more_write;
        }
        self.meters(table, |meters| {
            if read > 0.0 {
                meters.read_units.inc_by(read);
            }
            if write > 0.0 {
                meters.write_units.inc_by(write);
            }
        });
    }

    pub(crate) fn count_throttled(
        &self,
        table: &TableDocument,
        admitted: Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        if admitted.is_err() {
            self.meters(table, |meters| meters.throttled.inc());
        }
        admitted
    }

    /// A request is for items of this partition key.
    pub(crate) fn touch(&self, table: &TableDocument, partition_key: &[u8]) {
        self.meters(table, |meters| meters.keys.touch(partition_key));
    }

    /// What is known of the region now; with `plain_keys` hot keys are shown as they are.
    pub fn samples(&self, plain_keys: bool, out: &mut Vec<Sample>) {
        let region = self.region();
        let region = region.as_str();
        let tables = self.tables();
        let lives: Vec<u128> = tables.iter().map(|table| table.document().incarnation.0.as_u128()).collect();
        self.shared.meters.retain(|life| lives.contains(&life));
        let (mut owned, mut waiting) = (0, BTreeMap::<(String, String), i64>::new());
        let mut tombstones = BTreeMap::<String, i64>::new();
        for table in &tables {
            let document = table.document();
            let label = self.shared.meters.label(document.incarnation.0.as_u128(), &document.name);
            for owner in (0..table.partition_count()).filter_map(|position| table.running(position)) {
                owned += 1;
                let state = owner.state();
                *tombstones.entry(label.to_owned()).or_default() += state.tombstones;
                let waits_for = state.waits_for(&document, self.region()).filter(|_| state.tombstones > 0);
                if let Some(slow) = waits_for {
                    *waiting.entry((label.to_owned(), slow.to_string())).or_default() += state.tombstones;
                }
            }
        }
        out.push(Sample::new(&declared::TABLES, &[region], tables.len() as f64));
        out.push(Sample::new(&declared::PARTITIONS_OWNED, &[region], f64::from(owned)));
        for (table, count) in tombstones {
            out.push(Sample::new(&declared::TOMBSTONES, &[region, &table], count as f64));
        }
        for ((table, slow), count) in waiting {
            out.push(Sample::new(&declared::TOMBSTONES_WAITING, &[region, &table, &slow], count as f64));
        }
        for hot in self.hot_keys(SHOWN_KEYS) {
            for (shown, contributor) in hot.keys {
                let key = if plain_keys { shown } else { hashed(&contributor.key) };
                let labels = [region, &hot.table, &key];
                out.push(Sample::new(&declared::HOT_KEY, &labels, contributor.requests as f64));
            }
        }
    }

    /// The partition keys that are used most, by table, at most `limit` of each. Of tables that share their numbers
    /// nothing is said.
    pub fn hot_keys(&self, limit: usize) -> Vec<HotKeys> {
        let documents: BTreeMap<u128, _> = self
            .tables()
            .iter()
            .map(|table| table.document())
            .map(|document| (document.incarnation.0.as_u128(), document))
            .collect();
        let of = |(life, table, meters): (u128, String, std::sync::Arc<TableMeters>)| {
            let document = documents.get(&life)?;
            let shown = |contributor: Contributor| (key_json(document, &contributor.key), contributor);
            Some(HotKeys { table, keys: meters.keys.top(limit).into_iter().map(shown).collect() })
        };
        self.shared.meters.tables().into_iter().filter_map(of).collect()
    }

    /// The name under which a table's numbers are shown.
    pub fn table_label(&self, table: &str) -> String {
        match self.table(table) {
            Some(found) => {
                let life = found.document().incarnation.0.as_u128();
                self.shared.meters.label(life, table).to_owned()
            }
            None => table.to_owned(),
        }
    }
}

impl<E: Engine + Documents> Table<E> {
    /// A delete by TTL was answered.
    pub(crate) fn count_expired(&self, answer: &Answer) {
        if let Answer::Written(Ok(Written { old: Some(_), new: None, .. })) = answer {
            of_table(&self.shared().meters, &self.document(), |meters| meters.expired.inc());
        }
    }
}

/// A partition's commit under way.
pub(crate) struct Committed {
    began: Instant,
    operations: usize,
    conflicts: u64,
    /// Of the operations that are traced.
    _spans: Vec<Span>,
}

impl Committed {
    pub fn begin(commit: &PartitionCommit, table: &TableDocument, ops: &[Op]) -> Committed {
        let is_conflict = |row: &&tradewind_engine::Row| row.space == Space::Conflicts && row.value.is_some();
        let conflicts = commit.rows.iter().filter(is_conflict).count() as u64;
        let spans = if trace::is_on() { commit_spans(table, ops) } else { Vec::new() };
        Committed { began: Instant::now(), operations: ops.len(), conflicts, _spans: spans }
    }

    /// It is durable.
    pub fn count(self, meters: &RegionMeters, table: &TableDocument) {
        meters.commit(self.operations, self.began.elapsed());
        if self.conflicts > 0 {
            of_table(meters, table, |meters| meters.conflicts.inc_by(self.conflicts));
        }
    }
}

fn commit_spans(table: &TableDocument, ops: &[Op]) -> Vec<Span> {
    let traces = ops.iter().flat_map(Op::traces);
    let span = |context: Context| {
        let mut span = trace::child(&context, "commit", SpanKind::Internal)?;
        span.set("db.collection.name", table.name.clone());
        span.set("db.operation.batch.size", ops.len() as i64);
        Some(span)
    };
    traces.filter_map(span).collect()
}

/// Changes that arrive from another region: their spans, which end with what is done with them, and from here on the
/// changes are parts of those.
pub(crate) fn arriving(here: Region, table: &str, arrival: &mut Arrival) -> Vec<Span> {
    let mut spans = Vec::new();
    if !trace::is_on() {
        return spans;
    }
    let from = arrival.source.region;
    for (sequence, change) in &mut arrival.changes {
        let traced = change.trace.as_ref();
        let Some(mut span) =
            traced.and_then(|context| trace::child(context, format!("apply {table}"), SpanKind::Consumer))
        else {
            continue;
        };
        span.set("messaging.system", "tradewind");
        span.set("messaging.operation.type", "process");
        span.set("messaging.destination.name", table.to_owned());
        span.set("messaging.message.id", sequence.0.to_string());
        span.set("cloud.region", here.to_string());
        span.set("tradewind.source.region", from.to_string());
        change.trace = Some(span.context());
        spans.push(span);
    }
    spans
}

fn of_table<T>(meters: &RegionMeters, table: &TableDocument, count: impl FnOnce(&TableMeters) -> T) -> T {
    meters.table(table.incarnation.0.as_u128(), &table.name, count)
}

fn key_json(table: &TableDocument, partition_key: &[u8]) -> String {
    let hash_only = KeySchema { hash: table.keys.hash.clone(), range: None };
    let mut json = Vec::new();
    render_item(ItemKey::new(partition_key, b"").attributes(&hash_only).as_ref(), &mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn outcome(error: Option<&ApiError>) -> Outcome {
    let Some(error) = error else { return Outcome::Success };
    match error.code {
        Code::InternalServerError | Code::ServiceUnavailable => Outcome::SystemError,
        Code::ProvisionedThroughputExceeded | Code::Throttling | Code::RequestLimitExceeded => {
            Outcome::Throttled
        }
        Code::ConditionalCheckFailed => Outcome::ConditionFailed,
        Code::TransactionConflict => Outcome::TransactionConflict,
        Code::TransactionCanceled => canceled(error),
        _ => Outcome::UserError,
    }
}

/// A cancelled transaction counts by what cancelled it.
fn canceled(error: &ApiError) -> Outcome {
    let has = |code: &str| error.cancellation.iter().any(|reason| reason.code.as_deref() == Some(code));
    match () {
        () if has("TransactionConflict") => Outcome::TransactionConflict,
        () if has("ConditionalCheckFailed") => Outcome::ConditionFailed,
        () if has("ThrottlingError") || has("ProvisionedThroughputExceeded") => Outcome::Throttled,
        () => Outcome::UserError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_as_cloudwatch_names_them() {
        let of = |code| outcome(Some(&ApiError::new(code, "")));
        assert_eq!(outcome(None), Outcome::Success);
        assert_eq!(of(Code::Validation), Outcome::UserError);
        assert_eq!(of(Code::Throttling), Outcome::Throttled);
        assert_eq!(of(Code::ServiceUnavailable), Outcome::SystemError);
        let reason = |code: &'static str| tradewind_wire::error::CancellationReason {
            code: Some(code.into()),
            ..Default::default()
        };
        let canceled = ApiError {
            cancellation: vec![reason("None"), reason("ConditionalCheckFailed")],
            ..ApiError::new(Code::TransactionCanceled, "")
        };
        assert_eq!(outcome(Some(&canceled)), Outcome::ConditionFailed);
    }
}
