//! Priority: what the caller's own importance would give the container.
//!
//! A negative nice value (sched(7)) or OOM score (proc_pid_oom_score_adj(5)) was given
//! to the caller, often an ssh daemon's or a service's, by somebody with power. A stranger's
//! program must not have it. What makes a process *less* important stays: it is the caller's
//! wish, and takes power to undo.

use crate::error::Result;
use crate::sys::{fs, resource};

/// Back to the ordinary. It comes before this process is made undumpable, while its /proc files are its own.
pub fn reset() -> Result<()> {
    if resource::nice()? < 0 {
        resource::set_nice(0)?;
    }
    let path = "/proc/self/oom_score_adj";
    if fs::read_record(path).is_ok_and(|text| text.starts_with('-')) {
        fs::write_text(path, "0")?;
    }
    Ok(())
}
