//! The operations on tables, tags and global tables.

mod create;
mod global;
mod settings;
mod tag;
mod update;

use crate::decode::item::table;
use crate::error::ApiError;
use crate::request::Request;
use crate::request::table::{DescribeContributorInsights, ListTables, UpdateTimeToLive};
use crate::shape::node::Members;
use crate::target::Operation;

const MAX_TABLES: usize = 100;

pub(crate) fn decode(operation: Operation, request: Members<'_>) -> Result<Request, ApiError> {
    Ok(match operation {
        Operation::CreateTable => Request::CreateTable(Box::new(create::create(request)?)),
        Operation::UpdateTable => Request::UpdateTable(Box::new(update::update(request)?)),
        Operation::DeleteTable => Request::DeleteTable(table(&request)),
        Operation::ListTables => Request::ListTables(list(&request)),
        Operation::TagResource => Request::TagResource(tag::tag(request)?),
        Operation::UntagResource => Request::UntagResource(tag::untag(request)?),
        Operation::ListTagsOfResource => Request::ListTagsOfResource(tag::list(&request)?),
        Operation::UpdateTimeToLive => Request::UpdateTimeToLive(time_to_live(request)),
        Operation::DescribeTimeToLive => Request::DescribeTimeToLive(table(&request)),
        Operation::DescribeLimits => Request::DescribeLimits,
        Operation::DescribeEndpoints => Request::DescribeEndpoints,
        Operation::DescribeContinuousBackups => Request::DescribeContinuousBackups(table(&request)),
        Operation::DescribeKinesisStreamingDestination => {
            Request::DescribeKinesisStreamingDestination(table(&request))
        }
        Operation::DescribeContributorInsights => {
            let index = request.owned_text("IndexName");
            Request::DescribeContributorInsights(DescribeContributorInsights {
                table: table(&request),
                index,
            })
        }
        Operation::DescribeTableReplicaAutoScaling => {
            Request::DescribeTableReplicaAutoScaling(table(&request))
        }
        Operation::GetResourcePolicy => {
            Request::GetResourcePolicy(request.owned_text("ResourceArn").unwrap_or_default())
        }
        Operation::CreateGlobalTable => Request::CreateGlobalTable(global::create(request)?),
        Operation::UpdateGlobalTable => Request::UpdateGlobalTable(global::update(request)?),
        Operation::DescribeGlobalTable => Request::DescribeGlobalTable(global::name(&request)),
        Operation::DescribeGlobalTableSettings => {
            Request::DescribeGlobalTableSettings(global::name(&request))
        }
        Operation::UpdateGlobalTableSettings => {
            Request::UpdateGlobalTableSettings(global::update_settings(request))
        }
        Operation::ListGlobalTables => Request::ListGlobalTables(global::list(&request)),
        _ => Request::DescribeTable(table(&request)),
    })
}

/// The operations on tags look at their ARN before the framework has its say.
pub(crate) fn checks_itself(operation: Operation) -> bool {
    matches!(operation, Operation::TagResource | Operation::UntagResource | Operation::ListTagsOfResource)
}

fn list(request: &Members<'_>) -> ListTables {
    let limit = request.int("Limit").and_then(|limit| usize::try_from(limit).ok());
    ListTables { start: request.owned_text("ExclusiveStartTableName"), limit: limit.unwrap_or(MAX_TABLES) }
}

fn time_to_live(mut request: Members<'_>) -> UpdateTimeToLive {
    let table = table(&request);
    let specification = request.members("TimeToLiveSpecification");
    let attribute = specification.as_ref().and_then(|members| members.owned_text("AttributeName"));
    let enabled = specification.and_then(|members| members.bool("Enabled"));
    UpdateTimeToLive { table, attribute: attribute.unwrap_or_default(), enabled: enabled.unwrap_or(false) }
}
