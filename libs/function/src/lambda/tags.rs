//! Tags of functions and mappings, by ARN.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tradewind_engine::Documents;

use super::{Answer, ApiError, LambdaApi, Request, Response, parse, path};
use crate::catalogue::{Function, Mapping};
use crate::invoke::Invoker;
use crate::mapping::source::ShardSource;

const MAX_TAGS: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TagResource {
    tags: BTreeMap<String, String>,
}

enum Tagged {
    Function(String),
    Mapping(String),
}

pub fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let too_long = |(key, value): (&String, &String)| {
        key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256
    };
    if tags.len() > MAX_TAGS || tags.iter().any(too_long) {
        let message = "Tags: at most 50, keys of 1 to 128 and values of at most 256 characters";
        return Err(ApiError::invalid_parameter(message));
    }
    match tags.keys().find(|key| key.starts_with("aws:")) {
        Some(key) => Err(ApiError::invalid_parameter(format!("Tag key {key} has the reserved prefix aws:"))),
        None => Ok(()),
    }
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn list_tags(&self, arn: &str) -> Answer {
        let found = match tagged(arn)? {
            Tagged::Function(name) => self.catalogue.function(&name).await?.map(|function| function.tags),
            Tagged::Mapping(uuid) => self.catalogue.mapping(&uuid).await?.map(|mapping| mapping.tags),
        };
        let tags = found.ok_or_else(|| not_found(arn))?;
        Ok(Response::json(200, &json!({ "Tags": tags })))
    }

    pub(super) async fn tag(&self, request: Request<'_>, arn: &str) -> Answer {
        let input: TagResource = parse(&request)?;
        check(&input.tags)?;
        self.change_tags(arn, |tags| {
            tags.extend(input.tags.clone());
            check(tags)
        })
        .await
    }

    pub(super) async fn untag(&self, request: Request<'_>, arn: &str) -> Answer {
        let keys = path::values(request.query, "tagKeys");
        self.change_tags(arn, |tags| {
            tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }

    async fn change_tags(
        &self,
        arn: &str,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
    ) -> Answer {
        let changed = match tagged(arn)? {
            Tagged::Function(name) => {
                let edit = |function: &mut Function| change(&mut function.tags);
                self.catalogue.update_function(&name, edit).await?.map(|done| done.map(|_| ()))
            }
            Tagged::Mapping(uuid) => {
                let edit = |mapping: &mut Mapping| change(&mut mapping.tags);
                self.catalogue.update_mapping(&uuid, edit).await?.map(|done| done.map(|_| ()))
            }
        };
        changed.ok_or_else(|| not_found(arn))??;
        Ok(Response::empty(204))
    }
}

fn tagged(arn: &str) -> Result<Tagged, ApiError> {
    let mut parts = arn.splitn(7, ':').skip(2);
    match (parts.next(), parts.nth(2), parts.next()) {
        (Some("lambda"), Some("function"), Some(name)) if !name.contains(':') => {
            Ok(Tagged::Function(name.to_owned()))
        }
        (Some("lambda"), Some("event-source-mapping"), Some(uuid)) => Ok(Tagged::Mapping(uuid.to_owned())),
        _ => Err(ApiError::invalid_parameter(format!("Invalid resource ARN for tags: {arn}"))),
    }
}

fn not_found(arn: &str) -> ApiError {
    ApiError::not_found(format!("The resource you requested does not exist: {arn}"))
}
