//! The operations of a mix, and which one comes next.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Get,
    Put,
    Insert,
    Update,
    Delete,
    /// Reads an item and writes it again on the condition that it is still the same.
    ReadModifyWrite,
    /// A put on the condition that the item is not a later write's.
    ConditionalPut,
    Query,
    QueryIndex,
    BatchGet,
    BatchWrite,
    TransactGet,
    TransactWrite,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::Put => "put",
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::ReadModifyWrite => "read-modify-write",
            Operation::ConditionalPut => "conditional-put",
            Operation::Query => "query",
            Operation::QueryIndex => "query-index",
            Operation::BatchGet => "batch-get",
            Operation::BatchWrite => "batch-write",
            Operation::TransactGet => "transact-get",
            Operation::TransactWrite => "transact-write",
        }
    }

    /// Whether it may touch keys that all regions write: it reads only, or its answer says which write it overwrote.
    pub fn may_be_shared(self) -> bool {
        matches!(self, Operation::Get | Operation::Put | Operation::Update | Operation::Delete)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Operations with their weights summed up.
pub struct Mix(Vec<(f64, Operation)>);

impl Mix {
    /// At least one weight is above 0.
    pub fn new(weights: &BTreeMap<Operation, f64>) -> Mix {
        let mut sum = 0.0;
        let steps = weights.iter().filter(|(_, weight)| **weight > 0.0).map(|(operation, weight)| {
            sum += weight;
            (sum, *operation)
        });
        Mix(steps.collect())
    }

    pub fn choose(&self, random: &mut fastrand::Rng) -> Operation {
        let (sum, last) = *self.0.last().expect("a mix has an operation");
        let point = random.f64() * sum;
        self.0.iter().find(|(step, _)| point < *step).map_or(last, |(_, operation)| *operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_scenario_files() {
        for operation in [Operation::Get, Operation::ReadModifyWrite, Operation::TransactWrite] {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.name());
        }
    }

    #[test]
    fn operations_come_by_their_weights() {
        let mix = Mix::new(&BTreeMap::from([
            (Operation::Get, 3.0),
            (Operation::Put, 1.0),
            (Operation::Delete, 0.0),
        ]));
        let mut random = fastrand::Rng::with_seed(1);
        let drawn: Vec<_> = (0..100_000).map(|_| mix.choose(&mut random)).collect();
        let gets = drawn.iter().filter(|operation| **operation == Operation::Get).count();
        assert!((74_000..76_000).contains(&gets), "{gets}");
        assert!(!drawn.contains(&Operation::Delete));
    }
}
