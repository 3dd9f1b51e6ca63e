//! The kernel's log: the one place where it names the process that it killed for
//! want of memory (its Documentation/ABI/testing/dev-kmsg).
//!
//! A container's process is gone when its end is noticed, and sampling would find
//! what was big a moment ago. The log tells what was chosen. Not everybody may
//! read it (kernel.dmesg_restrict).

use crate::sys::fs;
use std::os::fd::AsFd;

/// Who was killed.
#[derive(Debug, PartialEq, Eq)]
pub struct Killed {
    pub name: String,
    /// As the host sees it.
    pub pid: u32,
    /// Of its own memory: anonymous, file and shared.
    pub bytes: u64,
}

/// The biggest of those that were killed because the group with `group` in its name was full. No other group has
/// ever been called so: all of the log may be looked through, from its beginning.
pub fn killed_in(group: &str) -> Option<Killed> {
    let log = fs::open(c"/dev/kmsg", libc::O_RDONLY | libc::O_NONBLOCK, 0).ok()?;
    let mut text = String::new();
    let mut record = [0; 8192];
    // One record for each read. EPIPE: some were overwritten before they were read.
    loop {
        match fs::read(log.as_fd(), &mut record) {
            Ok(size) if size > 0 => {
                text.push_str(&String::from_utf8_lossy(record.get(..size).unwrap_or_default()));
                text.push('\n');
            }
            Err(error) if error.errno() == Some(libc::EPIPE) => {}
            _ => return find(&text, group),
        }
    }
}

/// The kernel names the group in one line (`oom-kill:…,oom_memcg=/…,task=NAME,pid=N,…`), and in one of the next
/// what the process held.
fn find(log: &str, group: &str) -> Option<Killed> {
    let mut ours: Vec<u32> = Vec::new();
    let mut found: Option<Killed> = None;
    for line in log.lines() {
        if line.contains("oom-kill:") && line.contains("oom_memcg=") && line.contains(group) {
            ours.extend(
                line.rsplit_once(",pid=").and_then(|(_, rest)| number(rest)).and_then(|n| u32::try_from(n).ok()),
            );
        }
        let Some((_, rest)) = line.split_once("Killed process ") else { continue };
        let (Some(pid), Some((name, sizes))) = (number(rest), rest.split_once(") total-vm:")) else { continue };
        let Ok(pid) = u32::try_from(pid) else { continue };
        let part = |key: &str| sizes.split_once(key).and_then(|(_, rest)| number(rest)).unwrap_or(0);
        let bytes = 1024 * (part("anon-rss:") + part("file-rss:") + part("shmem-rss:"));
        if ours.contains(&pid) && found.as_ref().is_none_or(|found| found.bytes < bytes) {
            let name = name.split_once('(').map_or(name, |(_, name)| name).to_owned();
            found = Some(Killed { name, pid, bytes });
        }
    }
    found
}

fn number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_killed_process_is_found_by_its_group() {
        let log = "\
6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x/ccrun-ab,task_memcg=/x/ccrun-ab,task=a,pid=7,uid=1,pid=41,uid=2
3,2,3,-;Memory cgroup out of memory: Killed process 41 (a) b,pid) total-vm:300kB, anon-rss:200kB, file-rss:4kB, shmem-rss:1kB, UID:2 pgtables:1kB oom_score_adj:0
6,3,4,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/x/ccrun-cd,task_memcg=/x/ccrun-cd,task=big,pid=42,uid=2
3,4,5,-;Memory cgroup out of memory: Killed process 42 (big) total-vm:900kB, anon-rss:900kB, file-rss:0kB, shmem-rss:0kB, UID:2
";
        let killed = Killed { name: "a) b,pid".into(), pid: 41, bytes: 205 << 10 };
        assert_eq!(find(log, "ccrun-ab"), Some(killed));
        assert_eq!(find(log, "ccrun-ef"), None);
    }
}
