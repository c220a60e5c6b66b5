//! A function's configuration as requests give it: what may be given, and how it changes a function.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::ApiError;
use super::constraints::Checks;
use crate::catalogue::Function;
use crate::catalogue::function::LogFormat;
use crate::runtime::command::Kind;
use crate::runtime::variables::RESERVED;

/// All of a function's environment variables together (Lambda quotas: 4 KB).
const MAX_ENVIRONMENT: usize = 4096;
const MAX_TIMEOUT_S: i64 = 900;

/// The fields that CreateFunction and UpdateFunctionConfiguration share.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    pub runtime: Option<String>,
    pub role: Option<String>,
    pub handler: Option<String>,
    pub description: Option<String>,
    pub timeout: Option<i64>,
    pub memory_size: Option<i64>,
    pub environment: Option<Environment>,
    pub tracing_config: Option<TracingConfig>,
    pub dead_letter_config: Option<DeadLetterConfig>,
    pub ephemeral_storage: Option<EphemeralStorage>,
    pub logging_config: Option<LoggingConfig>,
    pub vpc_config: Option<VpcConfig>,
    pub layers: Option<Vec<String>>,
    pub file_system_configs: Option<Vec<Value>>,
    pub image_config: Option<Value>,
    pub snap_start: Option<SnapStart>,
    #[serde(rename = "KMSKeyArn")]
    pub kms_key_arn: Option<String>,
    pub durable_config: Option<Value>,
    pub tenancy_config: Option<Value>,
    pub capacity_provider_config: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Environment {
    pub variables: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TracingConfig {
    pub mode: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeadLetterConfig {
    pub target_arn: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EphemeralStorage {
    pub size: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LoggingConfig {
    pub log_format: Option<String>,
    pub log_group: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VpcConfig {
    pub subnet_ids: Vec<String>,
    pub security_group_ids: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SnapStart {
    pub apply_on: Option<String>,
}

impl Settings {
    pub fn check(&self) -> Result<(), ApiError> {
        let mut checks = Checks::default();
        self.check_texts(&mut checks);
        checks.range("timeout", self.timeout, 1..=MAX_TIMEOUT_S);
        checks.range("memorySize", self.memory_size, 128..=10_240);
        let storage = self.ephemeral_storage.as_ref().and_then(|storage| storage.size);
        checks.range("ephemeralStorage.size", storage, 512..=10_240);
        let tracing = self.tracing_config.as_ref().and_then(|tracing| tracing.mode.as_deref());
        checks.one_of("tracingConfig.mode", tracing, &["Active", "PassThrough"]);
        let format = self.logging_config.as_ref().and_then(|logging| logging.log_format.as_deref());
        checks.one_of("loggingConfig.logFormat", format, &["JSON", "Text"]);
        checks.finish()?;
        self.check_runtime()?;
        self.check_environment()?;
        self.check_supported()
    }

    fn check_texts(&self, checks: &mut Checks) {
        let role = "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
        checks.pattern("role", self.role.as_deref(), is_role, role);
        checks.length("handler", self.handler.as_deref(), 0..=128);
        let no_space = |handler: &str| !handler.is_empty() && !handler.contains(char::is_whitespace);
        checks.pattern("handler", self.handler.as_deref(), no_space, "[^\\s]+");
        checks.length("description", self.description.as_deref(), 0..=256);
        for name in self.environment.iter().flat_map(|environment| environment.variables.keys()) {
            checks.pattern("environment.variables", Some(name), is_variable, "[a-zA-Z]([a-zA-Z0-9_])+");
        }
    }

    fn check_runtime(&self) -> Result<(), ApiError> {
        match self.runtime.as_deref() {
            Some(runtime) if Kind::of(runtime).is_none() => Err(ApiError::invalid_parameter(format!(
                "Value {runtime} at 'runtime' failed to satisfy constraint: Tradewind runs python3.x, nodejs* and \
                 provided.* functions"
            ))),
            _ => Ok(()),
        }
    }

    fn check_environment(&self) -> Result<(), ApiError> {
        let Some(environment) = &self.environment else { return Ok(()) };
        let reserved = environment.variables.keys().filter(|name| RESERVED.contains(&name.as_str()));
        let reserved: Vec<&str> = reserved.map(String::as_str).collect();
        let refused = "Lambda was unable to configure your environment variables because the environment \
                       variables you have provided";
        if !reserved.is_empty() {
            return Err(ApiError::invalid_parameter(format!(
                "{refused} contains reserved keys that are currently not supported for modification. Reserved keys \
                 used in this request: {}",
                reserved.join(", ")
            )));
        }
        let size = serde_json::to_string(&environment.variables).map_or(0, |text| text.len());
        if size > MAX_ENVIRONMENT {
            return Err(ApiError::invalid_parameter(format!("{refused} exceeded the 4KB limit.")));
        }
        let has_null = |text: &String| text.contains('\0');
        if environment.variables.values().any(has_null) {
            return Err(ApiError::invalid_parameter(format!("{refused} contain a null character.")));
        }
        Ok(())
    }

    /// What would change how a function runs and that Tradewind cannot do is refused, not ignored.
    fn check_supported(&self) -> Result<(), ApiError> {
        let some = |list: &Option<Vec<Value>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let in_vpc = |vpc: &VpcConfig| !vpc.subnet_ids.is_empty() || !vpc.security_group_ids.is_empty();
        let snap = |snap: &SnapStart| snap.apply_on.as_deref() == Some("PublishedVersions");
        let asked = [
            ("Layers", self.layers.as_ref().is_some_and(|layers| !layers.is_empty())),
            ("FileSystemConfigs", some(&self.file_system_configs)),
            ("ImageConfig", self.image_config.is_some()),
            ("VpcConfig", self.vpc_config.as_ref().is_some_and(in_vpc)),
            ("SnapStart", self.snap_start.as_ref().is_some_and(snap)),
            ("DurableConfig", self.durable_config.is_some()),
            ("TenancyConfig", self.tenancy_config.is_some()),
            ("CapacityProviderConfig", self.capacity_provider_config.is_some()),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((name, _)) => Err(ApiError::invalid_parameter(format!("Tradewind does not support {name}"))),
            None => Ok(()),
        }
    }

    /// Changes what was given. Checked before.
    pub fn apply(&self, function: &mut Function) {
        let number =
            |value: Option<i64>, old: u32| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(old);
        set(&mut function.role, &self.role);
        set(&mut function.handler, &self.handler);
        set(&mut function.description, &self.description);
        if self.runtime.is_some() {
            function.runtime.clone_from(&self.runtime);
        }
        function.timeout_s = number(self.timeout, function.timeout_s);
        function.memory_mb = number(self.memory_size, function.memory_mb);
        let storage = self.ephemeral_storage.as_ref().and_then(|storage| storage.size);
        function.ephemeral_storage_mb = number(storage, function.ephemeral_storage_mb);
        if let Some(environment) = &self.environment {
            function.environment.clone_from(&environment.variables);
        }
        if let Some(tracing) = &self.tracing_config {
            set(&mut function.tracing_mode, &tracing.mode);
        }
        if let Some(dead_letter) = &self.dead_letter_config {
            function.dead_letter_target = dead_letter.target_arn.clone().filter(|arn| !arn.is_empty());
        }
        if let Some(logging) = &self.logging_config {
            let is_json = logging.log_format.as_deref() == Some("JSON");
            function.log_format = if is_json { LogFormat::Json } else { LogFormat::Text };
            function.log_group.clone_from(&logging.log_group);
        }
    }
}

fn set(field: &mut String, given: &Option<String>) {
    if let Some(given) = given {
        field.clone_from(given);
    }
}

fn is_role(role: &str) -> bool {
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, "iam", "", account, name]
        if partition.starts_with("aws") && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && name.strip_prefix("role").is_some_and(|name| !name.trim_start_matches('/').is_empty())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&byte)))
}

fn is_variable(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
