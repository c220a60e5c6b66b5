//! Placement, hand-over, requests in doubt, zombies, and the catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::{Change, Sequence};
use tradewind_wire::error::Code;
use tradewind_wire::response::Answer;
use tradewind_wire::{ApiError, Operation, decode};

use crate::network::{Fate, Three, three};
use crate::node::Store;

/// Longer than any request may wait.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn ask(store: &Store, operation: Operation, body: Value) -> Result<Answer, ApiError> {
    let request = decode(operation, body.to_string().as_bytes())?;
    timeout(PATIENCE, store.execute(request)).await.expect("a live node answers in time")
}

pub async fn create(store: &Store, name: &str, partitions: u64, stream: bool) -> Result<Answer, ApiError> {
    let mut body = json!({
        "TableName": name,
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": partitions * 1000},
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    if stream {
        body["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"});
    }
    ask(store, Operation::CreateTable, body).await
}

pub async fn put(store: &Store, id: &str, value: u64) -> Result<Answer, ApiError> {
    let item = json!({"id": {"S": id}, "n": {"N": value.to_string()}});
    ask(store, Operation::PutItem, json!({"TableName": "orders", "Item": item})).await
}

pub async fn add(store: &Store, id: &str) -> Result<Answer, ApiError> {
    let body = json!({
        "TableName": "orders",
        "Key": {"id": {"S": id}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValues": "UPDATED_NEW",
    });
    ask(store, Operation::UpdateItem, body).await
}

pub async fn number(store: &Store, id: &str) -> Option<i64> {
    let get = json!({"TableName": "orders", "Key": {"id": {"S": id}}, "ConsistentRead": true});
    match ask(store, Operation::GetItem, get).await.unwrap() {
        Answer::Get(got) => got.item?.get("n")?.as_number()?.trunc_i64(),
        other => panic!("a get answers as one, not {other:?}"),
    }
}

/// Every partition's log is whole: sequences follow each other without a gap up to the next. Answers all changes.
pub async fn gapless(store: &Store, name: &str) -> Vec<Change> {
    let table = store.table(name).unwrap();
    let mut all = Vec::new();
    for position in 0..table.partition_count() {
        let id = table.partition_id(position);
        let changes = store.engine().changes(id, Sequence::ZERO, usize::MAX, usize::MAX).await.unwrap();
        let sequences: Vec<_> = changes.iter().map(|(sequence, _)| sequence.0).collect();
        let next = store.engine().peek(id).await.unwrap().next;
        assert_eq!(sequences, (1..next.0).collect::<Vec<_>>(), "partition {position}");
        let decoded: Vec<_> = changes.iter().filter_map(|(_, bytes)| Change::decode(bytes)).collect();
        assert!(decoded.windows(2).all(|pair| pair[0].version < pair[1].version), "versions grow");
        all.extend(decoded);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn partitions_are_spread_evenly_and_every_node_takes_every_request() {
    let region = three().await;
    create(&region.stores[0], "orders", 64, false).await.unwrap();
    for at in 0..300u64 {
        put(&region.stores[at as usize % 3], &format!("item-{at}"), at).await.unwrap();
    }
    for at in 0..300u64 {
        let read = number(&region.stores[(at as usize + 1) % 3], &format!("item-{at}")).await;
        assert_eq!(read, Some(at as i64));
    }
    // Each partition's seat is drawn by a hash of its table's random id; with four tables a share outside of these bounds is
    // five deviations away from a third.
    for name in ["more", "still-more", "most"] {
        create(&region.stores[0], name, 64, false).await.unwrap();
    }
    let sits = |store: &Store| {
        ["orders", "more", "still-more", "most"]
            .iter()
            .map(|name| store.table(name).unwrap())
            .map(|table| (0..64).filter(|position| table.sits_here(*position)).count())
            .sum::<usize>()
    };
    let seats: Vec<_> = region.stores.iter().map(sits).collect();
    assert_eq!(seats.iter().sum::<usize>(), 256);
    assert!(seats.iter().all(|count| (48..=128).contains(count)), "{seats:?}");
    let owned = |store: &Store| store.owned().len();
    assert!(region.stores.iter().map(owned).sum::<usize>() >= 64);
    for store in &region.stores {
        let table = store.table("orders").unwrap();
        let running = (0..64).filter(|position| table.running(*position).is_some());
        assert!(running.into_iter().all(|position| table.sits_here(position)), "one owner each");
    }
}

/// Writers on all nodes while members come and go: nobody is told.
#[tokio::test(start_paused = true)]
async fn partitions_are_handed_over_under_load_without_an_error() {
    let region = Arc::new(three().await);
    create(&region.stores[0], "orders", 16, true).await.unwrap();
    let writers: Vec<_> = (0..8usize)
        .map(|writer| {
            let region = region.clone();
            tokio::spawn(async move {
                for at in 0..100u64 {
                    let store = &region.stores[writer % 3];
                    add(store, &format!("counter-{}", at % 10)).await.expect("nobody is told of a hand-over");
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            })
        })
        .collect();
    for members in [&[0, 1][..], &[0, 1, 2], &[1, 2], &[0, 1, 2], &[0, 2], &[0, 1, 2]] {
        tokio::time::sleep(Duration::from_millis(40)).await;
        // Who is no member keeps its lease here: it leaves as planned, and forwards.
        leave_as_planned(&region, members);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for counter in 0..10 {
        assert_eq!(number(&region.stores[0], &format!("counter-{counter}")).await, Some(80));
    }
    assert_eq!(gapless(&region.stores[1], "orders").await.len(), 800);
}

fn leave_as_planned(region: &Three, members: &[usize]) {
    region.network.set_members(members);
    region.network.keep_leases();
}

/// Whatever is lost on the way, and whoever dies: each ADD counts once.
#[tokio::test(start_paused = true)]
async fn an_add_whose_answer_is_lost_counts_once() {
    for fate in [Fate::RequestLost, Fate::AnswerLost, Fate::Late] {
        for stream in [true, false] {
            let region = three().await;
            create(&region.stores[0], "orders", 4, stream).await.unwrap();
            for at in 0..30u64 {
                region.network.plan([fate]);
                add(&region.stores[at as usize % 3], "counter")
                    .await
                    .expect("the owner lives, and remembers");
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(number(&region.stores[0], "counter").await, Some(30), "{fate:?}");
        }
    }
}

/// The log tells the new owner what the dead one has done. Without a log nobody knows, and the client is told so.
#[tokio::test(start_paused = true)]
async fn an_add_whose_owner_dies_after_its_commit_counts_once() {
    for stream in [true, false] {
        let (answer, counted) = add_while_the_owner_dies(stream, true).await;
        assert_eq!(counted, 3, "stream: {stream}, {answer:?}");
        match answer {
            Ok(new) if stream => assert_eq!(new, 3, "the answer is that of the write that was done"),
            Err(error) if !stream => assert_eq!(error.code, Code::InternalServerError),
            other => panic!("stream: {stream}, {other:?}"),
        }
    }
}

/// Who does not know the owner's epoch yet is told it by a first call, which does nothing; the owner dies in that one. With
/// a log it is known that nothing was done, and the write is done at the new owner. This was once taken for a lost write.
#[tokio::test(start_paused = true)]
async fn an_add_whose_owner_dies_before_it_did_anything_is_done_or_refused() {
    for stream in [true, false] {
        let (answer, counted) = add_while_the_owner_dies(stream, false).await;
        match answer {
            Ok(new) if stream => assert_eq!((new, counted), (3, 3)),
            Err(error) if !stream => {
                assert_eq!((error.code, counted), (Code::InternalServerError, 2));
            }
            other => panic!("stream: {stream}, {other:?}"),
        }
    }
}

/// Two ADDs, and a third through another node, whose call the owner does not survive. What the third was answered, and what
/// the counter is then. `known`: whether the other node knows under which epoch the owner takes operations.
async fn add_while_the_owner_dies(stream: bool, known: bool) -> (Result<i64, ApiError>, i64) {
    let region = three().await;
    create(&region.stores[0], "orders", 4, stream).await.unwrap();
    let owner = owner_of(&region, "counter");
    let other = (owner + 1) % 3;
    add(&region.stores[owner], "counter").await.unwrap();
    add(&region.stores[if known { other } else { owner }], "counter").await.unwrap();
    region.network.plan([Fate::OwnerDies]);
    let store = region.stores[other].clone();
    let adding = tokio::spawn(async move { add(&store, "counter").await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let left: Vec<_> = (0..3).filter(|at| *at != owner).collect();
    region.network.set_members(&left);
    let answer = adding.await.unwrap().map(|answer| match answer {
        Answer::Write(written) => {
            written.attributes.unwrap().get("n").unwrap().as_number().unwrap().trunc_i64().unwrap()
        }
        other => panic!("an update answers as one, not {other:?}"),
    });
    (answer, number(&region.stores[other], "counter").await.unwrap())
}

fn owner_of(region: &Three, id: &str) -> usize {
    let sits = |store: &Store| {
        let table = store.table("orders").unwrap();
        let key = tradewind_model::ItemKey::new(id.as_bytes(), b"");
        table.sits_here(table.position(key.hash()))
    };
    region.stores.iter().position(sits).expect("it sits somewhere")
}

/// Frozen between reading and committing, and woken when others have written: it writes nothing, and answers nothing it
/// remembers.
#[tokio::test(start_paused = true)]
async fn a_zombie_writes_nothing_and_answers_nothing_from_memory() {
    let region = three().await;
    create(&region.stores[0], "orders", 4, true).await.unwrap();
    add(&region.stores[0], "counter").await.unwrap();
    let owner = owner_of(&region, "counter");
    let (other, left): (usize, Vec<_>) = ((owner + 1) % 3, (0..3).filter(|at| *at != owner).collect());
    let zombie = region.stores[owner].clone();
    let at_zombie = tokio::spawn({
        let zombie = zombie.clone();
        async move { add(&zombie, "counter").await }
    });
    // It has read, and is about to commit.
    tokio::task::yield_now().await;
    region.network.freeze(owner);
    tokio::time::sleep(Duration::from_secs(7)).await;
    region.network.set_members(&left);
    for _ in 0..5 {
        add(&region.stores[other], "counter").await.unwrap();
    }
    create(&region.stores[other], "later", 4, false).await.unwrap();
    region.network.wake(owner);
    let check = json!({
        "TableName": "orders",
        "Item": {"id": {"S": "counter"}},
        "ConditionExpression": "n = :remembered",
        "ExpressionAttributeValues": {":remembered": {"N": "2"}},
    });
    let refused = ask(&zombie, Operation::PutItem, check).await.unwrap_err();
    assert_ne!(refused.code, Code::ConditionalCheckFailed, "only an owner may say so: {refused:?}");
    let listed = ask(&zombie, Operation::ListTables, json!({})).await.unwrap();
    let Answer::ListTables(listed) = listed else { panic!("a list answers as one") };
    assert!(format!("{listed:?}").contains("later"), "the catalogue is read again");
    let done_before = i64::from(at_zombie.await.unwrap().is_ok());
    region.network.set_members(&[0, 1, 2]);
    assert_eq!(number(&region.stores[other], "counter").await, Some(6 + done_before));
    assert_eq!(gapless(&region.stores[other], "orders").await.len() as i64, 6 + done_before);
    add(&zombie, "counter").await.expect("it is a member again");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_catalogue_is_seen_at_once_by_every_node() {
    let region = three().await;
    for life in 0..5u64 {
        create(&region.stores[life as usize % 3], "orders", 4, false).await.unwrap();
        let again = create(&region.stores[(life as usize + 1) % 3], "orders", 4, false).await.unwrap_err();
        assert_eq!(again.code, Code::ResourceInUse);
        for store in &region.stores {
            assert_eq!(number(store, "a").await, None, "nothing of the life before is left");
            put(store, "b", life).await.unwrap();
        }
        put(&region.stores[0], "a", life).await.unwrap();
        let delete = json!({"TableName": "orders"});
        ask(&region.stores[(life as usize + 2) % 3], Operation::DeleteTable, delete).await.unwrap();
        for store in &region.stores {
            assert_eq!(put(store, "a", life).await.unwrap_err().code, Code::ResourceNotFound);
        }
    }
}

/// Two nodes make one table, or change one table, at the same time.
#[tokio::test(start_paused = true)]
async fn of_two_nodes_that_make_a_table_one_does_and_changes_of_both_stay() {
    let region = three().await;
    let (a, b) = tokio::join!(
        create(&region.stores[0], "orders", 4, false),
        create(&region.stores[1], "orders", 4, false)
    );
    assert_eq!([&a, &b].iter().filter(|made| made.is_ok()).count(), 1);
    let arn = region.stores[0].table_arn("orders");
    let tag = |key: usize| json!({"ResourceArn": arn, "Tags": [{"Key": key.to_string(), "Value": "x"}]});
    let tagged = (0..9).map(|at| ask(&region.stores[at % 3], Operation::TagResource, tag(at)));
    for tagged in futures_util::future::join_all(tagged).await {
        tagged.unwrap();
    }
    for store in &region.stores {
        assert_eq!(store.table("orders").unwrap().document().tags.len(), 9);
    }
}

fn by_place() -> Value {
    json!({
        "TableName": "orders",
        "AttributeDefinitions": [{"AttributeName": "place", "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "by-place",
            "KeySchema": [{"AttributeName": "place", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        }}],
    })
}

async fn until_active(region: &Three) {
    let active = |store: &Store| {
        let document = store.table("orders").unwrap().document();
        document.indexes[0].status == tradewind_database::table::document::IndexStatus::Active
    };
    timeout(PATIENCE, async {
        while !region.stores.iter().all(active) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the index becomes active");
}

/// An owner that has not heard yet that an index was dropped goes on writing its rows; none of them stays.
#[tokio::test(start_paused = true)]
async fn no_row_of_a_dropped_index_stays_though_an_owner_has_not_heard_of_it() {
    for deaf in 0..3 {
        let region = Arc::new(three().await);
        // So many that each node owns some.
        create(&region.stores[0], "orders", 64, false).await.unwrap();
        ask(&region.stores[0], Operation::UpdateTable, by_place()).await.unwrap();
        until_active(&region).await;
        let index = region.stores[0].table("orders").unwrap().document().indexes[0].id;
        region.stores[deaf].engine().set_deaf(true);
        let dropping = tokio::spawn({
            let store = region.stores[(deaf + 1) % 3].clone();
            let delete = json!({
                "TableName": "orders",
                "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-place"}}],
            });
            async move { ask(&store, Operation::UpdateTable, delete).await }
        });
        let ids = (0..).map(|at| format!("item-{at}"));
        let own: Vec<_> = ids.filter(|id| owner_of(&region, id) == deaf).take(90).collect();
        let writing = tokio::spawn({
            let store = region.stores[deaf].clone();
            async move {
                for id in own {
                    let item = json!({"id": {"S": id}, "place": {"S": "here"}});
                    ask(&store, Operation::PutItem, json!({"TableName": "orders", "Item": item}))
                        .await
                        .unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        region.stores[deaf].engine().set_deaf(false);
        dropping.await.unwrap().unwrap();
        writing.await.unwrap();
        let trash = || async { region.stores[0].engine().list("trash").await.unwrap().len() };
        timeout(PATIENCE, async {
            while trash().await > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
        .expect("it is cleared");
        let (prefix, mut rows) = (index.as_bytes(), 0);
        let end = tradewind_model::key::after_prefix(prefix);
        let count = |_: &[u8], _: &[u8]| {
            rows += 1;
            true
        };
        region.stores[0].engine().range(Space::Index, &prefix[..]..&end[..], false, count).await.unwrap();
        assert_eq!(rows, 0, "deaf: {deaf}");
    }
}

/// Every node tells its engine which hashes lie in which partition, also of tables that another node has made, and forgets
/// those that are dropped.
#[tokio::test(start_paused = true)]
async fn the_engine_is_told_where_the_partitions_of_a_table_begin() {
    let region = three().await;
    create(&region.stores[1], "orders", 8, false).await.unwrap();
    let document = region.stores[1].table("orders").unwrap().document();
    let ranges: Vec<_> = document.partitions.iter().map(|range| (range.number, range.to)).collect();
    for store in &region.stores {
        assert_eq!(store.engine().placed(document.incarnation), Some(ranges.clone()));
    }
    ask(&region.stores[2], Operation::DeleteTable, json!({"TableName": "orders"})).await.unwrap();
    for store in &region.stores {
        assert_eq!(store.engine().placed(document.incarnation), None);
    }
}

/// An index is added at one node while all write, and partitions move: it has every item in the end.
#[tokio::test(start_paused = true)]
async fn an_index_is_filled_while_other_nodes_write() {
    let region = Arc::new(three().await);
    create(&region.stores[0], "orders", 8, false).await.unwrap();
    let write = |writer: usize| {
        let region = region.clone();
        tokio::spawn(async move {
            for at in 0..60u64 {
                let item = json!({"id": {"S": format!("{writer}-{at}")}, "place": {"S": "here"}});
                let body = json!({"TableName": "orders", "Item": item});
                ask(&region.stores[writer], Operation::PutItem, body).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    let writers: Vec<_> = (0..3).map(write).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    ask(&region.stores[1], Operation::UpdateTable, by_place()).await.unwrap();
    leave_as_planned(&region, &[0, 2]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    leave_as_planned(&region, &[0, 1, 2]);
    for writer in writers {
        writer.await.unwrap();
    }
    until_active(&region).await;
    let query = json!({
        "TableName": "orders",
        "IndexName": "by-place",
        "KeyConditionExpression": "place = :here",
        "ExpressionAttributeValues": {":here": {"S": "here"}},
        "Select": "COUNT",
    });
    let Answer::Page(page) = ask(&region.stores[2], Operation::Query, query).await.unwrap() else {
        panic!("a query answers as one")
    };
    assert_eq!(page.count, 180);
}

/// The state of a partition is the same wherever it is asked.
#[tokio::test(start_paused = true)]
async fn the_state_of_a_partition_can_be_read_anywhere() {
    let region = three().await;
    create(&region.stores[0], "orders", 4, true).await.unwrap();
    let mut writes = BTreeMap::<usize, u64>::new();
    for at in 0..40 {
        let id = format!("item-{at}");
        put(&region.stores[0], &id, at).await.unwrap();
        let table = region.stores[0].table("orders").unwrap();
        let key = tradewind_model::ItemKey::new(id.as_bytes(), b"");
        *writes.entry(table.position(key.hash())).or_default() += 1;
    }
    for store in &region.stores {
        let table = store.table("orders").unwrap();
        for (position, count) in &writes {
            let state = store.partition_state(&table, *position).await.unwrap();
            assert_eq!(state.next, Sequence(count + 1));
        }
    }
}
