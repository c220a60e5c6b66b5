//! Settings of a global table: changed in several regions at once, by classes, and by regions that were away.

use std::time::Duration;

use serde_json::{Value, json};
use tradewind_database::table::document::{IndexStatus, ReplicaStatus, TableDocument};
use tradewind_replication::Trouble;
use tradewind_wire::error::Code;
use tradewind_wire::response::Answer;
use tradewind_wire::response::table::{ReplicaStatus as Shown, TableDescription, TableStatus};
use tradewind_wire::{ApiError, Operation};

use super::cluster::{Cluster, NAMES, TABLE, region};
use super::{ALL, cut};

impl Cluster {
    async fn update(&self, region: usize, change: Value) -> Result<(), ApiError> {
        let mut body = json!({ "TableName": TABLE });
        let members = body.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        self.execute(region, Operation::UpdateTable, body).await.map(|_| ())
    }

    async fn create_index(&self, region: usize, name: &str, attribute: &str) -> Result<(), ApiError> {
        self.update(
            region,
            json!({
                "AttributeDefinitions": [{"AttributeName": attribute, "AttributeType": "S"}],
                "GlobalSecondaryIndexUpdates": [{"Create": {
                    "IndexName": name,
                    "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }}],
            }),
        )
        .await
    }

    async fn delete_index(&self, region: usize, name: &str) {
        let change = json!({ "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}] });
        self.update(region, change).await.expect("the index is there");
    }

    fn document(&self, region: usize) -> TableDocument {
        (*self.databases[region].table(TABLE).expect("it has the table").document()).clone()
    }

    /// The names of active indexes and what they are by.
    fn indexes(&self, region: usize) -> Vec<(String, String)> {
        let mut indexes: Vec<_> = self
            .document(region)
            .indexes
            .iter()
            .filter(|index| index.status == IndexStatus::Active)
            .map(|index| (index.name.clone(), index.hash[0].name.clone()))
            .collect();
        indexes.sort();
        indexes
    }

    async fn describe(&self, region: usize) -> TableDescription {
        self.databases[region].describe_table(TABLE).await.expect("it has the table")
    }

    async fn put_with(&self, region: usize, id: &str, attribute: &str, value: &str) {
        let item = json!({"id": {"S": id}, "v": {"S": "1"}, attribute: {"S": value}});
        self.execute(region, Operation::PutItem, json!({"TableName": TABLE, "Item": item})).await.unwrap();
    }

    async fn found_by(&self, region: usize, index: &str, attribute: &str, value: &str) -> usize {
        let body = json!({
            "TableName": TABLE, "IndexName": index,
            "KeyConditionExpression": "#a = :v",
            "ExpressionAttributeNames": {"#a": attribute},
            "ExpressionAttributeValues": {":v": {"S": value}},
        });
        match self.execute(region, Operation::Query, body).await {
            Ok(Answer::Page(page)) => page.items.map_or(0, |items| items.len()),
            other => panic!("{other:?}"),
        }
    }
}

/// One region adds an index, another another one, a third switches TTL on, and none hears of the others: all three stay.
#[test]
fn different_settings_changed_at_once_all_stay() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put_with(0, "item", "a", "x").await;
        cluster.put_with(0, "other", "b", "y").await;
        cluster.until_equal(&ALL).await;
        cut(&cluster, true);
        cluster.create_index(0, "by-a", "a").await.unwrap();
        cluster.create_index(1, "by-b", "b").await.unwrap();
        let ttl = json!({
            "TableName": TABLE,
            "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "until"},
        });
        cluster.execute(2, Operation::UpdateTimeToLive, ttl).await.unwrap();
        cut(&cluster, false);
        let wanted = [("by-a", "a"), ("by-b", "b")].map(|(name, of)| (name.to_owned(), of.to_owned()));
        cluster
            .until("every region has all of it", async || {
                ALL.iter().all(|at| {
                    cluster.indexes(*at) == wanted
                        && cluster.document(*at).ttl.is_some_and(|ttl| ttl.attribute == "until")
                })
            })
            .await;
        for at in ALL {
            assert_eq!(cluster.found_by(at, "by-a", "a", "x").await, 1, "filled in region {at}");
            assert_eq!(cluster.found_by(at, "by-b", "b", "y").await, 1, "filled in region {at}");
            let attributes = cluster.document(at).attributes;
            assert_eq!(attributes.len(), 3, "definitions of both: {attributes:?}");
        }
    });
}

/// Two regions make an index of the same name with other keys: the later definition is the one, and the region of the earlier
/// one makes the index anew, with all items there are.
#[test]
fn of_two_definitions_of_an_index_the_newer_stands() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put_with(0, "item", "a", "x").await;
        cluster.put_with(1, "other", "b", "y").await;
        cluster.until_equal(&ALL).await;
        cut(&cluster, true);
        cluster.create_index(0, "by-it", "a").await.unwrap();
        cluster.until("the first is built", async || cluster.indexes(0).len() == 1).await;
        cluster.create_index(1, "by-it", "b").await.unwrap();
        cut(&cluster, false);
        let wanted = [("by-it".to_owned(), "b".to_owned())];
        cluster
            .until("the newer is built", async || ALL.iter().all(|at| cluster.indexes(*at) == wanted))
            .await;
        for at in ALL {
            assert_eq!(cluster.found_by(at, "by-it", "b", "y").await, 1, "filled in region {at}");
        }
    });
}

