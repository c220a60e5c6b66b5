//! One operation: its keys, its body, its call, and what the ledger learns from the outcome.

use bytes::Bytes;
use serde::Deserialize;

use crate::client::{Connection, Failure};
use crate::item::Image;
use crate::keys::{Key, Space};
use crate::ledger::{Attempt, Old};
use crate::load::Load;
use crate::operation::Operation;

/// Where an operation is performed, and by which chance.
pub struct Performer<'a> {
    pub load: &'a Load,
    pub region: usize,
    pub random: &'a mut fastrand::Rng,
    pub connection: &'a mut Connection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replaced<'a> {
    #[serde(borrow)]
    attributes: Option<Image<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found<'a> {
    #[serde(borrow)]
    item: Option<Image<'a>>,
}

impl Performer<'_> {
    pub async fn perform(&mut self, operation: Operation) -> Result<(), Failure> {
        let scenario = &self.load.scenario;
        match operation {
            Operation::Get => {
                let body = self.load.items.get(self.key());
                self.read("GetItem", body).await
            }
            Operation::Put => {
                let key = self.key();
                self.put(key).await
            }
            Operation::Insert => {
                let key = self.load.new_key(self.region);
                self.put(key).await
            }
            Operation::Update => self.update().await,
            Operation::Delete => self.delete().await,
            Operation::ReadModifyWrite => self.read_modify_write().await,
            Operation::ConditionalPut => {
                let key = self.own_key();
                let attempt = self.begin(key, false);
                let body = self.load.items.conditional_put(attempt.key, attempt.id, None);
                self.write(&[attempt], "PutItem", body).await
            }
            Operation::Query => {
                let body = self.load.items.query(self.own_key(), scenario.page);
                self.read("Query", body).await
            }
            Operation::QueryIndex => {
                let body = self.load.items.query_index(self.own_key(), scenario.page);
                self.read("Query", body).await
            }
            Operation::BatchGet => {
                let keys = self.load.own_keys(self.region, scenario.batch, self.random);
                self.read("BatchGetItem", self.load.items.batch_get(&keys)).await
            }
            Operation::BatchWrite => {
                let (attempts, writes) = self.begin_many(scenario.batch);
                self.write(&attempts, "BatchWriteItem", self.load.items.batch_write(&writes)).await
            }
            Operation::TransactGet => {
                let keys = self.load.own_keys(self.region, scenario.transaction, self.random);
                self.read("TransactGetItems", self.load.items.transact_get(&keys)).await
            }
            Operation::TransactWrite => {
                let (attempts, writes) = self.begin_many(scenario.transaction);
                self.write(&attempts, "TransactWriteItems", self.load.items.transact_write(&writes)).await
            }
        }
    }

    fn key(&mut self) -> Key {
        self.load.key(self.region, self.random)
    }

    fn own_key(&mut self) -> Key {
        self.load.own_key(self.region, self.random)
    }

    fn begin(&self, key: Key, is_delete: bool) -> Attempt {
        self.load.ledger.begin(self.region, key, is_delete)
    }

    fn begin_many(&mut self, count: usize) -> (Vec<Attempt>, Vec<(Key, crate::ledger::WriteId)>) {
        let keys = self.load.own_keys(self.region, count, self.random);
        let attempts: Vec<_> = keys.into_iter().map(|key| self.begin(key, false)).collect();
        let writes = attempts.iter().map(|attempt| (attempt.key, attempt.id)).collect();
        (attempts, writes)
    }

    async fn read(&mut self, operation: &str, body: String) -> Result<(), Failure> {
        self.connection.call(operation, body).await.map(drop)
    }

    async fn put(&mut self, key: Key) -> Result<(), Failure> {
        let attempt = self.begin(key, false);
        let body = self.load.items.put(key, attempt.id, key.space == Space::Shared);
        self.write(&[attempt], "PutItem", body).await
    }

    async fn update(&mut self) -> Result<(), Failure> {
        let key = self.key();
        let attempt = self.begin(key, false);
        let body = self.load.items.update(key, attempt.id, key.space == Space::Shared);
        self.write(&[attempt], "UpdateItem", body).await
    }

    async fn delete(&mut self) -> Result<(), Failure> {
        let key = self.key();
        let attempt = self.begin(key, true);
        let body = self.load.items.delete(key, key.space == Space::Shared);
        self.write(&[attempt], "DeleteItem", body).await
    }

    async fn read_modify_write(&mut self) -> Result<(), Failure> {
        let key = self.own_key();
        let answer = self.connection.call("GetItem", self.load.items.get(key)).await?;
        let found = serde_json::from_slice::<Found<'_>>(&answer).ok().and_then(|found| found.item);
        let expected = found.and_then(|item| item.write_id());
        let attempt = self.begin(key, false);
        let body = self.load.items.conditional_put(key, attempt.id, expected);
        self.write(&[attempt], "PutItem", body).await
    }

    async fn write(&mut self, attempts: &[Attempt], operation: &str, body: String) -> Result<(), Failure> {
        let mut outcome = self.connection.call(operation, body).await;
        if operation == "BatchWriteItem" && outcome.as_ref().is_ok_and(|answer| names_unprocessed(answer)) {
            // Some were done; which ones is not worth telling apart.
            outcome = Err(Failure::unknown("unprocessed items"));
        }
        for attempt in attempts {
            match &outcome {
                Ok(answer) => self.load.ledger.acknowledged(attempt, replaced(attempt, answer)),
                Err(failure) if failure.not_done => (),
                Err(_) => self.load.ledger.unknown(attempt),
            }
        }
        outcome.map(drop)
    }
}

/// What the answer says about the item that was there before.
fn replaced(attempt: &Attempt, answer: &Bytes) -> Old {
    if attempt.key.space != Space::Shared {
        return Old::NotAsked;
    }
    let attributes = serde_json::from_slice::<Replaced<'_>>(answer).ok().and_then(|answer| answer.attributes);
    attributes.and_then(|item| item.write_id()).map_or(Old::Nothing, Old::Item)
}

/// Whether a batch was not done as a whole.
pub fn names_unprocessed(answer: &[u8]) -> bool {
    answer.windows(12).any(|window| window == b"\"PutRequest\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::WriteId;

    #[test]
    fn answers_say_what_was_overwritten() {
        let key = Key { space: Space::Shared, index: 0 };
        let shared = Attempt { id: WriteId(9), key, region: 0, is_delete: false, began_us: 0 };
        let answer =
            Bytes::from_static(br#"{"Attributes":{"id":{"S":"s-0"},"w":{"N":"77"},"data":{"S":"x"}}}"#);
        assert_eq!(replaced(&shared, &answer), Old::Item(WriteId(77)));
        assert_eq!(replaced(&shared, &Bytes::from_static(b"{}")), Old::Nothing);
        let own = Attempt { key: Key { space: Space::Region(0), index: 0 }, ..shared };
        assert_eq!(replaced(&own, &answer), Old::NotAsked);
    }

    #[test]
    fn unprocessed_items_are_noticed() {
        assert!(!names_unprocessed(br#"{"UnprocessedItems":{}}"#));
        assert!(names_unprocessed(br#"{"UnprocessedItems":{"t":[{"PutRequest":{}}]}}"#));
    }
}
