//! Docker's default profile, of 2026 (moby/profiles, seccomp/default.json).
//!
//! A list of what is allowed, not of what is known to be bad: a system call that
//! nobody had thought of when the list was made is closed. Some are open to those
//! who hold a capability, as without it the kernel itself would refuse them. Some
//! are open for certain arguments.
//!
//! What is unknown is answered ENOSYS ("this kernel has it not", so that a libc
//! tries an older way), and what is forbidden EPERM (as runc does it).
//!
//! Three of the rules are stricter than Docker's. None takes a call off the list;
//! each says why.

use super::abi::{ABIS, Abi};
use super::compile::{Action, Answer, Case, Condition, Op, Rules};
use super::syscalls::{TABLE, WRITTEN};
use crate::isolation::capabilities::Set;

/// Whatever the arguments are, with no capability at all; in the order of the table.
const ALLOWED: &str = "\
    _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown \
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 \
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd \
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark \
    fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock \
    fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex \
    futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu \
    getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer \
    getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 \
    getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat \
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents \
    io_pgetevents_time64 io_setup io_submit ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset \
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr \
    lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore \
    mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open \
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget \
    msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause \
    pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 \
    preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace \
    pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 \
    recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq \
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity \
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop \
    semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area \
    set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid \
    setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid \
    setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 \
    sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat \
    sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime \
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime \
    utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// For whoever may gain the capability (capabilities(7)).
const BY_CAPABILITY: &[(&str, &str)] = &[
    ("BPF", "bpf"),
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    ("PERFMON", "perf_event_open"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "ioperm iopl"),
    ("SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYSLOG", "syslog"),
];

#[cfg(target_arch = "x86_64")]
const BY_ARCHITECTURE: &str = "arch_prctl modify_ldt";
#[cfg(target_arch = "aarch64")]
const BY_ARCHITECTURE: &str = "arm_fadvise64_64 breakpoint cacheflush set_tls sync_file_range2";

static ALLOW: Answer = Answer { cases: Vec::new(), otherwise: Action::Allow };
const EPERM: Action = Action::Errno(libc::EPERM as u16);
const ENOSYS: Action = Action::Errno(libc::ENOSYS as u16);

/// For each row of the table whether it is one of [`ALLOWED`]: found out by the compiler, which doesn't
/// compile the list if a name in it is not in the table.
static IS_ALLOWED: [bool; WRITTEN.len()] = {
    let mut is_allowed = [false; WRITTEN.len()];
    let mut rest = ALLOWED.as_bytes();
    let mut row = 0;
    while row < WRITTEN.len() {
        if let Some(next) = after_word(rest, WRITTEN[row].0.as_bytes()) {
            is_allowed[row] = true;
            rest = next;
        }
        row += 1;
    }
    assert!(rest.is_empty(), "ALLOWED is not in order, or names a call that no ABI has");
    is_allowed
};

/// What follows `word` and the spaces behind it, if `text` begins with it.
const fn after_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    let mut at = 0;
    while at < word.len() {
        match rest {
            [byte, tail @ ..] if *byte == word[at] => rest = tail,
            _ => return None,
        }
        at += 1;
    }
    match rest {
        [] => Some(rest),
        [b' ', tail @ ..] => Some(tail),
        _ => None,
    }
}

/// The answers that look at arguments.
pub struct Answers {
    clone: Answer,
    clone3: Answer,
    ioctl: Answer,
    personality: Answer,
    socket: Answer,
}

impl Answers {
    pub fn new() -> Answers {
        let one = |condition, action| Case { conditions: vec![condition], action };
        Answers {
            // No new namespaces: in one of their own, a program would hold all capabilities, and with them
            // the parts of the kernel in which most of its holes are found.
            clone: Answer {
                cases: vec![one(Condition { argument: 0, mask: 0x7e02_0000, op: Op::Equal, value: 0 }, Action::Allow)],
                otherwise: EPERM,
            },
            // Its flags lie in memory, where a filter cannot look. A libc that is told ENOSYS calls clone.
            clone3: ENOSYS.into(),
            // Docker allows all of it. Typing into a terminal as if one was its user (TIOCSTI, and pasting
            // with TIOCLINUX) is how programs broke out of sandboxes that shared one (CVE-2017-5226). The
            // kernel looks at 32 bits of the request, so do we (CVE-2019-10063).
            ioctl: Answer {
                cases: [0x5412, 0x541c].map(|request| one(Condition::word(1, Op::Equal, request), EPERM)).into(),
                otherwise: Action::Allow,
            },
            // Linux in the forms that programs ask for, and the question which one it is: not those with
            // an address space that is easy to guess.
            personality: Answer {
                cases: [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff]
                    .map(|value| one(Condition { argument: 0, mask: u64::MAX, op: Op::Equal, value }, Action::Allow))
                    .into(),
                otherwise: EPERM,
            },
            // Docker's: not AF_ALG (38: CVE-2026-31431) and AF_VSOCK (40: leads to the hypervisor, past all
            // network namespaces), as a 64-bit number; but the kernel reads 32 bits of it. And not AF_KEY
            // (15) and AF_RXRPC (33), on purpose: old ways into the kernel's IPsec and RxRPC, which had a
            // hole in 2026 (CVE-2026-43284, CVE-2026-43500), and which no program of a container needs.
            socket: Answer {
                cases: [15, 33, 38, 40].map(|family| one(Condition::word(0, Op::Equal, family), EPERM)).into(),
                otherwise: Action::Allow,
            },
        }
    }

    /// The rules for a container that has at most these capabilities, in each ABI of this machine.
    pub fn rules(&self, capabilities: Set) -> Vec<Rules<'_>> {
        ABIS.iter().map(|abi| self.of_abi(abi, capabilities)).collect()
    }

    fn of_abi(&self, abi: &'static Abi, capabilities: Set) -> Rules<'_> {
        let mut calls = Vec::with_capacity(TABLE.len());
        for (row, _) in TABLE.iter().zip(&IS_ALLOWED).filter(|(_, allowed)| **allowed) {
            if let Some(number) = abi.of_row(row) {
                calls.push((number, &ALLOW));
            }
        }
        let mut add = |name: &str, answer| {
            if let Some(number) = abi.number(name) {
                calls.push((number, answer));
            }
        };
        BY_ARCHITECTURE.split(' ').for_each(|name| add(name, &ALLOW));
        for (name, answer) in [("ioctl", &self.ioctl), ("personality", &self.personality), ("socket", &self.socket)] {
            add(name, answer);
        }
        if !capabilities.has("SYS_ADMIN") {
            add("clone", &self.clone);
            add("clone3", &self.clone3);
        }
        for (_, names) in BY_CAPABILITY.iter().filter(|(capability, _)| capabilities.has(capability)) {
            names.split(' ').for_each(|name| add(name, &ALLOW));
        }
        let newest = calls.iter().map(|call| call.0).max().unwrap_or(0);
        Rules { abi, calls, unlisted: EPERM, newer: Some((newest, ENOSYS)) }
    }
}
