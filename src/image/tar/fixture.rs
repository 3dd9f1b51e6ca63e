//! Tars made by hand for tests, and made wrong where a test wants it.

use super::header::BLOCK;

/// A tar in the making.
#[derive(Default)]
pub struct Tar(Vec<u8>);

/// A header block in the making.
pub struct Block(pub [u8; BLOCK]);

impl Block {
    /// A ustar header with mode 0644 (0755 for directories) and all else 0.
    pub fn new(name: &[u8], kind: u8, size: usize) -> Block {
        let mut block = Block([0; BLOCK]);
        let mode = if kind == b'5' { "0000755\0" } else { "0000644\0" };
        block.put(0, name).put(100, mode.as_bytes()).put(108, b"0000000\0").put(116, b"0000000\0");
        block.put(124, format!("{size:011o}\0").as_bytes()).put(136, b"00000000000\0");
        block.0[156] = kind;
        block.put(257, b"ustar\x0000").put(329, b"0000000\0").put(337, b"0000000\0").sealed()
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Block {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// With the right checksum.
    pub fn sealed(&mut self) -> Block {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        Block(self.0)
    }
}

impl Tar {
    pub fn add(mut self, block: Block, body: &[u8]) -> Tar {
        self.0.extend_from_slice(&block.0);
        self.bytes(body).padded()
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Tar {
        self.0.extend_from_slice(bytes);
        self
    }

    fn padded(mut self) -> Tar {
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub fn file(self, name: &str, body: &str) -> Tar {
        self.add(Block::new(name.as_bytes(), b'0', body.len()), body.as_bytes())
    }

    pub fn dir(self, name: &str) -> Tar {
        self.add(Block::new(name.as_bytes(), b'5', 0), b"")
    }

    /// An entry of any kind without a body: `1` hard link, `2` symlink, `6` FIFO, …
    pub fn link(self, kind: u8, name: &str, target: &str) -> Tar {
        self.add(Block::new(name.as_bytes(), kind, 0).put(157, target.as_bytes()).sealed(), b"")
    }

    /// A PAX header (`x`, or `g` for a global one) of these records.
    pub fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Tar {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.add(Block::new(b"pax", kind, body.len()), &body)
    }

    /// A GNU long name (`L`) or link (`K`).
    pub fn long(self, kind: u8, name: &[u8]) -> Tar {
        let body = [name, b"\0"].concat();
        self.add(Block::new(b"././@LongLink", kind, body.len()), &body)
    }

    /// What there is by now.
    pub fn bytes_so_far(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// Without the end-of-archive blocks.
    pub fn open_end(self) -> Vec<u8> {
        self.0
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

/// One PAX record with its length before it.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

/// Random numbers (xorshift) that a printed seed gives again.
pub struct Random(pub u64);

impl Random {
    /// Seeded from `CCRUN_SEED`, else by the clock; says which.
    pub fn seeded() -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos());
        let seed = std::env::var("CCRUN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now as u64 | 1);
        println!("CCRUN_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Damages bytes: flips, overwrites, cuts, doubles or fills a few places.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(8) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                3 => {
                    let piece = bytes[at..].iter().take(self.below(1200)).copied().collect::<Vec<u8>>();
                    bytes.splice(at..at, piece);
                }
                4 => {
                    let digit = *b"0123456789 =\n\0/.".get(self.below(16)).unwrap_or(&b'7');
                    bytes[at] = digit;
                }
                _ => {
                    let end = (at + self.below(600)).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
            }
        }
    }
}
