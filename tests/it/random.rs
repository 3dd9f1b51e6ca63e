//! Chance that can be repeated.

/// Marsaglia's xorshift: enough for tests, the same on every machine.
pub struct Random(u64);

impl Random {
    /// `$CCRUN_SEED`, else a new seed; it is printed, so that a failure can be had again.
    pub fn from_environment() -> Random {
        let now = std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_nanos() as u64);
        let seed = std::env::var("CCRUN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now | 1);
        println!("CCRUN_SEED={seed}");
        Random(seed)
    }

    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
