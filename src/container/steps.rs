//! The steps of a start: three tables, each run in order by one of three processes.
//!
//! The supervisor clones PID 1, PID 1 clones the command, and each runs its own table. `ccrun run --explain` prints
//! each step when it begins, with its system calls; `ccrun help steps` prints the tables.

mod command;
mod init;
mod supervisor;

pub use supervisor::{Start, Started};

use crate::error::{Error, Result};
use crate::sys::report;
use std::sync::OnceLock;

/// Which of the three processes runs a table, in the order in which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Supervisor,
    Init,
    Command,
}

/// The explanation of a step.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    pub name: &'static str,
    /// Why it is needed, and why in this order.
    pub why: &'static str,
    /// The man page or the kernel's document.
    pub man: &'static str,
    /// The step of the challenge "Build Your Own Docker" that it belongs to.
    pub challenge: Option<u8>,
}

/// One step of a table.
pub struct Step<F> {
    lesson: Lesson,
    run: F,
}

/// An event in a table.
pub enum Event {
    /// A step begins. `number` is its place in the table, counted from 1.
    Begins { side: Side, number: usize, lesson: &'static Lesson },
    /// The last step is done.
    Ended { side: Side },
}

/// Called with each event; an error ends the start.
pub type Listener = fn(&Event) -> Result<()>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Sets the listener, unless one is set.
pub fn listen(listener: Listener) {
    let _ = LISTENER.set(listener);
}

/// From this step on, the command has the signals, limits and filter of the program.
pub const CLEAN_UP: &str = "signals and descriptors";

const fn step<F>(name: &'static str, challenge: Option<u8>, man: &'static str, why: &'static str, run: F) -> Step<F> {
    Step { lesson: Lesson { name, why, man, challenge }, run }
}

type Supervisor = for<'a, 'b> fn(&'a mut supervisor::Start<'b>) -> Result<()>;
type Init = for<'a, 'b> fn(&'a mut init::Build<'b>) -> Result<()>;
type Command = for<'a, 'b> fn(&'a mut command::Prepare<'b>) -> Result<()>;

/// The process that the user started.
#[rustfmt::skip]
pub static SUPERVISOR: &[Step<Supervisor>] = &[
    step("volumes", None, "mkdir(2)",
        "Makes the directories of new volumes. As the caller, who will own missing directories of the host.",
        supervisor::make_volumes),
    step("record", None, "cgroups(7)",
        "Plans the cgroups and writes the container down. Before anything is made outside its directory, so that the \
         next command can remove whatever a killed ccrun leaves.",
        supervisor::save_container),
    step("cgroup", Some(6), "cgroups(7)",
        "Makes the cgroup and writes its limits. Before the first process of the container, so that none runs without them.",
        supervisor::make_cgroup),
    step("streams", Some(1), "pipe(2)",
        "Connects stdin, stdout and stderr: the caller's own, or pipes to be copied. Before the clone, which inherits them.",
        supervisor::make_streams),
    step("clone", Some(4), "clone(2), namespaces(7)",
        "Makes PID 1 in new user, PID, mount, UTS, IPC and network namespaces, in one call: the user namespace must own \
         the others, or their root could not change them.",
        supervisor::clone_init),
    step("id maps", Some(5), "user_namespaces(7)",
        "Maps the container's ids to ids of the host: root inside is nobody outside. Only the parent may write more \
         than one line, and PID 1 waits for it.",
        supervisor::write_id_maps),
    step("id-mapped mounts", Some(3), "mount_setattr(2), open_tree(2)",
        "As root: makes copies of the image's, the directory's and the volumes' mounts that show their files under the \
         container's ids. They need the user namespace, whose id maps are written now.",
        supervisor::make_mounts),
    step("hand over", None, "unix(7), SCM_RIGHTS",
        "Sends these mounts to PID 1, which goes on with them.",
        supervisor::hand_over),
    step("wait", None, "recv(2)",
        "Waits until the command runs or a step has failed: execve closes the last copy of the other end.",
        supervisor::wait_for_start),
];

/// PID 1 of the container, a clone of ccrun.
#[rustfmt::skip]
pub static INIT: &[Step<Init>] = &[
    step("name and session", Some(4), "setsid(2), PR_SET_NAME(2const)",
        "Renames itself to ccrun, and leads the session that will own the container's terminal. First, because the \
         address of the command line is read from the host's /proc.",
        init::name_itself),
    step("private mounts", Some(3), "mount_namespaces(7)",
        "Stops the propagation of mounts in both directions. Before the first mount, or the host would see it.",
        init::make_mounts_private),
    step("host's devices", Some(3), "open(2)",
        "Opens /dev/null and similar devices. A user namespace cannot make devices, so these will be bound.",
        init::open_devices),
    step("priority and cgroup", Some(6), "sched(7), cgroups(7)",
        "Gives up a raised priority of the caller's, and enters the cgroup. While its own /proc files can still be written.",
        init::join_cgroup),
    step("wait for ids", Some(5), "user_namespaces(7)",
        "Waits for the id maps, and for the mounts that only the host's root can make. Until then it has no ids.",
        init::receive_mounts),
    step("shut off", Some(4), "PR_SET_DUMPABLE(2const)",
        "Becomes undumpable, so that nothing inside can trace it or read its memory and descriptors, which are the host's. \
         Not earlier: its /proc files now belong to root, and the caller could not write the id maps.",
        init::shut_off),
    step("sources", Some(3), "open(2)",
        "Opens the layers, directories and devices on the host. Still as the caller, who may enter the store.",
        init::open_sources),
    step("become root", Some(5), "setresuid(2), PR_SET_PDEATHSIG(2const)",
        "Becomes the container's root, so that what it makes belongs to it, and asks to be killed when the supervisor \
         ends. A change of ids clears that request, so it comes after.",
        init::become_root),
    step("root file system", Some(3), "overlayfs (kernel documentation)",
        "Mounts the layers below a directory of the container's own, which takes every write.",
        init::mount_root),
    step("proc", Some(4), "proc(5)",
        "Mounts the new PID namespace's /proc, and covers the files that reveal or change the host.",
        init::mount_proc),
    step("sys", Some(3), "sysfs(5)",
        "Mounts /sys read-only. It shows the network namespace that we are in.",
        init::mount_sys),
    step("cgroup view", Some(6), "cgroup_namespaces(7)",
        "Makes our own cgroup the top of /sys/fs/cgroup. After joining it: the root of the namespace is the cgroup of the \
         process that makes it.",
        init::mount_cgroups),
    step("dev", Some(3), "devpts(5), tmpfs(5)",
        "Mounts a small /dev with the devices that were opened, its own pseudoterminals, shared memory and queues.",
        init::mount_dev),
    step("volumes", Some(8), "mount_setattr(2), move_mount(2)",
        "Attaches -v, --tmpfs and the container's own /etc/hosts, hostname and resolv.conf, by descriptor. Last, on top \
         of all others, and shallow places first: each may hide what was there before.",
        init::mount_volumes),
    step("terminal", Some(8), "pty(7)",
        "Opens a terminal of the container's own and sends its other end to the supervisor. While /dev is still open.",
        init::open_terminal),
    step("pivot_root", Some(3), "pivot_root(2)",
        "Makes the container's root / and detaches the host's. cd .. does not lead out, because nothing of the host is \
         mounted any more. After all steps that need the host's files.",
        init::pivot),
    step("hostname", Some(2), "uts_namespaces(7)",
        "Names the machine in the new UTS namespace.",
        init::set_hostname),
    step("network", None, "network_namespaces(7)",
        "Brings up lo, the only interface of a new network namespace.",
        init::bring_up_network),
    step("fork", Some(4), "clone(2)",
        "Makes the command's process. PID 1 itself stays: it reaps orphans and passes signals on.",
        init::fork_command),
];

/// The command, a clone of PID 1, until execve makes the program of it.
#[rustfmt::skip]
pub static COMMAND: &[Step<Command>] = &[
    step("job", Some(4), "setpgid(2)",
        "Leads a process group, which can be the terminal's foreground one.",
        command::lead_job),
    step("user", Some(8), "passwd(5), group(5)",
        "Looks --user and the image's User up in the container's own files: the host's names mean nothing inside.",
        command::find_user),
    step("streams", Some(1), "dup(2)",
        "Connects descriptors 0, 1 and 2.",
        command::connect_streams),
    step("working directory", Some(8), "chdir(2)",
        "Enters the working directory, and makes it if it is missing. While we are still root.",
        command::enter_directory),
    step("single id", Some(5), "seccomp_unotify(2), user_namespaces(7)",
        "Where only one id exists: root's calls are answered by PID 1 from here on, and another user gets a user \
         namespace of their own.",
        command::become_single),
    step("bounding set", Some(5), "capabilities(7)",
        "Drops the capabilities that no program may ever gain. First, because it needs CAP_SETPCAP.",
        command::bound_capabilities),
    step("groups and user", Some(5), "setgroups(2), setresgid(2), setresuid(2)",
        "Becomes the user. Groups first: without root they cannot be changed any more.",
        command::become_user),
    step("keyring", None, "session-keyring(7)",
        "Joins a session keyring of its own: keys are not in any namespace.",
        command::join_keyring),
    step(CLEAN_UP, Some(1), "execve(2)",
        "Unblocks signals and resets those that are ignored; every descriptor but 0, 1 and 2 will close. A program \
         inherits what execve leaves.",
        command::clean_up),
    step("rlimits", Some(6), "getrlimit(2)",
        "Sets --ulimit. Late, because our own work above must not run into them.",
        command::set_limits),
    step("power", Some(5), "seccomp(2), capabilities(7)",
        "Loads the system call filter and drops the last capabilities. At the very end: both apply to us, too.",
        command::give_up_power),
    step("execve", Some(1), "execve(2)",
        "Becomes the program. It is searched for in PATH inside the container.",
        command::execute),
];

/// All steps in the order of a start, by side.
pub fn lessons() -> Vec<(Side, Vec<&'static Lesson>)> {
    fn of<F>(table: &'static [Step<F>]) -> Vec<&'static Lesson> {
        table.iter().map(|step| &step.lesson).collect()
    }
    vec![(Side::Supervisor, of(SUPERVISOR)), (Side::Init, of(INIT)), (Side::Command, of(COMMAND))]
}

/// A value that an earlier step must have made.
fn required<T>(from_before: Option<T>) -> Result<T> {
    from_before.ok_or_else(|| Error::new("a step comes before the one that it needs"))
}

/// Runs a table to its end or the first error.
fn run_all<F: Copy>(side: Side, table: &'static [Step<F>], mut run: impl FnMut(F) -> Result<()>) -> Result<()> {
    for (at, Step { lesson, run: function }) in table.iter().enumerate() {
        if let Some(listener) = LISTENER.get() {
            report::switch(false);
            listener(&Event::Begins { side, number: at + 1, lesson })?;
            report::switch(true);
        }
        run(*function)?;
    }
    end(side)
}

/// Ends a side's explanation.
fn end(side: Side) -> Result<()> {
    report::switch(false);
    LISTENER.get().map_or(Ok(()), |listener| listener(&Event::Ended { side }))
}
