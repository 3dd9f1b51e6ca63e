//! The keys that detach the user from a container, which goes on.

/// A sequence of keys, and how far it has been typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachKeys {
    keys: Vec<u8>,
    typed: usize,
}

impl DetachKeys {
    /// Docker's: Ctrl-P Ctrl-Q.
    pub fn docker() -> DetachKeys {
        DetachKeys { keys: vec![16, 17], typed: 0 }
    }

    /// Removes the sequence from `bytes`, which were typed; returns whether it is complete. The beginning of a sequence
    /// that is not continued is put back.
    pub fn take(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut kept = Vec::with_capacity(bytes.len() + self.typed);
        for byte in bytes.iter().copied() {
            if self.keys.get(self.typed) != Some(&byte) {
                kept.extend_from_slice(&self.keys[..self.typed]);
                self.typed = 0;
            }
            if self.keys.get(self.typed) == Some(&byte) {
                self.typed += 1;
                if self.typed == self.keys.len() {
                    *bytes = kept;
                    return true;
                }
            } else {
                kept.push(byte);
            }
        }
        *bytes = kept;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_removed_and_other_keys_are_kept() {
        for (typed, through, is_complete) in [
            (&["abc"][..], "abc", false),
            (&["a\x10\x11b"], "a", true),
            (&["\x10", "\x11"], "", true),
            (&["\x10x\x11"], "\x10x\x11", false),
            (&["\x10", "\x10", "\x11"], "\x10", true),
            (&["\x11\x10"], "\x11", false),
            (&["\x10", "y"], "\x10y", false),
        ] {
            let mut keys = DetachKeys::docker();
            let (mut got, mut complete) = (Vec::new(), false);
            for part in typed {
                let mut bytes = part.as_bytes().to_vec();
                complete |= keys.take(&mut bytes);
                got.extend(bytes);
            }
            assert_eq!((String::from_utf8(got).unwrap().as_str(), complete), (through, is_complete), "{typed:?}");
        }
    }
}
