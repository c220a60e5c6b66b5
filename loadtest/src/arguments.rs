//! The command line of `tradewind loadtest`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use crate::keys::Distribution;
use crate::span::Span;

#[derive(Args)]
pub struct LoadTest {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Load one or several regional endpoints, then check that nothing was lost
    Run(Box<Run>),
    /// List the workloads that can be run by name
    List,
    /// Show two reports' figures and their ratios
    Compare {
        /// report.json of the run to compare with
        before: PathBuf,
        /// report.json of the run to look at
        after: PathBuf,
    },
    /// What runs as the function under test: it reports every record that it is given
    #[command(hide = true)]
    Receive {
        /// Where the load test listens
        #[arg(long)]
        report_to: std::net::SocketAddr,
        /// Where the function asks for work
        #[arg(long, env = "AWS_LAMBDA_RUNTIME_API")]
        runtime_api: String,
    },
}

#[derive(Args)]
pub struct Run {
    /// The name of a workload, or a TOML file (see loadtest/scenarios)
    pub workload: String,
    /// A region and its endpoint; once for each region
    #[arg(long = "target", required = true, value_name = "REGION=URL")]
    pub targets: Vec<Target>,
    /// How long to measure, after the warm-up
    #[arg(long)]
    pub duration: Option<Span>,
    /// Requests a second over all regions, each with its intended start time (an open loop); 0 for as many as the
    /// connections can (a closed loop)
    #[arg(long)]
    pub rate: Option<f64>,
    /// Over all regions
    #[arg(long)]
    pub connections: Option<usize>,
    /// Time in which the rate grows from nothing
    #[arg(long)]
    pub ramp: Option<Span>,
    /// Time before the measurement
    #[arg(long)]
    pub warm_up: Option<Span>,
    /// Items loaded before the run
    #[arg(long)]
    pub items: Option<u64>,
    /// The size of an item
    #[arg(long)]
    pub item_bytes: Option<usize>,
    /// How keys are chosen: uniform, zipfian, latest, or hot:KEYS:SHARE
    #[arg(long)]
    pub keys: Option<Distribution>,
    /// The share of operations that go to keys which all regions write, from 0 to 1
    #[arg(long)]
    pub conflict_share: Option<f64>,
    /// Where report.json and report.html are written
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// The table that is made for the run, and deleted after it
    #[arg(long, default_value = "tradewind-loadtest")]
    pub table: String,
    /// Delete a table of that name first
    #[arg(long)]
    pub replace: bool,
    /// Keep the table after the run
    #[arg(long)]
    pub keep: bool,
    /// Threads that send requests
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Makes the choice of keys and operations repeatable
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `us-east-1=http://localhost:8000`
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    pub region: String,
    pub url: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let (region, url) = text.split_once('=').ok_or("a target is REGION=URL")?;
        let is_region =
            !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_region {
            return Err(format!("{region:?} is no region"));
        }
        Ok(Target { region: region.to_owned(), url: url.trim_end_matches('/').to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_a_region_and_a_url() {
        let target: Target = "us-east-1=http://localhost:8000/".parse().unwrap();
        assert_eq!((&target.region[..], &target.url[..]), ("us-east-1", "http://localhost:8000"));
        for text in ["http://localhost:8000", "=http://x", "us east=http://x"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
