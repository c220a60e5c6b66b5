//! Three regions in one process, each with its own database on disk and its own replicator, as `tradewind dev` runs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tradewind_database::conflict::Conflict;
use tradewind_database::conflicts::Wanted;
use tradewind_database::table::document::ReplicaStatus;
use tradewind_database::{CATCH_UP_SHARE, Database, Regions, Settings};
use tradewind_engine::fjall::{self, FjallEngine};
use tradewind_engine::{Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Clock, Item, ItemKey, Region, StoredItem, SystemClock, Version};
use tradewind_replication::{Chaos, EVICT_AFTER, LocalPeer, Replicator, Share, Trouble};
use tradewind_wire::response::Answer;
use tradewind_wire::{ApiError, Operation, decode};

pub const NAMES: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
pub const TABLE: &str = "orders";
/// Far more than anything here takes; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

pub type Store = FjallEngine;

struct Known;

impl Regions for Known {
    fn ensure(&self, region: Region) -> bool {
        NAMES.contains(&region.as_str())
    }

    fn has_table(&self, _region: Region, _table: &str) -> bool {
        false
    }
}

/// One life of the process: dropping it ends every task and closes the databases.
pub struct Cluster {
    pub databases: Vec<Arc<Database<Store>>>,
    pub replicators: Vec<Arc<Replicator<Store, LocalPeer<Store>>>>,
    /// The second of the first region, where it has two.
    pub second: Option<Arc<Replicator<Store, LocalPeer<Store>>>>,
    pub chaos: Chaos,
    // Last, so that the tasks end after everything that only they would keep open.
    runtime: Runtime,
}

pub fn region(index: usize) -> Region {
    Region::new(NAMES[index]).expect("a valid name")
}

impl Cluster {
    pub fn open(dir: &Path) -> Cluster {
        Cluster::with_eviction(dir, EVICT_AFTER)
    }

    /// Regions that nobody has heard of for so long are evicted.
    pub fn with_eviction(dir: &Path, evict_after: Duration) -> Cluster {
        Cluster::build(dir, evict_after, Chaos::default(), false)
    }

    /// The first region has two replicators, which share its links; what is cut is so from the beginning.
    pub fn with_two_replicators(dir: &Path, chaos: Chaos) -> Cluster {
        Cluster::build(dir, EVICT_AFTER, chaos, true)
    }

    fn build(dir: &Path, evict_after: Duration, chaos: Chaos, two: bool) -> Cluster {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let open = |index| runtime.block_on(open(dir, index, runtime.handle().clone()));
        let databases: Vec<_> = (0..NAMES.len()).map(open).collect();
        let replicate = |here: usize, share: Share| {
            let replicator = Replicator::new(databases[here].clone()).evict_after(evict_after);
            let replicator = Arc::new(replicator.sharing(Arc::new(share)));
            for peer in (0..databases.len()).filter(|peer| *peer != here) {
                replicator.add_peer(LocalPeer::new(region(here), databases[peer].clone(), chaos.clone()));
            }
            runtime.spawn(replicator.clone().run());
            replicator
        };
        let share_of = |name: &str| {
            let share = Share::default();
            share.set(name, vec!["one".to_owned(), "two".to_owned()]);
            share
        };
        let first = |here| if two && here == 0 { share_of("one") } else { Share::default() };
        let replicators = (0..databases.len()).map(|here| replicate(here, first(here))).collect();
        let second = two.then(|| replicate(0, share_of("two")));
        databases.iter().for_each(|database| _ = runtime.spawn(database.clone().keep_house()));
        Cluster { databases, replicators, second, chaos, runtime }
    }

    /// Cuts or mends the way from one region to another.
    pub fn cut_way(&self, from: usize, to: usize, cut: bool) {
        self.chaos.set(region(from), region(to), Trouble { cut, ..Trouble::default() });
    }

