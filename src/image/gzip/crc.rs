//! CRC-32 as gzip has it (the polynomial 0xedb88320, bits from low to high).

/// How many bytes one step takes. A table for each of them turns a step's long chain
/// of dependent look-ups into independent ones.
const STEP: usize = 16;

/// `TABLES[n][byte]`: what `byte` does to the sum when `n` more bytes follow it.
static TABLES: [[u32; 256]; STEP] = tables();

const fn tables() -> [[u32; 256]; STEP] {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (0xedb88320 & (sum & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut following = 1;
    while following < STEP {
        byte = 0;
        while byte < 256 {
            let sum = tables[following - 1][byte];
            tables[following][byte] = tables[0][(sum & 0xff) as usize] ^ (sum >> 8);
            byte += 1;
        }
        following += 1;
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
        let mut steps = bytes.chunks_exact(STEP);
        for step in &mut steps {
            let (early, late) = step.split_at(STEP / 2);
            // The later half first: it does not have to wait for the step before.
            sum = look_up::<0>(word(late)) ^ look_up::<8>(word(early) ^ u64::from(sum));
        }
        for byte in steps.remainder() {
            sum = TABLES[0][(sum as u8 ^ byte) as usize] ^ (sum >> 8);
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
fn look_up<const FOLLOWING: usize>(word: u64) -> u32 {
    let table = |place: usize| TABLES[FOLLOWING + 7 - place][(word >> (8 * place)) as usize & 0xff];
    table(0) ^ table(1) ^ table(2) ^ table(3) ^ table(4) ^ table(5) ^ table(6) ^ table(7)
}
