//! A set of write ids of one region: a bit for each, as they are numbered from 1 on.

#[derive(Default, Clone)]
pub struct Written {
    words: Vec<u64>,
    count: u64,
}

impl Written {
    /// Whether it was not there before.
    pub fn insert(&mut self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    pub fn contains(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.words.get(word).is_some_and(|found| found & bit != 0)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// What is here and not there.
    pub fn without<'a>(&'a self, other: &'a Written) -> impl Iterator<Item = u64> + 'a {
        let left = move |(at, word): (usize, &u64)| {
            let word = word & !other.words.get(at).copied().unwrap_or(0);
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at as u64 * 64 + bit)
        };
        self.words.iter().enumerate().flat_map(left)
    }
}

fn place(sequence: u64) -> (usize, u64) {
    ((sequence / 64) as usize, 1 << (sequence % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set(here in btree_set(0u64..500, 0..100), there in btree_set(0u64..500, 0..100)) {
            let set = |numbers: &std::collections::BTreeSet<u64>| {
                let mut set = Written::default();
                numbers.iter().for_each(|number| assert!(set.insert(*number)));
                set
            };
            let (ours, theirs) = (set(&here), set(&there));
            prop_assert_eq!(ours.count(), here.len() as u64);
            prop_assert!(here.iter().all(|number| ours.contains(*number) && !ours.clone().insert(*number)));
            let left: Vec<u64> = ours.without(&theirs).collect();
            prop_assert_eq!(left, here.difference(&there).copied().collect::<Vec<_>>());
        }
    }
}
