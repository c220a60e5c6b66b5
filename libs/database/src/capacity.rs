//! What requests cost, in capacity units. (Developer guide, "DynamoDB read and write operations".)

use std::collections::BTreeMap;

use tradewind_model::{Item, ItemKey};
use tradewind_wire::request::item::{ReturnCapacity, TableRef};
use tradewind_wire::response::item::{Capacity, Units};

use crate::index;
use crate::table::document::{Index, TableDocument};

/// How strongly a read is asked for; what a unit is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    Eventual,
    Consistent,
    Transactional,
}

impl Reading {
    pub fn of(consistent: bool) -> Reading {
        if consistent { Reading::Consistent } else { Reading::Eventual }
    }

    fn factor(self) -> f64 {
        match self {
            Reading::Eventual => 0.5,
            Reading::Consistent => 1.0,
            Reading::Transactional => 2.0,
        }
    }
}

/// Of reading `bytes` at once: 4 KB a unit, at least one.
pub fn read_units(bytes: usize, reading: Reading) -> f64 {
    bytes.div_ceil(4096).max(1) as f64 * reading.factor()
}

/// Of writing `bytes`: 1 KB a unit, at least one.
pub fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(1024).max(1) as f64
}

/// The cost of one write by the images around it, indexes included.
pub fn of_write(
    table: &TableDocument,
    key: &ItemKey,
    old: Option<&Item>,
    new: Option<&Item>,
    transactional: bool,
) -> Capacity {
    let factor = if transactional { 2.0 } else { 1.0 };
    let size = |item: Option<&Item>| item.map_or(0, Item::size);
    let mut capacity =
        Capacity { write: factor * write_units(size(old).max(size(new))), ..Capacity::default() };
    for index in &table.indexes {
        let write = factor * index_units(table, index, key, old, new);
        if write > 0.0 {
            let units = if index.local { &mut capacity.local_indexes } else { &mut capacity.global_indexes };
            units.insert(index.name.clone(), Units { read: 0.0, write });
        }
    }
    capacity
}

/// A new row, a row gone or a changed projection costs one write; a changed key costs two.
fn index_units(
    table: &TableDocument,
    index: &Index,
    key: &ItemKey,
    old: Option<&Item>,
    new: Option<&Item>,
) -> f64 {
    let row_of = |item| index::row(index, &table.keys, key, item);
    let units = |row: &index::IndexRow| write_units(row.item.size());
    match (old.and_then(row_of), new.and_then(row_of)) {
        (None, None) => 0.0,
        (Some(row), None) | (None, Some(row)) => units(&row),
        (Some(old), Some(new)) if old == new => 0.0,
        (Some(old), Some(new)) if old.key == new.key => units(&old).max(units(&new)),
        (Some(old), Some(new)) => units(&old) + units(&new),
    }
}

/// Names the table as the caller did, and only if the caller asked.
pub fn named(table: &TableRef, asked: ReturnCapacity, capacity: Capacity) -> Option<Capacity> {
    let table_name = table.arn.clone().unwrap_or_else(|| table.name.clone());
    let by_index = asked == ReturnCapacity::Indexes;
    (asked != ReturnCapacity::None).then_some(Capacity { table_name, by_index, ..capacity })
}

/// Adds `other` to `sum`.
pub fn add(sum: &mut Capacity, other: &Capacity) {
    sum.read += other.read;
    sum.write += other.write;
    add_units(&mut sum.local_indexes, &other.local_indexes);
    add_units(&mut sum.global_indexes, &other.global_indexes);
}

fn add_units(sum: &mut BTreeMap<String, Units>, other: &BTreeMap<String, Units>) {
    for (name, units) in other {
        let entry = sum.entry(name.clone()).or_default();
        entry.read += units.read;
        entry.write += units.write;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_round_up_and_are_at_least_one() {
        assert_eq!(read_units(0, Reading::Consistent), 1.0);
        assert_eq!(read_units(4096, Reading::Eventual), 0.5);
        assert_eq!(read_units(4097, Reading::Eventual), 1.0);
        assert_eq!(read_units(1, Reading::Transactional), 2.0);
        assert_eq!(write_units(0), 1.0);
        assert_eq!(write_units(1025), 2.0);
    }
}
