//! The items and the bodies of requests: written straight as text, since this program shares the machine with the server
//! that it measures.
//!
//! ```text
//! id  partition key    sk  sort key, if any    w  the write's id    t  microseconds (Unix)    n  a counter
//! g   the group, which the index is over       data  letters, up to the item's size
//! ```

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::keys::{Key, Space};
use crate::ledger::WriteId;
use crate::scenario::Scenario;

/// Items of an index's group.
const GROUP: u64 = 20;
/// What the other attributes of an item take.
const OVERHEAD_BYTES: usize = 60;
/// Items whose partition key begins so belong to the probes of replication lag.
pub const PROBE: &str = "probe-";

/// How the items of one table look.
pub struct Items {
    pub table: String,
    pub per_partition: u64,
    pub is_indexed: bool,
    data: String,
}

impl Items {
    pub fn new(table: &str, scenario: &Scenario) -> Items {
        let length = scenario.item_bytes.saturating_sub(OVERHEAD_BYTES).max(1);
        let letters = b"tradewind abcdefghijklmnopqrstuvwxyz 0123456789 ".iter().cycle();
        Items {
            table: table.to_owned(),
            per_partition: scenario.table.items_per_partition,
            is_indexed: scenario.table.index,
            data: letters.take(length).map(|letter| char::from(*letter)).collect(),
        }
    }

    pub fn has_sort_key(&self) -> bool {
        self.per_partition > 1
    }

