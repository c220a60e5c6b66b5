//! Requests that write single items, and batches of them.

use std::collections::HashSet;
use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_model::{Item, ItemKey, KeySchema, Tokens};
use tradewind_telemetry::trace;
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{
    BatchWrite, BatchWriteItem, DeleteItem, PutItem, ReturnCapacity, ReturnValues, Returns, TableRef,
    UpdateItem,
};
use tradewind_wire::response::item::{BatchWriteOutput, Capacity, CollectionMetrics, WriteOutput};

use crate::capacity;
use crate::item;
use crate::key_paths;
use crate::partition::decide::{Action, Refusal, Write};
use crate::partition::group::{Answer, Op, Written};
use crate::region::Database;
use crate::table::Table;
use crate::table::document::TableDocument;

impl<E: Engine + Documents> Database<E> {
    pub async fn put_item(&self, request: PutItem) -> Result<WriteOutput, ApiError> {
        let table = self.find(&request.table)?;
        let key = item::check_put(&table.document(), request.item.as_ref())?;
        key_paths::check_condition(&table.document(), request.condition.as_ref())?;
        let write = write(key, Action::Put(request.item), request.condition, request.returns);
        self.write_one(&request.table, &table, write, request.returns, None).await
    }

    pub async fn update_item(&self, request: UpdateItem) -> Result<WriteOutput, ApiError> {
        let table = self.find(&request.table)?;
        let document = table.document();
        let key = item::key_of_key(&document, request.key.as_ref())?;
        if let Some(update) = &request.update {
            item::check_update_names(&document, update.attribute_names())?;
        }
        key_paths::check_update(&document, request.update.as_ref())?;
        key_paths::check_condition(&document, request.condition.as_ref())?;
        let shows_touched =
            matches!(request.returns.values, ReturnValues::UpdatedOld | ReturnValues::UpdatedNew);
        let touched = request.update.as_ref().filter(|_| shows_touched).cloned();
        let action = Action::Update { key: request.key, update: request.update };
        let write = write(key, action, request.condition, request.returns);
        self.write_one(&request.table, &table, write, request.returns, touched).await
    }

    pub async fn delete_item(&self, request: DeleteItem) -> Result<WriteOutput, ApiError> {
        let table = self.find(&request.table)?;
        let key = item::key_of_key(&table.document(), request.key.as_ref())?;
        key_paths::check_condition(&table.document(), request.condition.as_ref())?;
        let write = write(key, Action::Delete, request.condition, request.returns);
        self.write_one(&request.table, &table, write, request.returns, None).await
    }

    async fn write_one(
        &self,
        named: &TableRef,
        table: &Arc<Table<E>>,
        write: Write,
        returns: Returns,
        touched: Option<tradewind_expression::Update>,
    ) -> Result<WriteOutput, ApiError> {
        let key = write.key.clone();
        let document = table.document();
        self.admit_write(&document)?;
        self.touch(&document, key.partition_key());
        let written = match table.submit(&key, Op::Write(write)).await? {
            Answer::Written(Ok(written)) => written,
            Answer::Written(Err(refused)) => {
                let Refusal { error, old } = *refused;
                self.charge(&document, || cost_of_refusal(&document, &key, old));
                return Err(error);
            }
            other => unreachable!("a write answers as one, not {other:?}"),
        };
        self.charge(&document, || cost(&document, &key, &written, false));
        let capacity = (returns.capacity != ReturnCapacity::None)
            .then(|| cost(&document, &key, &written, false))
            .and_then(|capacity| capacity::named(named, returns.capacity, capacity));
        let metrics = returns.metrics.then(|| collection_metrics(&document, &key)).flatten();
        let tokens = Tokens::one(table.token(&key, written.sequence));
        Ok(WriteOutput { attributes: returned(returns.values, written, touched), capacity, metrics, tokens })
    }

    /// Up to 25 puts and deletes, each on its own; refused as a whole if any of them is not valid.
    pub async fn batch_write_item(&self, request: BatchWriteItem) -> Result<BatchWriteOutput, ApiError> {
        let mut checked = Vec::new();
        for (named, writes) in request.tables {
            let table = self.find(&named)?;
            let requested = writes.clone();
            let writes = check_batch(&table.document(), writes)?;
            checked.push(((named, table, writes), requested));
        }
        let mut output = BatchWriteOutput::default();
        let checked = self.admit_batch(checked, &mut output)?;
        let submitted = checked.iter().map(|(_, table, writes)| write_all(table, writes.clone()));
        for (result, (named, table, _)) in
            futures_util::future::join_all(submitted).await.into_iter().zip(&checked)
        {
            let (capacity, keys, tokens) = result?;
            output.tokens.extend(tokens);
            keys.iter().for_each(|key| self.touch(&table.document(), key.partition_key()));
            self.charge(&table.document(), || capacity.clone());
            output.capacity.extend(capacity::named(named, request.capacity, capacity));
            if request.metrics && table.document().has_local_indexes() {
                let metrics =
                    keys.iter().filter_map(|key| collection_metrics(&table.document(), key)).collect();
                output.metrics.push((named.name.clone(), metrics));
            }
        }
        Ok(output)
    }
}