/// An index is removed while a region is down that has it: it must not come back with that region.
#[test]
fn what_was_removed_does_not_come_back_with_a_region() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.create_index(0, "by-a", "a").await.unwrap();
        cluster.until("all have it", async || ALL.iter().all(|at| cluster.indexes(*at).len() == 1)).await;
        cluster.cut_off(2, true);
        cluster.delete_index(0, "by-a").await;
        cluster.create_index(1, "by-b", "b").await.unwrap();
        cluster.cut_off(2, false);
        let wanted = [("by-b".to_owned(), "b".to_owned())];
        cluster
            .until("all have the new one", async || ALL.iter().all(|at| cluster.indexes(*at) == wanted))
            .await;
    });
}

/// While a control operation runs in one region, the table is UPDATING in the others, and a second one is refused there.
#[test]
fn a_second_control_operation_is_refused_while_one_runs() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        let slow = Trouble { delay: Duration::from_millis(500), ..Trouble::default() };
        cluster.chaos.set(region(0), region(1), slow);
        let second = async {
            cluster
                .until("the table is updating in the third region", async || {
                    cluster.describe(2).await.status == TableStatus::Updating
                })
                .await;
            cluster.create_index(2, "by-b", "b").await
        };
        let (first, second) = tokio::join!(cluster.create_index(0, "by-a", "a"), second);
        first.expect("the first is done");
        let refused = second.expect_err("the second is refused");
        assert_eq!(refused.code, Code::ResourceInUse);
        let wanted = [("by-a".to_owned(), "a".to_owned())];
        cluster
            .until("all have the first", async || ALL.iter().all(|at| cluster.indexes(*at) == wanted))
            .await;
        for at in ALL {
            assert_eq!(cluster.describe(at).await.status, TableStatus::Active, "and are free again");
        }
    });
}

/// Shared settings go everywhere; a replica's own reads and class stay until the shared ones change; tags and deletion
/// protection never leave.
#[test]
fn settings_follow_their_classes() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        let body = json!({
            "TableName": TABLE,
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "Tags": [{"Key": "team", "Value": "orders"}],
            "DeletionProtectionEnabled": true,
        });
        cluster.execute(0, Operation::CreateTable, body).await.unwrap();
        let replica = json!({
            "RegionName": NAMES[1],
            "ProvisionedThroughputOverride": {"ReadCapacityUnits": 9},
            "TableClassOverride": "STANDARD_INFREQUENT_ACCESS",
        });
        cluster.update(0, json!({"ReplicaUpdates": [{"Create": replica}]})).await.unwrap();
        cluster
            .until("the replica serves", async || {
                [0, 1].iter().all(|at| cluster.replicas(*at).get(&region(1)) == Some(&ReplicaStatus::Active))
            })
            .await;
        let there = cluster.describe(1).await;
        assert_eq!(
            (there.throughput.read, there.throughput.write),
            (9, 6),
            "reads of its own, writes shared"
        );
        assert_eq!(there.class.map(|class| class.class.name()), Some("STANDARD_INFREQUENT_ACCESS"));
        assert_eq!(there.deletion_protection, None, "never shared");
        assert!(cluster.document(1).tags.is_empty(), "never shared");
        let here = cluster.describe(0).await;
        assert_eq!((here.throughput.read, here.throughput.write), (5, 6));
        assert_eq!(
            here.replicas[0].read_capacity,
            Some(9),
            "DescribeTable tells what a replica has of its own"
        );

        let throughput = json!({"ReadCapacityUnits": 7, "WriteCapacityUnits": 8});
        cluster.update(1, json!({ "ProvisionedThroughput": throughput })).await.unwrap();
        for at in [0, 1] {
            cluster
                .until("the shared setting has taken its place", async || {
                    let described = cluster.describe(at).await.throughput;
                    (described.read, described.write) == (7, 8)
                })
                .await;
        }
        let own = json!({"RegionName": NAMES[0], "ProvisionedThroughputOverride": {"ReadCapacityUnits": 20}});
        cluster.update(1, json!({"ReplicaUpdates": [{"Update": own}]})).await.unwrap();
        cluster
            .until("and a later one of its own that of the shared", async || {
                cluster.describe(0).await.throughput.read == 20
            })
            .await;
        assert_eq!(cluster.describe(1).await.throughput.read, 7);
    });
}

