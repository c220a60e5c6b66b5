//! Query and Scan.

use tradewind_model::Item;

use crate::decode::expression::{Expressions, check_mixing};
use crate::decode::item::{capacity, table};
use crate::decode::legacy;
use crate::error::ApiError;
use crate::request::item::{Query, Scan, Segment, Select};
use crate::shape::node::{Fault, Members};

/// A table's key has two attributes; only an index's may have more.
const MAX_TABLE_KEY_CONDITIONS: usize = 2;

pub(crate) fn query(mut request: Members<'_>) -> Result<Query, ApiError> {
    check_mixing(
        &request,
        &["ProjectionExpression", "FilterExpression", "KeyConditionExpression"],
        &["AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"],
    )?;
    let query_filter = legacy::filter(&mut request, "QueryFilter")?;
    let attributes = legacy::attributes_to_get(&mut request)?;
    let start = start_key(&mut request)?;
    if !request.has("KeyConditions") && !request.has("KeyConditionExpression") {
        return Err(ApiError::validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ));
    }
    let mut expressions = Expressions::begin(&mut request)?;
    let key_expression = expressions.key_condition(&request)?;
    let legacy_filter = query_filter.is_some();
    let filter = expressions.filter(&request)?.or(query_filter);
    let projection = expressions.projection(&request)?.or(attributes);
    expressions.end()?;
    let key_condition = match key_expression {
        Some(condition) => condition,
        None => legacy::key_conditions(&mut request)?.unwrap_or(EMPTY),
    };
    legacy::check_key_condition(&key_condition)?;
    let index = request.owned_text("IndexName");
    if index.is_none() && key_condition.terms.len() > MAX_TABLE_KEY_CONDITIONS {
        return Err(ApiError::validation("Conditions can be of length 1 or 2 only"));
    }
    let select = select(&request, projection.is_some())?;
    Ok(Query {
        table: table(&request),
        index,
        key_condition,
        filter,
        legacy_filter,
        projection,
        select,
        limit: limit(&request),
        forward: request.bool("ScanIndexForward").unwrap_or(true),
        start,
        consistent: request.bool("ConsistentRead").unwrap_or(false),
        fresh: false,
        capacity: capacity(&request),
    })
}

const EMPTY: tradewind_expression::KeyCondition = tradewind_expression::KeyCondition { terms: Vec::new() };

pub(crate) fn scan(mut request: Members<'_>) -> Result<Scan, ApiError> {
    check_mixing(
        &request,
        &["ProjectionExpression", "FilterExpression"],
        &["AttributesToGet", "ScanFilter", "ConditionalOperator"],
    )?;
    let attributes = legacy::attributes_to_get(&mut request)?;
    let scan_filter = legacy::filter(&mut request, "ScanFilter")?;
    let start = start_key(&mut request)?;
    let segment = segment(&request)?;
    let mut expressions = Expressions::begin(&mut request)?;
    let filter = expressions.filter(&request)?.or(scan_filter);
    let projection = expressions.projection(&request)?.or(attributes);
    expressions.end()?;
    let select = select(&request, projection.is_some())?;
    Ok(Scan {
        table: table(&request),
        index: request.owned_text("IndexName"),
        filter,
        projection,
        select,
        limit: limit(&request),
        segment,
        start,
        consistent: request.bool("ConsistentRead").unwrap_or(false),
        fresh: false,
        capacity: capacity(&request),
    })
}

fn start_key(request: &mut Members<'_>) -> Result<Option<Item>, ApiError> {
    let Some(start) = request.attributes("ExclusiveStartKey") else { return Ok(None) };
    start.item().map(Some).map_err(|Fault(text)| {
        // The service prefixes some of these messages and not others.
        let bare =
            ["contains duplicates", "number set", "numeric value", "significant digits", "number with"];
        if bare.iter().any(|part| text.contains(part)) {
            return ApiError::validation(text);
        }
        ApiError::validation(format!("The provided starting key is invalid: {text}"))
    })
}

fn limit(request: &Members<'_>) -> Option<usize> {
    request.int("Limit").and_then(|limit| usize::try_from(limit).ok())
}

fn segment(request: &Members<'_>) -> Result<Option<Segment>, ApiError> {
    match (request.int("Segment"), request.int("TotalSegments")) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ApiError::validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        )),
        (None, Some(_)) => Err(ApiError::validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        )),
        (Some(segment), Some(total)) if segment >= total => Err(ApiError::validation(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: \
             Segment: {segment} is not less than TotalSegments: {total}"
        ))),
        // The constraints bound both far below 32 bits.
        (Some(segment), Some(total)) => Ok(Some(Segment { segment: segment as u32, total: total as u32 })),
    }
}

fn select(request: &Members<'_>, projected: bool) -> Result<Option<Select>, ApiError> {
    let parameter =
        if request.has("ProjectionExpression") { "ProjectionExpression" } else { "AttributesToGet" };
    let with_projection = |what: &str| {
        if !projected {
            return Ok(());
        }
        Err(ApiError::validation(format!("Cannot specify the {parameter} when choosing to get {what}")))
    };
    Ok(Some(match request.text("Select") {
        None => return Ok(None),
        Some("COUNT") => with_projection("only the Count").map(|()| Select::Count)?,
        Some("ALL_ATTRIBUTES") => with_projection("ALL_ATTRIBUTES").map(|()| Select::AllAttributes)?,
        Some("ALL_PROJECTED_ATTRIBUTES") => {
            with_projection("ALL_PROJECTED_ATTRIBUTES")?;
            if !request.has("IndexName") {
                return Err(ApiError::validation(
                    "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
                ));
            }
            Select::AllProjectedAttributes
        }
        Some(_) if !projected => {
            return Err(ApiError::validation(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
            ));
        }
        Some(_) => Select::SpecificAttributes,
    }))
}
