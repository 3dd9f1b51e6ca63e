//! CRC-32 as gzip has it (the polynomial 0xedb88320, bits from low to high).

use std::sync::LazyLock;

/// How many bytes one step takes. A table for each of them turns a step's long chain
/// of dependent look-ups into independent ones.
const STEP: usize = 16;

/// `tables[n][byte]`: what `byte` does to the sum when `n` more bytes follow it.
type Tables = [[u32; 256]; STEP];

/// Made when they are needed, in some microseconds: 16 KiB that the binary does not have to hold.
static TABLES: LazyLock<Box<Tables>> = LazyLock::new(|| Box::new(tables()));

fn tables() -> Tables {
    let mut tables = [[0; 256]; STEP];
    for (byte, entry) in (0..).zip(&mut tables[0]) {
        *entry = (0..8).fold(byte, |sum: u32, _| (sum >> 1) ^ (0xedb88320 & (sum & 1).wrapping_neg()));
    }
    for following in 1..STEP {
        for byte in 0..256 {
            let sum = tables[following - 1][byte];
            tables[following][byte] = tables[0][(sum & 0xff) as usize] ^ (sum >> 8);
        }
    }
    tables
}

/// A checksum being made.
#[derive(Clone, Copy)]
pub struct Crc(u32);

impl Default for Crc {
    fn default() -> Crc {
        Crc(!0)
    }
}

impl Crc {
    pub fn sum(self) -> u32 {
        !self.0
    }

    pub fn update(&mut self, bytes: &[u8]) {
        let mut sum = self.0;
        let tables = &**TABLES;
        let mut steps = bytes.chunks_exact(STEP);
        for step in &mut steps {
            let (early, late) = step.split_at(STEP / 2);
            // The later half first: it does not have to wait for the step before.
            sum = look_up::<0>(tables, word(late)) ^ look_up::<8>(tables, word(early) ^ u64::from(sum));
        }
        for byte in steps.remainder() {
            sum = tables[0][(sum as u8 ^ byte) as usize] ^ (sum >> 8);
        }
        self.0 = sum;
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// What eight bytes do to the sum when as many as told come after them.
#[inline(always)]
fn look_up<const FOLLOWING: usize>(tables: &Tables, word: u64) -> u32 {
    let table = |place: usize| tables[FOLLOWING + 7 - place][(word >> (8 * place)) as usize & 0xff];
    table(0) ^ table(1) ^ table(2) ^ table(3) ^ table(4) ^ table(5) ^ table(6) ^ table(7)
}