/// A table's part of a batch.
type Batch<E> = (TableRef, Arc<Table<E>>, Vec<Write>);

impl<E: Engine + Documents> Database<E> {
    /// Leaves out, as unprocessed, what is throttled; an error if that is all.
    fn admit_batch(
        &self,
        checked: Vec<(Batch<E>, Vec<BatchWrite>)>,
        output: &mut BatchWriteOutput,
    ) -> Result<Vec<Batch<E>>, ApiError> {
        let mut admitted = Vec::with_capacity(checked.len());
        let mut refused = None;
        for ((named, table, writes), requested) in checked {
            match self.admit_write(&table.document()) {
                Ok(()) => admitted.push((named, table, writes)),
                Err(error) => {
                    output.unprocessed.push((named.arn.clone().unwrap_or(named.name), requested));
                    refused = Some(error);
                }
            }
        }
        match refused {
            Some(error) if admitted.is_empty() => Err(error),
            _ => Ok(admitted),
        }
    }
}

fn write(
    key: ItemKey,
    action: Action,
    condition: Option<tradewind_expression::Condition>,
    returns: Returns,
) -> Write {
    Write {
        key,
        action,
        condition,
        item_on_failure: returns.item_on_failure,
        request: None,
        trace: trace::current(),
    }
}

/// The whole batch of one table, checked before anything of it is written.
fn check_batch(table: &TableDocument, writes: Vec<BatchWrite>) -> Result<Vec<Write>, ApiError> {
    let mut keys = HashSet::new();
    let mut checked = Vec::with_capacity(writes.len());
    for request in writes {
        let (key, action) = match request {
            BatchWrite::Put(item) => (item::check_put_in_batch(table, item.as_ref())?, Action::Put(item)),
            BatchWrite::Delete(key) => (item::key_of_key(table, key.as_ref())?, Action::Delete),
        };
        if !keys.insert(key.clone()) {
            return Err(ApiError::validation("Provided list of item keys contains duplicates"));
        }
        checked.push(write(key, action, None, Returns::default()));
    }
    Ok(checked)
}

async fn write_all<E: Engine + Documents>(
    table: &Arc<Table<E>>,
    writes: Vec<Write>,
) -> Result<(Capacity, Vec<ItemKey>, Tokens), ApiError> {
    let keys: Vec<_> = writes.iter().map(|write| write.key.clone()).collect();
    let submitted = writes.into_iter().map(|write| {
        let key = write.key.clone();
        async move { table.submit(&key, Op::Write(write)).await }
    });
    let document = table.document();
    let (mut sum, mut tokens) = (Capacity::default(), Tokens::default());
    for (answer, key) in futures_util::future::join_all(submitted).await.into_iter().zip(&keys) {
        if let Answer::Written(result) = answer? {
            let written = result.map_err(|refused| refused.error)?;
            tokens.add(table.token(key, written.sequence));
            capacity::add(&mut sum, &cost(&document, key, &written, false));
        }
    }
    Ok((sum, keys, tokens))
}

pub(crate) fn cost(table: &TableDocument, key: &ItemKey, written: &Written, transactional: bool) -> Capacity {
    capacity::of_write(table, key, written.old.as_ref(), written.new.as_ref(), transactional)
}

/// A write that was refused costs as much as writing what it met.
fn cost_of_refusal(table: &TableDocument, key: &ItemKey, met: Option<Item>) -> Capacity {
    // Its indexes are not touched: both images are the same.
    cost(table, key, &Written { new: met.clone(), old: met, ..Written::default() }, false)
}

fn returned(
    values: ReturnValues,
    written: Written,
    touched: Option<tradewind_expression::Update>,
) -> Option<Item> {
    let part = |image: Option<Item>| touched.as_ref()?.touched(image?.as_ref());
    match values {
        ReturnValues::None => None,
        ReturnValues::AllOld => written.old,
        ReturnValues::AllNew => written.new,
        ReturnValues::UpdatedOld => part(written.old),
        ReturnValues::UpdatedNew => part(written.new),
    }
}

/// Only tables with local indexes have item collections. Their size is not tracked; the range DynamoDB answers for a
/// collection below 1 GB is the honest estimate for almost all.
pub(crate) fn collection_metrics(table: &TableDocument, key: &ItemKey) -> Option<CollectionMetrics> {
    let hash_only = KeySchema { hash: table.keys.hash.clone(), range: None };
    table
        .has_local_indexes()
        .then(|| CollectionMetrics { key: key.attributes(&hash_only), size_gb: (0.0, 1.0) })
}
