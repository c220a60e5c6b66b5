//! Answers and errors to JSON, written straight into the body.

mod error;
mod global_table;
mod item;
mod stream;
mod table;

pub use error::encode_error;
pub use stream::{render_event, sequence_text};

use crate::json::write::{Object, object};
use crate::response::Answer;

/// For how long a client may keep to an endpoint that it was told.
const ENDPOINT_MINUTES: u64 = 1440;

/// Appends the answer's body; nothing where an operation has none.
pub fn encode(answer: &Answer, out: &mut Vec<u8>) {
    if matches!(answer, Answer::Tagged) {
        return;
    }
    object(out, |out| members(answer, out));
}

fn members(answer: &Answer, out: &mut Object<'_>) {
    match answer {
        Answer::Write(output) => item::write(output, out),
        Answer::Get(output) => item::get(output, out),
        Answer::Page(output) => item::page(output, out),
        Answer::BatchGet(output) => item::batch_get(output, out),
        Answer::BatchWrite(output) => item::batch_write(output, out),
        Answer::TransactGet(output) | Answer::StatementTransaction(output) => item::transact_get(output, out),
        Answer::TransactWrite(output) => item::transact_write(output, out),
        Answer::Statement(output) => item::statement(output, out),
        Answer::StatementBatch(output) => item::statement_batch(output, out),
        Answer::TableChanged(description) => {
            out.object("TableDescription", |out| table::describe(description, out));
        }
        Answer::DescribeTable(description) => out.object("Table", |out| table::describe(description, out)),
        Answer::Streams(page) => stream::list(page, out),
        Answer::DescribeStream(description) => {
            out.object("StreamDescription", |out| stream::describe(description, out));
        }
        Answer::ShardIterator(iterator) => out.text("ShardIterator", iterator),
        Answer::Records(page) => stream::records(page, out),
        Answer::GlobalTable(description) => {
            out.object("GlobalTableDescription", |out| global_table::describe(description, out));
        }
        Answer::GlobalTables(page) => global_table::list(page, out),
        Answer::GlobalTableSettings(settings) => global_table::settings(settings, out),
        other => settings(other, out),
    }
}

/// What is said about a table beside its description.
fn settings(answer: &Answer, out: &mut Object<'_>) {
    match answer {
        Answer::ListTables(page) => {
            out.texts("TableNames", page.names.iter().map(String::as_str));
            out.maybe_text("LastEvaluatedTableName", page.last.as_deref());
        }
        Answer::Tags(page) => {
            out.objects("Tags", &page.tags, |tag, out| {
                out.text("Key", &tag.key);
                out.text("Value", &tag.value);
            });
            out.maybe_text("NextToken", page.next_token.as_deref());
        }
        Answer::TimeToLiveUpdated { attribute, enabled } => out.object("TimeToLiveSpecification", |out| {
            out.text("AttributeName", attribute);
            out.bool("Enabled", *enabled);
        }),
        Answer::TimeToLive(description) => out.object("TimeToLiveDescription", |out| {
            out.text("TimeToLiveStatus", description.status.name());
            out.maybe_text("AttributeName", description.attribute.as_deref());
        }),
        Answer::Limits(limits) => {
            out.whole("AccountMaxReadCapacityUnits", limits.account_read);
            out.whole("AccountMaxWriteCapacityUnits", limits.account_write);
            out.whole("TableMaxReadCapacityUnits", limits.table_read);
            out.whole("TableMaxWriteCapacityUnits", limits.table_write);
        }
        Answer::Endpoints(addresses) => out.objects("Endpoints", addresses, |address, out| {
            out.text("Address", address);
            out.whole("CachePeriodInMinutes", ENDPOINT_MINUTES);
        }),
        Answer::ContinuousBackups => out.object("ContinuousBackupsDescription", |out| {
            out.text("ContinuousBackupsStatus", "ENABLED");
            out.object("PointInTimeRecoveryDescription", |out| {
                out.text("PointInTimeRecoveryStatus", "DISABLED");
            });
        }),
        Answer::KinesisStreamingDestination { table } => {
            out.text("TableName", table);
            out.texts("KinesisDataStreamDestinations", []);
        }
        Answer::ContributorInsights(insights) => {
            out.text("TableName", &insights.table);
            out.maybe_text("IndexName", insights.index.as_deref());
            out.text("ContributorInsightsStatus", insights.status);
        }
        Answer::ReplicaAutoScaling(scaling) => out.object("TableAutoScalingDescription", |out| {
            out.text("TableName", &scaling.table);
            out.text("TableStatus", scaling.status.name());
            out.objects("Replicas", &scaling.replicas, |(region, status), out| {
                out.text("RegionName", region);
                out.text("ReplicaStatus", status.name());
            });
        }),
        Answer::ResourcePolicy { policy, revision } => {
            out.text("Policy", policy);
            out.text("RevisionId", revision);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
