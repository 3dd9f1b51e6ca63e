//! Requests that may be made again.

use crate::error::{Error, Result};
use std::time::Duration;

/// How often a request is tried that fails for no lasting reason.
const TRIES: u32 = 5;
/// The longest that a registry may make us wait before we try again.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Why a request failed, and whether the same one may succeed later.
pub struct Failure {
    pub error: Error,
    pub transient: bool,
    /// How long the registry asks us to wait.
    pub retry_after: Option<Duration>,
}

/// What is not known to be transient lasts.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, transient: false, retry_after: None }
    }
}

/// Does something until it succeeds, fails for good, or has failed too often; `before` is told of each new try.
pub fn retry<T>(mut before: impl FnMut(), mut attempt: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
    let mut tries = 1;
    loop {
        let failure = match attempt() {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        // Half a second, one, two, four.
        let wait = failure.retry_after.unwrap_or(Duration::from_millis(250 << tries));
        if !failure.transient || tries >= TRIES || wait > WAIT_MAX {
            return Err(failure.error);
        }
        tries += 1;
        std::thread::sleep(wait);
        before();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_heal_is_tried_again() {
        let run = |transient, retry_after, heals_after| {
            let mut tries = 0;
            let done = retry(
                || {},
                || {
                    tries += 1;
                    if tries > heals_after {
                        return Ok(());
                    }
                    Err(Failure { error: Error::new("no"), transient, retry_after })
                },
            );
            (tries, done.is_ok())
        };
        let soon = Some(Duration::from_millis(1));
        assert_eq!(run(true, soon, 2), (3, true));
        assert_eq!(run(true, soon, 9), (5, false));
        assert_eq!(run(false, soon, 9), (1, false));
        assert_eq!(run(true, Some(Duration::from_secs(3600)), 9), (1, false));
    }
}
