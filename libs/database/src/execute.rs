//! Any request to its answer: one line each, to the place that knows.

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::Request;
use tradewind_wire::response::Answer;

use crate::region::Database;

impl<E: Engine + Documents> Database<E> {
    pub async fn execute(&self, request: Request) -> Result<Answer, ApiError> {
        if !self.shared.alone {
            self.look_before(&request).await?;
        }
        match request {
            Request::PutItem(request) => self.put_item(request).await.map(Answer::Write),
            Request::GetItem(request) => self.get_item(request).await.map(Answer::Get),
            Request::UpdateItem(request) => self.update_item(request).await.map(Answer::Write),
            Request::DeleteItem(request) => self.delete_item(request).await.map(Answer::Write),
            Request::Query(request) => self.query(request).await.map(Answer::Page),
            // A request's future is copied several times on its way here, at its whole size: that of its largest part.
            other => Box::pin(self.execute_several(other)).await,
        }
    }

    async fn execute_several(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::Scan(request) => self.scan(request).await.map(Answer::Page),
            Request::BatchGetItem(request) => self.batch_get_item(request).await.map(Answer::BatchGet),
            Request::BatchWriteItem(request) => self.batch_write_item(request).await.map(Answer::BatchWrite),
            Request::TransactGetItems(request) => {
                self.transact_get_items(request).await.map(Answer::TransactGet)
            }
            Request::TransactWriteItems(request) => {
                self.transact_write_items(request).await.map(Answer::TransactWrite)
            }
            other => self.execute_partiql(other).await,
        }
    }

    async fn execute_partiql(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::ExecuteStatement(request) => {
                self.execute_statement(request).await.map(Answer::Statement)
            }
            Request::BatchExecuteStatement(request) => {
                self.batch_execute_statement(request).await.map(Answer::StatementBatch)
            }
            Request::ExecuteTransaction(request) => {
                self.execute_transaction(request).await.map(Answer::StatementTransaction)
            }
            other => self.execute_control(other).await,
        }
    }

    async fn execute_control(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::CreateTable(request) => {
                let document = self.create_table(*request).await?;
                // Said as DynamoDB says it; the table takes requests already.
                Ok(Answer::TableChanged(Box::new(self.describe_created(&document))))
            }
            Request::UpdateTable(request) => {
                let before = request.table.as_ref().and_then(|named| self.table(&named.name));
                let before = before.map(|table| table.document());
                let name = request.table.as_ref().map_or("", |table| table.name.as_str()).to_owned();
                let after = self.alone_everywhere(&name, self.update_table(*request)).await?;
                let description = self.describe_updating(before.as_deref().unwrap_or(&after), &after);
                Ok(Answer::TableChanged(Box::new(description)))
            }
            Request::DeleteTable(table) => {
                let document = self.delete_table(&table.name).await?;
                Ok(Answer::TableChanged(Box::new(self.describe_deleted(&document))))
            }
            Request::DescribeTable(table) => {
                let description = self.describe_table(&table.name).await?;
                Ok(Answer::DescribeTable(Box::new(description)))
            }
            Request::ListTables(request) => Ok(Answer::ListTables(self.list_tables(&request))),
            Request::ListStreams(request) => self.list_streams(request).await.map(Answer::Streams),
            Request::DescribeStream(request) => {
                self.describe_stream(request).await.map(Answer::DescribeStream)
            }
            Request::GetShardIterator(request) => {
                self.get_shard_iterator(request).await.map(Answer::ShardIterator)
            }
            Request::GetRecords(request) => self.get_records(request).await.map(Answer::Records),
            other => self.execute_settings(other).await,
        }
    }

    async fn execute_settings(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::TagResource(request) => self.tag(request).await,
            Request::UntagResource(request) => self.untag(request).await,
            Request::ListTagsOfResource(request) => self.tags(&request),
            Request::UpdateTimeToLive(request) => self.update_ttl(request).await,
            Request::DescribeTimeToLive(table) => self.describe_ttl(&table.name),
            Request::DescribeLimits => Ok(self.limits()),
            Request::DescribeContinuousBackups(table) => self.continuous_backups(&table.name),
            Request::DescribeKinesisStreamingDestination(table) => self.kinesis_destination(&table.name),
            Request::DescribeContributorInsights(request) => self.contributor_insights(request),
            Request::DescribeTableReplicaAutoScaling(table) => self.replica_auto_scaling(&table.name),
            Request::GetResourcePolicy(arn) => self.resource_policy(&arn),
            Request::CreateGlobalTable(request) => self.create_global_table(&request).await,
            Request::ListGlobalTables(request) => Ok(self.list_global_tables(&request)),
            Request::DescribeGlobalTable(name) => self.describe_global_table(&name),
            Request::DescribeGlobalTableSettings(name) => self.describe_global_table_settings(&name),
            Request::UpdateGlobalTable(request) => self.update_global_table(&request).await,
            Request::UpdateGlobalTableSettings(request) => self.update_global_table_settings(&request).await,
            _ => Err(ApiError::new(Code::UnknownOperation, "")),
        }
    }
}
