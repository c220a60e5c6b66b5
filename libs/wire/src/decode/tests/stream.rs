//! The operations of DynamoDB Streams.

use super::{decoded, invalid, ompvi};
use crate::request::Request;
use crate::request::stream::{IteratorStart, StreamRef};
use crate::target::Operation::{DescribeStream, GetRecords, GetShardIterator, ListStreams};

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/abc/stream/2015-05-11T21:21:33.291";
const SHARD: &str = "shardId-00000001573689847184-864758bb";

fn iterator(rest: &str) -> String {
    format!(r#"{{"StreamArn":"{ARN}","ShardId":"{SHARD}",{rest}}}"#)
}

#[test]
fn all_five_iterator_types_are_read() {
    let number = "000000000000000000042";
    for (rest, start) in [
        (r#""ShardIteratorType":"TRIM_HORIZON""#.to_owned(), IteratorStart::TrimHorizon),
        (r#""ShardIteratorType":"LATEST""#.to_owned(), IteratorStart::Latest),
        (
            format!(r#""ShardIteratorType":"AT_SEQUENCE_NUMBER","SequenceNumber":"{number}""#),
            IteratorStart::At(42),
        ),
        (
            format!(r#""ShardIteratorType":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"{number}""#),
            IteratorStart::After(42),
        ),
        (
            r#""ShardIteratorType":"AT_TIMESTAMP","Timestamp":1700000000.25"#.to_owned(),
            IteratorStart::Time { epoch_ms: 1_700_000_000_250 },
        ),
    ] {
        let Request::GetShardIterator(request) = decoded(GetShardIterator, &iterator(&rest)) else {
            panic!()
        };
        assert_eq!((request.start, request.shard.as_str()), (start, SHARD));
        assert_eq!(Some(request.stream), StreamRef::from_arn(ARN));
    }
}

#[test]
fn iterator_types_take_exactly_what_they_need() {
    for (rest, message) in [
        (r#""ShardIteratorType":"AT_SEQUENCE_NUMBER""#, ompvi("Invalid SequenceNumber")),
        (
            r#""ShardIteratorType":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"abcdefghijklmnopqrstu""#,
            ompvi("Invalid SequenceNumber"),
        ),
        (
            r#""ShardIteratorType":"LATEST","SequenceNumber":"000000000000000000042""#,
            ompvi("SequenceNumber should not be passed for this iterator type"),
        ),
        (r#""ShardIteratorType":"AT_TIMESTAMP""#, ompvi("Invalid Timestamp")),
        (
            r#""ShardIteratorType":"LATEST","Timestamp":5"#,
            ompvi("Timestamp should not be passed for this iterator type"),
        ),
    ] {
        assert_eq!(invalid(GetShardIterator, &iterator(rest)), message);
    }
    assert!(
        invalid(GetShardIterator, &iterator(r#""ShardIteratorType":"latest""#)).contains("enum value set")
    );
}

#[test]
fn arns_of_another_form_are_refused_here_and_unknown_ones_later() {
    let describe = |arn: &str| format!(r#"{{"StreamArn":"{arn}"}}"#);
    assert!(invalid(DescribeStream, &describe("abc")).contains("length greater than or equal to 37"));
    for bad in [
        "arn:aws:dynamodb:us-east-1:000000000000:table/abc",
        "arn:aws:dynamodb:us-east-1:000000000000:table/abc/stream/",
        "arn:aws:dynamodb:us-east-1:000000000000:table/abc/stream/a/b",
        "arn:aws:dynamodb:us-east-1:000000000000:stream/abcdefghijkl",
    ] {
        assert_eq!(invalid(DescribeStream, &describe(bad)), "Invalid StreamArn");
    }
    decoded(DescribeStream, &describe(ARN));
}

#[test]
fn pages_are_bounded() {
    let Request::ListStreams(list) = decoded(ListStreams, "{}") else { panic!() };
    assert_eq!(list.limit, 100);
    assert_eq!(
        invalid(ListStreams, r#"{"Limit":101}"#),
        ompvi("Limit cannot be greater than the maximum allowed size: 100")
    );
    assert!(invalid(ListStreams, r#"{"Limit":0}"#).contains("greater than or equal to 1"));
    let Request::GetRecords(records) = decoded(GetRecords, r#"{"ShardIterator":"i"}"#) else { panic!() };
    assert_eq!(records.limit, 1000);
    for limit in [0, 1001] {
        invalid(GetRecords, &format!(r#"{{"ShardIterator":"i","Limit":{limit}}}"#));
    }
}

#[test]
fn shards_can_be_asked_for_by_their_parent() {
    let json =
        format!(r#"{{"StreamArn":"{ARN}","ShardFilter":{{"Type":"CHILD_SHARDS","ShardId":"{SHARD}"}}}}"#);
    let Request::DescribeStream(describe) = decoded(DescribeStream, &json) else { panic!() };
    assert_eq!(describe.children_of.as_deref(), Some(SHARD));
    let json = format!(r#"{{"StreamArn":"{ARN}","ShardFilter":{{"Type":"CHILD_SHARDS"}}}}"#);
    assert_eq!(invalid(DescribeStream, &json), "ShardFilter needs both Type and ShardId");
}
