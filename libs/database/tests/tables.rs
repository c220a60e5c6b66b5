//! Tables as requests, other regions and a failing disk meet them: what needs a whole database, and no more than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tradewind_database::partition::arrival::{Arrival, Arrived};
use tradewind_database::partition::state::Source;
use tradewind_database::table::document::{IndexStatus, Replica, TableDocument};
use tradewind_database::{CATCH_UP_SHARE, Database, Regions, Settings};
use tradewind_engine::faults::{Faults, Faulty, WriteFault};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_engine::{Engine, Space};
use tradewind_model::{
    Change, Clock, Hlc, Incarnation, ItemKey, Region, Sequence, SystemClock, Vector, Version,
};
use tradewind_wire::error::Code;
use tradewind_wire::response::Answer;
use tradewind_wire::{ApiError, Operation, decode};

/// Far more than anything here takes; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

struct AnyRegion;

impl Regions for AnyRegion {
    fn ensure(&self, _region: Region) -> bool {
        true
    }

    fn has_table(&self, _region: Region, _table: &str) -> bool {
        false
    }
}

type Store = Faulty<MemoryEngine>;

async fn open(region: &str, faults: &Faults) -> Arc<Database<Store>> {
    open_at(Arc::new(SystemClock::new(true)), region, faults).await
}

async fn open_at(clock: Arc<SystemClock>, region: &str, faults: &Faults) -> Arc<Database<Store>> {
    open_with(clock, region, faults, CATCH_UP_SHARE).await
}

async fn open_with(
    clock: Arc<SystemClock>,
    region: &str,
    faults: &Faults,
    catch_up_share: u8,
) -> Arc<Database<Store>> {
    let engine_clock = clock.clone();
    let engine = MemoryEngine::open(&MemoryDisk::default(), Arc::new(move || engine_clock.now_ms()));
    let engine = Arc::new(Faulty::new(engine, faults.clone()));
    let settings = Settings { account: "000000000000".to_owned(), throttle: false, catch_up_share };
    let data = Arc::new([tokio::runtime::Handle::current()]);
    let region = Region::new(region).expect("a valid name");
    Arc::new(
        Database::open(engine, clock, region, settings, Arc::new(AnyRegion), data)
            .await
            .expect("an empty disk opens"),
    )
}

async fn ask(database: &Database<Store>, operation: Operation, body: Value) -> Result<Answer, ApiError> {
    database.execute(decode(operation, body.to_string().as_bytes())?).await
}

