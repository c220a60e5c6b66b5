//! TransactGetItems and TransactWriteItems.

use tradewind_model::Item;
use xxhash_rust::xxh3::Xxh3;

use crate::decode::expression::{Expressions, check_mixing};
use crate::decode::item::{attributes, capacity, item_on_failure, metrics, projection, table};
use crate::error::{ApiError, CancellationReason};
use crate::request::item::{
    TransactAction, TransactGet, TransactGetItems, TransactWrite, TransactWriteItems,
};
use crate::shape::node::{Attributes, Fault, Members};

const NO_ACTION: &str =
    "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request";
const SEVERAL_ACTIONS: &str = "TransactItems can only contain one of Check, Put, Update or Delete";

pub(crate) fn get(mut request: Members<'_>) -> Result<TransactGetItems, ApiError> {
    let items = request.structures("TransactItems").unwrap_or_default();
    let gets = items.into_iter().filter_map(|mut item| item.members("Get"));
    let gets = gets.map(transact_get).collect::<Result<_, _>>()?;
    Ok(TransactGetItems { gets, capacity: capacity(&request) })
}

fn transact_get(mut get: Members<'_>) -> Result<TransactGet, ApiError> {
    let key = attributes(&mut get, "Key").item()?;
    check_mixing(&get, &["ProjectionExpression"], &[])?;
    let projection = projection(&mut get)?;
    Ok(TransactGet { table: table(&get), key, projection })
}

pub(crate) fn write(mut request: Members<'_>) -> Result<TransactWriteItems, ApiError> {
    let digest = digest(&request);
    let items = request.structures("TransactItems").unwrap_or_default();
    let mut cancellation = vec![CancellationReason::default(); items.len()];
    let mut faulty = false;
    let mut actions = Vec::with_capacity(items.len());
    for (item, reason) in items.into_iter().zip(&mut cancellation) {
        let (write, fault) = transact_write(item)?;
        actions.push(write);
        // Of several actions with faults of their own, only the first is told.
        if let Some(Fault(text)) = fault.filter(|_| !faulty) {
            faulty = true;
            reason.code = Some("ValidationError".into());
            reason.message = Some(text.into_owned());
        }
    }
    if faulty {
        return Err(ApiError::transaction_canceled(cancellation));
    }
    Ok(TransactWriteItems {
        actions,
        token: request.owned_text("ClientRequestToken"),
        digest,
        capacity: capacity(&request),
        metrics: metrics(&request),
    })
}

/// Tells one set of actions from another.
fn digest(request: &Members<'_>) -> u128 {
    let mut hash = Xxh3::new();
    if let Some(items) = request.get("TransactItems") {
        items.digest(&mut hash);
    }
    hash.digest128()
}

/// The action; and a fault of its item that cancels the transaction, where others refuse the request.
fn transact_write(mut item: Members<'_>) -> Result<(TransactWrite, Option<Fault>), ApiError> {
    const KINDS: [&str; 4] = ["Put", "Update", "Delete", "ConditionCheck"];
    let mut given = KINDS.into_iter().filter(|kind| item.has(kind));
    let kind = match (given.next(), given.next()) {
        (Some(kind), None) => kind,
        (None, _) => return Err(ApiError::validation(NO_ACTION)),
        _ => return Err(ApiError::validation(SEVERAL_ACTIONS)),
    };
    let Some(mut members) = item.members(kind) else { return Err(ApiError::validation(NO_ACTION)) };
    let expressions: &[&str] = if kind == "Update" {
        &["UpdateExpression", "ConditionExpression"]
    } else {
        &["ConditionExpression"]
    };
    check_mixing(&members, expressions, &[])?;
    let (item, fault) = item_or_fault(attributes(&mut members, if kind == "Put" { "Item" } else { "Key" }))?;
    let mut expressions = Expressions::begin(&mut members)?;
    let update = expressions.update(&members)?;
    let condition = expressions.condition(&members)?;
    expressions.end()?;
    let action = match (kind, update) {
        ("Put", _) => TransactAction::Put { item },
        ("Update", Some(update)) => TransactAction::Update { key: item, update },
        ("Delete", _) => TransactAction::Delete { key: item },
        _ => TransactAction::Check { key: item },
    };
    let write = TransactWrite {
        table: table(&members),
        action,
        condition,
        item_on_failure: item_on_failure(&members),
    };
    Ok((write, fault))
}

fn item_or_fault(attributes: Attributes) -> Result<(Item, Option<Fault>), ApiError> {
    match attributes.item() {
        Ok(item) => Ok((item, None)),
        Err(fault) if fault.is_nesting() => Ok((Item::empty(), Some(fault))),
        Err(fault) => Err(fault.into()),
    }
}
