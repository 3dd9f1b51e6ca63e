//! Damaged input for the tests of the parsers: whatever comes in, they must not panic.

/// Calls `check` with the seeds and with `count` mutations of them. The order is
/// always the same, so that a failure comes again; `CCRUN_SEED` gives another one.
pub fn each<S: AsRef<[u8]>>(seeds: &[S], count: usize, mut check: impl FnMut(&[u8])) {
    let seed = std::env::var("CCRUN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15);
    eprintln!("CCRUN_SEED={seed}");
    let mut random = Random(seed);
    for seed in seeds {
        check(seed.as_ref());
    }
    for _ in 0..count {
        let mut bytes = seeds[random.below(seeds.len())].as_ref().to_vec();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, seeds[random.below(seeds.len())].as_ref(), &mut random);
        }
        check(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const TOKENS: [&[u8]; 14] =
        [b"\"", b"\\", b",", b"=", b"null", b"{}", b"-1", b"1e999", b"\0", b"\r\n", b"\xff", b"..", b"/", b"\\ud800"];
    let at = random.below(bytes.len() + 1);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 => drop(bytes.drain(at..(at + random.below(16)).min(bytes.len()))),
        3 => drop(bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
        _ => drop(bytes.splice(at.., other[random.below(other.len() + 1)..].iter().copied())),
    }
}

/// Marsaglia's xorshift: enough for tests, the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
