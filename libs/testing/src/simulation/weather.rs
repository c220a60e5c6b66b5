//! What a seed decides before anything happens: how large the world is and how badly it behaves.

use super::choices::Choices;

/// Chances in percent where nothing else is said.
#[derive(Clone, Debug)]
pub struct Weather {
    pub keys: usize,
    /// Partitions of each region, over the same hashes.
    pub partitions: [u32; 3],
    pub steps: usize,
    /// Of steps: a client asks for something. Where few do, tombstones live long enough to go.
    pub writes: u32,
    pub drop: u32,
    pub duplicate: u32,
    pub delay_most_ms: u64,
    /// Per thousand steps.
    pub cut: u32,
    /// Per thousand steps.
    pub crash: u32,
    /// Of commits: refused, or with an unknown outcome.
    pub commit_fault: u32,
    /// Per thousand steps: a region's clock is set anew.
    pub skew: u32,
    pub skew_most_ms: i64,
    /// Changes a link reads at once.
    pub page: usize,
    /// Of batches: the link sends the next one before it hears whether this one arrived.
    pub pipeline: u32,
    /// Per thousand steps: a join or an eviction begins.
    pub life: u32,
    /// All links or all owners do something at once: regions stay close to each other.
    pub brisk: u32,
}

impl Weather {
    /// Nothing goes wrong by itself: for histories that are told step by step.
    pub fn calm(partitions: [u32; 3]) -> Weather {
        Weather {
            keys: 4,
            partitions,
            steps: 0,
            writes: 0,
            drop: 0,
            duplicate: 0,
            delay_most_ms: 0,
            cut: 0,
            crash: 0,
            commit_fault: 0,
            skew: 0,
            skew_most_ms: 0,
            page: 1000,
            pipeline: 0,
            life: 0,
            brisk: 0,
        }
    }

    pub fn of(choices: &mut Choices) -> Weather {
        let mut partitions = [1, 2, 3];
        choices.shuffle(&mut partitions);
        Weather {
            keys: 3 + choices.below(6),
            partitions,
            steps: 400 + choices.below(400),
            writes: choices.pick(&[6, 12, 25]),
            drop: choices.pick(&[0, 5, 30]),
            duplicate: choices.pick(&[0, 10, 30]),
            delay_most_ms: choices.pick(&[0, 50, 400]),
            cut: choices.pick(&[0, 5, 20]),
            crash: choices.pick(&[0, 5, 20]),
            commit_fault: choices.pick(&[0, 2, 10]),
            skew: choices.pick(&[0, 10, 30]),
            // Beyond 500 ms a region's versions are from the future elsewhere.
            skew_most_ms: choices.pick(&[0, 240, 240, 3000]),
            page: choices.pick(&[1, 3, 1000]),
            pipeline: choices.pick(&[0, 0, 30]),
            life: choices.pick(&[0, 0, 5, 15]),
            brisk: choices.pick(&[0, 40, 80]),
        }
    }
}
