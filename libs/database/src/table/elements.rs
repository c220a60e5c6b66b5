//! Settings of a global table, merged element by element.
//!
//! An element is what one request changes as a whole: an index's definition, an index's capacity, the table's capacity,
//! TTL, a replica … Each has a version in [`Global::marks`](super::global::Global); the greater wins, removals included,
//! as for items. So two regions that change different things at the same time keep both, and of two changes of the same
//! thing every region keeps the same one. Classes of settings (developer guide, "Settings of global tables"):
//!
//! - shared by all: capacity and its mode, bounds of writes, warm throughput, index definitions, kind of encryption, TTL;
//! - shared, and of its own where a replica was told so after: capacity and bounds of reads, table class;
//! - never shared, and no elements: tags, deletion protection, keys of encryption, labels of streams. A replica's stream
//!   always has both images and cannot be disabled, so there is nothing to share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tradewind_model::{Region, Version};

use super::document::{Index, IndexStatus, Replica, TableDocument};
use crate::control::new_incarnation;

/// Marks of removed elements that are kept: far more than a table can have indexes and replicas at the same time. Beyond,
/// the oldest go: a region that was away since then may bring such an element back.
const REMOVED_MARKS: usize = 500;

const CAPACITY: &str = "capacity";
const MAX_READ: &str = "max-read";
const MAX_WRITE: &str = "max-write";
const WARM: &str = "warm";
const CLASS: &str = "class";
const ENCRYPTION: &str = "encryption";
const TTL: &str = "ttl";
const INDEX: &str = "index";
const INDEX_CAPACITY: &str = "index-capacity";
const REPLICA: &str = "replica";
const OVERRIDE: &str = "override";
const FORMER: &str = "former";

/// What merging `theirs` into a document gives.
pub struct Merged {
    pub document: TableDocument,
    /// Indexes whose rows are of no use any more.
    pub discarded: Vec<Index>,
    /// Of these, the names of those that another definition took the place of.
    pub redefined: Vec<String>,
}

