//! The one table of the simulation, as each region's catalogue has it.

use std::collections::BTreeMap;

use tradewind_database::table::document::{
    Capacity, Range, Replica, ReplicaStatus, Settings, Stream, TableDocument, TableStatus, Ttl,
};
use tradewind_model::{Incarnation, Item, ItemKey, KeyAttribute, KeySchema, Number, Region, Type};

pub const REGIONS: [&str; 3] = ["ap", "eu", "us"];
pub const TTL: &str = "ttl";
/// When the simulation begins, in Unix milliseconds: a whole second, so that traces are easy to read.
pub const BEGIN_MS: u64 = 1_700_000_000_000;

pub fn region(index: usize) -> Region {
    Region::new(REGIONS[index]).expect("names of the simulation are valid")
}

pub fn key(index: usize) -> ItemKey {
    ItemKey::new(key_text(index).as_bytes(), &[])
}

fn key_text(index: usize) -> String {
    format!("k{index}")
}

/// A put's item. With `expires` its TTL has passed long before the simulation begins.
pub fn item(key: usize, value: &str, expires: bool) -> Item {
    let passed = Number::parse("1699999000").expect("a number");
    Item::build(|out| {
        out.name("id");
        out.string(&key_text(key));
        out.name("v");
        out.string(value);
        if expires {
            out.name(TTL);
            out.number(passed);
        }
    })
}

pub fn document(here: usize, partitions: u32, lives: u8) -> TableDocument {
    let mut replicas: BTreeMap<_, _> =
        (0..REGIONS.len()).map(|index| (region(index), replica(index))).collect();
    replicas.entry(region(here)).and_modify(|own| own.incarnation = Some(incarnation(here, lives)));
    let id = KeyAttribute { name: "id".to_owned(), kind: Type::S };
    TableDocument {
        name: "orders".to_owned(),
        incarnation: incarnation(here, lives),
        created_ms: BEGIN_MS,
        status: TableStatus::Active,
        attributes: vec![id.clone()],
        keys: KeySchema { hash: id, range: None },
        capacity: Capacity::default(),
        indexes: Vec::new(),
        streams: vec![stream()],
        ttl: Some(Ttl { attribute: TTL.to_owned() }),
        replicas,
        partitions: Range::split_evenly(partitions),
        tags: BTreeMap::new(),
        settings: Settings::default(),
        global: Default::default(),
    }
}

fn incarnation(region: usize, lives: u8) -> Incarnation {
    let mut bytes = [region as u8 + 1; 16];
    bytes[15] = lives;
    Incarnation(uuid::Uuid::from_bytes(bytes))
}

fn replica(index: usize) -> Replica {
    Replica {
        status: ReplicaStatus::Active,
        incarnation: Some(incarnation(index, 0)),
        seen_to_by: None,
        class: None,
        read_override: None,
        max_read_override: None,
        index_overrides: BTreeMap::new(),
        keeps_table: false,
        progress: None,
    }
}

fn stream() -> Stream {
    Stream {
        label: "2023-11-14T22:13:20.000".to_owned(),
        view: tradewind_wire::request::table::StreamView::NewAndOldImages,
        begins_after: BTreeMap::new(),
        ends_at: None,
        disabled_ms: None,
    }
}