/// A region that has a table of its own under the name keeps it, whole; the replica that cannot be made says why, keeps
/// nothing of the source from going on, and can be deleted and asked for again once the name is free.
#[test]
fn a_replica_where_another_table_has_the_name_fails_and_the_table_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.create_table(1).await;
        cluster.put(1, "own", "unrelated").await;
        cluster.global_table(&[0, 2]).await;
        cluster.update_replica(0, "Create", 1).await;
        let failed = async || {
            let replicas = cluster.describe(0).await.replicas;
            replicas.into_iter().find(|replica| replica.status == Shown::CreationFailed)
        };
        cluster.until("the replica has failed", async || failed().await.is_some()).await;
        let told = failed().await.unwrap();
        assert_eq!(told.region, NAMES[1]);
        assert!(told.status_description.unwrap().ends_with("already existed as tables."));
        cluster
            .until("the table is active", async || cluster.describe(0).await.status == TableStatus::Active)
            .await;
        cluster.put(0, "item", "1").await;
        cluster.until_equal(&[0, 2]).await;
        // It is counted in nothing: a delete is forgotten, and the others do not wait for it.
        cluster.delete(2, "item").await;
        cluster.until_no_tombstones(&[0, 2]).await;
        assert_eq!(
            (cluster.get(1, "own").await.as_deref(), cluster.get(1, "item").await),
            (Some("unrelated"), None)
        );
        let again = json!({"TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": NAMES[1]}}]});
        assert!(cluster.execute(0, Operation::UpdateTable, again).await.is_err(), "it is deleted first");
        cluster.update_replica(0, "Delete", 1).await;
        assert!(failed().await.is_none() && cluster.describe(0).await.replicas.len() == 1);
        assert_eq!(cluster.get(1, "own").await.as_deref(), Some("unrelated"), "whose table it is keeps it");
        cluster.execute(1, Operation::DeleteTable, json!({"TableName": TABLE})).await.unwrap();
        cluster.add_replica(0, 1).await;
        cluster.put(1, "item", "2").await;
        cluster.until_equal(&ALL).await;
    });
}

/// The same with a table that has replicas of its own: it is no replica of this one, whatever regions it is in.
#[test]
fn a_replica_of_another_table_is_none_of_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&[1, 2]).await;
        cluster.put(1, "own", "unrelated").await;
        cluster.create_table(0).await;
        cluster.update_replica(0, "Create", 1).await;
        cluster
            .until("the replica has failed", async || {
                let table = cluster.describe(0).await;
                let statuses: Vec<_> = table.replicas.iter().map(|replica| replica.status).collect();
                statuses == [Shown::CreationFailed] && table.status == TableStatus::Active
            })
            .await;
        cluster.put(0, "item", "1").await;
        cluster.update_replica(0, "Delete", 1).await;
        assert!(cluster.describe(0).await.replicas.is_empty() && !cluster.document(0).is_replicated());
        cluster.until_equal(&[1, 2]).await;
        assert_eq!(cluster.get(1, "own").await.as_deref(), Some("unrelated"));
    });
}

/// Asked for and deleted before anybody could tell that the name was taken: what has the name is not dropped for it.
#[test]
fn deleting_a_replica_that_was_never_made_drops_nobody_elses_table() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&[1, 2]).await;
        cluster.put(1, "own", "unrelated").await;
        cut(&cluster, true);
        cluster.create_table(0).await;
        cluster.update_replica(0, "Create", 1).await;
        cluster.update_replica(0, "Delete", 1).await;
        cut(&cluster, false);
        cluster.until("the replica is gone", async || cluster.describe(0).await.replicas.is_empty()).await;
        assert_eq!(cluster.get(1, "own").await.as_deref(), Some("unrelated"));
        cluster.until_equal(&[1, 2]).await;
    });
}
