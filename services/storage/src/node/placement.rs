//! Which node is to own a partition: the one that ranks it highest, by a hash that every node computes alike.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1998): when a node comes or goes, only the partitions that it gets or had
//! move. Nodes are ranked by name and not by id, so that one that was started again gets back what it had.

use tradewind_model::PartitionId;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A name as partitions are ranked by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(u64);

impl Seed {
    pub fn of(name: &str) -> Seed {
        Seed(xxh3_64(name.as_bytes()))
    }

    fn rank(self, partition: &[u8]) -> u64 {
        xxh3_64_with_seed(partition, self.0)
    }
}

/// The index of the node that is to own the partition; `None` where there is no node.
pub fn best(nodes: impl IntoIterator<Item = Seed>, partition: PartitionId) -> Option<usize> {
    let partition = partition.to_bytes();
    let ranked = nodes.into_iter().enumerate().map(|(nth, seed)| (seed.rank(&partition), seed.0, nth));
    ranked.max().map(|(_, _, nth)| nth)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tradewind_model::Incarnation;
    use uuid::Uuid;

    use super::*;

    fn partitions() -> impl Iterator<Item = PartitionId> {
        let tables = (0..100).map(|nth| Incarnation(Uuid::from_u128(nth * 0x9e37_79b9_7f4a_7c15)));
        tables.flat_map(|incarnation| (0..30).map(move |number| PartitionId { incarnation, number }))
    }

    fn owner(names: &[&'static str], partition: PartitionId) -> &'static str {
        names[best(names.iter().map(|name| Seed::of(name)), partition).unwrap()]
    }

    #[test]
    fn partitions_spread_evenly() {
        let names = ["a", "b", "c"];
        let mut counts = HashMap::new();
        partitions().for_each(|partition| *counts.entry(owner(&names, partition)).or_insert(0) += 1);
        assert!(names.iter().all(|name| (900..1100).contains(&counts[name])), "{counts:?}");
    }

    #[test]
    fn a_node_that_leaves_moves_only_what_it_had() {
        for partition in partitions() {
            let before = owner(&["a", "b", "c"], partition);
            let after = owner(&["c", "a"], partition);
            assert!(before == "b" || before == after);
        }
    }

    #[test]
    fn the_order_in_which_nodes_are_told_does_not_matter() {
        for partition in partitions() {
            assert_eq!(owner(&["a", "b", "c"], partition), owner(&["c", "a", "b"], partition));
        }
        assert_eq!(best([], partitions().next().unwrap()), None);
    }
}
