//! What goes into a record comes out of it, and others can read it.

use proptest::prelude::*;
use serde_json::Value;
use tradewind_model::{
    Hlc, Incarnation, Item, ItemKey, KeyAttribute, KeySchema, Number, Region, Tree, Type, Version,
};

use super::*;

fn region() -> Region {
    Region::new("us-east-1").unwrap()
}

fn topic() -> Topic {
    Topic {
        region: region(),
        table: "orders".to_owned(),
        incarnation: incarnation(),
        partitions: 4,
        keys: KeySchema {
            hash: KeyAttribute { name: "pk".to_owned(), kind: Type::B },
            range: Some(KeyAttribute { name: "sk".to_owned(), kind: Type::B }),
        },
    }
}

fn incarnation() -> Incarnation {
    Incarnation(uuid::Uuid::from_bytes([7; 16]))
}

fn partition() -> PartitionId {
    PartitionId { incarnation: incarnation(), number: 3 }
}

fn encoded(change: Change) -> Encoded {
    let span = Span { previous: Sequence(4), sequence: Sequence(5) };
    Encoded::change(&topic(), partition(), span, change)
}

fn back(encoded: &Encoded) -> Option<Change> {
    let (_, value) = encoded.body.as_ref()?;
    decode_parts(header(&encoded.headers, BINARY)?, value)
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let number = (any::<bool>(), 0u128..10u128.pow(38), -130i32..88)
        .prop_filter_map("in range", |(negative, c, e)| Number::from_parts(negative, c, e).ok());
    let stored = |number: Number| {
        let mut bytes = Vec::new();
        number.encode(&mut bytes);
        bytes
    };
    let set = |kind, elements: proptest::strategy::BoxedStrategy<Vec<u8>>| {
        proptest::collection::btree_set(elements, 1..5).prop_map(move |elements| Tree::Set(kind, elements))
    };
    let leaf = prop_oneof![
        "\\PC{0,12}".prop_map(Tree::S),
        any::<String>().prop_map(Tree::S),
        number.clone().prop_map(Tree::N),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Tree::B),
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        set(Type::Ss, ".{0,5}".prop_map(String::into_bytes).boxed()),
        set(Type::Ns, number.prop_map(stored).boxed()),
        set(Type::Bs, proptest::collection::vec(any::<u8>(), 0..9).boxed()),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::L),
            proptest::collection::btree_map(".{1,6}", inner, 0..6).prop_map(Tree::M),
        ]
    })
}

fn any_item() -> impl Strategy<Value = Item> {
    proptest::collection::btree_map("\\PC{1,9}", any_tree(), 0..6).prop_map(|entries| Item::from(&entries))
}

fn any_region() -> impl Strategy<Value = Region> {
    "[a-z]{2}-[a-z]{4,9}-[1-9]".prop_map(|name| Region::new(&name).unwrap())
}

fn any_change() -> impl Strategy<Value = Change> {
    let key = (proptest::collection::vec(any::<u8>(), 1..50), proptest::collection::vec(any::<u8>(), 0..50));
    let vector = proptest::collection::btree_map(any_region(), any::<u64>().prop_map(Hlc), 0..4);
    let version = (any::<u64>(), any_region());
    let images = (proptest::option::of(any_item()), proptest::option::of(any_item()));
    let flags = any::<[bool; 4]>();
    let ids = (any::<Option<[u8; 16]>>(), proptest::option::of(proptest::array::uniform25(any::<u8>())));
    (key, vector, version, any::<u64>(), images, flags, ids).prop_map(
        |((pk, sk), vector, (hlc, origin), stable, (old, new), flags, (request, trace))| Change {
            version: Version { hlc: Hlc(hlc), origin },
            stable: Hlc(stable),
            vector: vector.into_iter().collect(),
            key: ItemKey::new(&pk, &sk),
            existed: flags[0],
            exists: flags[1],
            old,
            new,
            same: flags[2],
            expired: flags[3],
            request,
            trace,
        },
    )
}

proptest! {
    #[test]
    fn records_give_back_their_change(change in any_change()) {
        prop_assert_eq!(back(&encoded(change.clone())), Some(change));
    }

    #[test]
    fn damaged_values_are_refused(change in any_change(), cut in any::<prop::sample::Index>()) {
        let (_, value) = encoded(change).body.unwrap();
        prop_assert!(value::read(&value[..cut.index(value.len())]).is_none());
    }
}

