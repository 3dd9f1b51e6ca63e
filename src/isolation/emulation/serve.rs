//! The one who answers.

use super::caller::{Caller, Step};
use super::create::create;
use super::credentials::{Credentials, Table};
use super::exec::execve;
use super::files;
use super::own_filter;
use super::owners::Owners;
use super::people;
use crate::error::Result;
use crate::isolation::procfs;
use crate::isolation::seccomp::abi::{ABIS, X32_BIT};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::notify::{Answer, Listener, Notification, Ready};
use crate::sys::{poll, process};
use std::os::fd::{AsFd, BorrowedFd};

/// What PID 1 knows of the container's users and files, and where it is asked.
pub struct Emulator {
    listener: Listener,
    proc: OwnedFd,
    proc_device: u64,
    /// Our own root directory.
    root: OwnedFd,
    people: Table,
    owners: Owners,
    /// Whether some process may have a root directory other than ours.
    roots_differ: bool,
    /// Whether nobody is left who could ask.
    gone: bool,
}

impl Emulator {
    /// `first`: who the container's command is. /proc must be mounted, and nobody may have been asked yet.
    pub fn new(listener: Listener, first: Credentials) -> Result<Emulator> {
        // Older kernels do without.
        let _ = listener.set_sync_wakeup();
        fs::umask(0);
        let proc = procfs::open()?;
        let proc_device = fs::statx(Some(proc.as_fd()), c"", libc::AT_EMPTY_PATH, fs::STATX_BASIC_STATS)?.device();
        Ok(Emulator {
            listener,
            proc,
            proc_device,
            root: fs::open(c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?,
            people: Table::new(first),
            owners: Owners::new(),
            roots_differ: false,
            gone: false,
        })
    }

    /// Closes every descriptor of this process but those that it needs, and `also`, which it returns.
    pub fn close_others(&mut self, also: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
        let root = self.root.as_fd();
        let needed = [self.listener.as_fd(), self.proc.as_fd(), root, also.as_ref().map_or(root, AsFd::as_fd)];
        let [listener, proc, root, kept] = process::keep_only(needed)?;
        let others = std::mem::replace(&mut self.listener, Listener::new(listener));
        // What they had is closed.
        std::mem::forget((others, std::mem::replace(&mut self.proc, proc), std::mem::replace(&mut self.root, root)));
        let kept = also.is_some().then_some(kept);
        std::mem::forget(also);
        Ok(kept)
    }

    /// Answers until `other` can be read.
    pub fn serve_until(&mut self, other: BorrowedFd<'_>) -> Result<()> {
        while !self.gone {
            let ready = self.listener.wait(Some(other))?;
            self.serve_if(ready);
            if ready.other {
                return Ok(());
            }
        }
        poll::poll(&[other], -1).map(drop)
    }

    /// Answers until nobody is left who could ask.
    pub fn serve(&mut self) -> Result<()> {
        while !self.gone {
            let ready = self.listener.wait(None)?;
            self.serve_if(ready);
        }
        Ok(())
    }

    fn serve_if(&mut self, Ready { call, gone, .. }: Ready) {
        if call {
            self.serve_one();
        }
        self.gone = gone && !call;
    }

    /// Answers one call.
    fn serve_one(&mut self) {
        // Whoever asked may be gone at each of these steps, which is no error of ours.
        let Ok(call) = self.listener.receive() else { return };
        let answer = self.answer(call);
        let _ = self.listener.answer(call.id, answer.unwrap_or_else(|answer| answer));
    }

    fn answer(&mut self, call: Notification) -> Step<Answer> {
        let caller = Caller { call, listener: &self.listener, proc: &self.proc, proc_device: self.proc_device };
        // Of programs for another ABI we are asked for nothing else.
        let is_native = call.arch == ABIS[0].audit && call.number & i64::from(X32_BIT) == 0;
        match call.number {
            _ if !is_native => own_filter::set(&caller),
            libc::SYS_seccomp => own_filter::set(&caller),
            libc::SYS_prctl if caller.word(0) == libc::PR_SET_SECCOMP as u32 => own_filter::set(&caller),
            libc::SYS_getuid
            | libc::SYS_geteuid
            | libc::SYS_getgid
            | libc::SYS_getegid
            | libc::SYS_getresuid
            | libc::SYS_getresgid
            | libc::SYS_getgroups => people::get(&caller, &self.people),
            libc::SYS_setuid
            | libc::SYS_setgid
            | libc::SYS_setreuid
            | libc::SYS_setregid
            | libc::SYS_setresuid
            | libc::SYS_setresgid
            | libc::SYS_setfsuid
            | libc::SYS_setfsgid
            | libc::SYS_setgroups => people::set(&caller, &mut self.people),
            libc::SYS_capget => people::get_powers(&caller, &self.people),
            libc::SYS_capset => people::set_powers(&caller, &mut self.people),
            libc::SYS_prctl => people::keep_powers(&caller, &mut self.people),
            libc::SYS_chroot | libc::SYS_pivot_root | libc::SYS_setns | libc::SYS_unshare | libc::SYS_clone => {
                self.roots_differ = true;
                Ok(Answer::Continue)
            }
            // The one that costs, and is mostly asked for nothing.
            libc::SYS_fstat if self.owners.is_empty() && self.people.has_one() => Ok(Answer::Continue),
            _ => self.answer_about_files(call),
        }
    }

    fn answer_about_files(&mut self, call: Notification) -> Step<Answer> {
        let caller = Caller { call, listener: &self.listener, proc: &self.proc, proc_device: self.proc_device };
        let elsewhere = self.roots_differ && !caller.has_root(&self.root)?;
        if elsewhere {
            caller.enter_root()?;
        }
        let who = || self.people.get(caller.number(&self.people));
        let answer = match call.number {
            libc::SYS_fstat | libc::SYS_newfstatat | libc::SYS_statx => {
                files::stat(&caller, &self.people, &mut self.owners)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat | libc::SYS_lstat => files::stat(&caller, &self.people, &mut self.owners),
            libc::SYS_fchown | libc::SYS_fchownat => files::chown(&caller, &who(), &mut self.owners),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown | libc::SYS_lchown => files::chown(&caller, &who(), &mut self.owners),
            libc::SYS_execve | libc::SYS_execveat => execve(&caller, &mut self.people, &mut self.owners),
            _ => create(&caller, &who(), &mut self.owners),
        };
        if elsewhere {
            process::fchdir(self.root.as_fd())?;
            process::chroot(c".")?;
        }
        answer
    }
}
