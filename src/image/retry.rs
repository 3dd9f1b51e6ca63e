//! Requests that may be made again.

use crate::error::{Error, Result};
use std::time::{Duration, SystemTime};

/// How often a request is tried that brings nothing.
const TRIES: u32 = 5;
/// The same where nobody was ever reached: waiting seldom mends a name or a route.
const TRIES_UNREACHED: u32 = 3;
/// The longest that a registry may make us wait before we try again.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// No.
    Lasting,
    /// No: the other side says that there is no such thing.
    Missing,
    /// Hardly: there is no such name, or nobody answers there.
    Unreached,
    /// Yes: the other side was busy, or the line broke.
    Passing,
}

impl Outlook {
    /// By an answer's status.
    pub fn of_status(status: u16) -> Outlook {
        if matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504) { Outlook::Passing } else { Outlook::Lasting }
    }
}

/// Why a request failed.
pub struct Failure {
    pub error: Error,
    pub outlook: Outlook,
    /// How long the registry asks us to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// One that the same request may not meet again.
    pub fn passing(error: Error) -> Failure {
        Failure { error, outlook: Outlook::Passing, retry_after: None }
    }
}

/// What is not known to pass lasts.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, outlook: Outlook::Lasting, retry_after: None }
    }
}

/// How long we go on: as long as every few tries bring something.
#[derive(Default)]
pub struct Patience {
    tries: u32,
    reached: bool,
}

impl Patience {
    /// Somebody answers: what was reached once is there, even when the line is down for a while.
    pub fn reach(&mut self) {
        self.reached = true;
    }

    /// Something has come, so the tries are counted anew.
    pub fn renew(&mut self) {
        self.tries = 0;
    }

    /// How long to wait before the next try; the error when there is to be none.
    pub fn after(&mut self, failure: Failure) -> Result<Duration> {
        self.tries += 1;
        let tries = match failure.outlook {
            Outlook::Lasting | Outlook::Missing => 1,
            Outlook::Unreached if !self.reached => TRIES_UNREACHED,
            Outlook::Unreached | Outlook::Passing => TRIES,
        };
        let wait = failure.retry_after.unwrap_or_else(|| back_off(self.tries));
        if wait > WAIT_MAX && tries > 1 {
            return Err(failure.error.hint(format_args!("try again in {} s, as it asks for", wait.as_secs())));
        }
        if self.tries < tries { Ok(wait) } else { Err(failure.error) }
    }
}

/// About half a second, then one, two and four: not quite, so that not all who were cut off come back at once.
fn back_off(tries: u32) -> Duration {
    let most = Duration::from_millis(300 << tries.min(8));
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_micros());
    let chance = clock.wrapping_add(std::process::id().wrapping_mul(7919)) % 1000;
    most - most * chance / 3000
}

/// Does something until it succeeds, fails for good, or has failed too often.
pub fn retry<T>(mut attempt: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
    let mut patience = Patience::default();
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(failure) => std::thread::sleep(patience.after(failure)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_heal_is_tried_again() {
        let run = |outlook, retry_after, heals_after| {
            let mut tries = 0;
            let done = retry(|| {
                tries += 1;
                if tries > heals_after {
                    return Ok(());
                }
                Err(Failure { error: Error::new("no"), outlook, retry_after })
            });
            (tries, done.is_ok())
        };
        let soon = Some(Duration::from_millis(1));
        assert_eq!(run(Outlook::Passing, soon, 2), (3, true));
        assert_eq!(run(Outlook::Passing, soon, 9), (5, false));
        assert_eq!(run(Outlook::Unreached, soon, 9), (3, false));
        assert_eq!(run(Outlook::Lasting, soon, 9), (1, false));
        assert_eq!(run(Outlook::Passing, Some(Duration::from_secs(3600)), 9), (1, false));
    }

    #[test]
    fn what_brings_something_is_never_given_up() {
        let mut patience = Patience::default();
        let failure = || Failure { outlook: Outlook::Unreached, ..Failure::passing(Error::new("no")) };
        patience.reach();
        for _ in 0..100 {
            patience.renew();
            assert!(patience.after(failure()).is_ok());
        }
        patience.renew();
        assert!((1..5).all(|_| patience.after(failure()).is_ok()) && patience.after(failure()).is_err());
    }

    #[test]
    fn waits_grow_and_differ_by_a_third_at_most() {
        for (tries, most) in [(1, 600), (2, 1200), (3, 2400), (4, 4800)] {
            let wait = back_off(tries).as_millis();
            assert!(wait <= most && wait >= most * 2 / 3, "{tries}: {wait}");
        }
        assert!(back_off(u32::MAX) < Duration::from_secs(100));
    }
}
