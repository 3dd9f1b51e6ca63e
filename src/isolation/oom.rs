//! Out of memory: whom the kernel ends when the machine has none left
//! (proc_pid_oom_score_adj(5)).
//!
//! A container's processes end before its supervisor, or with it: were it the
//! other way round, nobody would be left to tell and to tidy up, and they would
//! end all the same. So where they are to be spared, the supervisor is, too.

use crate::error::Result;
use crate::sys::fs;

const FILE: &str = "/proc/self/oom_score_adj";

/// Makes this process, the supervisor, as safe as the container that it is about to start.
pub fn go_along(score: i32) -> Result<()> {
    let own = fs::read_text(FILE)?;
    if own.trim().parse().is_ok_and(|own: i32| own <= score) { Ok(()) } else { set_score(score) }
}

/// Sets it for this process and its children. Less than before takes power on the host.
pub fn set_score(score: i32) -> Result<()> {
    fs::write_text(FILE, &score.to_string())
        .map_err(|error| error.hint("a score below the caller's own takes root with CAP_SYS_RESOURCE"))
}
