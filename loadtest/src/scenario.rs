//! What a load test does: a scenario, read from TOML. The workloads that go by a name are the files in `scenarios/`, built
//! in; options of the command line replace single settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::arguments::Run;
use crate::keys::Distribution;
use crate::operation::Operation;
use crate::span::Span;

const MAX_CONNECTIONS: usize = 100_000;
const MAX_ITEM_BYTES: usize = 390_000;
const MAX_RATE: f64 = 1e7;
/// The ledger has a bit for each.
const MAX_REGIONS: usize = 64;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*] };
}

/// Every workload that has a name.
const BUILT_IN: &[(&str, &str)] = built_in![
    "ycsb-a",
    "ycsb-b",
    "ycsb-c",
    "ycsb-d",
    "ycsb-e",
    "ycsb-f",
    "put",
    "get",
    "update",
    "cross-region",
    "hot-keys",
    "large-items",
    "batch",
    "transactions",
    "query-pages",
    "conditional-index-stream",
    "streams-tailing",
    "functions",
    "short",
    "three-regions-conflicts",
    "connections-10k",
    "region-outage-and-recovery",
    "scale-10m-items",
    "steady",
];

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    pub name: String,
    pub about: String,
    pub table: Table,
    /// Items loaded before the run, spread over the regions' own key spaces.
    pub items: u64,
    pub item_bytes: usize,
    pub keys: Distribution,
    /// The share of operations that go to keys which all regions write, and how many such keys there are.
    pub conflict_share: f64,
    pub shared_items: u64,
    pub connections: usize,
    /// The share of the connections that has a request under way; the others are kept open and take their turns.
    pub active_share: f64,
    /// Requests a second over all regions; 0: a closed loop.
    pub rate: f64,
    pub ramp: Span,
    pub warm_up: Span,
    pub duration: Span,
    /// Weights of the operations.
    pub mix: BTreeMap<Operation, f64>,
    /// Items of a query's page, of a batch, and of a transaction.
    pub page: usize,
    pub batch: usize,
    pub transaction: usize,
    /// Reads the stream of every region while the load runs, and checks it.
    pub tail_streams: bool,
    /// Runs a function on the changes of the first region.
    pub function: bool,
    /// How often replication lag is probed for each pair of regions; 0ms: never.
    pub probe: Span,
    /// Numbers of items at which the load is run, one after the other; empty: once, at `items`.
    pub stages: Vec<u64>,
    pub events: Vec<Event>,
    /// Regions have so long to become equal after the load.
    pub settle: Span,
    pub limits: Limits,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// 1: the key is a partition key; more: with a sort key.
    pub items_per_partition: u64,
    /// A global secondary index over groups of items.
    pub index: bool,
    pub stream: bool,
}

/// A command that is run at a time of the load, by sh, with TRADEWIND (this program) and TRADEWIND_ENDPOINT (the first
/// target's) in its environment. One that fails makes the run fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Since the measurement began.
    pub at: Span,
    pub run: String,
}

/// What makes a run fail although nothing was lost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// By operation, of the whole measurement.
    pub p99_ms: BTreeMap<Operation, f64>,
    pub error_share: Option<f64>,
    pub lag_p99_ms: Option<f64>,
    /// The server's CPU for an operation in the dearest stage, as a multiple of the first one's.
    pub stage_cost_ratio: Option<f64>,
    /// The regions have to be equal so soon after the load.
    pub catch_up: Option<Span>,
}

impl Default for Table {
    fn default() -> Table {
        Table { items_per_partition: 1, index: false, stream: false }
    }
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            name: String::new(),
            about: String::new(),
            table: Table::default(),
            items: 10_000,
            item_bytes: 300,
            keys: Distribution::Uniform,
            conflict_share: 0.0,
            shared_items: 100,
            connections: 64,
            active_share: 1.0,
            rate: 0.0,
            ramp: Span::default(),
            warm_up: Span::from_secs(3),
            duration: Span::from_secs(60),
            mix: BTreeMap::new(),
            page: 10,
            batch: 25,
            transaction: 4,
            tail_streams: false,
            function: false,
            probe: Span(Duration::from_millis(100)),
            stages: Vec::new(),
            events: Vec::new(),
            settle: Span::from_secs(60),
            limits: Limits::default(),
        }
    }
}

