//! Publishes to Kafka what this node owns: the database says which partitions those are, the publisher does the rest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tradewind_changelog::Log;
use tradewind_changelog_kafka::{KafkaError, KafkaLog, Publisher, Settings, State, Topic, trim_bound};
use tradewind_database::table::document::TableDocument;
use tradewind_database::{Database, Outlet};
use tradewind_engine::{Documents, Engine, Error};
use tradewind_model::{Epoch, PartitionId, Region};
use tradewind_telemetry::metrics::{Sample, declared};

/// What did not succeed is tried again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What a dropped table still had to publish is given up after this.
const LEFTOVERS: Duration = Duration::from_secs(600);
/// A topic that lags this much is worth a word in `/ready`.
const LATE: Duration = Duration::from_secs(10);

pub struct Publishing<E: 'static> {
    database: Arc<Database<E>>,
    publisher: Publisher<E>,
}

impl<E: Engine + Documents> Publishing<E> {
    /// From here on the database's readers have its changes from Kafka. Must be called inside a Tokio runtime.
    pub fn start(settings: &Settings, database: &Arc<Database<E>>) -> Result<Publishing<E>, KafkaError> {
        let (engine, clock) = (database.engine().clone(), database.clock().clone());
        let clock = Arc::new(move || clock.now_ms());
        let publisher = Publisher::new(settings, engine.clone(), database.engine_log(), clock)?;
        let log = KafkaLog::new(settings, engine.clone())?;
        let region = database.region();
        let outlet = Topics { region, engine, publisher: publisher.clone(), log: log.clone() };
        database.publish_to(Log::new(log), Some(Arc::new(outlet)));
        Ok(Publishing { database: database.clone(), publisher })
    }

    /// Follows what this node owns, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut owned = self.database.watch_owned();
        let mut published = HashMap::new();
        loop {
            owned.mark_unchanged();
            self.look(&mut published).await;
            tokio::select! {
                _ = owned.changed() => (),
                () = tokio::time::sleep(LOOK_AGAIN) => (),
                () = stop.cancelled() => return,
            }
        }
    }

    /// What is on its way still arrives, within bounds, and how far it came is kept.
    pub async fn close(&self) {
        self.publisher.close().await;
    }

    /// What is published here, and since when it is not to be any more.
    async fn look(&self, published: &mut HashMap<PartitionId, Option<Instant>>) {
        let wanted = self.wanted().await;
        for (partition, (epoch, topic)) in &wanted {
            self.publisher.own(*partition, *epoch, topic.clone());
            published.insert(*partition, None);
        }
        let before: Vec<_> = published.keys().filter(|id| !wanted.contains_key(*id)).copied().collect();
        for partition in before {
            let since = *published.entry(partition).or_default().get_or_insert_with(Instant::now);
            // A dropped table's partitions have no owner any more, and their streams can still be read.
            let moved = self.database.table_of(partition.incarnation).is_some();
            if moved || since.elapsed() > LEFTOVERS || !self.is_behind(partition) {
                self.publisher.disown(partition).await;
                published.remove(&partition);
            }
        }
    }

    fn is_behind(&self, partition: PartitionId) -> bool {
        self.publisher.lag().iter().any(|lag| lag.partition == partition && lag.pending > 0)
    }

    /// The partitions that sit at this node and whose changes have readers.
    async fn wanted(&self) -> HashMap<PartitionId, (Epoch, Topic)> {
        let mut wanted = HashMap::new();
        for (table, position) in self.database.owned() {
            let document = table.document();
            if !document.is_logged() {
                continue;
            }
            // One that cannot be opened now is seen at the next look.
            if let Ok(owner) = table.owner(position).await {
                let topic = topic(self.database.region(), &document);
                wanted.insert(table.partition_id(position), (owner.state().epoch, topic));
            }
        }
        wanted
    }

    /// What is not published yet, by table.
    pub fn samples(&self, out: &mut Vec<Sample>) {
        let region = self.database.region();
        let mut tables: BTreeMap<String, (u64, Duration, u64)> = BTreeMap::new();
        for lag in self.publisher.lag() {
            let table = tables.entry(self.database.table_label(&lag.table)).or_default();
            table.0 += lag.pending;
            table.1 = table.1.max(lag.oldest);
            table.2 += u64::from(matches!(lag.state, State::Stalled(_) | State::Refused(_)));
        }
        for (table, (pending, oldest, stalled)) in tables {
            let labels = [region.as_str(), &table];
            out.push(Sample::new(&declared::PUBLISH_PENDING, &labels, pending as f64));
            out.push(Sample::new(&declared::PUBLISH_OLDEST, &labels, oldest.as_secs_f64()));
            out.push(Sample::new(&declared::PUBLISH_STALLED, &labels, stalled as f64));
        }
    }

    /// What operators should know of it.
    pub fn report(&self) -> Value {
        let lags = self.publisher.lag();
        let pending: u64 = lags.iter().map(|lag| lag.pending).sum();
        let oldest = lags.iter().map(|lag| lag.oldest).max().unwrap_or_default();
        let mut trouble: Vec<_> = lags
            .iter()
            .filter_map(|lag| match &lag.state {
                State::Stalled(reason) | State::Refused(reason) => Some(format!("{}: {reason}", lag.table)),
                _ => None,
            })
            .collect();
        trouble.sort();
        trouble.dedup();
        let status = match (trouble.is_empty(), oldest > LATE) {
            (false, _) => "stalled",
            (true, true) => "late",
            (true, false) => "ok",
        };
        json!({
            "status": status,
            "pending": pending,
            "oldestSeconds": oldest.as_secs(),
            "partitions": lags.len(),
            "trouble": trouble,
        })
    }
}

fn topic(region: Region, document: &TableDocument) -> Topic {
    Topic {
        region,
        table: document.name.clone(),
        incarnation: document.incarnation,
        // Numbers are given once, in order.
        partitions: document.partitions.iter().map(|range| range.number + 1).max().unwrap_or(1),
        keys: document.keys.clone(),
    }
}

/// The region's topics, as housekeeping sees them.
struct Topics<E: 'static> {
    region: Region,
    engine: Arc<E>,
    publisher: Publisher<E>,
    log: KafkaLog<E>,
}

impl<E: Engine + Documents> Outlet for Topics<E> {
    fn published_before(&self, partitions: Vec<PartitionId>) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(async move { trim_bound(&self.engine, &partitions).await })
    }

    fn remove(&self, table: Arc<TableDocument>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            for range in &table.partitions {
                self.log.forget(table.partition_id(range.number)).await;
            }
            let removed = self.publisher.remove(&topic(self.region, &table)).await;
            removed.map_err(|error| Error::Unavailable(error.to_string()))
        })
    }
}