/// Gives `version` to every element that differs from `before` and was not adopted from elsewhere.
pub fn stamp(before: &TableDocument, after: &mut TableDocument, version: impl FnOnce() -> Version) {
    drop_overrides(before, after);
    let (old, new) = (values(before), values(after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    let changed: Vec<_> = names
        .into_iter()
        .filter(|name| old.get(name) != new.get(name))
        .filter(|name| before.global.marks.get(name) == after.global.marks.get(name))
        .collect();
    if changed.is_empty() {
        return;
    }
    let version = version();
    after.global.marks.extend(changed.into_iter().map(|name| (name, version)));
    bound_marks(after, &new);
}

/// `ours` with the newer elements of `theirs`, as it is in region `here`.
pub fn merge(ours: &TableDocument, theirs: &TableDocument, here: Region) -> Merged {
    let mut document = ours.clone();
    for (name, mark) in &theirs.global.marks {
        if ours.global.marks.get(name).is_none_or(|known| known < mark) && copy(name, theirs, &mut document) {
            document.global.marks.insert(name.clone(), *mark);
        }
    }
    document.global.generation = ours.global.generation.max(theirs.global.generation);
    settle(&mut document, here);
    let stands = |index: &Index| document.indexes.iter().any(|new| new.id == index.id);
    let discarded: Vec<_> = ours.indexes.iter().filter(|index| !stands(index)).cloned().collect();
    let again = |index: &Index| document.index(&index.name).is_some();
    let redefined = discarded.iter().filter(|index| again(index)).map(|index| index.name.clone()).collect();
    let live = values(&document);
    bound_marks(&mut document, &live);
    Merged { document, discarded, redefined }
}

/// Every element that has a value, as it is compared.
fn values(document: &TableDocument) -> BTreeMap<String, Value> {
    let capacity = &document.capacity;
    let mut values: BTreeMap<String, Value> = [
        (CAPACITY, json!([capacity.on_demand, capacity.switched_ms, capacity.provisioned])),
        (MAX_READ, json!(capacity.max_read)),
        (MAX_WRITE, json!(capacity.max_write)),
        (WARM, json!([capacity.warm_read, capacity.warm_write])),
        (CLASS, json!(document.settings.class)),
        (ENCRYPTION, json!(encryption(document))),
        (TTL, json!(document.ttl)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for index in document.indexes.iter().filter(|index| !index.local) {
        let capacity = &index.capacity;
        let bounds = json!([
            capacity.provisioned,
            capacity.max_read,
            capacity.max_write,
            capacity.warm_read,
            capacity.warm_write
        ]);
        values.insert(named(INDEX, &index.name), json!([index.hash, index.range, index.projection]));
        values.insert(named(INDEX_CAPACITY, &index.name), bounds);
    }
    for (region, replica) in &document.replicas {
        let member = json!([replica.status, replica.incarnation, replica.seen_to_by, replica.keeps_table]);
        values.insert(named(REPLICA, region.as_str()), member);
        let overrides =
            json!([replica.class, replica.read_override, replica.max_read_override, replica.index_overrides]);
        values.insert(named(OVERRIDE, region.as_str()), overrides);
    }
    for (region, former) in &document.global.former {
        values.insert(named(FORMER, region.as_str()), json!(former));
    }
    values
}

/// Whether it is enabled and how; the key is each region's own.
fn encryption(document: &TableDocument) -> Option<(bool, Option<&String>)> {
    document.settings.encryption.as_ref().map(|asked| (asked.enabled, asked.kind.as_ref()))
}

fn named(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

/// Makes the element in `to` what it is in `from`. `false` for one that this program does not know.
fn copy(name: &str, from: &TableDocument, to: &mut TableDocument) -> bool {
    match name.split_once('/') {
        None => return copy_single(name, from, to),
        Some((INDEX, index)) => copy_index(index, from, to),
        Some((INDEX_CAPACITY, index)) => copy_index_capacity(index, from, to),
        Some((REPLICA, region)) => copy_replica(region, from, to),
        Some((OVERRIDE, region)) => copy_overrides(region, from, to),
        Some((FORMER, region)) => copy_former(region, from, to),
        Some(_) => return false,
    }
    true
}

fn copy_single(name: &str, from: &TableDocument, to: &mut TableDocument) -> bool {
    let (theirs, ours) = (&from.capacity, &mut to.capacity);
    match name {
        CAPACITY => {
            (ours.on_demand, ours.switched_ms) = (theirs.on_demand, theirs.switched_ms);
            ours.provisioned = theirs.provisioned.clone();
        }
        MAX_READ => ours.max_read = theirs.max_read,
        MAX_WRITE => ours.max_write = theirs.max_write,
        WARM => (ours.warm_read, ours.warm_write) = (theirs.warm_read, theirs.warm_write),
        CLASS => to.settings.class = from.settings.class,
        ENCRYPTION => copy_encryption(from, to),
        TTL if to.ttl != from.ttl => {
            to.ttl = from.ttl.clone();
            to.settings.ttl_changed_ms = from.settings.ttl_changed_ms;
            to.settings.expiry_noted = None;
        }
        TTL => (),
        _ => return false,
    }
    true
}

fn copy_encryption(from: &TableDocument, to: &mut TableDocument) {
    let key = to.settings.encryption.take().and_then(|encryption| encryption.key);
    to.settings.encryption = from.settings.encryption.clone();
    if let Some(encryption) = &mut to.settings.encryption {
        encryption.key = key;
    }
}

/// One name with another definition is another index: its rows are made anew.
fn copy_index(name: &str, from: &TableDocument, to: &mut TableDocument) {
    let global = |index: &&Index| !index.local && index.name == name;
    let theirs = from.indexes.iter().find(global);
    let ours = to.indexes.iter().find(global);
    if ours.zip(theirs).is_some_and(|(ours, theirs)| is_same(ours, theirs)) {
        return;
    }
    let capacity = ours.map(|index| index.capacity.clone());
    to.indexes.retain(|index| index.local || index.name != name);
    let Some(theirs) = theirs else { return };
    for attribute in theirs.keys() {
        if !to.attributes.iter().any(|known| known == attribute) {
            to.attributes.push(attribute.clone());
        }
    }
    to.indexes.push(Index {
        id: new_incarnation(),
        status: IndexStatus::Backfilling,
        capacity: capacity.unwrap_or_else(|| theirs.capacity.clone()),
        ..theirs.clone()
    });
}

fn is_same(a: &Index, b: &Index) -> bool {
    (&a.hash, &a.range, &a.projection) == (&b.hash, &b.range, &b.projection)
}

fn copy_index_capacity(name: &str, from: &TableDocument, to: &mut TableDocument) {
    let theirs = from.index(name).map(|index| index.capacity.clone());
    let ours = to.indexes.iter_mut().find(|index| index.name == name);
    if let Some((ours, theirs)) = ours.zip(theirs) {
        ours.capacity = theirs;
    }
}

fn copy_replica(region: &str, from: &TableDocument, to: &mut TableDocument) {
    let Ok(region) = Region::new(region) else { return };
    let Some(theirs) = from.replicas.get(&region) else {
        to.replicas.remove(&region);
        return;
    };
    match to.replicas.get_mut(&region) {
        Some(ours) => {
            ours.status = theirs.status;
            ours.incarnation = theirs.incarnation;
            ours.seen_to_by = theirs.seen_to_by;
            ours.keeps_table = theirs.keeps_table;
            ours.progress = theirs.progress;
        }
        None => _ = to.replicas.insert(region, theirs.clone()),
    }
}

fn copy_overrides(region: &str, from: &TableDocument, to: &mut TableDocument) {
    let Ok(region) = Region::new(region) else { return };
    if let Some((ours, theirs)) = to.replicas.get_mut(&region).zip(from.replicas.get(&region)) {
        copy_overrides_of(theirs, ours);
    }
}

pub(crate) fn copy_overrides_of(theirs: &Replica, ours: &mut Replica) {
    ours.class = theirs.class;
    (ours.read_override, ours.max_read_override) = (theirs.read_override, theirs.max_read_override);
    ours.index_overrides = theirs.index_overrides.clone();
}

fn copy_former(region: &str, from: &TableDocument, to: &mut TableDocument) {
    let Ok(region) = Region::new(region) else { return };
    match from.global.former.get(&region) {
        Some(former) => to.global.former.insert(region, former.clone()),
        None => to.global.former.remove(&region),
    };
}

/// A replica's own setting lasts until the shared one is changed in any region. (Developer guide: overrides are
/// "overwritten if the shared setting is changed on any replica".)
fn drop_overrides(before: &TableDocument, after: &mut TableDocument) {
    let reads = |document: &TableDocument| document.capacity.provisioned.read;
    let (read, max_read) =
        (reads(before) != reads(after), before.capacity.max_read != after.capacity.max_read);
    let class = before.settings.class != after.settings.class;
    let index_reads = |document: &TableDocument, name: &str| {
        document.index(name).map(|index| (index.capacity.provisioned.read, index.capacity.max_read))
    };
    let indexes: Vec<_> = before
        .indexes
        .iter()
        .map(|index| index.name.clone())
        .filter(|name| index_reads(before, name) != index_reads(after, name))
        .collect();
    let adopted = |name: &str| before.global.marks.get(name) != after.global.marks.get(name);
    let (capacity_adopted, max_adopted, class_adopted) =
        (adopted(CAPACITY), adopted(MAX_READ), adopted(CLASS));
    let index_adopted: Vec<_> = indexes.iter().map(|name| adopted(&named(INDEX_CAPACITY, name))).collect();
    for replica in after.replicas.values_mut() {
        replica.read_override.take_if(|_| read && !capacity_adopted);
        replica.max_read_override.take_if(|_| max_read && !max_adopted);
        replica.class.take_if(|_| class && !class_adopted);
        for (name, _) in indexes.iter().zip(&index_adopted).filter(|(_, adopted)| !**adopted) {
            replica.index_overrides.remove(name);
        }
    }
}

/// What follows from several elements together, so that every region concludes the same from the same marks.
fn settle(document: &mut TableDocument, here: Region) {
    drop_contradictions(document);
    let table = document.capacity.clone();
    if table.on_demand {
        document.capacity.provisioned.read = 0;
        document.capacity.provisioned.write = 0;
    }
    for index in document.indexes.iter_mut().filter(|index| !index.local) {
        index.capacity.on_demand = table.on_demand;
        if table.on_demand {
            index.capacity.provisioned = Default::default();
        } else if index.capacity.provisioned.write == 0 {
            index.capacity.provisioned = table.provisioned.clone();
        }
    }
    if document.replicas.keys().all(|region| *region == here) {
        document.replicas.clear();
    }
    forget_definitions(document);
}

/// Two regions may define an attribute with two types for two indexes at the same time: no item could have it. Of such
/// indexes the one with the greater version stays.
fn drop_contradictions(document: &mut TableDocument) {
    let marks = document.global.marks.clone();
    let mark = |index: &Index| (index.local, marks.get(&named(INDEX, &index.name)).copied());
    let mut newest_first: Vec<_> = document.indexes.iter().collect();
    newest_first.sort_by(|a, b| mark(b).cmp(&mark(a)).then_with(|| a.name.cmp(&b.name)));
    let mut types: BTreeMap<String, _> =
        document.keys.attributes().map(|attribute| (attribute.name.clone(), attribute.kind)).collect();
    let mut dropped = BTreeSet::new();
    for index in newest_first {
        let contradicts =
            index.keys().any(|key| types.get(&key.name).is_some_and(|known| *known != key.kind));
        if contradicts {
            dropped.insert(index.id);
        } else {
            types.extend(index.keys().map(|key| (key.name.clone(), key.kind)));
        }
    }
    document.indexes.retain(|index| !dropped.contains(&index.id));
    document
        .attributes
        .retain(|attribute| types.get(&attribute.name).is_none_or(|kind| *kind == attribute.kind));
}

/// Definitions are of key attributes only.
pub(crate) fn forget_definitions(document: &mut TableDocument) {
    let table = document.keys.attributes();
    let used: BTreeSet<_> = table
        .chain(document.indexes.iter().flat_map(Index::keys))
        .map(|attribute| attribute.name.clone())
        .collect();
    document.attributes.retain(|attribute| used.contains(&attribute.name));
}

fn bound_marks(document: &mut TableDocument, live: &BTreeMap<String, Value>) {
    let mut removed: Vec<_> = document
        .global
        .marks
        .iter()
        .filter(|(name, _)| !live.contains_key(*name))
        .map(|(name, mark)| (*mark, name.clone()))
        .collect();
    if removed.len() > REMOVED_MARKS {
        removed.sort();
        for (_, name) in &removed[..removed.len() - REMOVED_MARKS] {
            document.global.marks.remove(name);
        }
    }
}
