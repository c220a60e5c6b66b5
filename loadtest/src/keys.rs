//! Which item an operation takes: key spaces, the items' keys, and the distributions by which they are chosen.
//!
//! A key is `SPACE-N` (with a sort key: the partition key `SPACE-P` and a number). The space `0`, `1` … of a region is
//! written only through that region, so that its items have one known history; `s` is shared by all regions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64;

/// YCSB's constant: the most popular of 1,000 items gets about one request in eight.
const ZIPFIAN_EXPONENT: f64 = 0.99;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Space {
    /// Of the target at this position.
    Region(u8),
    Shared,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    pub space: Space,
    pub index: u64,
}

impl fmt::Display for Space {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Space::Region(region) => write!(out, "{region}"),
            Space::Shared => out.write_str("s"),
        }
    }
}

impl Key {
    /// The key of an item as it was read; `None` if this program did not write it.
    pub fn parse(partition: &str, sort: Option<u64>, items_per_partition: u64) -> Option<Key> {
        let (space, number) = partition.split_once('-')?;
        let space = match space {
            "s" => Space::Shared,
            region => Space::Region(region.parse().ok()?),
        };
        let number: u64 = number.parse().ok()?;
        let index = match sort {
            Some(sort) if items_per_partition > 1 => {
                number.checked_mul(items_per_partition)?.checked_add(sort)?
            }
            _ => number,
        };
        Some(Key { space, index })
    }

    pub fn partition(self, items_per_partition: u64) -> String {
        format!("{}-{}", self.space, self.index / items_per_partition)
    }

    pub fn sort(self, items_per_partition: u64) -> u64 {
        self.index % items_per_partition
    }
}

/// How the next item is chosen among those there are.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Distribution {
    #[default]
    Uniform,
    /// Some items are much more popular than others; which ones is spread over the whole key space.
    Zipfian,
    /// The newest items are the most popular.
    Latest,
    /// `share` of the operations go to `keys` items.
    Hot { keys: u64, share: f64 },
}

impl Distribution {
    /// The index of an item, below `items`, which is at least 1.
    pub fn choose(self, items: u64, random: &mut fastrand::Rng) -> u64 {
        debug_assert!(items > 0);
        match self {
            Distribution::Uniform => random.u64(0..items),
            Distribution::Zipfian => spread(zipfian(items, random)) % items,
            Distribution::Latest => items - 1 - zipfian(items, random),
            Distribution::Hot { keys, share } if random.f64() < share => {
                spread(random.u64(0..keys.min(items))) % items
            }
            Distribution::Hot { .. } => random.u64(0..items),
        }
    }
}

fn spread(rank: u64) -> u64 {
    xxh3_64(&rank.to_le_bytes())
}

