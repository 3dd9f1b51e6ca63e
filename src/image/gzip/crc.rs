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
        let mut following = 1;
        while following < STEP {
            sum = tables[0][(sum & 0xff) as usize] ^ (sum >> 8);
            tables[following][byte] = sum;
            following += 1;
        }
        byte += 1;
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
            let mut mixed = [0; STEP];
            mixed.copy_from_slice(step);
            for (byte, with) in mixed.iter_mut().zip(sum.to_le_bytes()) {
                *byte ^= with;
            }
            sum = 0;
            for (byte, table) in mixed.iter().zip(TABLES.iter().rev()) {
                sum ^= table[*byte as usize];
            }
        }
        for byte in steps.remainder() {
            sum = TABLES[0][(sum as u8 ^ byte) as usize] ^ (sum >> 8);
        }
        self.0 = sum;
    }
}
