//! What a run found, as JSON: for `compare`, for the page of plots, and for other programs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::figures::Summary;
use crate::scenario::Scenario;

pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
pub struct Report {
    pub format: u32,
    pub passed: bool,
    pub scenario: Scenario,
    /// Region and endpoint, in the order of the targets.
    pub targets: Vec<(String, String)>,
    /// When it began: Unix milliseconds.
    pub began_ms: i64,
    pub machine: Machine,
    /// Of the last stage, or of the only one.
    pub operations: Vec<Figure>,
    pub regions: BTreeMap<String, Summary>,
    pub lags: Vec<Lag>,
    /// From a write in any region to its record in the hands of a reader of this region's stream.
    pub streams: BTreeMap<String, Summary>,
    pub function: Option<Summary>,
    pub server: Option<Server>,
    pub stages: Vec<Stage>,
    pub events: Vec<EventOutcome>,
    pub checks: Vec<Check>,
    /// How long after the load the regions were equal.
    pub settled_s: Option<f64>,
    pub timeline: Vec<Second>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
}

/// One operation, over all regions.
#[derive(Clone, Serialize, Deserialize)]
pub struct Figure {
    pub operation: String,
    pub per_second: f64,
    pub latency: Summary,
    /// By kind.
    pub errors: BTreeMap<String, u64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Lag {
    pub from: String,
    pub to: String,
    pub latency: Summary,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Server {
    pub cpu_cores: f64,
    pub cpu_us_per_request: f64,
    pub peak_memory_mib: f64,
    pub client_cpu_cores: f64,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Stage {
    pub items: u64,
    pub per_second: f64,
    pub latency: Summary,
    pub server_cpu_us_per_request: Option<f64>,
    pub server_memory_mib: Option<f64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct EventOutcome {
    pub at_s: f64,
    pub run: String,
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub verdict: Verdict,
    pub detail: String,
    /// The first few things that were wrong.
    pub examples: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    Failed,
    /// The endpoint does not tell what would be needed.
    NotChecked,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::NotChecked => "not checked",
        }
    }
}

/// One second of the load, or several where it is long.
#[derive(Clone, Serialize, Deserialize)]
pub struct Second {
    /// Since the load began, its warm-up included.
    pub at_s: f64,
    pub per_second: BTreeMap<String, f64>,
    pub errors_per_second: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// `from → to`.
    pub lag_ms: BTreeMap<String, f64>,
    pub server_cores: Option<f64>,
    pub server_memory_mib: Option<f64>,
}

impl Report {
    pub fn read(path: &Path) -> anyhow::Result<Report> {
        let name = path.display();
        let text = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        let report: Report = serde_json::from_slice(&text).with_context(|| format!("{name} is no report"))?;
        ensure!(report.format == FORMAT, "{name} is of another version of this program");
        Ok(report)
    }

    /// Writes report.json and report.html.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("--report {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self)?;
        let page = crate::page::render(self)?;
        for (name, text) in [("report.json", json), ("report.html", page)] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
