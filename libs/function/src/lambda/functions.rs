//! Functions: create, read, change, delete.
//!
//! Beyond Lambda, headers make a function of what is on this machine or behind HTTP (see [`super::local`]). With them
//! `Code`, `Role` and (for a command or a URL) `Runtime` and `Handler` may be missing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_engine::Documents;
use uuid::Uuid;

use super::answers::{configuration, get_function};
use super::constraints::Checks;
use super::local::Local;
use super::names::{function_arn, parse_function};
use super::settings::Settings;
use super::versions::check_publishable;
use super::{Answer, ApiError, LambdaApi, Request, Response, parse, path};
use crate::catalogue::function::LogFormat;
use crate::catalogue::{Catalogue, CatalogueError, Code, Function};
use crate::code::{MAX_ZIP, Pin};
use crate::invoke::Invoker;
use crate::mapping::source::ShardSource;

/// How many functions a page of ListFunctions has (Lambda: 50 whatever is asked for).
const PAGE: usize = 50;
/// The role of functions that need none; nothing here assumes roles.
const NO_ROLE: &str = "arn:aws:iam::000000000000:role/tradewind";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateFunction {
    function_name: Option<String>,
    code: Option<CodeInput>,
    publish: bool,
    package_type: Option<String>,
    code_signing_config_arn: Option<String>,
    architectures: Option<Vec<String>>,
    tags: BTreeMap<String, String>,
    #[serde(flatten)]
    settings: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CodeInput {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    image_uri: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateFunctionCode {
    #[serde(flatten)]
    code: CodeInput,
    publish: bool,
    dry_run: bool,
    revision_id: Option<String>,
    architectures: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateFunctionConfiguration {
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn create_function(&self, request: Request<'_>) -> Answer {
        let input: CreateFunction = parse(&request)?;
        let local = Local::of(&request)?;
        let name = check_create(&input, local.is_given(), local.runs_itself())?;
        let (code, _pin) = self.code(&local, input.code.unwrap_or_default()).await?;
        let mut function = Function {
            name,
            runtime: None,
            command: local.command,
            handler: String::new(),
            role: NO_ROLE.to_owned(),
            description: String::new(),
            code,
            timeout_s: 3,
            memory_mb: 128,
            ephemeral_storage_mb: 512,
            architecture: architecture(input.architectures.as_deref(), None),
            environment: BTreeMap::new(),
            tags: input.tags,
            tracing_mode: "PassThrough".to_owned(),
            dead_letter_target: None,
            log_format: LogFormat::Text,
            log_group: None,
            reserved_concurrency: None,
            version: None,
            published: 0,
            revision_id: Uuid::new_v4().to_string(),
            last_modified_ms: (self.clock)(),
        };
        input.settings.apply(&mut function);
        if input.publish {
            check_publishable(&function.code)?;
        }
        if !self.catalogue.create_function(&function).await? {
            return Err(ApiError::conflict(format!("Function already exist: {}", function.name)));
        }
        if input.publish {
            function = self.publish(function, None).await?;
        }
        let mut shown = self.render(&function);
        if let Some(secret) = local.made_secret {
            shown["XTradewind"]["Secret"] = json!(secret);
        }
        Ok(Response::json(201, &shown))
    }

    pub(super) async fn get_function(&self, request: Request<'_>, name: &str) -> Answer {
        let function = self.find(&request, name).await?;
        let shown = self.render_as_asked(&request, name, &function);
        Ok(Response::json(200, &get_function(&function, shown)))
    }

    pub(super) async fn get_function_configuration(&self, request: Request<'_>, name: &str) -> Answer {
        let function = self.find(&request, name).await?;
        Ok(Response::json(200, &self.render_as_asked(&request, name, &function)))
    }

    pub(super) async fn list_functions(&self, request: Request<'_>) -> Answer {
        let limit = page_size(&request, 10_000, PAGE)?;
        let marker = path::value(request.query, "Marker").unwrap_or_default();
        let functions = self.catalogue.functions().await?;
        let mut rest = functions.iter().filter(|function| function.name > marker).peekable();
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.peek().and_then(|_| page.last()).map(|function| function.name.clone());
        let rendered: Vec<_> = page.into_iter().map(|function| self.render(function)).collect();
        Ok(Response::json(200, &json!({ "Functions": rendered, "NextMarker": next })))
    }

    pub(super) async fn delete_function(&self, request: Request<'_>, name: &str) -> Answer {
        let function = self.find(&request, name).await?;
        if let Some(number) = function.version {
            return match self.qualifier(&request, name)?.is_some_and(|given| given != number.to_string()) {
                true => Err(not_an_alias()),
                false => self.delete_version(&function, number).await,
            };
        }
        self.catalogue.delete_function(&function.name).await?;
        self.catalogue.forget_versions(&function.name).await?;
        self.failed.forget(&function.name).await?;
        self.collect_code(&function);
        Ok(Response::empty(204))
    }

    pub(super) async fn update_function_code(&self, request: Request<'_>, name: &str) -> Answer {
        let input: UpdateFunctionCode = parse(&request)?;
        let local = Local::of(&request)?;
        check_architectures(input.architectures.as_deref())?;
        let found = self.latest(&request, name).await?;
        let (code, pin) = self.code(&local, input.code).await?;
        if input.publish {
            check_publishable(&code)?;
        }
        let command = local.command;
        let edit = |function: &mut Function| {
            check_revision(function, input.revision_id.as_deref())?;
            function.code = code.clone();
            if command.is_some() {
                function.command.clone_from(&command);
            }
            function.architecture =
                architecture(input.architectures.as_deref(), Some(&function.architecture));
            self.touch(function);
            Ok(())
        };
        if input.dry_run {
            let mut function = found;
            edit(&mut function)?;
            return Ok(Response::json(200, &self.render(&function)));
        }
        let answer = self.edit(&found.name, edit).await;
        let answer = match answer {
            Ok(_) if input.publish => self.publish_now(&found.name).await,
            answer => answer,
        };
        drop(pin);
        self.collect_code(&found);
        answer
    }

    pub(super) async fn update_function_configuration(&self, request: Request<'_>, name: &str) -> Answer {
        let input: UpdateFunctionConfiguration = parse(&request)?;
        input.settings.check()?;
        let found = self.latest(&request, name).await?;
        let edit = |function: &mut Function| {
            check_revision(function, input.revision_id.as_deref())?;
            input.settings.apply(function);
            self.touch(function);
            Ok(())
        };
        self.edit(&found.name, edit).await
    }

    /// The function that a request names: as it is, as a version, or by an alias.
    pub(super) async fn find(&self, request: &Request<'_>, given: &str) -> Result<Function, ApiError> {
        let reference = self.reference(request, given)?;
        self.catalogue.resolve(&reference).await?.ok_or_else(|| self.not_found(&reference))
    }

    /// The function that a request names, which is to be no version and no alias.
    pub(super) async fn latest(&self, request: &Request<'_>, given: &str) -> Result<Function, ApiError> {
        let named = parse_function(given, "functionName")?;
        if self.qualifier(request, given)?.is_some() {
            return Err(ApiError::invalid_parameter(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                 operation. Please specify either a function name or an unqualified function ARN.",
            ));
        }
        self.catalogue.function(&named.name).await?.ok_or_else(|| self.not_found(&named.name))
    }

    /// `name` or `name:qualifier`.
    pub(super) fn reference(&self, request: &Request<'_>, given: &str) -> Result<String, ApiError> {
        let name = parse_function(given, "functionName")?.name;
        Ok(match self.qualifier(request, given)? {
            Some(qualifier) => format!("{name}:{qualifier}"),
            None => name,
        })
    }

    /// What a request names beside the function, in its path or its query; `$LATEST` is the function itself.
    fn qualifier(&self, request: &Request<'_>, given: &str) -> Result<Option<String>, ApiError> {
        let named = parse_function(given, "functionName")?;
        let asked = path::value(request.query, "Qualifier");
        if let (Some(one), Some(other)) = (&asked, &named.qualifier)
            && one != other
        {
            return Err(ApiError::invalid_parameter(
                "The derived qualifier from the function name does not match the specified qualifier.",
            ));
        }
        Ok(asked.or(named.qualifier).filter(|qualifier| qualifier != "$LATEST"))
    }

    pub(super) fn not_found(&self, reference: &str) -> ApiError {
        let arn = function_arn(&self.region, &self.account, reference);
        ApiError::not_found(format!("Function not found: {arn}"))
    }

    async fn publish_now(&self, name: &str) -> Answer {
        let function = self.catalogue.function(name).await?.ok_or_else(|| self.not_found(name))?;
        Ok(Response::json(200, &self.render(&self.publish(function, None).await?)))
    }

    pub(super) async fn edit(
        &self,
        name: &str,
        edit: impl Fn(&mut Function) -> Result<(), ApiError>,
    ) -> Answer {
        let edited = self.catalogue.update_function(name, edit).await?;
        let arn = function_arn(&self.region, &self.account, name);
        let function = edited.ok_or_else(|| ApiError::not_found(format!("Function not found: {arn}")))??;
        Ok(Response::json(200, &self.render(&function)))
    }

    pub(super) fn render(&self, function: &Function) -> Value {
        match function.version {
            Some(number) => self.render_as(function, &number.to_string()),
            None => configuration(function, &function_arn(&self.region, &self.account, &function.name)),
        }
    }

    /// With the qualifier in its ARN.
    pub(super) fn render_as(&self, function: &Function, qualifier: &str) -> Value {
        let reference = format!("{}:{qualifier}", function.name);
        configuration(function, &function_arn(&self.region, &self.account, &reference))
    }

    fn render_as_asked(&self, request: &Request<'_>, given: &str, function: &Function) -> Value {
        match self.qualifier(request, given) {
            Ok(Some(qualifier)) => self.render_as(function, &qualifier),
            _ => self.render(function),
        }
    }

    fn touch(&self, function: &mut Function) {
        function.revision_id = Uuid::new_v4().to_string();
        function.last_modified_ms = (self.clock)();
    }

    /// Keeps the code that a request brings; it stays until the pin is dropped, or as long as a function names it.
    async fn code(&self, local: &Local, input: CodeInput) -> Result<(Code, Option<Arc<Pin>>), ApiError> {
        if let Some(code) = local.code() {
            return Ok((code, None));
        }
        let zip = zip_of(&input)?;
        let size_bytes = zip.len() as u64;
        let pin = self.code.store(zip).await?;
        Ok((Code::Zip { sha256: pin.sha256.clone(), size_bytes }, Some(pin)))
    }

    /// Removes packages that no function names any more, by and by. `former` is a function as it was.
    pub(super) fn collect_code(&self, former: &Function) {
        let former = former.package().map(str::to_owned);
        let (catalogue, code) = (self.catalogue.clone(), self.code.clone());
        tokio::spawn(async move {
            let Ok(referenced) = referenced(&catalogue).await else { return };
            if let Err(error) = code.collect(referenced, former.as_deref()).await {
                tracing::warn!(%error, "removing code packages that are not used");
            }
        });
    }
}

/// The packages that functions and their versions need.
async fn referenced<D: Documents>(catalogue: &Catalogue<D>) -> Result<HashSet<String>, CatalogueError> {
    let mut referenced = HashSet::new();
    for function in catalogue.functions().await? {
        let versions =
            if function.published > 0 { catalogue.versions(&function.name).await? } else { Vec::new() };
        let packages = versions.iter().chain([&function]).filter_map(Function::package);
        referenced.extend(packages.map(str::to_owned));
    }
    Ok(referenced)
}

fn check_create(input: &CreateFunction, is_local: bool, is_command: bool) -> Result<String, ApiError> {
    let mut checks = Checks::default();
    checks.present("functionName", input.function_name.as_ref());
    if !is_local {
        checks.present("role", input.settings.role.as_ref());
        checks.present("code", input.code.as_ref());
    }
    checks.one_of("packageType", input.package_type.as_deref(), &["Zip", "Image"]);
    checks.finish()?;
    let name = parse_function(input.function_name.as_deref().unwrap_or_default(), "functionName")?.name;
    input.settings.check()?;
    check_architectures(input.architectures.as_deref())?;
    if input.package_type.as_deref() == Some("Image") {
        return Err(ApiError::invalid_parameter("Tradewind does not support functions from images"));
    }
    if input.code_signing_config_arn.as_ref().is_some_and(|arn| !arn.is_empty()) {
        return Err(ApiError::invalid_parameter("Tradewind does not support code signing"));
    }
    let runs = input.settings.runtime.is_some() && input.settings.handler.is_some();
    if !is_command && !runs {
        return Err(ApiError::invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    super::tags::check(&input.tags)?;
    Ok(name)
}

fn not_an_alias() -> ApiError {
    ApiError::invalid_parameter("An alias is deleted by DeleteAlias")
}

fn check_architectures(given: Option<&[String]>) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    for architecture in given.into_iter().flatten() {
        checks.one_of("architectures", Some(architecture), &["x86_64", "arm64"]);
    }
    if given.is_some_and(|given| given.len() != 1) {
        checks.fail("architectures", "[]", "Member must have length equal to 1");
    }
    checks.finish()
}

/// Functions run on this machine whatever they ask for; the answer repeats what they asked for.
fn architecture(given: Option<&[String]>, old: Option<&str>) -> String {
    given.and_then(|given| given.first().map(String::as_str)).or(old).unwrap_or("x86_64").to_owned()
}

pub(super) fn check_revision(function: &Function, revision_id: Option<&str>) -> Result<(), ApiError> {
    match revision_id {
        Some(revision_id) if revision_id != function.revision_id => Err(ApiError::precondition_failed()),
        _ => Ok(()),
    }
}

fn zip_of(input: &CodeInput) -> Result<Vec<u8>, ApiError> {
    if input.s3_bucket.is_some() || input.image_uri.is_some() {
        return Err(ApiError::invalid_parameter("Tradewind takes code as ZipFile, not from S3 or an image"));
    }
    let text = input
        .zip_file
        .as_deref()
        .ok_or_else(|| ApiError::invalid_parameter("Please provide a source for function code."))?;
    let zip = BASE64.decode(text).map_err(|_| {
        ApiError::invalid_parameter(
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        )
    })?;
    if zip.len() > MAX_ZIP {
        let message = format!("Zipped size must be smaller than {MAX_ZIP} bytes");
        return Err(ApiError::invalid_parameter(message));
    }
    Ok(zip)
}

/// `MaxItems`, checked against the model's bound and cut to what a page may have.
pub(super) fn page_size(request: &Request<'_>, most: i64, page: usize) -> Result<usize, ApiError> {
    let Some(given) = path::value(request.query, "MaxItems") else { return Ok(page) };
    let number = given
        .parse::<i64>()
        .map_err(|_| ApiError::invalid_parameter(format!("MaxItems is not a number: {given}")))?;
    let mut checks = Checks::default();
    checks.range("maxItems", Some(number), 1..=most);
    checks.finish()?;
    Ok(usize::try_from(number).unwrap_or(page).min(page))
}
