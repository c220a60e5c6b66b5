//! A region's links as numbers, by table and destination, and as spans of what is traced.
//!
//! A link that stands still never looks like one that has nothing to do: while changes wait, their age grows.

use std::collections::BTreeMap;

use tradewind_database::partition::arrival::Arrival;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;
use tradewind_telemetry::metrics::{Sample, declared};
use tradewind_telemetry::trace::{self, Span, SpanKind};

use crate::peer::Peer;
use crate::replicator::Replicator;
use crate::report::LinkReport;

/// Of the links from one table to one region.
#[derive(Default)]
struct Sum {
    pending: u64,
    latency_ms: Option<u64>,
    oldest_ms: u64,
}

impl Sum {
    fn add(&mut self, link: &LinkReport) {
        self.pending += link.pending;
        self.latency_ms = self.latency_ms.max(link.latency_ms);
        self.oldest_ms = self.oldest_ms.max(link.oldest_age_ms.unwrap_or_default());
    }
}

impl<E: Engine + Documents, P: Peer> Replicator<E, P> {
    /// Latency, backlog and state of every link.
    pub fn samples(&self, out: &mut Vec<Sample>) {
        let database = self.database();
        let here = database.region();
        let mut sums: BTreeMap<(String, Region), Sum> = BTreeMap::new();
        let mut states: BTreeMap<(Region, &str), u64> = BTreeMap::new();
        for link in self.status() {
            sums.entry((database.table_label(&link.table), link.to)).or_default().add(&link);
            *states.entry((link.to, link.state.name())).or_default() += 1;
        }
        for ((table, to), sum) in sums {
            let labels = [here.as_str(), &table, to.as_str()];
            out.push(Sample::new(&declared::PENDING_REPLICATION_COUNT, &labels, sum.pending as f64));
            out.push(Sample::new(&declared::OLDEST_UNREPLICATED, &labels, seconds(sum.oldest_ms)));
            if let Some(latency_ms) = sum.latency_ms {
                out.push(Sample::new(&declared::REPLICATION_LATENCY, &labels, seconds(latency_ms)));
            }
        }
        for ((to, state), count) in states {
            let labels = [here.as_str(), to.as_str(), state];
            out.push(Sample::new(&declared::LINKS, &labels, count as f64));
        }
    }
}

/// The spans of what goes to another region, which end with its answer; the changes that travel are parts of them.
pub(crate) fn sending(table: &str, to: Region, batch: &mut Arrival) -> Vec<Span> {
    let mut spans = Vec::new();
    if !trace::is_on() {
        return spans;
    }
    let from = batch.source.region;
    for (_, change) in &mut batch.changes {
        let traced = change.trace.as_ref();
        let Some(mut span) =
            traced.and_then(|context| trace::child(context, format!("send {table}"), SpanKind::Producer))
        else {
            continue;
        };
        span.set("messaging.system", "tradewind");
        span.set("messaging.operation.type", "send");
        span.set("messaging.destination.name", table.to_owned());
        span.set("cloud.region", from.to_string());
        span.set("tradewind.destination.region", to.to_string());
        change.trace = Some(span.context());
        spans.push(span);
    }
    spans
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
