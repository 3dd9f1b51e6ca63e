use super::*;

#[test]
fn the_checksum_is_gzips() {
    let sum = |bytes: &[u8]| {
        let mut crc = Crc::default();
        crc.update(bytes);
        crc.sum()
    };
    assert_eq!(sum(b""), 0);
    assert_eq!(sum(b"123456789"), 0xcbf43926);
    assert_eq!(sum(b"The quick brown fox jumps over the lazy dog"), 0x414fa339);
    let bytes: Vec<u8> = (0..1000u32).map(|n| (n * n) as u8).collect();
    for cut in [0, 1, 15, 16, 17, 500, 999] {
        let mut crc = Crc::default();
        crc.update(&bytes[..cut]);
        crc.update(&bytes[cut..]);
        assert_eq!(crc.sum(), sum(&bytes), "{cut}");
    }
}

/// What GNU gzip makes of these bytes.
fn gzip(bytes: &[u8], flags: &[&str]) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child =
        Command::new("gzip").arg("-c").args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    writer.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    out
}

/// Gives its bytes in pieces of a given size.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.1.min(buffer.len()).min(self.0.len());
        self.0.read(&mut buffer[..piece])
    }
}

fn inflated_by(bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Inflate::new(Pieces(bytes, piece)).read_to_end(&mut out)?;
    Ok(out)
}

/// Inflated with reads of several sizes, which must not matter.
fn inflated(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let whole = inflated_by(bytes, usize::MAX);
    for piece in [1, 13, 1000] {
        let other = inflated_by(bytes, piece);
        assert_eq!(format!("{:?}", whole), format!("{other:?}"), "{piece}");
    }
    whole
}

fn error(bytes: &[u8]) -> String {
    inflated(bytes).expect_err("this stream is bad").to_string()
}

