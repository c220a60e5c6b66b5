//! Answers to requests for items.

use std::collections::BTreeMap;

use tradewind_model::Item;

use crate::attribute_value::render_item;
use crate::encode::error::statement_error;
use crate::json::write::{Object, array, double, object};
use crate::request::item::BatchWrite;
use crate::response::item::{
    BatchGetOutput, BatchWriteOutput, Capacity, CollectionMetrics, GetOutput, PageOutput,
    StatementBatchOutput, StatementPageOutput, TransactGetOutput, TransactWriteOutput, Units, WriteOutput,
};

pub(crate) fn write(output: &WriteOutput, out: &mut Object<'_>) {
    maybe_item("Attributes", output.attributes.as_ref(), out);
    consumed(output.capacity.as_ref(), out);
    if let Some(metrics) = &output.metrics {
        out.object("ItemCollectionMetrics", |out| collection(metrics, out));
    }
}

pub(crate) fn get(output: &GetOutput, out: &mut Object<'_>) {
    maybe_item("Item", output.item.as_ref(), out);
    consumed(output.capacity.as_ref(), out);
}

pub(crate) fn page(output: &PageOutput, out: &mut Object<'_>) {
    if let Some(all) = &output.items {
        items("Items", all, out);
    }
    out.whole("Count", output.count as u64);
    out.whole("ScannedCount", output.scanned as u64);
    maybe_item("LastEvaluatedKey", output.last_key.as_ref(), out);
    consumed(output.capacity.as_ref(), out);
}

pub(crate) fn batch_get(output: &BatchGetOutput, out: &mut Object<'_>) {
    out.object("Responses", |out| {
        for (table, all) in &output.responses {
            items(table, all, out);
        }
    });
    out.object("UnprocessedKeys", |out| {
        for (table, keys, rest) in &output.unprocessed {
            let body = out.member(table);
            let mut table = Object::begin(body);
            items("Keys", keys, &mut table);
            table.end();
            if !rest.is_empty() {
                // The other members came as JSON and go as they came.
                body.pop();
                body.push(b',');
                body.extend_from_slice(rest.as_bytes());
                body.push(b'}');
            }
        }
    });
    all_consumed(&output.capacity, out);
}

pub(crate) fn batch_write(output: &BatchWriteOutput, out: &mut Object<'_>) {
    out.object("UnprocessedItems", |out| {
        for (table, writes) in &output.unprocessed {
            out.objects(table, writes, |write, out| match write {
                BatchWrite::Put(item) => {
                    out.object("PutRequest", |out| out.item("Item", item.as_ref()));
                }
                BatchWrite::Delete(key) => {
                    out.object("DeleteRequest", |out| out.item("Key", key.as_ref()));
                }
            });
        }
    });
    collections(&output.metrics, out);
    all_consumed(&output.capacity, out);
}

pub(crate) fn transact_get(output: &TransactGetOutput, out: &mut Object<'_>) {
    out.objects("Responses", &output.items, |item, out| maybe_item("Item", item.as_ref(), out));
    all_consumed(&output.capacity, out);
}

pub(crate) fn transact_write(output: &TransactWriteOutput, out: &mut Object<'_>) {
    collections(&output.metrics, out);
    all_consumed(&output.capacity, out);
}

pub(crate) fn statement(output: &StatementPageOutput, out: &mut Object<'_>) {
    items("Items", &output.items, out);
    out.maybe_text("NextToken", output.next_token.as_deref());
    maybe_item("LastEvaluatedKey", output.last_key.as_ref(), out);
    consumed(output.capacity.as_ref(), out);
}

pub(crate) fn statement_batch(output: &StatementBatchOutput, out: &mut Object<'_>) {
    out.objects("Responses", &output.responses, |response, out| {
        out.maybe_text("TableName", response.table.as_deref());
        match &response.result {
            Ok(item) => maybe_item("Item", item.as_ref(), out),
            Err(error) => out.object("Error", |out| statement_error(error, out)),
        }
    });
    all_consumed(&output.capacity, out);
}

fn maybe_item(name: &str, item: Option<&Item>, out: &mut Object<'_>) {
    if let Some(item) = item {
        out.item(name, item.as_ref());
    }
}

fn items(name: &str, items: &[Item], out: &mut Object<'_>) {
    array(items, out.member(name), |item, out| render_item(item.as_ref(), out));
}

fn collections(metrics: &[(String, Vec<CollectionMetrics>)], out: &mut Object<'_>) {
    if metrics.is_empty() {
        return;
    }
    out.object("ItemCollectionMetrics", |out| {
        for (table, all) in metrics {
            out.objects(table, all, collection);
        }
    });
}

fn collection(metrics: &CollectionMetrics, out: &mut Object<'_>) {
    out.item("ItemCollectionKey", metrics.key.as_ref());
    let (least, most) = metrics.size_gb;
    array([least, most], out.member("SizeEstimateRangeGB"), double);
}

fn consumed(capacity: Option<&Capacity>, out: &mut Object<'_>) {
    if let Some(capacity) = capacity {
        out.object("ConsumedCapacity", |out| render_capacity(capacity, out));
    }
}

fn all_consumed(capacity: &[Capacity], out: &mut Object<'_>) {
    if !capacity.is_empty() {
        out.objects("ConsumedCapacity", capacity, render_capacity);
    }
}

fn render_capacity(capacity: &Capacity, out: &mut Object<'_>) {
    out.text("TableName", &capacity.table_name);
    out.double("CapacityUnits", capacity.total());
    if capacity.split {
        let indexes = || capacity.local_indexes.values().chain(capacity.global_indexes.values());
        split(
            Units {
                read: capacity.read + indexes().map(|units| units.read).sum::<f64>(),
                write: capacity.write + indexes().map(|units| units.write).sum::<f64>(),
            },
            out,
        );
    }
    if !capacity.by_index {
        return;
    }
    let own = Units { read: capacity.read, write: capacity.write };
    out.object("Table", |out| units(own, capacity.split, out));
    by_index("LocalSecondaryIndexes", &capacity.local_indexes, capacity.split, out);
    by_index("GlobalSecondaryIndexes", &capacity.global_indexes, capacity.split, out);
}

fn by_index(name: &str, indexes: &BTreeMap<String, Units>, apart: bool, out: &mut Object<'_>) {
    if indexes.is_empty() {
        return;
    }
    out.object(name, |out| {
        for (index, used) in indexes {
            object(out.member(index), |out| units(*used, apart, out));
        }
    });
}

fn units(used: Units, apart: bool, out: &mut Object<'_>) {
    out.double("CapacityUnits", used.read + used.write);
    if apart {
        split(used, out);
    }
}

fn split(used: Units, out: &mut Object<'_>) {
    if used.read > 0.0 {
        out.double("ReadCapacityUnits", used.read);
    }
    if used.write > 0.0 {
        out.double("WriteCapacityUnits", used.write);
    }
}
