//! A function as the catalogue keeps it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a function's code is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Code {
    /// A zip in the [`crate::code::CodeStore`].
    Zip {
        /// Lower-case hexadecimal.
        sha256: String,
        size_bytes: u64,
    },
    /// A folder of this machine, used as it is; a change of any file starts new environments.
    Directory { path: PathBuf },
    /// An HTTP endpoint that somebody else runs.
    Http(Endpoint),
    /// A handler that the program registers in this process (see [`crate::invoke::Functions::register`]).
    Handler,
}

/// A function behind HTTP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    pub url: String,
    pub form: Form,
    /// The key of Standard Webhooks signatures, as `whsec_` and base64; never shown.
    #[serde(default)]
    pub secret: Option<String>,
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The event is posted to the URL; any 2xx is success, the body is the answer.
    Webhook,
    /// A container behind AWS's Runtime Interface Emulator: 200 with an error object is a function error.
    Emulator,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Function {
    pub name: String,
    /// Lambda's name of it (`python3.12`); `None` for a plain command.
    pub runtime: Option<String>,
    /// A shell command that speaks the Runtime API, instead of a runtime.
    #[serde(default)]
    pub command: Option<String>,
    pub handler: String,
    pub role: String,
    pub description: String,
    pub code: Code,
    pub timeout_s: u32,
    pub memory_mb: u32,
    pub ephemeral_storage_mb: u32,
    pub architecture: String,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub tracing_mode: String,
    #[serde(default)]
    pub dead_letter_target: Option<String>,
    #[serde(default)]
    pub log_format: LogFormat,
    #[serde(default)]
    pub log_group: Option<String>,
    #[serde(default)]
    pub reserved_concurrency: Option<u32>,
    /// Its number, if this is a published version: never changed then.
    #[serde(default)]
    pub version: Option<u64>,
    /// The newest number that was given to a version.
    #[serde(default)]
    pub published: u64,
    /// Another one after each change of code or configuration; environments of an older one are not reused.
    pub revision_id: String,
    pub last_modified_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum LogFormat {
    #[default]
    Text,
    #[serde(rename = "JSON")]
    Json,
}

impl LogFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "Text",
            LogFormat::Json => "JSON",
        }
    }
}

impl Function {
    /// A handler that the program brings.
    pub fn of_this_process(name: &str, now_ms: u64) -> Function {
        Function {
            name: name.to_owned(),
            runtime: None,
            command: None,
            handler: name.to_owned(),
            role: "arn:aws:iam::000000000000:role/tradewind".to_owned(),
            description: String::new(),
            code: Code::Handler,
            timeout_s: 900,
            memory_mb: 128,
            ephemeral_storage_mb: 512,
            architecture: "x86_64".to_owned(),
            environment: BTreeMap::new(),
            tags: BTreeMap::new(),
            tracing_mode: "PassThrough".to_owned(),
            dead_letter_target: None,
            log_format: LogFormat::Text,
            log_group: None,
            reserved_concurrency: None,
            version: None,
            published: 0,
            revision_id: uuid::Uuid::new_v4().to_string(),
            last_modified_ms: now_ms,
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.into())
    }

    pub fn log_group(&self) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{}", self.name))
    }
}
