//! What is said about a table beside its data: tags, TTL, limits, and features it does not have.

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::stream::StreamRef;
use tradewind_wire::request::table::{
    DescribeContributorInsights, ListTagsOfResource, Tag, TagResource, UntagResource, UpdateTimeToLive,
};
use tradewind_wire::response::Answer;
use tradewind_wire::response::table::{
    ContributorInsights, Limits, ReplicaAutoScaling, TagPage, TimeToLiveDescription, TimeToLiveStatus,
};

use crate::describe::describe_replica;
use crate::region::Database;
use crate::table::document::Ttl;

/// User tags of one table.
const MAX_TAGS: usize = 50;

impl<E: Engine + Documents> Database<E> {
    fn tagged(&self, arn: &str) -> ApiError {
        ApiError::resource_not_found(format!("Requested resource not found: ResourcArn: {arn} not found"))
    }

    pub(crate) async fn tag(&self, request: TagResource) -> Result<Answer, ApiError> {
        let arn = request.table.arn.unwrap_or_default();
        if self.table(&request.table.name).is_none() {
            return Err(self.tagged(&arn));
        }
        self.change(&request.table.name, |document| {
            document.tags.extend(request.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
            match document.tags.len() > MAX_TAGS {
                true => Err(ApiError::validation("One or more parameter values were invalid: Too many tags")),
                false => Ok(()),
            }
        })
        .await?;
        Ok(Answer::Tagged)
    }

    pub(crate) async fn untag(&self, request: UntagResource) -> Result<Answer, ApiError> {
        // Unlike the other operations on tags, this one does not name the table. (Recorded by dynalite.)
        if self.table(&request.table.name).is_none() {
            return Err(ApiError::resource_not_found("Requested resource not found"));
        }
        self.change(&request.table.name, |document| {
            request.keys.iter().for_each(|key| {
                document.tags.remove(key);
            });
            Ok(())
        })
        .await?;
        Ok(Answer::Tagged)
    }

    pub(crate) fn tags(&self, request: &ListTagsOfResource) -> Result<Answer, ApiError> {
        let arn = request.table.arn.clone().unwrap_or_default();
        let table = self.table(&request.table.name).ok_or_else(|| self.tagged(&arn))?;
        let document = table.document();
        let tags = document.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() });
        Ok(Answer::Tags(TagPage { tags: tags.collect(), next_token: None }))
    }

    /// Takes effect at once; the items there are follow in the background.
    pub(crate) async fn update_ttl(&self, request: UpdateTimeToLive) -> Result<Answer, ApiError> {
        let name = request.table.name;
        self.existing(&name)?;
        let now_ms = self.shared.clock.now_ms();
        let attribute = request.attribute.clone();
        let switched = self.change(&name, |document| {
            check_ttl(document.ttl.as_ref(), &attribute, request.enabled)?;
            document.ttl = request.enabled.then(|| Ttl { attribute: attribute.clone() });
            document.settings.ttl_changed_ms = Some(now_ms);
            document.settings.expiry_noted = None;
            Ok(())
        });
        self.alone_everywhere(&name, switched).await?;
        Ok(Answer::TimeToLiveUpdated { attribute: request.attribute, enabled: request.enabled })
    }

    pub(crate) fn describe_ttl(&self, name: &str) -> Result<Answer, ApiError> {
        let ttl = self.existing(name)?.document().ttl.clone();
        let status = if ttl.is_some() { TimeToLiveStatus::Enabled } else { TimeToLiveStatus::Disabled };
        Ok(Answer::TimeToLive(TimeToLiveDescription { status, attribute: ttl.map(|ttl| ttl.attribute) }))
    }

    /// DynamoDB's own defaults; no account is bounded here.
    pub(crate) fn limits(&self) -> Answer {
        Answer::Limits(Limits {
            account_read: 80_000,
            account_write: 80_000,
            table_read: 40_000,
            table_write: 40_000,
        })
    }

    pub(crate) fn continuous_backups(&self, name: &str) -> Result<Answer, ApiError> {
        let found = self
            .table(name)
            .ok_or_else(|| ApiError::new(Code::TableNotFound, format!("Table not found: {name}")));
        found.map(|_| Answer::ContinuousBackups)
    }

    pub(crate) fn kinesis_destination(&self, name: &str) -> Result<Answer, ApiError> {
        self.existing(name).map(|_| Answer::KinesisStreamingDestination { table: name.to_owned() })
    }

    pub(crate) fn contributor_insights(
        &self,
        request: DescribeContributorInsights,
    ) -> Result<Answer, ApiError> {
        let document = self.existing(&request.table.name)?.document();
        if let Some(index) = request.index.as_ref().filter(|index| document.index(index).is_none()) {
            return Err(ApiError::resource_not_found(format!(
                "Requested resource not found: Index: {index} not found"
            )));
        }
        let table = request.table.name;
        Ok(Answer::ContributorInsights(ContributorInsights {
            table,
            index: request.index,
            status: "DISABLED",
        }))
    }

    pub(crate) fn replica_auto_scaling(&self, name: &str) -> Result<Answer, ApiError> {
        let document = self.existing(name)?.document();
        let replicas = document
            .replicas
            .iter()
            .map(|(region, replica)| (region.to_string(), describe_replica(region.as_str(), replica).status));
        Ok(Answer::ReplicaAutoScaling(ReplicaAutoScaling {
            table: name.to_owned(),
            status: self.describe(&document).status,
            replicas: replicas.collect(),
        }))
    }

    /// No table has one.
    pub(crate) fn resource_policy(&self, arn: &str) -> Result<Answer, ApiError> {
        let table = arn.split("table/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if self.table(table).is_none() && StreamRef::from_arn(arn).is_none() {
            return Err(ApiError::resource_not_found(format!(
                "Requested resource not found: ResourcArn: {arn} not found"
            )));
        }
        Err(ApiError::new(
            Code::PolicyNotFound,
            format!("Resource-based policy not found for the provided ResourceArn: {arn}"),
        ))
    }
}

fn check_ttl(known: Option<&Ttl>, attribute: &str, enabled: bool) -> Result<(), ApiError> {
    match (known, enabled) {
        (Some(ttl), true) if ttl.attribute == attribute => {
            Err(ApiError::validation("TimeToLive is already enabled"))
        }
        (None, false) => Err(ApiError::validation("TimeToLive is already disabled")),
        (Some(ttl), _) if ttl.attribute != attribute => Err(ApiError::validation(format!(
            "TimeToLive is active on a different AttributeName: current AttributeName is {}",
            ttl.attribute
        ))),
        _ => Ok(()),
    }
}
