//! Requests of DynamoDB Streams.

use crate::shape::Constraint::{MaxLength, Min, MinLength, OneOf};
use crate::shape::{NAME, Shape, Structure, optional, required};

const STREAM_ARN: Shape = Shape::Text(&[MinLength(37), MaxLength(1024)]);
const SHARD_ID: Shape = Shape::Text(&[MinLength(28), MaxLength(65)]);
const LIMIT: Shape = Shape::Integer(&[Min(1)]);

pub(crate) static LIST_STREAMS: Structure = Structure {
    name: "ListStreamsInput",
    members: &[
        optional("TableName", NAME),
        optional("Limit", LIMIT),
        optional("ExclusiveStartStreamArn", STREAM_ARN),
    ],
};

pub(crate) static DESCRIBE_STREAM: Structure = Structure {
    name: "DescribeStreamInput",
    members: &[
        required("StreamArn", STREAM_ARN),
        optional("Limit", LIMIT),
        optional("ExclusiveStartShardId", SHARD_ID),
        optional(
            "ShardFilter",
            Shape::Struct(&Structure {
                name: "ShardFilter",
                members: &[
                    optional("Type", Shape::Text(&[OneOf(&["CHILD_SHARDS"])])),
                    optional("ShardId", SHARD_ID),
                ],
            }),
        ),
    ],
};

pub(crate) static GET_SHARD_ITERATOR: Structure = Structure {
    name: "GetShardIteratorInput",
    members: &[
        required("StreamArn", STREAM_ARN),
        required("ShardId", SHARD_ID),
        required(
            "ShardIteratorType",
            Shape::Text(&[OneOf(&[
                "TRIM_HORIZON",
                "LATEST",
                "AT_SEQUENCE_NUMBER",
                "AFTER_SEQUENCE_NUMBER",
                "AT_TIMESTAMP",
            ])]),
        ),
        optional("SequenceNumber", Shape::Text(&[MinLength(21), MaxLength(40)])),
        optional("Timestamp", Shape::Timestamp),
    ],
};

pub(crate) static GET_RECORDS: Structure = Structure {
    name: "GetRecordsInput",
    members: &[
        required("ShardIterator", Shape::Text(&[MinLength(1), MaxLength(2048)])),
        optional("Limit", LIMIT),
    ],
};
