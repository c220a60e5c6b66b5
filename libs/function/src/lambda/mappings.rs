//! Event source mappings: create, read, change, delete.
//!
//! LATEST is resolved while the call runs: every change that follows its answer reaches the function.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_engine::Documents;
use tradewind_model::Sequence;
use uuid::Uuid;

use super::constraints::Checks;
use super::functions::page_size;
use super::knobs::KnobsInput;
use super::names::{FunctionRef, function_arn, mapping_arn, parse_function};
use super::{Answer, ApiError, LambdaApi, Request, Response, answers, parse, path};
use crate::catalogue::Mapping;
use crate::catalogue::mapping::{Knobs, StartingPosition};
use crate::catalogue::version::split;
use crate::invoke::Invoker;
use crate::mapping::source::{ShardSource, SourceError};

const PAGE: usize = 100;
const MAX_ITEMS: i64 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateMapping {
    event_source_arn: Option<String>,
    function_name: Option<String>,
    enabled: Option<bool>,
    starting_position: Option<String>,
    tags: BTreeMap<String, String>,
    #[serde(flatten)]
    knobs: KnobsInput,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateMapping {
    function_name: Option<String>,
    enabled: Option<bool>,
    #[serde(flatten)]
    knobs: KnobsInput,
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn create_mapping(&self, request: Request<'_>) -> Answer {
        let mut input: CreateMapping = parse(&request)?;
        input.knobs.take_headers(&request);
        let starting_position = check_create(&input)?;
        let stream_arn = input.event_source_arn.unwrap_or_default();
        let function = self.mapped_function(&request, input.function_name.as_deref()).await?;
        let start_after = self.start_after(&stream_arn, starting_position).await?;
        self.refuse_duplicate(&stream_arn, &function).await?;
        let mut knobs = Knobs::default();
        input.knobs.apply(&mut knobs);
        let mapping = Mapping {
            uuid: Uuid::new_v4().to_string(),
            stream_arn,
            function,
            enabled: input.enabled.unwrap_or(true),
            starting_position,
            start_after,
            knobs,
            tags: input.tags,
            deleting: false,
            generation: 1,
            transition: "Creating".to_owned(),
            pause_reason: None,
            replay: None,
            last_modified_ms: (self.clock)(),
        };
        self.catalogue.create_mapping(&mapping).await?;
        Ok(Response::json(202, &self.render_mapping(&mapping, None)))
    }

    pub(super) async fn get_mapping(&self, uuid: &str) -> Answer {
        let mapping = self.catalogue.mapping(uuid).await?.ok_or_else(not_found)?;
        Ok(Response::json(200, &self.show(&mapping).await?))
    }

    pub(super) async fn list_mappings(&self, request: Request<'_>) -> Answer {
        let limit = page_size(&request, MAX_ITEMS, PAGE)?;
        let marker = path::value(request.query, "Marker").unwrap_or_default();
        let stream_arn = path::value(request.query, "EventSourceArn");
        let function = path::value(request.query, "FunctionName");
        let function = function.map(|given| parse_function(&given, "functionName")).transpose()?;
        let is_of = |mapping: &Mapping, named: &FunctionRef| match &named.qualifier {
            Some(qualifier) if qualifier != "$LATEST" => {
                split(&mapping.function) == (&named.name, Some(qualifier.as_str()))
            }
            _ => mapping.function_name() == named.name,
        };
        let mappings = self.catalogue.mappings().await?;
        let mut wanted = mappings.iter().filter(|mapping| {
            mapping.replay.is_none()
                && mapping.uuid > marker
                && stream_arn.as_ref().is_none_or(|arn| *arn == mapping.stream_arn)
                && function.as_ref().is_none_or(|function| is_of(mapping, function))
        });
        let (mut page, mut next) = (Vec::new(), None);
        for mapping in wanted.by_ref().take(limit) {
            page.push(self.show(mapping).await?);
            next = Some(&mapping.uuid);
        }
        let next = next.filter(|_| wanted.next().is_some());
        Ok(Response::json(200, &json!({ "EventSourceMappings": page, "NextMarker": next })))
    }

    pub(super) async fn update_mapping(&self, request: Request<'_>, uuid: &str) -> Answer {
        let mut input: UpdateMapping = parse(&request)?;
        input.knobs.take_headers(&request);
        input.knobs.check()?;
        self.catalogue.mapping(uuid).await?.ok_or_else(not_found)?;
        let function = match &input.function_name {
            Some(given) => Some(self.mapped_function(&request, Some(given)).await?),
            None => None,
        };
        let edit = |mapping: &mut Mapping| {
            refuse_deleting(mapping, "update")?;
            let enabled = input.enabled.unwrap_or(mapping.enabled);
            mapping.transition = match (mapping.enabled, enabled) {
                (false, true) => "Enabling",
                (true, false) => "Disabling",
                _ => "Updating",
            }
            .to_owned();
            mapping.enabled = enabled;
            if enabled {
                mapping.pause_reason = None;
            }
            if let Some(function) = &function {
                mapping.function.clone_from(function);
            }
            input.knobs.apply(&mut mapping.knobs);
            mapping.generation += 1;
            mapping.last_modified_ms = (self.clock)();
            Ok::<_, ApiError>(())
        };
        let mapping = self.catalogue.update_mapping(uuid, edit).await?.ok_or_else(not_found)??;
        Ok(Response::json(202, &self.show(&mapping).await?))
    }

    /// Whoever runs the mapping lets the last invocation end and removes it.
    pub(super) async fn delete_mapping(&self, uuid: &str) -> Answer {
        let edit = |mapping: &mut Mapping| {
            refuse_deleting(mapping, "delete")?;
            mapping.deleting = true;
            mapping.transition = "Deleting".to_owned();
            mapping.generation += 1;
            mapping.last_modified_ms = (self.clock)();
            Ok::<_, ApiError>(())
        };
        let mapping = self.catalogue.update_mapping(uuid, edit).await?.ok_or_else(not_found)??;
        Ok(Response::json(202, &self.show(&mapping).await?))
    }

    pub(super) async fn show(&self, mapping: &Mapping) -> Result<Value, ApiError> {
        let status = self.catalogue.mapping_status(&mapping.uuid).await?;
        Ok(self.render_mapping(mapping, status.as_ref()))
    }

    fn render_mapping(&self, mapping: &Mapping, status: Option<&crate::catalogue::MappingStatus>) -> Value {
        let (function, arn) = self.arns(mapping);
        answers::mapping(mapping, status, &function, &arn)
    }

    fn arns(&self, mapping: &Mapping) -> (String, String) {
        let function = function_arn(&self.region, &self.account, &mapping.function);
        (function, mapping_arn(&self.region, &self.account, &mapping.uuid))
    }

    async fn mapped_function(&self, request: &Request<'_>, given: Option<&str>) -> Result<String, ApiError> {
        let given = given.unwrap_or_default();
        self.find(request, given).await?;
        self.reference(request, given)
    }

    /// Where each shard is to be read from; also says whether there is such a stream.
    async fn start_after(
        &self,
        stream_arn: &str,
        position: StartingPosition,
    ) -> Result<BTreeMap<String, Sequence>, ApiError> {
        let shards = self.source.shards(stream_arn).await.map_err(|error| match error {
            SourceError::NotFound(_) => {
                ApiError::invalid_parameter(format!("Stream not found: {stream_arn}"))
            }
            SourceError::Unavailable(reason) => ApiError::service(reason),
        })?;
        Ok(match position {
            StartingPosition::TrimHorizon => BTreeMap::new(),
            StartingPosition::Latest => {
                shards.into_iter().map(|shard| (shard.shard_id, shard.last)).collect()
            }
        })
    }

    async fn refuse_duplicate(&self, stream_arn: &str, function: &str) -> Result<(), ApiError> {
        let mappings = self.catalogue.mappings().await?;
        let same = |mapping: &&Mapping| {
            mapping.replay.is_none() && mapping.stream_arn == stream_arn && mapping.function == function
        };
        match mappings.iter().find(same) {
            None => Ok(()),
            Some(mapping) => Err(ApiError::conflict(format!(
                "The event source arn (\" {stream_arn} \") and function (\" {function} \") provided mapping already \
                 exists. Please update or delete the existing mapping with UUID {}",
                mapping.uuid
            ))),
        }
    }
}

fn check_create(input: &CreateMapping) -> Result<StartingPosition, ApiError> {
    let mut checks = Checks::default();
    checks.present("functionName", input.function_name.as_ref());
    let positions = ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"];
    checks.one_of("startingPosition", input.starting_position.as_deref(), &positions);
    checks.finish()?;
    input.knobs.check()?;
    super::tags::check(&input.tags)?;
    match input.event_source_arn.as_deref() {
        None => return Err(ApiError::invalid_parameter("EventSourceArn is required.")),
        Some(arn) if !is_stream(arn) => {
            let message = format!("Unrecognized event source, must be a DynamoDB stream ARN: {arn}");
            return Err(ApiError::invalid_parameter(message));
        }
        Some(_) => {}
    }
    match input.starting_position.as_deref() {
        Some("TRIM_HORIZON") => Ok(StartingPosition::TrimHorizon),
        Some("LATEST") => Ok(StartingPosition::Latest),
        Some(_) => Err(ApiError::invalid_parameter(
            "Unsupported starting position for arn type: AT_TIMESTAMP is not supported for DynamoDB streams.",
        )),
        None => Err(ApiError::invalid_parameter(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must \
             not be null.",
        )),
    }
}

/// `arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>`
fn is_stream(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", _, "dynamodb", _, _, resource]
        if resource.starts_with("table/") && resource.contains("/stream/"))
}

pub(super) fn refuse_deleting(mapping: &Mapping, what: &str) -> Result<(), ApiError> {
    match mapping.deleting {
        true => {
            Err(ApiError::in_use(format!("Cannot {what} the event source mapping because it is in use.")))
        }
        false => Ok(()),
    }
}

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("The resource you requested does not exist.")
}