impl Scenario {
    /// The built-in workload of that name, or the one in that file.
    pub fn find(name_or_file: &str) -> anyhow::Result<Scenario> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_file) {
            return Scenario::read(name, text);
        }
        let path = Path::new(name_or_file);
        if path.extension().is_none() && !path.exists() {
            bail!("there is no workload {name_or_file:?}; `tradewind loadtest list` names them");
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name_or_file}"))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Scenario::read(&name, &text).with_context(|| name_or_file.to_owned())
    }

    pub fn built_in() -> impl Iterator<Item = anyhow::Result<Scenario>> {
        BUILT_IN.iter().map(|(name, text)| Scenario::read(name, text))
    }

    fn read(name: &str, text: &str) -> anyhow::Result<Scenario> {
        Ok(Scenario { name: name.to_owned(), ..toml::from_str(text)? })
    }

    /// Options of the command line win.
    pub fn with(mut self, run: &Run) -> Scenario {
        fn replace<T: Clone>(setting: &mut T, option: &Option<T>) {
            option.iter().for_each(|value| setting.clone_from(value));
        }
        replace(&mut self.duration, &run.duration);
        replace(&mut self.rate, &run.rate);
        replace(&mut self.connections, &run.connections);
        replace(&mut self.ramp, &run.ramp);
        replace(&mut self.warm_up, &run.warm_up);
        replace(&mut self.items, &run.items);
        replace(&mut self.item_bytes, &run.item_bytes);
        replace(&mut self.keys, &run.keys);
        replace(&mut self.conflict_share, &run.conflict_share);
        self
    }

    /// # Errors
    /// One line about the first setting that makes no sense for so many regions and threads.
    pub fn check(&self, regions: usize, threads: usize) -> anyhow::Result<()> {
        ensure!((1..=MAX_REGIONS).contains(&regions), "between 1 and {MAX_REGIONS} targets, please");
        ensure!((1..=64).contains(&threads), "--threads is between 1 and 64");
        ensure!(self.mix.values().any(|weight| *weight > 0.0), "the mix has no operation");
        let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        ensure!(self.mix.values().all(is_weight), "a weight of the mix is no number from 0 on");
        ensure!((0.0..=1.0).contains(&self.conflict_share), "conflict_share is between 0 and 1");
        ensure!(self.shared_items > 0, "shared_items is at least 1");
        ensure!(self.active_share > 0.0 && self.active_share <= 1.0, "active_share is above 0, up to 1");
        ensure!((100..=MAX_ITEM_BYTES).contains(&self.item_bytes), "item_bytes: 100 to {MAX_ITEM_BYTES}");
        ensure!((0.0..=MAX_RATE).contains(&self.rate), "rate is between 0 and {MAX_RATE}");
        ensure!(!self.duration.0.is_zero(), "duration is more than nothing");
        ensure!((1..=MAX_CONNECTIONS).contains(&self.connections), "connections: 1 to {MAX_CONNECTIONS}");
        ensure!(self.connections >= regions * threads, "every region needs a connection of each thread");
        ensure!((1..=100_000).contains(&self.table.items_per_partition), "items_per_partition: 1 to 100000");
        ensure!((1..=1000).contains(&self.page), "page is between 1 and 1000");
        ensure!((1..=25).contains(&self.batch), "batch is between 1 and 25");
        ensure!((1..=100).contains(&self.transaction), "transaction is between 1 and 100");
        let loaded = self.stages.iter().copied().min().unwrap_or(self.items);
        ensure!(loaded >= regions as u64, "every region needs an item");
        ensure!(self.stages.is_sorted(), "stages grow");
        self.check_features()
    }

    fn check_features(&self) -> anyhow::Result<()> {
        let uses = |operation| self.mix.get(&operation).is_some_and(|weight| *weight > 0.0);
        ensure!(
            !uses(Operation::Query) || self.table.items_per_partition > 1,
            "query needs table.items_per_partition above 1"
        );
        ensure!(!uses(Operation::QueryIndex) || self.table.index, "query-index needs table.index");
        ensure!(!uses(Operation::Insert) || self.stages.is_empty(), "stages and inserts do not go together");
        ensure!(
            self.table.stream || !(self.tail_streams || self.function),
            "tail_streams and function need table.stream"
        );
        ensure!(
            self.conflict_share == 0.0 || self.mix.keys().all(|operation| operation.may_be_shared()),
            "with a conflict_share, the mix may have only get, put, update and delete: no other says what it overwrote"
        );
        Ok(())
    }

    /// Items of each region's own key space, when there are `items` in all.
    pub fn items_of_region(&self, items: u64, regions: usize) -> u64 {
        (items / regions as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_can_be_run_on_three_regions() {
        for scenario in Scenario::built_in() {
            let scenario = scenario.unwrap();
            assert!(!scenario.about.is_empty(), "{}", scenario.name);
            scenario.check(3, 1).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        }
    }

    /// A file that nobody can run by its name would be forgotten.
    #[test]
    fn every_scenario_file_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(BUILT_IN.iter().any(|(built_in, _)| *built_in == name), "{name}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(Scenario::read("x", "ratte = 5").is_err());
        assert!(Scenario::find("no-such-workload").unwrap_err().to_string().contains("loadtest list"));
    }

    #[test]
    fn conflicting_keys_are_written_only_by_operations_that_can_be_checked() {
        let text = "conflict_share = 0.5\n[mix]\nput = 1\nbatch-write = 1";
        assert!(Scenario::read("x", text).unwrap().check(2, 1).is_err());
    }

    #[test]
    fn a_report_s_scenario_is_read_back() {
        for scenario in Scenario::built_in() {
            let text = serde_json::to_string(&scenario.unwrap()).unwrap();
            serde_json::from_str::<Scenario>(&text).unwrap();
        }
    }
}
