//! All chance of a simulation: one generator, seeded once, asked in one order.

pub struct Choices(fastrand::Rng);

impl Choices {
    pub fn new(seed: u64) -> Choices {
        Choices(fastrand::Rng::with_seed(seed))
    }

    pub fn percent(&mut self, chance: u32) -> bool {
        self.0.u32(0..100) < chance
    }

    pub fn permille(&mut self, chance: u32) -> bool {
        self.0.u32(0..1000) < chance
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.0.usize(0..count)
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.u64(least..=most)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        self.0.shuffle(of);
    }
}
