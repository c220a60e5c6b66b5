//! Document paths: a top-level attribute and the way down from it.

use std::fmt;

use tradewind_model::{ItemRef, ValueRef, View};

use crate::error::{Faults, ParseError};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Path {
    /// The top-level attribute.
    pub name: String,
    pub steps: Vec<Step>,
}

/// One level down, into a map or a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    pub fn top(name: impl Into<String>) -> Path {
        Path { name: name.into(), steps: Vec::new() }
    }

    /// What stands there in the item, if anything.
    pub fn resolve<'a>(&self, item: ItemRef<'a>) -> Option<ValueRef<'a>> {
        self.steps.iter().try_fold(item.get(&self.name)?, |value, step| step.resolve(value))
    }
}

impl Step {
    fn resolve<'a>(&self, value: ValueRef<'a>) -> Option<ValueRef<'a>> {
        match (self, value.view()) {
            (Step::Name(name), View::M(map)) => map.get(name),
            (Step::Index(index), View::L(list)) => list.get(*index),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.name)?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(f, ", {name}")?,
                Step::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}

/// How two paths of one expression can stand in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clash {
    /// One is the other or leads to it.
    Overlap,
    /// One takes for a map what the other takes for a list.
    Conflict,
}

fn clash(a: &Path, b: &Path) -> Option<Clash> {
    if a.name != b.name {
        return None;
    }
    match a.steps.iter().zip(&b.steps).find(|(a, b)| a != b) {
        None => Some(Clash::Overlap),
        Some((Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_))) => Some(Clash::Conflict),
        Some(_) => None,
    }
}

/// Notes an overlap and a conflict among paths that are written or projected together, if there are any: the first
/// of each that neighbours in sorted order show. Where any two clash, some neighbours do, so that thousands of paths
/// need not all be compared with each other.
pub(crate) fn check_clashes(paths: &[&Path], faults: &mut Faults) {
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.sort_by_key(|at| (paths[*at], *at));
    let clashes: Vec<(usize, usize, Clash)> = order
        .windows(2)
        .map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1])))
        .filter_map(|(one, two)| Some((two, one, clash(paths[one], paths[two])?)))
        .collect();
    let first =
        |kind| clashes.iter().filter(|(.., found)| *found == kind).min_by_key(|(two, one, _)| (*two, *one));
    let texts = |(two, one, _): &(usize, usize, Clash)| (paths[*one].to_string(), paths[*two].to_string());
    if let Some((one, two)) = first(Clash::Overlap).map(texts) {
        faults.note(ParseError::Overlap(one, two));
    }
    if let Some((one, two)) = first(Clash::Conflict).map(texts) {
        faults.note(ParseError::Conflict(one, two));
    }
}