/// Text with repetitions near and far.
fn sample(length: usize) -> Vec<u8> {
    let mut random = crate::image::tar::fixture::Random(42);
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() < length {
        let word = random.next().to_string();
        let back = random.below(bytes.len().min(30_000) + 1);
        let repeated = bytes[bytes.len() - back..].iter().take(random.below(300)).copied().collect::<Vec<u8>>();
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend(repeated);
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn streams_of_all_sizes_and_levels_come_out_whole() {
    for length in [0, 1, 31, 32 << 10, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 77] {
        let bytes = sample(length);
        for level in ["-1", "-9"] {
            assert!(inflated(&gzip(&bytes, &[level])).unwrap() == bytes, "{length} {level}");
        }
    }
    let zeros = vec![0; 5_000_000];
    assert!(inflated_by(&gzip(&zeros, &[]), usize::MAX).unwrap() == zeros);
}

#[test]
fn members_follow_each_other_and_zeros_may_follow_them() {
    let (a, b) = (sample(1000), sample(WINDOW + 10));
    let both = [gzip(&a, &[]), gzip(b"", &[]), gzip(&b, &[])].concat();
    let plain = [&a[..], &b].concat();
    assert!(inflated(&both).unwrap() == plain);
    assert!(inflated(&[&both[..], &[0; 700]].concat()).unwrap() == plain);
    for garbage in [&b"x"[..], b"\0\0x", &[0x1f], &[0x1f, 0x8c], &[0, 0x1f, 0x8b, 8]] {
        assert!(inflated(&[&both[..], garbage].concat()).is_err(), "{garbage:?}");
    }
}

#[test]
fn optional_header_fields_are_passed_over_and_checked() {
    let plain = gzip(b"hello", &["-n"]);
    let (start, body) = plain.split_at(10);
    let with = |flags: u8, extra: &[u8]| {
        let mut header = start.to_vec();
        header[3] = flags;
        header.extend_from_slice(extra);
        header
    };
    let all = with(4 | 8 | 16, b"\x03\0abcname\0comment\0");
    assert_eq!(inflated(&[&all[..], body].concat()).unwrap(), b"hello");
    let mut checked = with(2 | 8, b"name\0");
    let mut crc = Crc::default();
    crc.update(&checked);
    checked.extend_from_slice(&(crc.sum() as u16).to_le_bytes());
    assert_eq!(inflated(&[&checked[..], body].concat()).unwrap(), b"hello");
    *checked.last_mut().unwrap() ^= 1;
    assert!(error(&[&checked[..], body].concat()).contains("damaged header"));
    assert!(error(&[&with(0x20, b"")[..], body].concat()).contains("unknown flags"));
    let mut method = plain.clone();
    method[2] = 7;
    assert!(error(&method).contains("compression method"));
}

#[test]
fn damage_and_truncation_are_told() {
    let bytes = gzip(&sample(3000), &[]);
    for cut in 0..bytes.len() {
        let told = inflated_by(&bytes[..cut], usize::MAX).expect_err("cut").to_string();
        assert!(told.contains(&format!("truncated at byte {cut}")), "{cut}: {told}");
    }
    let end = bytes.len();
    for (at, what) in [(end - 1, "length"), (end - 5, "checksum"), (0, "no gzip header")] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(error(&bad).contains(what));
    }
}

/// A back reference to before a member's start finds nothing there, neither zeros nor another member's bytes.
#[test]
fn a_member_cannot_look_back_into_the_one_before() {
    // Fixed Huffman codes: a match of length 3 at distance 1, then the end of the block.
    let bits = [
        1, 1, 0, /* 257 */ 0, 0, 0, 0, 0, 0, 1, /* distance 1 */ 0, 0, 0, 0, 0, /* 256 */ 0, 0, 0, 0, 0,
        0, 0,
    ];
    let mut deflate = vec![0u8; bits.len().div_ceil(8)];
    for (n, bit) in bits.iter().enumerate() {
        deflate[n / 8] |= bit << (n % 8);
    }
    let member = |text: &[u8]| {
        let mut crc = Crc::default();
        crc.update(text);
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        [&header[..], &deflate, &crc.sum().to_le_bytes(), &(text.len() as u32).to_le_bytes()].concat()
    };
    assert!(error(&member(b"\0\0\0")).contains("damaged data"));
    let before = gzip(&sample(WINDOW), &[]);
    let last = *sample(WINDOW).last().unwrap();
    assert!(error(&[&before[..], &member(&[last; 3])].concat()).contains("damaged data"));
}

#[test]
fn the_first_bytes_tell_what_a_stream_is() {
    let read = |bytes: &[u8], piece| {
        let mut out = Vec::new();
        Inflate::or_plain(Pieces(bytes, piece)).read_to_end(&mut out).map(|_| out)
    };
    let plain = sample(INPUT + 1000);
    for piece in [1, usize::MAX] {
        assert!(read(&plain, piece).unwrap() == plain);
        assert!(read(&gzip(&plain, &[]), piece).unwrap() == plain);
        assert_eq!(read(b"", piece).unwrap(), b"");
        assert_eq!(read(b"abc", piece).unwrap(), b"abc");
        assert!(read(b"\x28\xb5\x2f\xfd....", piece).unwrap_err().to_string().contains("zstd"));
        assert!(read(b"\xfd7zXZ\0...", piece).unwrap_err().to_string().contains("xz"));
    }
}

/// Whatever the bytes are: no panic and no endless loop; and whoever passes the checksum is right.
#[test]
fn any_bytes_are_inflated_or_refused() {
    let mut random = crate::image::tar::fixture::Random::seeded();
    let plain = sample(4000);
    let good = [gzip(&plain[..3000], &["-9"]), gzip(&plain[3000..], &["-1"])].concat();
    for _ in 0..5000 {
        let mut bytes = good.clone();
        random.mutate(&mut bytes);
        // Deflate makes at most 1032 bytes of one.
        let limit = 1032 * bytes.len() as u64 + WINDOW as u64;
        let count = io::copy(&mut Inflate::new(&bytes[..]).take(limit), &mut io::sink());
        assert!(count.unwrap_or(0) < limit);
    }
}
