//! The world: three nodes, the links and the network between them, one time, one source of chance.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_model::Version;

use super::broken::Broken;
use super::choices::Choices;
use super::history::{History, Past};
use super::links::{Delivery, Route};
use super::network::Network;
use super::node::Node;
use super::table::{BEGIN_MS, REGIONS, key};
use super::trace::Trace;
use super::weather::Weather;

/// A partition of a region, both by their positions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub region: usize,
    pub partition: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkName {
    pub from: Place,
    pub to: usize,
}

pub struct World {
    pub(super) weather: Weather,
    pub(super) choices: Choices,
    pub(super) broken: Option<Broken>,
    pub(super) time_ms: u64,
    pub nodes: Vec<Node>,
    pub(super) routes: BTreeMap<LinkName, Route>,
    pub(super) network: Network,
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    /// Batches that have come to their destination so far.
    pub(super) accepted: u64,
    pub history: History,
    /// The region whose next commit is refused.
    pub(super) refused: Option<usize>,
    pub(super) trace: Trace,
    /// A join or an eviction under way.
    pub(super) life: Option<super::life::Life>,
    pub(super) tokens: u64,
    pub(super) answered: BTreeSet<u64>,
    /// Rows that were refused as late just now.
    pub(super) late: usize,
    /// What was known of an item where the row came from that is sent just now.
    pub(super) seeds: BTreeMap<(usize, Version), Past>,
    /// What was reached before the end.
    pub(super) counted: BTreeMap<&'static str, usize>,
}

impl World {
    /// A world whose weather the seed decides.
    pub fn of_seed(seed: u64, broken: Option<Broken>) -> World {
        let mut choices = Choices::new(seed);
        let weather = Weather::of(&mut choices);
        World::new(weather, choices, broken)
    }

    pub(super) fn new(weather: Weather, choices: Choices, broken: Option<Broken>) -> World {
        let nodes: Vec<_> =
            weather.partitions.iter().enumerate().map(|(index, count)| Node::new(index, *count)).collect();
        let mut world = World {
            history: History::new((0..weather.keys).map(key).collect()),
            routes: routes(&nodes),
            nodes,
            weather,
            choices,
            broken,
            time_ms: BEGIN_MS,
            network: Network::default(),
            deliveries: BTreeMap::new(),
            accepted: 0,
            refused: None,
            trace: Trace::default(),
            life: None,
            tokens: 0,
            answered: BTreeSet::new(),
            late: 0,
            seeds: BTreeMap::new(),
            counted: BTreeMap::new(),
        };
        world.note(format!("{:?}", world.weather));
        world
    }

    pub fn now_ms(&self, region: usize) -> u64 {
        self.time_ms.saturating_add_signed(self.nodes[region].skew_ms)
    }

    pub fn advance(&mut self, ms: u64) {
        self.time_ms += ms;
    }

    pub(super) fn note(&mut self, line: String) {
        self.trace.line(format!("{:>6} {line}", self.time_ms - BEGIN_MS));
    }

    pub(super) fn places(&self) -> Vec<Place> {
        let of = |(region, node): (usize, &Node)| {
            (0..node.partitions.len()).map(move |partition| Place { region, partition })
        };
        self.nodes.iter().enumerate().flat_map(of).collect()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", REGIONS[self.region], self.partition)
    }
}

impl std::fmt::Display for LinkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}→{}", self.from, REGIONS[self.to])
    }
}

fn routes(nodes: &[Node]) -> BTreeMap<LinkName, Route> {
    let mut routes = BTreeMap::new();
    for (region, node) in nodes.iter().enumerate() {
        for partition in 0..node.partitions.len() {
            for to in (0..nodes.len()).filter(|to| *to != region) {
                routes.insert(LinkName { from: Place { region, partition }, to }, Route::default());
            }
        }
    }
    routes
}
