//! PublishVersion and aliases: a version is the function as it was, under a number of its own for ever; an alias is a name
//! for one.
//!
//! Publishing what was published last answers that version again, as on Lambda. A function of a folder or of this process
//! has no code that could be kept, and so no versions. An alias stands for one version: weights are refused.

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_engine::Documents;
use uuid::Uuid;

use super::answers::to_base64;
use super::constraints::Checks;
use super::functions::{check_revision, page_size};
use super::names::function_arn;
use super::{Answer, ApiError, LambdaApi, Request, Response, parse, path};
use crate::catalogue::{Alias, Code, Function};
use crate::invoke::Invoker;
use crate::mapping::source::ShardSource;

const PAGE: usize = 50;
/// Nobody needs more, and each keeps its package.
const MAX_VERSIONS: usize = 1000;
const MAX_ALIASES: usize = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PublishVersion {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AliasInput {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
    routing_config: Option<RoutingConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RoutingConfig {
    additional_version_weights: std::collections::BTreeMap<String, f64>,
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn publish_version(&self, request: Request<'_>, name: &str) -> Answer {
        let input: PublishVersion = parse(&request)?;
        let function = self.latest(&request, name).await?;
        check_revision(&function, input.revision_id.as_deref())?;
        if let (Some(wanted), Some(sha256)) = (&input.code_sha256, function.package()) {
            let has = to_base64(sha256);
            if *wanted != has {
                return Err(ApiError::invalid_parameter(format!(
                    "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({has}). Please try again \
                     with the CodeSHA256 in $LATEST."
                )));
            }
        }
        let version = self.publish(function, input.description).await?;
        Ok(Response::json(201, &self.render(&version)))
    }

    /// A version of the function as it is now; the last one, if nothing has changed since.
    pub(super) async fn publish(
        &self,
        function: Function,
        description: Option<String>,
    ) -> Result<Function, ApiError> {
        check_publishable(&function.code)?;
        let kept = self.catalogue.versions(&function.name).await?;
        if let Some(last) = kept.last().filter(|last| function.is_as_published(last)) {
            return Ok(last.clone());
        }
        if kept.len() >= MAX_VERSIONS {
            return Err(ApiError::code_storage_exceeded(MAX_VERSIONS));
        }
        let number = |function: &mut Function| {
            function.published += 1;
            Ok::<_, ApiError>(())
        };
        let numbered = self.catalogue.update_function(&function.name, number).await?;
        let number = numbered.ok_or_else(|| self.not_found(&function.name))??.published;
        let version = Function {
            version: Some(number),
            description: description.unwrap_or_else(|| function.description.clone()),
            reserved_concurrency: None,
            revision_id: Uuid::new_v4().to_string(),
            last_modified_ms: (self.clock)(),
            ..function
        };
        self.catalogue.keep_version(&version).await?;
        Ok(version)
    }

    pub(super) async fn list_versions(&self, request: Request<'_>, name: &str) -> Answer {
        let limit = page_size(&request, 10_000, PAGE)?;
        let marker = path::value(request.query, "Marker");
        let function = self.latest(&request, name).await?;
        let after: Option<u64> = marker.as_deref().and_then(|marker| marker.parse().ok());
        let kept = self.catalogue.versions(&function.name).await?;
        let latest = self.render_as(&function, "$LATEST");
        let all = std::iter::once((0, latest))
            .chain(kept.iter().map(|version| (version.version.unwrap_or_default(), self.render(version))));
        let mut rest = all.filter(|(number, _)| after.is_none_or(|after| *number > after)).peekable();
        let page: Vec<(u64, Value)> = rest.by_ref().take(limit).collect();
        let next = rest.peek().and_then(|_| page.last()).map(|(number, _)| number.to_string());
        let shown: Vec<_> = page.into_iter().map(|(_, version)| version).collect();
        Ok(Response::json(200, &json!({ "Versions": shown, "NextMarker": next })))
    }

    /// Deletes one version, of which no alias may be left.
    pub(super) async fn delete_version(&self, version: &Function, number: u64) -> Answer {
        let text = version.version_text();
        let aliases = self.catalogue.aliases(&version.name).await?;
        let named: Vec<_> = aliases.iter().filter(|alias| alias.version == text).collect();
        if !named.is_empty() {
            let names: Vec<_> = named.iter().map(|alias| alias.name.as_str()).collect();
            return Err(ApiError::conflict(format!(
                "Function version cannot be deleted because it is referenced by aliases: {names:?}"
            )));
        }
        self.catalogue.delete_version(&version.name, number).await?;
        self.collect_code(version);
        Ok(Response::empty(204))
    }

    pub(super) async fn create_alias(&self, request: Request<'_>, name: &str) -> Answer {
        let input: AliasInput = parse(&request)?;
        let mut checks = Checks::default();
        checks.present("name", input.name.as_ref());
        checks.present("functionVersion", input.function_version.as_ref());
        checks.finish()?;
        let alias = input.name.clone().unwrap_or_default();
        check_alias(&alias)?;
        let function = self.latest(&request, name).await?;
        let version = self.aliased(&function, &input).await?.unwrap_or_default();
        let alias = Alias {
            name: alias,
            version,
            description: input.description.unwrap_or_default(),
            revision_id: Uuid::new_v4().to_string(),
        };
        if self.catalogue.aliases(&function.name).await?.len() >= MAX_ALIASES {
            return Err(ApiError::code_storage_exceeded(MAX_ALIASES));
        }
        if !self.catalogue.create_alias(&function.name, &alias).await? {
            let arn = self.alias_arn(&function.name, &alias.name);
            return Err(ApiError::conflict(format!("Alias already exists: {arn}")));
        }
        Ok(Response::json(201, &self.render_alias(&function.name, &alias)))
    }

    pub(super) async fn get_alias(&self, request: Request<'_>, name: &str, alias: &str) -> Answer {
        let function = self.latest(&request, name).await?.name;
        let found = self.catalogue.alias(&function, alias).await?;
        let found = found.ok_or_else(|| self.no_alias(&function, alias))?;
        Ok(Response::json(200, &self.render_alias(&function, &found)))
    }

    pub(super) async fn list_aliases(&self, request: Request<'_>, name: &str) -> Answer {
        let limit = page_size(&request, 10_000, PAGE)?;
        let marker = path::value(request.query, "Marker").unwrap_or_default();
        let version = path::value(request.query, "FunctionVersion");
        let function = self.latest(&request, name).await?.name;
        let aliases = self.catalogue.aliases(&function).await?;
        let is_wanted = |alias: &&Alias| version.as_ref().is_none_or(|version| *version == alias.version);
        let mut rest = aliases.iter().filter(is_wanted).filter(|alias| alias.name > marker).peekable();
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.peek().and_then(|_| page.last()).map(|alias| alias.name.clone());
        let shown: Vec<_> = page.into_iter().map(|alias| self.render_alias(&function, alias)).collect();
        Ok(Response::json(200, &json!({ "Aliases": shown, "NextMarker": next })))
    }

    pub(super) async fn update_alias(&self, request: Request<'_>, name: &str, alias: &str) -> Answer {
        let input: AliasInput = parse(&request)?;
        let function = self.latest(&request, name).await?;
        let version = self.aliased(&function, &input).await?;
        let edit = |alias: &mut Alias| {
            if input.revision_id.as_ref().is_some_and(|revision| *revision != alias.revision_id) {
                return Err(ApiError::precondition_failed());
            }
            if let Some(version) = &version {
                alias.version.clone_from(version);
            }
            if let Some(description) = &input.description {
                alias.description.clone_from(description);
            }
            alias.revision_id = Uuid::new_v4().to_string();
            Ok(())
        };
        let updated = self.catalogue.update_alias(&function.name, alias, edit).await?;
        let updated = updated.ok_or_else(|| self.no_alias(&function.name, alias))??;
        Ok(Response::json(200, &self.render_alias(&function.name, &updated)))
    }

    /// An alias that is not there is as deleted as one that was.
    pub(super) async fn delete_alias(&self, request: Request<'_>, name: &str, alias: &str) -> Answer {
        let function = self.latest(&request, name).await?.name;
        self.catalogue.delete_alias(&function, alias).await?;
        Ok(Response::empty(204))
    }

    /// The version that a request gives an alias, which has to be there.
    async fn aliased(&self, function: &Function, input: &AliasInput) -> Result<Option<String>, ApiError> {
        if input.routing_config.as_ref().is_some_and(|routing| !routing.additional_version_weights.is_empty())
        {
            let message = "Tradewind does not support weights: an alias stands for one version";
            return Err(ApiError::invalid_parameter(message));
        }
        let Some(version) = &input.function_version else { return Ok(None) };
        if version != "$LATEST" {
            let mut checks = Checks::default();
            if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
                let pattern = "Member must satisfy regular expression pattern: (\\$LATEST|[0-9]+)";
                checks.fail("functionVersion", version, pattern);
            }
            checks.finish()?;
            let reference = format!("{}:{version}", function.name);
            let found = self.catalogue.resolve(&reference).await?;
            found.ok_or_else(|| self.not_found(&reference))?;
        }
        Ok(Some(version.clone()))
    }

    fn alias_arn(&self, function: &str, alias: &str) -> String {
        format!("{}:{alias}", function_arn(&self.region, &self.account, function))
    }

    fn no_alias(&self, function: &str, alias: &str) -> ApiError {
        ApiError::not_found(format!("Cannot find alias arn: {}", self.alias_arn(function, alias)))
    }

    fn render_alias(&self, function: &str, alias: &Alias) -> Value {
        json!({
            "AliasArn": self.alias_arn(function, &alias.name),
            "Name": alias.name,
            "FunctionVersion": alias.version,
            "Description": alias.description,
            "RevisionId": alias.revision_id,
        })
    }
}

pub(super) fn check_publishable(code: &Code) -> Result<(), ApiError> {
    match code {
        Code::Directory { .. } | Code::Handler => Err(ApiError::invalid_parameter(
            "A function whose code is not kept here has no versions: give it a ZipFile",
        )),
        Code::Zip { .. } | Code::Http(_) => Ok(()),
    }
}

fn check_alias(name: &str) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    if is_number || !name.bytes().all(allowed) {
        let pattern = "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
        checks.fail("name", name, pattern);
    }
    if name.len() > 128 {
        checks.fail("name", name, "Member must have length less than or equal to 128");
    }
    checks.finish()
}
