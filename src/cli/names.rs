//! What containers and volumes are called.

use crate::error::{Error, Result};
use crate::store::Store;
use crate::sys::kernel;

const ADJECTIVES: &str = "
    able agile amber ample apt bold brave brisk calm candid careful cheerful clear clever cool cosy crisp curious
    daring deft eager early earnest easy fair fast fearless fine firm fond free fresh gentle glad golden good grand
    happy hardy helpful honest jolly keen kind lively loyal lucid lucky merry mild modest neat nimble noble patient
    plain proud quick quiet ready robust serene sharp silent simple smart snug sober solid spry steady sunny swift
    tidy trusty upbeat vivid warm wise witty";

const SURNAMES: &str = "
    allen babbage backus bartik blackwell boole brooks cerf church clarke codd cray dahl dijkstra engelbart floyd
    franklin galois gauss germain goldberg hamilton hamming holberton hoare hopper huffman iverson jennings johnson
    joy kahn karp kay keller kernighan kildall kleene knuth lamport liskov lovelace mccarthy mccluskey meitner milner
    minsky moore naur neumann newell noether nygaard perlis perlman pike postel rabin ritchie rosen shannon simon
    spence stallman sutherland tarjan thompson turing ullman wilkes wilkinson wing wirth zuse";

/// 64 random hexadecimal digits.
pub fn random_id() -> Result<String> {
    Ok(kernel::getrandom::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Two words that no container is called yet, chosen by the digits of `id`; its first digits if all tries are taken.
pub fn random_name(store: &Store, id: &str) -> String {
    let word = |list: &'static str, at: usize| {
        let number = id.get(at..at + 6).and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or(0);
        list.split_whitespace().cycle().nth(number % list.split_whitespace().count()).unwrap_or_default()
    };
    (0..5)
        .map(|attempt| format!("{}_{}", word(ADJECTIVES, attempt * 12), word(SURNAMES, attempt * 12 + 6)))
        .find(|name| !store.is_name_taken(name))
        .unwrap_or_else(|| id[..12].to_owned())
}

/// A container's name that the user chose, if it may be one.
pub fn check_container(name: &str) -> Result<&str> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let valid = name.len() > 1
        && name.len() <= 200
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if valid {
        Ok(name)
    } else {
        Err(Error::new(format_args!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
    }
}

/// A volume's name that the user chose, if it may be one.
pub fn check_volume(name: &str) -> Result<String> {
    let valid = name.len() > 1
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if valid {
        return Ok(name.to_owned());
    }
    Err(Error::new(format_args!(
        "\"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
    ))
    .hint("a directory of the host begins with / or ./"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_checked_as_docker_does() {
        for name in ["web", "a1", "/web", "a_b.c-d"] {
            assert!(super::check_container(name).is_ok(), "{name}");
        }
        for name in ["", "z", "-a", ".a", "a b", "a/b", "ä1"] {
            assert!(super::check_container(name).is_err(), "{name}");
        }
    }
}
