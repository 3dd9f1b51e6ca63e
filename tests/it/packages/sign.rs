//! One RSA key, made by openssl, that signs for both: a bare signature for apk, an
//! OpenPGP document (RFC 4880) for apt.

use crate::registry::base64;
use crate::sandbox::Sandbox;
use crate::{skip, users};

/// Of the key and of all that it signs; any day that has passed.
const WHEN: [u8; 4] = 1_700_000_000u32.to_be_bytes();
const NAME: &[u8] = b"ccrun tests <tests@localhost>";
const EXPONENT: [u8; 3] = [1, 0, 1];

pub struct Key<'t> {
    t: &'t Sandbox,
    modulus: Vec<u8>,
}

impl Key<'_> {
    pub fn make(t: &Sandbox) -> Key<'_> {
        if !users::have("openssl") {
            skip!("openssl is not installed");
        }
        let script = "openssl genrsa -out key.pem 2048 && openssl rsa -in key.pem -pubout -out key.pub
            openssl rsa -in key.pem -noout -modulus";
        let out = t.command("sh", &["-ec", script]).ok();
        let hex = out.line().strip_prefix("Modulus=").expect("a modulus");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        Key { t, modulus: (0..hex.len()).step_by(2).map(byte).collect() }
    }

    /// PKCS #1 with SHA-256.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.t.command("openssl", &["dgst", "-sha256", "-sign", "key.pem", "-out", "signature"]).stdin(bytes).ok();
        std::fs::read(self.t.path("signature")).expect("read")
    }

    /// The public half in PEM.
    pub fn public(&self) -> String {
        std::fs::read_to_string(self.t.path("key.pub")).expect("read")
    }

    /// The public half as OpenPGP has it: the key, its owner's name, and the key's word for that.
    pub fn openpgp(&self) -> String {
        let key = self.key_packet();
        let certified = [&[0x99], &short(key.len())[..], &key, &[0xb4], &long(NAME.len()), NAME].concat();
        // May certify and sign.
        let word = self.signature(0x13, &certified, &[2, 27, 3]);
        armour("PUBLIC KEY BLOCK", &[packet(6, &key), packet(13, NAME), word].concat())
    }

    /// A text with its signature around it, as an InRelease file is.
    pub fn clear_signed(&self, text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let signature = self.signature(1, lines.join("\r\n").as_bytes(), &[]);
        let head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
        format!("{head}{}\n{}", lines.join("\n"), armour("SIGNATURE", &signature))
    }

    fn key_packet(&self) -> Vec<u8> {
        [&[4], &WHEN[..], &[1], &number(&self.modulus), &number(&EXPONENT)].concat()
    }

    fn signature(&self, kind: u8, signed: &[u8], more: &[u8]) -> Vec<u8> {
        let key = self.key_packet();
        let fingerprint = sha1(&[&[0x99], &short(key.len())[..], &key].concat());
        let told = [&[5, 2], &WHEN[..], &[9, 16], &fingerprint[12..], more].concat();
        let head = [&[4, kind, 1, 8], &short(told.len())[..], &told].concat();
        let all = [signed, &head, &[4, 0xff], &long(head.len())].concat();
        let digest = u16::from_str_radix(&crate::image::sha256(&all)["sha256:".len()..][..4], 16).expect("hexadecimal");
        packet(2, &[&head, &[0, 0][..], &digest.to_be_bytes(), &number(&self.sign(&all))].concat())
    }
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a short one").to_be_bytes()
}

fn long(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a length").to_be_bytes()
}

/// A big number behind the count of its bits.
fn number(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).expect("not zero");
    let bits = (bytes.len() - start) * 8 - bytes[start].leading_zeros() as usize;
    [&short(bits)[..], &bytes[start..]].concat()
}

fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | tag, 0xff], &long(body.len())[..], body].concat()
}

fn armour(what: &str, bytes: &[u8]) -> String {
    let text = base64(bytes);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN PGP {what}-----\n\n{}\n-----END PGP {what}-----\n", lines.join("\n"))
}

/// What apk and OpenPGP still call things by.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut all = [bytes, &[0x80]].concat();
    all.resize((all.len() + 8).next_multiple_of(64) - 8, 0);
    all.extend((bytes.len() as u64 * 8).to_be_bytes());
    let mut h: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in all.chunks(64) {
        let mut w = [0u32; 80];
        for (at, word) in block.chunks(4).enumerate() {
            w[at] = u32::from_be_bytes(word.try_into().expect("four bytes"));
        }
        for at in 16..80 {
            w[at] = (w[at - 3] ^ w[at - 8] ^ w[at - 14] ^ w[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (at, word) in w.iter().enumerate() {
            let (f, k) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in h.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 20];
    for (bytes, word) in out.chunks_mut(4).zip(h) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}