    /// Cuts a region off from all others, or brings it back.
    pub fn cut_off(&self, of: usize, cut: bool) {
        for other in (0..NAMES.len()).filter(|other| *other != of) {
            self.cut_way(of, other, cut);
            self.cut_way(other, of, cut);
        }
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub async fn execute(
        &self,
        region: usize,
        operation: Operation,
        body: Value,
    ) -> Result<Answer, ApiError> {
        let request = decode(operation, &serde_json::to_vec(&body).expect("JSON"))?;
        self.databases[region].execute(request).await
    }

    pub async fn create_table(&self, region: usize) {
        let body = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        });
        self.execute(region, Operation::CreateTable, body).await.expect("the table is new");
    }

    /// Asks `region` for a change of the table's replicas.
    pub async fn update_replica(&self, region: usize, action: &str, of: usize) {
        let body = json!({"TableName": TABLE, "ReplicaUpdates": [{action: {"RegionName": NAMES[of]}}]});
        self.execute(region, Operation::UpdateTable, body).await.expect("the replica can be changed");
    }

    pub async fn add_replica(&self, region: usize, of: usize) {
        self.update_replica(region, "Create", of).await;
        self.until("the replica is active everywhere", async || {
            let active =
                (0..NAMES.len()).map(|index| self.replicas(index)).filter(|replicas| !replicas.is_empty());
            let told =
                active.filter(|replicas| replicas.get(&self::region(of)) == Some(&ReplicaStatus::Active));
            told.count() >= self.replicas(region).len()
        })
        .await;
    }

    /// Makes the table a global one of these regions, the first of which has it.
    pub async fn global_table(&self, regions: &[usize]) {
        self.create_table(regions[0]).await;
        for region in &regions[1..] {
            self.add_replica(regions[0], *region).await;
        }
    }

    /// What a region knows of the table's replicas; nothing where it has no such table.
    pub fn replicas(&self, region: usize) -> BTreeMap<Region, ReplicaStatus> {
        let Some(table) = self.databases[region].table(TABLE) else { return BTreeMap::new() };
        table.document().replicas.iter().map(|(region, replica)| (*region, replica.status)).collect()
    }

    pub async fn put(&self, region: usize, id: &str, value: &str) {
        let body = json!({"TableName": TABLE, "Item": {"id": {"S": id}, "v": {"S": value}}});
        self.execute(region, Operation::PutItem, body).await.expect("a put is done");
    }

    pub async fn delete(&self, region: usize, id: &str) {
        let body = json!({"TableName": TABLE, "Key": {"id": {"S": id}}});
        self.execute(region, Operation::DeleteItem, body).await.expect("a delete is done");
    }

    pub async fn get(&self, region: usize, id: &str) -> Option<String> {
        let body = json!({"TableName": TABLE, "Key": {"id": {"S": id}}, "ConsistentRead": true});
        match self.execute(region, Operation::GetItem, body).await {
            Ok(Answer::Get(output)) => output.item.map(|item| value_of(&item)),
            other => panic!("{other:?}"),
        }
    }

    /// The same where the region may not serve the table just now.
    pub async fn get_if_served(&self, region: usize, id: &str) -> Option<String> {
        let body = json!({"TableName": TABLE, "Key": {"id": {"S": id}}, "ConsistentRead": true});
        match self.execute(region, Operation::GetItem, body).await {
            Ok(Answer::Get(output)) => output.item.map(|item| value_of(&item)),
            _ => None,
        }
    }

    pub async fn conflicts(&self, region: usize) -> Vec<Conflict> {
        let listed = self.databases[region].conflicts(TABLE, &Wanted::default(), 1000).await;
        let listed = listed.expect("the conflict log can be read");
        listed.conflicts.into_iter().map(|(_, conflict)| conflict).collect()
    }

    /// The region's rows, tombstones included.
    pub async fn rows(&self, region: usize) -> BTreeMap<ItemKey, StoredItem> {
        let database = &self.databases[region];
        let Some(table) = database.table(TABLE) else { return BTreeMap::new() };
        let prefix = *table.document().incarnation.as_bytes();
        let end = after_prefix(&prefix);
        let mut rows = BTreeMap::new();
        let visited = database.engine().range(Space::Items, &prefix[..]..&end[..], false, |key, value| {
            rows.extend(ItemKey::from_stored(key).zip(StoredItem::decode(value)));
            true
        });
        visited.await.expect("rows can be read");
        rows
    }

    /// What reads of the region can see, with versions.
    pub async fn items(&self, region: usize) -> BTreeMap<ItemKey, (Version, Option<Item>)> {
        let rows = self.rows(region).await.into_iter().filter(|(_, row)| row.item.is_some());
        rows.map(|(key, row)| (key, (row.version, row.item))).collect()
    }

    pub async fn until_equal(&self, regions: &[usize]) {
        self.until("all regions are equal", async || {
            let first = self.items(regions[0]).await;
            for region in &regions[1..] {
                if self.items(*region).await != first {
                    return false;
                }
            }
            true
        })
        .await;
    }

    pub async fn until_no_tombstones(&self, regions: &[usize]) {
        self.until("no tombstone is left", async || {
            for region in regions {
                if self.rows(*region).await.values().any(|row| row.item.is_none()) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Waits for a condition, looking again and again.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < deadline, "in vain: until {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub fn value_of(item: &Item) -> String {
    let value = item.get("v").and_then(|value| value.as_str().map(str::to_owned));
    value.expect("every item of these tests has a value")
}

async fn open(dir: &Path, index: usize, runtime: tokio::runtime::Handle) -> Arc<Database<Store>> {
    let clock = Arc::new(SystemClock::new(true));
    let engine_clock = clock.clone();
    let settings = fjall::Settings::new(dir.join(NAMES[index]));
    let engine =
        FjallEngine::open(&settings, Arc::new(move || engine_clock.now_ms())).expect("the directory is ours");
    let settings =
        Settings { account: "000000000000".to_owned(), throttle: false, catch_up_share: CATCH_UP_SHARE };
    let data = Arc::from([runtime]);
    let database =
        Database::open(Arc::new(engine), clock, region(index), settings, Arc::new(Known), data).await;
    Arc::new(database.expect("the catalogue can be read"))
}
