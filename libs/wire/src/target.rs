//! Operations by their X-Amz-Target.

use crate::error::{ApiError, Code};

const DYNAMODB: &str = "DynamoDB_20120810";
const STREAMS: &str = "DynamoDBStreams_20120810";

macro_rules! operations {
    ($($service:ident: $($name:ident)*;)*) => {
        /// Everything that can be asked for on the DynamoDB port.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Operation { $($($name,)*)* }

        impl Operation {
            pub const ALL: &[Operation] = &[$($(Operation::$name,)*)*];

            /// As the API, metrics and policies spell it.
            pub fn name(self) -> &'static str {
                match self { $($(Operation::$name => stringify!($name),)*)* }
            }

            fn service(self) -> &'static str {
                match self { $($(Operation::$name => $service,)*)* }
            }
        }
    };
}

operations! {
    DYNAMODB:
        BatchExecuteStatement BatchGetItem BatchWriteItem CreateGlobalTable CreateTable DeleteItem DeleteTable
        DescribeContinuousBackups DescribeContributorInsights DescribeEndpoints DescribeGlobalTable
        DescribeGlobalTableSettings DescribeKinesisStreamingDestination DescribeLimits DescribeTable
        DescribeTableReplicaAutoScaling DescribeTimeToLive ExecuteStatement ExecuteTransaction GetItem
        GetResourcePolicy ListGlobalTables ListTables ListTagsOfResource PutItem Query Scan TagResource
        TransactGetItems TransactWriteItems UntagResource UpdateGlobalTable UpdateGlobalTableSettings UpdateItem
        UpdateTable UpdateTimeToLive;
    STREAMS:
        DescribeStream GetRecords GetShardIterator ListStreams;
}

impl Operation {
    /// Of `DynamoDB_20120810.PutItem` and the like.
    pub fn from_target(target: &str) -> Result<Operation, ApiError> {
        let unknown = || ApiError::new(Code::UnknownOperation, "");
        let (service, name) = target.split_once('.').ok_or_else(unknown)?;
        let mut all = Operation::ALL.iter().copied();
        all.find(|operation| operation.name() == name && operation.service() == service).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_target() {
        for operation in Operation::ALL {
            let target = format!("{}.{}", operation.service(), operation.name());
            assert_eq!(Operation::from_target(&target), Ok(*operation));
        }
        assert_eq!(Operation::ALL.len(), 40);
    }

    #[test]
    fn other_targets_are_unknown_operations() {
        for target in [
            "",
            "PutItem",
            "DynamoDB_20120810",
            "DynamoDB_20120810.",
            "DynamoDB_20120810.putItem",
            "DynamoDB_20120810.PutItem2",
            "DynamoDB_20111205.PutItem",
            "DynamoDB_20120810.GetRecords",
            "DynamoDBStreams_20120810.PutItem",
            "DynamoDB_20120810.StartBulkPutItems",
        ] {
            let error = Operation::from_target(target).map_err(|error| error.code);
            assert_eq!(error, Err(Code::UnknownOperation), "{target:?}");
        }
    }
}
