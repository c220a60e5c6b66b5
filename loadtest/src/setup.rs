//! Before and after the load: the table in every region, and its items.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::client::{Connection, Endpoint, Failure};
use crate::keys::{Key, Space};
use crate::ledger::LOADED;
use crate::load::Load;
use crate::perform::names_unprocessed;

/// A table, a replica or an index may take so long.
const PATIENCE: Duration = Duration::from_secs(120);
const BATCH: u64 = 25;
const BATCH_BYTES: u64 = 1_000_000;
/// Of each region.
const LOADERS: usize = 8;
const ATTEMPTS: u32 = 10;

/// Makes the table in the first region, and its replicas in the others.
pub async fn create_table(load: &Load, replace: bool) -> anyhow::Result<()> {
    let first = &load.endpoints[0];
    let mut connection = Connection::new(first.clone());
    let table = &load.items.table;
    if replace {
        delete_table(load).await?;
    }
    // Replication needs the stream.
    let stream = load.scenario.table.stream || load.endpoints.len() > 1;
    match connection.call("CreateTable", load.items.create_table(stream).to_string()).await {
        Ok(_) => (),
        Err(failure) if failure.kind == "ResourceInUseException" => {
            bail!("{table} exists in {}: choose another --table, or --replace it", first.region)
        }
        Err(failure) => bail!("{}: {failure}", first.url),
    }
    active(first, table).await?;
    for other in &load.endpoints[1..] {
        let body = json!({
            "TableName": table,
            "ReplicaUpdates": [{ "Create": { "RegionName": other.region } }],
        });
        let made = connection.call("UpdateTable", body.to_string()).await;
        made.with_context(|| format!("a replica in {}", other.region))?;
        active(first, table).await?;
        active(other, table).await?;
    }
    Ok(())
}

/// Waits until the table, its indexes and its replicas are there.
async fn active(endpoint: &Arc<Endpoint>, table: &str) -> anyhow::Result<()> {
    let mut connection = Connection::new(endpoint.clone());
    let began = Instant::now();
    loop {
        match describe(&mut connection, table).await {
            Ok(table) if is_active(&table) => return Ok(()),
            Err(failure) if failure.kind != "ResourceNotFoundException" => return Err(failure.into()),
            _ if began.elapsed() > PATIENCE => {
                bail!("{table} is not ACTIVE in {} after {} s", endpoint.region, PATIENCE.as_secs())
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn is_active(table: &Value) -> bool {
    let is = |value: &Value, name: &str| value[name].as_str().is_none_or(|status| status == "ACTIVE");
    let all = |parts: &Value, name: &str| {
        parts.as_array().is_none_or(|parts| parts.iter().all(|part| is(part, name)))
    };
    is(table, "TableStatus")
        && all(&table["Replicas"], "ReplicaStatus")
        && all(&table["GlobalSecondaryIndexes"], "IndexStatus")
}

pub async fn describe(connection: &mut Connection, table: &str) -> Result<Value, Failure> {
    let answer = connection.call("DescribeTable", json!({ "TableName": table }).to_string()).await?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(answer["Table"].clone())
}

/// Deletes the table in all regions, and waits until it is gone.
pub async fn delete_table(load: &Load) -> anyhow::Result<()> {
    let table = &load.items.table;
    let body = json!({ "TableName": table }).to_string();
    for endpoint in load.endpoints.iter().rev() {
        let mut connection = Connection::new(endpoint.clone());
        let began = Instant::now();
        loop {
            match connection.call("DeleteTable", body.clone()).await {
                Err(failure) if failure.kind == "ResourceNotFoundException" => break,
                Err(failure) if failure.kind != "ResourceInUseException" => {
                    bail!("{}: {failure}", endpoint.region)
                }
                _ if began.elapsed() > PATIENCE => bail!("{table} does not go away in {}", endpoint.region),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    Ok(())
}

/// Loads each region's own items from where it is up to `items` in all; `done` counts them.
pub async fn load_items(load: &Arc<Load>, items: u64, done: &Arc<AtomicU64>) -> anyhow::Result<()> {
    let regions = load.endpoints.len();
    let until = load.scenario.items_of_region(items, regions);
    let mut loaders = tokio::task::JoinSet::new();
    for region in 0..regions {
        let next = Arc::new(AtomicU64::new(load.population(region)));
        for _ in 0..LOADERS {
            loaders.spawn(load_region(load.clone(), region, next.clone(), until, done.clone()));
        }
    }
    while let Some(loaded) = loaders.join_next().await {
        loaded.context("a loader panicked")??;
    }
    (0..regions).for_each(|region| load.set_loaded(region, until));
    Ok(())
}

async fn load_region(
    load: Arc<Load>,
    region: usize,
    next: Arc<AtomicU64>,
    until: u64,
    done: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut connection = Connection::new(load.endpoints[region].clone());
    let batch = (BATCH_BYTES / load.scenario.item_bytes as u64).clamp(1, BATCH);
    let space = Space::Region(region as u8);
    loop {
        let from = next.fetch_add(batch, Ordering::Relaxed);
        if from >= until {
            return Ok(());
        }
        let indexes = from..until.min(from + batch);
        let writes: Vec<_> = indexes.map(|index| (Key { space, index }, LOADED)).collect();
        load_batch(&mut connection, &load.items.batch_write(&writes)).await?;
        done.fetch_add(writes.len() as u64, Ordering::Relaxed);
    }
}

async fn load_batch(connection: &mut Connection, body: &str) -> anyhow::Result<()> {
    let mut pause = Duration::from_millis(20);
    for attempt in 1..=ATTEMPTS {
        match connection.call("BatchWriteItem", body.to_owned()).await {
            Ok(answer) if !names_unprocessed(&answer) => return Ok(()),
            Err(failure) if attempt == ATTEMPTS => {
                return Err(failure).with_context(|| format!("loading {}", connection.endpoint().region));
            }
            _ => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
    bail!("{} leaves items unprocessed while they are loaded", connection.endpoint().region)
}