/// A rank from 0 on, by rejection-inversion (W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from
/// monotone discrete distributions", 1996): exact, without tables, so that the number of items may change all the time.
fn zipfian(items: u64, random: &mut fastrand::Rng) -> u64 {
    const ONE_LESS: f64 = 1.0 - ZIPFIAN_EXPONENT;
    let integral = |x: f64| (x.powf(ONE_LESS) - 1.0) / ONE_LESS;
    let inverse = |area: f64| (1.0 + area * ONE_LESS).powf(1.0 / ONE_LESS);
    let height = |x: f64| x.powf(-ZIPFIAN_EXPONENT);
    let least = integral(1.5) - 1.0;
    let most = integral(items as f64 + 0.5);
    let near = 2.0 - inverse(integral(2.5) - height(2.0));
    loop {
        let area = most + random.f64() * (least - most);
        let x = inverse(area);
        let rank = x.round().clamp(1.0, items as f64);
        if rank - x <= near || area >= integral(rank + 0.5) - height(rank) {
            return rank as u64 - 1;
        }
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Distribution, String> {
        match text {
            "uniform" => return Ok(Distribution::Uniform),
            "zipfian" => return Ok(Distribution::Zipfian),
            "latest" => return Ok(Distribution::Latest),
            _ => (),
        }
        let hot = text.strip_prefix("hot:").and_then(|rest| rest.split_once(':'));
        let hot = hot.and_then(|(keys, share)| Some((keys.parse().ok()?, share.parse().ok()?)));
        match hot {
            Some((keys, share)) if keys > 0 && (0.0..=1.0).contains(&share) => {
                Ok(Distribution::Hot { keys, share })
            }
            _ => Err(format!("{text:?} is none of uniform, zipfian, latest, hot:KEYS:SHARE")),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::Uniform => out.write_str("uniform"),
            Distribution::Zipfian => out.write_str("zipfian"),
            Distribution::Latest => out.write_str("latest"),
            Distribution::Hot { keys, share } => write!(out, "hot:{keys}:{share}"),
        }
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Distribution, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DRAWS: u64 = 200_000;

    fn counts(distribution: Distribution, items: u64) -> Vec<u64> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; items as usize];
        (0..DRAWS).for_each(|_| counts[distribution.choose(items, &mut random) as usize] += 1);
        counts
    }

    /// The probability of a rank under Zipf's law, from its definition.
    fn zipf(rank: u64, items: u64) -> f64 {
        let weight = |k: u64| (k as f64).powf(-ZIPFIAN_EXPONENT);
        weight(rank + 1) / (1..=items).map(weight).sum::<f64>()
    }

    #[test]
    fn zipfian_ranks_have_the_frequencies_of_the_law() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut counts = [0u64; 1000];
        (0..DRAWS).for_each(|_| counts[zipfian(1000, &mut random) as usize] += 1);
        for rank in [0, 1, 2, 9, 99] {
            let expected = zipf(rank, 1000) * DRAWS as f64;
            let off = (counts[rank as usize] as f64 - expected).abs();
            assert!(off < 5.0 * expected.sqrt(), "rank {rank}: {} for {expected}", counts[rank as usize]);
        }
    }

    #[test]
    fn latest_prefers_the_newest() {
        let counts = counts(Distribution::Latest, 100);
        assert!(counts[99] > counts[98] && counts[98] > counts[50]);
    }

    #[test]
    fn uniform_is_even() {
        let expected = DRAWS as f64 / 100.0;
        let counts = counts(Distribution::Uniform, 100);
        assert!(counts.iter().all(|count| (*count as f64 - expected).abs() < 6.0 * expected.sqrt()));
    }

    #[test]
    fn hot_keys_get_their_share() {
        let mut counts = counts(Distribution::Hot { keys: 2, share: 0.9 }, 1000);
        counts.sort_unstable();
        let hottest = counts[998] + counts[999];
        assert!((0.89..0.92).contains(&(hottest as f64 / DRAWS as f64)), "{hottest}");
    }

    proptest! {
        #[test]
        fn every_choice_is_an_item(items in 1u64..1_000_000_000, seed: u64, keys in 1u64..100) {
            let mut random = fastrand::Rng::with_seed(seed);
            let hot = Distribution::Hot { keys, share: 0.5 };
            for distribution in [Distribution::Uniform, Distribution::Zipfian, Distribution::Latest, hot] {
                prop_assert!(distribution.choose(items, &mut random) < items);
            }
        }

        #[test]
        fn keys_round_trip(index in 0u64..1 << 40, space in 0u8..4, per in 1u64..200) {
            let space = if space == 3 { Space::Shared } else { Space::Region(space) };
            let key = Key { space, index };
            let sort = (per > 1).then(|| key.sort(per));
            prop_assert_eq!(Key::parse(&key.partition(per), sort, per), Some(key));
        }

        #[test]
        fn distributions_round_trip_as_text(keys in 1u64..1000, share in 0.0f64..1.0) {
            let hot = Distribution::Hot { keys, share };
            for distribution in [Distribution::Uniform, Distribution::Zipfian, Distribution::Latest, hot] {
                prop_assert_eq!(distribution.to_string().parse(), Ok(distribution));
            }
        }
    }
}