async fn create(database: &Database<Store>) {
    let body = json!({
        "TableName": "orders",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    ask(database, Operation::CreateTable, body).await.expect("the table is new");
}

/// Puts an item that differs from every other: one that is put again as it is commits nothing.
async fn put(database: &Database<Store>, id: &str) -> Result<Answer, ApiError> {
    let put = uuid::Uuid::new_v4().to_string();
    let item = json!({"id": {"S": id}, "put": {"S": put}, "until": {"N": "1"}, "due": {"N": due()}});
    ask(database, Operation::PutItem, json!({"TableName": "orders", "Item": item})).await
}

/// Some seconds ago.
fn due() -> String {
    (SystemClock::new(true).now_ms() / 1000 - 10).to_string()
}

fn document(database: &Database<Store>) -> Arc<TableDocument> {
    database.table("orders").expect("it was made").document()
}

async fn until(claim: &str, holds: impl AsyncFn() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect(claim);
}

/// A table in `here` that `there` begins to join.
async fn joining() -> (Arc<Database<Store>>, Arc<Database<Store>>) {
    joining_with(CATCH_UP_SHARE).await
}

async fn joining_with(catch_up_share: u8) -> (Arc<Database<Store>>, Arc<Database<Store>>) {
    let clock = Arc::new(SystemClock::new(true));
    let here = open_with(clock, "us-east-1", &Faults::default(), catch_up_share).await;
    let there = open("eu-west-1", &Faults::default()).await;
    create(&here).await;
    let update = json!({"TableName": "orders", "ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]});
    ask(&here, Operation::UpdateTable, update).await.expect("a replica can be added");
    there.create_replica(&document(&here)).await.expect("it can be written").expect("the table is new there");
    (here, there)
}

fn source(of: &Database<Store>) -> Source {
    Source { region: of.region(), incarnation: document(of).incarnation, number: 0 }
}

fn heartbeat(source: Source) -> Arrival {
    Arrival {
        source,
        from: 0,
        to: 0,
        after: Sequence::ZERO,
        through: Sequence::ZERO,
        at: None,
        changes: Vec::new(),
        watermark: Hlc::ZERO,
        seen: Default::default(),
        generation: 0,
        term: 0,
    }
}

/// A request's future once had room for the largest operation of all, CreateTable and PartiQL among them, and was copied at that size
/// several times for each GetItem.
#[tokio::test]
async fn a_request_takes_little_room() {
    let database = open("us-east-1", &Faults::default()).await;
    let body = br#"{"TableName":"orders","Key":{"id":{"S":"a"}}}"#;
    let request = decode(Operation::GetItem, body).expect("a valid request");
    let bytes = size_of_val(&database.execute(request));
    assert!(bytes <= 6 * 1024, "{bytes} bytes");
}

/// The seeding region names the joiner before it tells it where links begin. A link that was quicker began at the start of
/// the log; the joiner then moved on to the pin, and kept a put whose delete lay in between.
#[tokio::test]
async fn a_joiner_takes_nothing_before_it_knows_where_links_begin() {
    let (here, there) = joining().await;
    put(&here, "a").await.unwrap();
    let source = source(&here);
    assert!(there.link_position("orders", source, 0, u64::MAX).await.is_err());
    assert!(there.arrive("orders", heartbeat(source)).await.is_err());
    there.begin_links("orders", here.pins("orders").await.unwrap()).await.unwrap();
    assert!(there.link_position("orders", source, 0, 0).await.is_ok());
    assert!(there.arrive("orders", heartbeat(source)).await.is_ok());
}

#[tokio::test]
async fn another_table_of_the_same_name_takes_nothing_and_stays() {
    let (here, there) = joining().await;
    there.begin_links("orders", here.pins("orders").await.unwrap()).await.unwrap();
    let stranger = Source { incarnation: Incarnation(uuid::Uuid::from_bytes([9; 16])), ..source(&here) };
    let refused = there.arrive("orders", heartbeat(stranger)).await.unwrap_err();
    assert_eq!(refused.code, Code::ResourceNotFound);

    there.drop_replica("orders").await.unwrap();
    create(&there).await;
    let refused = there.arrive("orders", heartbeat(source(&here))).await.unwrap_err();
    assert_eq!(refused.code, Code::ResourceNotFound);
    there.drop_replica("orders").await.unwrap();
    assert!(there.table("orders").is_some(), "it is no replica");
}

/// What was deleted in the other region a minute ago, in batches as a link sends them.
fn outage(source: Source, now_ms: u64, batches: u64, batch: u64) -> Vec<Arrival> {
    let change = |nth: u64| Change {
        version: Version { hlc: Hlc(Hlc::from_ms(now_ms - 60_000).0 + nth), origin: source.region },
        stable: Hlc::ZERO,
        vector: Vector::default(),
        key: ItemKey::new(format!("remote-{nth}").as_bytes(), b""),
        existed: true,
        exists: false,
        old: None,
        new: None,
        same: false,
        expired: false,
        request: None,
        trace: None,
    };
    let arrival = |first: u64| Arrival {
        to: u64::MAX,
        after: Sequence(first),
        through: Sequence(first + batch),
        changes: (first + 1..=first + batch).map(|nth| (Sequence(nth), change(nth))).collect(),
        ..heartbeat(source)
    };
    (0..batches).map(|nth| arrival(nth * batch)).collect()
}

/// Of all that a region commits while it catches up and 64 clients write, how much is catching up, by count.
async fn part_of_catching_up(catch_up_share: u8) -> f64 {
    const BATCHES: u64 = 10;
    const BATCH: u64 = 1000;
    let (here, there) = joining_with(catch_up_share).await;
    let replica = document(&there).replicas[&there.region()].clone();
    here.set_replica("orders", there.region(), Some(replica)).await.expect("it can be written");
    let written = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..64)
        .map(|nth| {
            let (here, written) = (here.clone(), written.clone());
            tokio::spawn(async move {
                loop {
                    put(&here, &format!("local-{nth}")).await.expect("it is written");
                    written.fetch_add(1, Ordering::Relaxed);
                    // The way to a client and back, in which the next batch is there already.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    until("clients write", async || written.load(Ordering::Relaxed) > 640).await;
    let before = written.load(Ordering::Relaxed);
    for arrival in outage(source(&there), here.clock().now_ms(), BATCHES, BATCH) {
        let through = arrival.through;
        let pushed = here.arrive("orders", arrival).await.expect("it is applied");
        assert_eq!(pushed.arrived, Arrived::Through { cursor: through });
    }
    let local = written.load(Ordering::Relaxed) - before;
    clients.iter().for_each(JoinHandle::abort);
    let remote = BATCHES * BATCH;
    remote as f64 / (remote + local) as f64
}

#[tokio::test]
async fn catching_up_takes_no_more_than_its_share_of_what_is_committed() {
    let part = part_of_catching_up(CATCH_UP_SHARE).await;
    assert!(part <= 0.31, "{part}");
    let unbounded = part_of_catching_up(100).await;
    assert!(unbounded > 0.5, "{unbounded}: nothing was bounded here");
}

/// An index was deleted and made again with other keys before the other region heard of either.
#[tokio::test]
async fn an_index_of_the_same_name_with_other_keys_is_another() {
    let (here, there) = joining().await;
    // Settings are taken only from a life of the table that each knows of the other.
    let replica = document(&there).replicas[&there.region()].clone();
    here.set_replica("orders", there.region(), Some(replica)).await.unwrap();
    let index = |attribute: &str| {
        json!({
            "TableName": "orders",
            "AttributeDefinitions": [{"AttributeName": attribute, "AttributeType": "S"}],
            "GlobalSecondaryIndexUpdates": [{"Create": {
                "IndexName": "by-place",
                "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }}],
        })
    };
    ask(&here, Operation::UpdateTable, index("customer")).await.unwrap();
    there.adopt(here.region(), &document(&here)).await.unwrap();
    let delete = json!({"TableName": "orders", "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-place"}}]});
    ask(&here, Operation::UpdateTable, delete).await.unwrap();
    ask(&here, Operation::UpdateTable, index("city")).await.unwrap();
    let before = document(&there).indexes[0].clone();
    there.adopt(here.region(), &document(&here)).await.unwrap();
    let after = document(&there).indexes[0].clone();
    assert_eq!(after.hash[0].name, "city");
    assert_eq!(after.status, IndexStatus::Backfilling);
    assert_ne!(after.id, before.id);
}

#[tokio::test]
async fn an_update_that_is_refused_changes_nothing() {
    let database = open("us-east-1", &Faults::default()).await;
    create(&database).await;
    let update = json!({
        "TableName": "orders",
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "none"}}],
    });
    assert!(ask(&database, Operation::UpdateTable, update).await.is_err());
    assert!(document(&database).stream().is_none());
}

#[tokio::test]
async fn a_stream_that_cannot_be_disabled_stays_enabled() {
    let faults = Faults::default();
    let database = open("us-east-1", &faults).await;
    create(&database).await;
    let stream = |specification: Value| json!({"TableName": "orders", "StreamSpecification": specification});
    let enable = stream(json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}));
    ask(&database, Operation::UpdateTable, enable).await.unwrap();
    faults.plan_documents([WriteFault::Refused]);
    let disable = stream(json!({"StreamEnabled": false}));
    assert!(ask(&database, Operation::UpdateTable, disable).await.is_err());
    assert!(document(&database).stream().is_some());
}

/// TTL goes by an attribute of which no item says that it is due, and then by one of which all do.
#[tokio::test]
async fn items_that_were_there_expire_by_a_ttl_that_is_switched() {
    let database = open("us-east-1", &Faults::default()).await;
    create(&database).await;
    put(&database, "a").await.unwrap();
    let house = tokio::spawn(database.clone().keep_house());
    let ttl = |attribute: &str, enabled: bool| {
        let specification = json!({"AttributeName": attribute, "Enabled": enabled});
        json!({"TableName": "orders", "TimeToLiveSpecification": specification})
    };
    ask(&database, Operation::UpdateTimeToLive, ttl("until", true)).await.unwrap();
    let noted = |attribute: &'static str| {
        let database = database.clone();
        async move || document(&database).settings.expiry_noted.as_deref() == Some(attribute)
    };
    until("the items are noted", noted("until")).await;
    ask(&database, Operation::UpdateTimeToLive, ttl("until", false)).await.unwrap();
    ask(&database, Operation::UpdateTimeToLive, ttl("due", true)).await.unwrap();
    until("the item is gone", async || {
        let get = json!({"TableName": "orders", "Key": {"id": {"S": "a"}}});
        matches!(ask(&database, Operation::GetItem, get).await, Ok(Answer::Get(got)) if got.item.is_none())
    })
    .await;
    house.abort();
}

/// The outcome of a commit is unknown and the partition cannot be opened again for a while: writes are told so, not kept
/// waiting.
#[tokio::test]
async fn a_partition_that_cannot_be_opened_refuses_writes() {
    let faults = Faults::default();
    let database = open("us-east-1", &faults).await;
    create(&database).await;
    put(&database, "a").await.unwrap();
    faults.plan_commits([WriteFault::RequestLost]);
    faults.plan_opens([WriteFault::Refused; 4]);
    let first = put(&database, "a").await.unwrap_err();
    assert_eq!(first.code, Code::InternalServerError);
    let refused =
        tokio::time::timeout(PATIENCE, put(&database, "a")).await.expect("it is answered").unwrap_err();
    assert_eq!(refused.code, Code::InternalServerError);
    until("it can be written again", async || put(&database, "a").await.is_ok()).await;
    assert!(faults.are_spent());
}

/// The owner remembers what it wrote, and neither a transaction that wrote in its place nor a commit of which it does not
/// know whether it happened makes that wrong.
#[tokio::test]
async fn a_count_is_right_whoever_wrote_and_whatever_the_owner_heard_of_it() {
    let faults = Faults::default();
    let database = open("us-east-1", &faults).await;
    create(&database).await;
    let add = |by: u32| {
        json!({
            "TableName": "orders",
            "Key": {"id": {"S": "a"}},
            "UpdateExpression": "ADD n :by",
            "ExpressionAttributeValues": {":by": {"N": by.to_string()}},
        })
    };
    let update = async |by| ask(&database, Operation::UpdateItem, add(by)).await.is_ok();
    let mut expected = 0;
    for (by, fault) in [(1, WriteFault::None), (10, WriteFault::AnswerLost), (100, WriteFault::RequestLost)] {
        faults.plan_commits([fault]);
        let acknowledged = update(by).await;
        expected += u32::from(acknowledged || fault == WriteFault::AnswerLost) * by;
        let transact = json!({"TransactItems": [{"Update": add(1000 * by)}]});
        ask(&database, Operation::TransactWriteItems, transact).await.expect("nothing is planned for it");
        assert!(update(by).await);
        expected += 1001 * by;
    }
    let get = json!({"TableName": "orders", "Key": {"id": {"S": "a"}}, "ConsistentRead": true});
    let answer = format!("{:?}", ask(&database, Operation::GetItem, get).await.unwrap());
    assert!(answer.contains(&expected.to_string()), "{expected}: {answer}");
}

/// The table goes while its first write opens a partition.
#[tokio::test]
async fn a_dropped_table_has_no_owner_left() {
    let database = open("us-east-1", &Faults::default()).await;
    create(&database).await;
    let table = database.table("orders").unwrap();
    let delete = ask(&database, Operation::DeleteTable, json!({"TableName": "orders"}));
    let (deleted, _) = tokio::join!(delete, put(&database, "a"));
    deleted.unwrap();
    for position in 0..table.partition_count() {
        match table.owner(position).await {
            Ok(owner) => assert!(!owner.is_running(), "its task has ended"),
            Err(error) => assert_eq!(error.code, Code::ResourceNotFound),
        }
    }
}

/// Two regions let a third and a fourth join at the same time: neither would hear of the other.
#[tokio::test]
async fn no_replica_is_added_while_another_region_adds_one() {
    let (here, _) = joining().await;
    let create =
        |region: &str| json!({"TableName": "orders", "ReplicaUpdates": [{"Create": {"RegionName": region}}]});
    ask(&here, Operation::UpdateTable, create("ap-southeast-1"))
        .await
        .expect("this region adds one after the other");
    let joiner = Region::new("eu-west-1").unwrap();
    let elsewhere = Replica { seen_to_by: Some(joiner), ..document(&here).replicas[&joiner].clone() };
    here.set_replica("orders", joiner, Some(elsewhere)).await.unwrap();
    let refused = ask(&here, Operation::UpdateTable, create("sa-east-1")).await.unwrap_err();
    assert_eq!(refused.code, Code::ResourceInUse);
}

#[tokio::test]
async fn a_token_is_known_for_ten_minutes_and_then_goes() {
    const MINUTE_MS: i64 = 60_000;
    let clock = Arc::new(SystemClock::new(true));
    let database = open_at(clock.clone(), "us-east-1", &Faults::default()).await;
    create(&database).await;
    let transact = async || {
        let put = json!({
            "TableName": "orders",
            "Item": {"id": {"S": "a"}},
            "ConditionExpression": "attribute_not_exists(id)",
        });
        let body = json!({"TransactItems": [{"Put": put}], "ClientRequestToken": "once"});
        ask(&database, Operation::TransactWriteItems, body).await.map(|_| ()).map_err(|error| error.code)
    };
    let tokens = async || {
        let mut count = 0;
        let count_one = |_: &[u8], _: &[u8]| {
            count += 1;
            true
        };
        database.engine().range(Space::Tokens, &[0][..]..&[255][..], false, count_one).await.unwrap();
        count
    };
    assert_eq!(transact().await, Ok(()));
    clock.set_skew_ms(9 * MINUTE_MS);
    assert_eq!(transact().await, Ok(()), "it was carried out before");
    assert_eq!(tokens().await, 1);
    clock.set_skew_ms(25 * MINUTE_MS);
    assert_eq!(transact().await, Err(Code::TransactionCanceled), "it is another request");
    let house = tokio::spawn(database.clone().keep_house());
    until("the token is gone", async || tokens().await == 0).await;
    house.abort();
}