fn item(pk: &[u8], text: &str) -> Item {
    Item::build(|out| {
        out.name("pk");
        out.binary(pk);
        out.name("text");
        out.string(text);
    })
}

fn sample() -> Change {
    Change {
        version: Version { hlc: Hlc::from_ms(1_700_000_000_123), origin: region() },
        stable: Hlc::ZERO,
        vector: Default::default(),
        key: ItemKey::new(b"k", b"s"),
        existed: true,
        exists: true,
        old: Some(item(b"k", "before")),
        new: Some(item(b"k", "after")),
        same: false,
        expired: false,
        request: Some([0xab; 16]),
        trace: Some([0x11; 25]),
    }
}

#[test]
fn the_value_is_what_kinesis_data_streams_for_dynamodb_has() {
    let (key, value) = encoded(sample()).body.unwrap();
    assert_eq!(String::from_utf8(key).unwrap(), r#"{"pk":{"B":"aw=="},"sk":{"B":"cw=="}}"#);
    let value: Value = serde_json::from_slice(&value).unwrap();
    let event_id = value["eventID"].as_str().unwrap();
    assert_eq!(event_id.len(), 32);
    let expected = serde_json::json!({
        "awsRegion": "us-east-1",
        "eventID": event_id,
        "eventName": "MODIFY",
        "userIdentity": null,
        "recordFormat": "application/json",
        "tableName": "orders",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000_123_u64,
            "ApproximateCreationDateTimePrecision": "MILLISECOND",
            "Keys": {"pk": {"B": "aw=="}, "sk": {"B": "cw=="}},
            "NewImage": {"pk": {"B": "aw=="}, "text": {"S": "after"}},
            "OldImage": {"pk": {"B": "aw=="}, "text": {"S": "before"}},
            "SizeBytes": 6 + 3 + 4 + 5 + 3 + 4 + 6,
        },
        "eventSource": "aws:dynamodb",
    });
    assert_eq!(value, expected);
}

#[test]
fn headers_say_what_others_need() {
    let record = encoded(sample());
    let said = |name| header(&record.headers, name).map(|value| String::from_utf8(value.to_vec()).unwrap());
    assert_eq!(said("sequence").unwrap(), "100000000000000000005");
    assert_eq!(said("previous").unwrap(), "100000000000000000004");
    assert_eq!(said("version").unwrap(), "1700000000123.0@us-east-1");
    assert_eq!(said("origin").unwrap(), "us-east-1");
    assert_eq!(said("incarnation").unwrap(), incarnation().to_string());
    assert_eq!(said("content-type").unwrap(), "application/json");
    assert_eq!(said("request").unwrap(), "ab".repeat(16));
    assert_eq!(said("traceparent").unwrap(), format!("00-{}-{}-11", "11".repeat(16), "11".repeat(8)));
    assert_eq!(said("same"), None);
    let same = encoded(Change { same: true, ..sample() });
    assert_eq!(header(&same.headers, "same"), Some(&b"true"[..]));
}

#[test]
fn events_are_named_by_what_is_left() {
    let name = |existed, exists| event(Change { existed, exists, ..sample() });
    assert_eq!(name(false, true), "INSERT");
    assert_eq!(name(true, false), "REMOVE");
    assert_eq!(name(false, false), "REMOVE");
}

fn event(change: Change) -> String {
    let (_, value) = encoded(change).body.unwrap();
    let value: Value = serde_json::from_slice(&value).unwrap();
    value["eventName"].as_str().unwrap().to_owned()
}

#[test]
fn only_the_region_of_an_expiry_names_the_service() {
    let identity = |origin: &str| {
        let version = Version { origin: Region::new(origin).unwrap(), ..sample().version };
        let change = Change { version, expired: true, exists: false, new: None, ..sample() };
        let (_, value) = encoded(change).body.unwrap();
        serde_json::from_slice::<Value>(&value).unwrap()["userIdentity"].clone()
    };
    let service = serde_json::json!({"principalId": "dynamodb.amazonaws.com", "type": "Service"});
    assert_eq!(identity("us-east-1"), service);
    assert_eq!(identity("eu-west-1"), Value::Null);
}

#[test]
fn items_as_deep_as_allowed_come_back() {
    let deep = (0..31).fold(Tree::Null, |tree, _| Tree::L(vec![tree]));
    let new = Item::build(|out| {
        out.name("deep");
        deep.write(out);
    });
    let change = Change { new: Some(new), ..sample() };
    assert_eq!(back(&encoded(change.clone())), Some(change));
}