    fn push_key(&self, key: Key, out: &mut String) {
        let _ = write!(out, r#"{{"id":{{"S":"{}-{}"}}"#, key.space, key.index / self.per_partition);
        if self.has_sort_key() {
            let _ = write!(out, r#","sk":{{"N":"{}"}}"#, key.sort(self.per_partition));
        }
        out.push('}');
    }

    fn push_item(&self, key: Key, id: WriteId, out: &mut String) {
        self.push_key(key, out);
        out.pop();
        let (now, group) = (now_us(), group(key));
        let _ = write!(
            out,
            r#","w":{{"N":"{}"}},"t":{{"N":"{now}"}},"n":{{"N":"0"}},"g":{{"S":"{group}"}},"data":{{"S":"{}"}}}}"#,
            id.0, self.data
        );
    }

    fn begin(&self) -> String {
        let mut body = String::with_capacity(self.data.len() + 256);
        let _ = write!(body, r#"{{"TableName":"{}""#, self.table);
        body
    }

    pub fn get(&self, key: Key) -> String {
        let mut body = self.begin();
        body.push_str(r#","ConsistentRead":true,"Key":"#);
        self.push_key(key, &mut body);
        body.push('}');
        body
    }

    /// `asks`: whether the answer is to say what was overwritten.
    pub fn put(&self, key: Key, id: WriteId, asks: bool) -> String {
        let mut body = self.begin();
        if asks {
            body.push_str(r#","ReturnValues":"ALL_OLD""#);
        }
        body.push_str(r#","Item":"#);
        self.push_item(key, id, &mut body);
        body.push('}');
        body
    }

    /// On the condition that the item is that write's; without one, that it is an older write's or not there.
    pub fn conditional_put(&self, key: Key, id: WriteId, expected: Option<WriteId>) -> String {
        let mut body = self.begin();
        let (condition, compared) = match expected {
            Some(expected) => ("w = :w", expected),
            None => ("attribute_not_exists(id) OR w < :w", id),
        };
        let _ = write!(
            body,
            r#","ConditionExpression":"{condition}","ExpressionAttributeValues":{{":w":{{"N":"{}"}}}},"Item":"#,
            compared.0
        );
        self.push_item(key, id, &mut body);
        body.push('}');
        body
    }

    pub fn update(&self, key: Key, id: WriteId, asks: bool) -> String {
        let mut body = self.begin();
        if asks {
            body.push_str(r#","ReturnValues":"UPDATED_OLD""#);
        }
        let _ = write!(
            body,
            r#","UpdateExpression":"SET w = :w, t = :t ADD n :one","ExpressionAttributeValues":{{":w":{{"N":"{}"}},":t":{{"N":"{}"}},":one":{{"N":"1"}}}},"Key":"#,
            id.0,
            now_us()
        );
        self.push_key(key, &mut body);
        body.push('}');
        body
    }

    pub fn delete(&self, key: Key, asks: bool) -> String {
        let mut body = self.begin();
        if asks {
            body.push_str(r#","ReturnValues":"ALL_OLD""#);
        }
        body.push_str(r#","Key":"#);
        self.push_key(key, &mut body);
        body.push('}');
        body
    }

    /// A page of the key's partition, from the key on.
    pub fn query(&self, key: Key, limit: usize) -> String {
        let mut body = self.begin();
        let _ = write!(
            body,
            r#","Limit":{limit},"KeyConditionExpression":"id = :p AND sk >= :s","ExpressionAttributeValues":{{":p":{{"S":"{}"}},":s":{{"N":"{}"}}}}}}"#,
            key.partition(self.per_partition),
            key.sort(self.per_partition)
        );
        body
    }

    pub fn query_index(&self, key: Key, limit: usize) -> String {
        let mut body = self.begin();
        let group = group(key);
        let _ = write!(
            body,
            r#","IndexName":"by-group","Limit":{limit},"KeyConditionExpression":"g = :g","ExpressionAttributeValues":{{":g":{{"S":"{group}"}}}}}}"#
        );
        body
    }

    pub fn batch_write(&self, writes: &[(Key, WriteId)]) -> String {
        let mut body = format!(r#"{{"RequestItems":{{"{}":["#, self.table);
        push_list(writes, &mut body, |(key, id), body| {
            body.push_str(r#"{"PutRequest":{"Item":"#);
            self.push_item(*key, *id, body);
            body.push_str("}}");
        });
        body.push_str("]}}");
        body
    }

    pub fn batch_get(&self, keys: &[Key]) -> String {
        let mut body = format!(r#"{{"RequestItems":{{"{}":{{"Keys":["#, self.table);
        push_list(keys, &mut body, |key, body| self.push_key(*key, body));
        body.push_str("]}}}");
        body
    }

    pub fn transact_write(&self, writes: &[(Key, WriteId)]) -> String {
        let mut body = r#"{"TransactItems":["#.to_owned();
        push_list(writes, &mut body, |(key, id), body| {
            let _ = write!(body, r#"{{"Put":{{"TableName":"{}","Item":"#, self.table);
            self.push_item(*key, *id, body);
            body.push_str("}}");
        });
        body.push_str("]}");
        body
    }

    pub fn transact_get(&self, keys: &[Key]) -> String {
        let mut body = r#"{"TransactItems":["#.to_owned();
        push_list(keys, &mut body, |key, body| {
            let _ = write!(body, r#"{{"Get":{{"TableName":"{}","Key":"#, self.table);
            self.push_key(*key, body);
            body.push_str("}}");
        });
        body.push_str("]}");
        body
    }

    /// The description of the table, as CreateTable wants it.
    pub fn create_table(&self, stream: bool) -> Value {
        let mut attributes = vec![json!({ "AttributeName": "id", "AttributeType": "S" })];
        let mut keys = vec![json!({ "AttributeName": "id", "KeyType": "HASH" })];
        if self.has_sort_key() {
            attributes.push(json!({ "AttributeName": "sk", "AttributeType": "N" }));
            keys.push(json!({ "AttributeName": "sk", "KeyType": "RANGE" }));
        }
        let mut table =
            json!({ "TableName": self.table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys });
        if self.is_indexed {
            attributes.push(json!({ "AttributeName": "g", "AttributeType": "S" }));
            table["GlobalSecondaryIndexes"] = json!([{
                "IndexName": "by-group",
                "KeySchema": [
                    { "AttributeName": "g", "KeyType": "HASH" },
                    { "AttributeName": "id", "KeyType": "RANGE" },
                ],
                "Projection": { "ProjectionType": "ALL" },
            }]);
        }
        if stream {
            table["StreamSpecification"] =
                json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
        }
        table["AttributeDefinitions"] = Value::Array(attributes);
        table
    }

    /// The key of an item that was read.
    pub fn key_of(&self, item: &Image<'_>) -> Option<Key> {
        let sort = item.sk.as_ref().and_then(|sort| sort.n.parse().ok());
        Key::parse(item.id.as_ref()?.s, sort, self.per_partition)
    }
}

fn push_list<T>(list: &[T], body: &mut String, push: impl Fn(&T, &mut String)) {
    for (nth, element) in list.iter().enumerate() {
        if nth > 0 {
            body.push(',');
        }
        push(element, body);
    }
}

fn group(key: Key) -> String {
    match key.space {
        Space::Shared => "s".to_owned(),
        Space::Region(region) => format!("{region}-{}", key.index / GROUP),
    }
}

/// Unix microseconds of this machine: both ends of what is timed with it are here.
pub fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[derive(Deserialize)]
pub struct Text<'a> {
    #[serde(rename = "S")]
    pub s: &'a str,
}

#[derive(Deserialize)]
pub struct Number<'a> {
    #[serde(rename = "N")]
    pub n: &'a str,
}

/// What matters of an item in an answer.
#[derive(Deserialize)]
pub struct Image<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub sk: Option<Number<'a>>,
    #[serde(borrow)]
    pub w: Option<Number<'a>>,
    #[serde(borrow)]
    pub t: Option<Number<'a>>,
}

impl Image<'_> {
    pub fn write_id(&self) -> Option<WriteId> {
        self.w.as_ref()?.n.parse().ok().map(WriteId)
    }

    pub fn written_us(&self) -> Option<u64> {
        self.t.as_ref()?.n.parse().ok()
    }

    pub fn is_probe(&self) -> bool {
        self.id.as_ref().is_some_and(|id| id.s.starts_with(PROBE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LOADED;

    fn items(per_partition: u64) -> Items {
        let mut scenario = Scenario { item_bytes: 300, ..Scenario::default() };
        scenario.table.items_per_partition = per_partition;
        scenario.table.index = true;
        Items::new("t", &scenario)
    }

    #[test]
    fn every_body_is_json() {
        for per_partition in [1, 10] {
            let items = items(per_partition);
            let key = Key { space: Space::Region(2), index: 57 };
            let id = WriteId::new(1, 5);
            let bodies = [
                items.get(key),
                items.put(key, id, true),
                items.conditional_put(key, id, Some(LOADED)),
                items.conditional_put(key, id, None),
                items.update(key, id, true),
                items.delete(key, true),
                items.query(key, 10),
                items.query_index(key, 10),
                items.batch_write(&[(key, id), (key, id)]),
                items.batch_get(&[key, key]),
                items.transact_write(&[(key, id), (key, id)]),
                items.transact_get(&[key, key]),
            ];
            for body in bodies {
                serde_json::from_str::<Value>(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
            }
        }
    }

    #[test]
    fn an_item_has_its_size_and_is_read_back() {
        for per_partition in [1, 10] {
            let items = items(per_partition);
            let key = Key { space: Space::Shared, index: 57 };
            let mut text = String::new();
            items.push_item(key, WriteId::new(1, 5), &mut text);
            let image: Image<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!((items.key_of(&image), image.write_id()), (Some(key), Some(WriteId::new(1, 5))));
            let item: Value = serde_json::from_str(&text).unwrap();
            let length =
                |value: &Value| value.as_object().unwrap().values().next().unwrap().as_str().unwrap().len();
            let bytes: usize =
                item.as_object().unwrap().iter().map(|(name, value)| name.len() + length(value)).sum();
            assert!((270..=330).contains(&bytes), "{bytes}");
        }
    }
}
