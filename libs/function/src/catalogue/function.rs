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
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.into())
    }

    pub fn log_group(&self) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{}", self.name))
    }
}
