//! The operations of DynamoDB Streams.

use crate::error::ApiError;
use crate::request::stream::{
    DescribeStream, GetRecords, GetShardIterator, IteratorStart, ListStreams, SequenceNumber, StreamRef,
};
use crate::shape::node::Members;

/// Streams or shards on a page.
const MAX_PAGE: usize = 100;
const LARGE_PAGE: &str = "Limit cannot be greater than the maximum allowed size: 100";
/// Records in one answer.
const MAX_RECORDS: usize = 1000;

pub(crate) fn list(request: Members<'_>) -> Result<ListStreams, ApiError> {
    let start = request.owned_text("ExclusiveStartStreamArn");
    if let Some(arn) = &start {
        stream(arn)?;
    }
    Ok(ListStreams {
        table: request.owned_text("TableName"),
        limit: limit(&request, MAX_PAGE, LARGE_PAGE)?,
        start,
    })
}

pub(crate) fn describe(mut request: Members<'_>) -> Result<DescribeStream, ApiError> {
    let children_of = match request.members("ShardFilter") {
        None => None,
        Some(filter) => match (filter.text("Type"), filter.owned_text("ShardId")) {
            (Some(_), Some(shard)) => Some(shard),
            _ => return Err(ApiError::validation("ShardFilter needs both Type and ShardId")),
        },
    };
    Ok(DescribeStream {
        stream: stream(request.text("StreamArn").unwrap_or_default())?,
        limit: limit(&request, MAX_PAGE, LARGE_PAGE)?,
        start: request.owned_text("ExclusiveStartShardId"),
        children_of,
    })
}

pub(crate) fn iterator(request: Members<'_>) -> Result<GetShardIterator, ApiError> {
    let stream = stream(request.text("StreamArn").unwrap_or_default())?;
    let start = iterator_start(&request)?;
    Ok(GetShardIterator { stream, shard: request.owned_text("ShardId").unwrap_or_default(), start })
}

fn iterator_start(request: &Members<'_>) -> Result<IteratorStart, ApiError> {
    let kind = request.text("ShardIteratorType").unwrap_or_default();
    let number = request.text("SequenceNumber");
    let time = request.double("Timestamp");
    let takes_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    let takes_time = kind == "AT_TIMESTAMP";
    if number.is_some() && !takes_number {
        return Err(ApiError::invalid_value("SequenceNumber should not be passed for this iterator type"));
    }
    if takes_number && number.is_none() {
        return Err(ApiError::invalid_value("Invalid SequenceNumber"));
    }
    if time.is_some() && !takes_time {
        return Err(ApiError::invalid_value("Timestamp should not be passed for this iterator type"));
    }
    if takes_time && time.is_none() {
        return Err(ApiError::invalid_value("Invalid Timestamp"));
    }
    let number = number.map(sequence_number).transpose()?.unwrap_or_default();
    Ok(match kind {
        "LATEST" => IteratorStart::Latest,
        "AT_SEQUENCE_NUMBER" => IteratorStart::At(number),
        "AFTER_SEQUENCE_NUMBER" => IteratorStart::After(number),
        // Casts of floats saturate: no time is before 1970.
        "AT_TIMESTAMP" => IteratorStart::Time { epoch_ms: (time.unwrap_or_default() * 1000.0) as u64 },
        _ => IteratorStart::TrimHorizon,
    })
}

fn sequence_number(text: &str) -> Result<SequenceNumber, ApiError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| ApiError::invalid_value("Invalid SequenceNumber"))
}

pub(crate) fn records(request: Members<'_>) -> Result<GetRecords, ApiError> {
    Ok(GetRecords {
        iterator: request.owned_text("ShardIterator").unwrap_or_default(),
        limit: limit(&request, MAX_RECORDS, "Limit should be less than or equal to 1000")?,
    })
}

fn stream(arn: &str) -> Result<StreamRef, ApiError> {
    StreamRef::from_arn(arn).ok_or_else(|| ApiError::validation("Invalid StreamArn"))
}

fn limit(request: &Members<'_>, most: usize, beyond: &str) -> Result<usize, ApiError> {
    match request.int("Limit").and_then(|limit| usize::try_from(limit).ok()) {
        None => Ok(most),
        Some(limit) if limit <= most => Ok(limit),
        Some(_) => Err(ApiError::invalid_value(beyond)),
    }
}
