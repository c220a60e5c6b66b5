//! Seeds of the simulation. `TRADEWIND_SEEDS=N` runs N of them, `TRADEWIND_SEED=S` runs one and prints its trace.

use std::collections::BTreeMap;

use tradewind_testing::simulation::{Broken, Finished, run};

/// Of seeds from `from` on, the failures.
fn failures(from: u64, count: u64) -> Vec<String> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let part = |first: u64| {
            let seeds = (from + first..from + count).step_by(threads as usize);
            scope.spawn(move || {
                seeds
                    .filter_map(|seed| run(seed, None).err())
                    .map(|failure| failure.to_string())
                    .collect::<Vec<_>>()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("failures are values")).collect()
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn five_hundred_seeds() {
    if let Some(seed) = number("TRADEWIND_SEED") {
        return one_seed(seed);
    }
    let failures = failures(0, number("TRADEWIND_SEEDS").unwrap_or(500));
    assert!(failures.is_empty(), "{} seeds fail; the first:\n{}", failures.len(), failures[0]);
}

fn one_seed(seed: u64) {
    match run(seed, None) {
        Ok(finished) => {
            let Finished { hash, writes, trace, .. } = finished;
            println!("{}\n{writes} writes, hash {hash:016x}", trace.join("\n"));
        }
        Err(failure) => panic!("{}\nseed {seed} violates {}", failure.trace.join("\n"), failure.violation),
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let (first, second) = (run(seed, None).unwrap(), run(seed, None).unwrap());
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(run(1, None).unwrap().hash, run(2, None).unwrap().hash);
}

/// What may go wrong does, in a few seeds already; otherwise the properties would hold for want of a reason not to.
#[test]
fn the_weather_is_bad_enough() {
    let mut counts = BTreeMap::<&str, usize>::new();
    for seed in 0..150 {
        run(seed, None)
            .unwrap()
            .counts
            .into_iter()
            .for_each(|(what, count)| *counts.entry(what).or_default() += count);
    }
    println!("{counts:#?}");
    let rare: Vec<_> =
        REACHED.iter().filter(|what| counts.get(*what).is_none_or(|count| *count < 20)).collect();
    assert!(rare.is_empty(), "hardly ever: {rare:?} of {counts:#?}");
}

const REACHED: [&str; 12] = [
    "a conflict is logged",
    "a gap is refused",
    "a node crashes",
    "a replica is evicted",
    "a replica joins",
    "a stranger is refused",
    "a tombstone goes",
    "a version is from the future",
    "a write knows what stable hides",
    "an earlier owner is fenced",
    "an outcome is unknown",
    "stable rises",
];

/// A simulation that finds nothing proves nothing: each rule, broken on purpose, must be noticed.
#[test]
fn every_broken_rule_is_noticed() {
    // A history of its own tells what this one does: it takes more than chance brings together.
    for broken in Broken::ALL.into_iter().filter(|broken| *broken != Broken::JoinerStartsAtZero) {
        let noticed = (0..1000).find_map(|seed| run(seed, Some(broken)).err());
        let noticed = noticed.unwrap_or_else(|| panic!("{broken:?} is not noticed"));
        println!("{broken:?}: seed {}, {}", noticed.seed, noticed.violation);
    }
}
