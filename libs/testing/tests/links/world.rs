//! Regions that reach each other through their link ports only, by mutual TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tradewind_database::table::document::ReplicaStatus;
use tradewind_database::{CATCH_UP_SHARE, Database, Regions, Settings};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_model::{Clock, Region, SystemClock};
use tradewind_replication::{RegionLinks, RemotePeer, Replicator};
use tradewind_rpc::{Destination, LinkAuthority, LinkServer, LinkTls, Links};
use tradewind_wire::response::Answer;
use tradewind_wire::{Operation, decode};

pub const TABLE: &str = "orders";
const PATIENCE: Duration = Duration::from_secs(60);

pub type Store = MemoryEngine;

struct Known;

impl Regions for Known {
    fn ensure(&self, _region: Region) -> bool {
        true
    }

    fn has_table(&self, _region: Region, _table: &str) -> bool {
        false
    }
}

/// One region: its database and the port that other regions reach it by.
pub struct Place {
    pub database: Arc<Database<Store>>,
    pub address: SocketAddr,
    tls: LinkTls,
    stop: CancellationToken,
}

pub fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

pub fn certificate(authority: &LinkAuthority, region: &str) -> LinkTls {
    authority.issue(region, vec!["127.0.0.1".to_owned()]).unwrap()
}

/// A port that answers by `links`, at a given address where one was there before.
pub async fn serve(
    links: Arc<dyn Links>,
    tls: &LinkTls,
    at: Option<SocketAddr>,
) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind(at.unwrap_or(([127, 0, 0, 1], 0).into())).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = LinkServer::new(listener, Some(tls)).unwrap();
    // Dropped, and not drained: as when its process dies.
    tokio::spawn(stop.clone().run_until_cancelled_owned(server.serve(links, CancellationToken::new())));
    (address, stop)
}

impl Place {
    pub async fn open(name: &str, authority: &LinkAuthority) -> Place {
        let clock = Arc::new(SystemClock::new(true));
        let engine_clock = clock.clone();
        let engine = MemoryEngine::open(&MemoryDisk::default(), Arc::new(move || engine_clock.now_ms()));
        let settings =
            Settings { account: "000000000000".to_owned(), throttle: false, catch_up_share: CATCH_UP_SHARE };
        let data = Arc::from([tokio::runtime::Handle::current()]);
        let database = Database::open(Arc::new(engine), clock, region(name), settings, Arc::new(Known), data);
        let database = Arc::new(database.await.unwrap());
        let tls = certificate(authority, name);
        let (address, stop) = serve(Arc::new(RegionLinks::new(database.clone())), &tls, None).await;
        Place { database, address, tls, stop }
    }

    pub fn destination(&self, tls: Option<LinkTls>) -> Destination {
        let scheme = if tls.is_some() { "https" } else { "http" };
        Destination { urls: vec![format!("{scheme}://{}", self.address).parse().unwrap()], tls }
    }

    /// This region, as `other` asks it.
    pub fn peer_of(&self, other: &Place) -> RemotePeer {
        let destination = self.destination(Some(other.tls.clone()));
        RemotePeer::new(other.database.region(), self.database.region(), &destination).unwrap()
    }

    pub fn tls(&self) -> LinkTls {
        self.tls.clone()
    }

    pub fn stop_port(&self) {
        self.stop.cancel();
    }

    /// Runs this region's links to the others.
    pub fn replicate(&self, others: &[&Place]) -> tokio::task::JoinHandle<()> {
        let replicator = Arc::new(Replicator::new(self.database.clone()));
        others.iter().for_each(|other| replicator.add_peer(other.peer_of(self)));
        tokio::spawn(replicator.run())
    }

    pub async fn execute(&self, operation: Operation, body: Value) -> Answer {
        let request = decode(operation, body.to_string().as_bytes()).unwrap();
        self.database.execute(request).await.unwrap()
    }

    pub async fn put(&self, id: &str, value: &str) {
        let item = json!({"id": {"S": id}, "v": {"S": value}});
        self.execute(Operation::PutItem, json!({ "TableName": TABLE, "Item": item })).await;
    }

    /// Every item's value by its key.
    pub async fn items(&self) -> BTreeMap<String, String> {
        let scan = json!({ "TableName": TABLE, "ConsistentRead": true });
        let Answer::Page(page) = self.execute(Operation::Scan, scan).await else { panic!("not a page") };
        let text = |item: &tradewind_model::Item, name| item.get(name).unwrap().as_str().unwrap().to_owned();
        page.items.iter().flatten().map(|item| (text(item, "id"), text(item, "v"))).collect()
    }

    pub async fn create_table(&self) {
        let body = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        });
        self.execute(Operation::CreateTable, body).await;
    }

    pub async fn change_replica(&self, action: &str, of: &Place) {
        let change = json!({action: {"RegionName": of.database.region()}});
        let body = json!({ "TableName": TABLE, "ReplicaUpdates": [change] });
        self.execute(Operation::UpdateTable, body).await;
    }

    pub fn is_active(&self, of: &Place) -> bool {
        let Some(table) = self.database.table(TABLE) else { return false };
        let document = table.document();
        let replica = document.replicas.get(&of.database.region());
        replica.is_some_and(|replica| replica.status == ReplicaStatus::Active)
    }
}

pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "in vain: until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A table with a replica in each of two regions, whose links do not run any more.
pub async fn two() -> (Place, Place) {
    let authority = LinkAuthority::make().unwrap();
    let (a, b) = (Place::open("a", &authority).await, Place::open("b", &authority).await);
    a.create_table().await;
    let links = [a.replicate(&[&b]), b.replicate(&[&a])];
    a.change_replica("Create", &b).await;
    until("both have the replica", async || a.is_active(&b) && b.is_active(&b)).await;
    links.iter().for_each(tokio::task::JoinHandle::abort);
    (a, b)
}
