//! `--step`: a start that a person at a terminal leads through its steps.

use crate::cases;
use crate::pty::Pty;
use crate::sandbox::{Mode, Sandbox, eventually};
use crate::{procs, sys};
use std::path::Path;
use std::process::{Command, Stdio};

cases! {
    Every:
        enter_goes_through_all_steps,
        what_a_process_tells_is_true,
        q_at_every_step_leaves_nothing,
        other_ways_to_end_it_are_q,
        without_who_asks_there_is_no_start,
        what_is_typed_after_the_last_step_is_the_containers,
        a_shell_beside_it_is_roots_alone,
        without_a_terminal_it_is_an_error,
        job_control_is_as_of_any_job,
        a_filter_that_might_kill_is_not_asked_under,
        the_program_sees_nothing_of_it
}

/// All steps in the order in which they come, as the questions name them.
fn steps(t: &Sandbox) -> Vec<String> {
    let help = t.ccrun(&["help", "steps"]).ok().stdout;
    let places = help.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once(" (")?.0));
    let steps: Vec<String> = places.map(|place| format!("[{place}")).collect();
    assert!(steps.len() > 35, "{help}");
    steps
}

/// `ccrun run --rm --step --explain=FILE …` with the explanation out of the way.
fn command(t: &Sandbox, args: &[&str]) -> Command {
    let explain = format!("--explain={}", t.path("explained"));
    let mut command = Command::new(&t.ccrun);
    command.args(["run", "--rm", "--step", &explain, "--rootfs", &t.busybox]).args(args);
    command.env_clear().current_dir(&t.dir);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    command
}

fn begin(t: &Sandbox, args: &[&str]) -> Pty {
    Pty::spawn(command(t, args))
}

/// The questions on the terminal, in their order. They are not on lines of their own where answers were typed ahead.
fn questions(seen: &str, steps: &[String]) -> Vec<String> {
    let places = |step: &String| {
        let question = format!("{step}> ");
        seen.match_indices(&question).map(|(at, _)| (at, step.clone())).collect::<Vec<_>>()
    };
    let mut all: Vec<(usize, String)> = steps.iter().flat_map(places).collect();
    all.sort();
    all.into_iter().map(|(_, step)| step).collect()
}

/// Everything of the container's is gone, its cgroup too.
fn nothing_left(t: &Sandbox) {
    t.nothing_left();
    let explained = std::fs::read_to_string(t.path("explained")).unwrap_or_default();
    let paths = explained.split('"').filter(|path| path.starts_with("/sys/fs/cgroup/") && path.contains("/ccrun-"));
    let left: Vec<&str> = paths.filter(|path| Path::new(path).exists()).collect();
    assert!(left.is_empty(), "cgroups are left: {left:?}");
}

fn enter_goes_through_all_steps(t: &Sandbox) {
    let steps = steps(t);
    let enters = "\n".repeat(steps.len());
    std::fs::create_dir_all(t.path("shared")).expect("mkdir");
    let bind = format!("{}:/bind:ro", t.path("shared"));
    let starts: [&[&str]; 5] =
        [&[], &["-t=false"], &["--no-init", "-t=false"], &["--cap-add", "SYS_ADMIN", "-v", &bind], &["--user", "7:7"]];
    for flags in starts {
        let mut pty = begin(t, &[flags, &["/bin/sh", "-c", "echo it ''ran; exit 3"]].concat());
        let before = pty.flags();
        // A person who types ahead; what is too much is left for the container, which reads nothing.
        pty.send(&enters);
        let (status, seen) = pty.wait();
        assert_eq!(status, 3, "{flags:?}: {seen}");
        assert_eq!(questions(&seen, &steps), steps, "{flags:?}: {seen}");
        assert!(seen.ends_with("execve> it ran\r\n"), "{flags:?}: {seen}");
        assert_eq!(pty.flags(), before);
        let explained = std::fs::read_to_string(t.path("explained")).expect("read");
        let headings = explained.lines().filter_map(|line| line.split_once(": ")).map(|(heading, _)| heading);
        let headings: Vec<&str> = headings.filter(|heading| steps.iter().any(|step| step == heading)).collect();
        assert_eq!(headings, steps, "{explained}");
        let execve = explained.lines().rev().find(|line| line.starts_with("  execve(")).expect("execve");
        assert!(execve.ends_with(" = 0"), "{explained}");
        nothing_left(t);
    }
    // Without a file the explanation is on the terminal, above each question.
    let mut command = Command::new(&t.ccrun);
    command.args(["run", "--rm", "--step", "--rootfs", &t.busybox, "true"]).env_clear().current_dir(&t.dir);
    command.env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    let mut pty = Pty::spawn(command);
    pty.send(&enters);
    let (status, seen) = pty.wait();
    assert_eq!(status, 0, "{seen}");
    let seen = seen.replace("\x1b[1m", "").replace("\x1b[0m", "");
    assert!(seen.contains("\n[PID 1 17] hostname: Names the machine"), "{seen}");
    assert!(seen.contains("\n[PID 1 17] hostname>   sethostname(\"container\", 9) = 0\r\n"), "{seen}");
    // The command's own calls, too, which it cannot write itself any more.
    let power = seen.split("[command 11] power> ").nth(1).expect("the filter's calls").split("[command 12]").next();
    assert!(power.expect("text").contains("  seccomp(SECCOMP_SET_MODE_FILTER"), "{seen}");
    nothing_left(t);
}

/// What `?` has printed before each step.
fn told(t: &Sandbox, flags: &[&str], script: &str) -> (Vec<(String, String)>, String) {
    let steps = steps(t);
    let mut pty = begin(t, &[flags, &["/bin/sh", "-c", script]].concat());
    let mut all = Vec::new();
    for step in &steps {
        pty.expect(&format!("{step}> "));
        pty.send("?\n");
        pty.expect("?\r\n");
        let text = pty.expect(&format!("{step}> "));
        assert!(!text.contains("unknown:"), "{step}: {text}");
        all.push((step.clone(), text.replace("\r\n", "\n")));
        pty.send("\n");
    }
    let (status, seen) = pty.wait();
    assert_eq!(status, 0, "{seen}");
    (all, seen.replace("\r\n", "\n"))
}

fn what_a_process_tells_is_true(t: &Sandbox) {
    let script = "echo; readlink /proc/self/ns/mnt /proc/self/ns/uts /proc/self/ns/user /proc/self/ns/cgroup; \
        cat /proc/self/uid_map; cat /proc/self/status; cat /proc/self/mountinfo; ulimit -n";
    let (told, truth) = told(t, &["-h", "named", "--ulimit", "nofile=64:64", "-t=false"], script);
    let at = |place: &str| {
        let found = told.iter().find(|(step, _)| step.starts_with(place));
        found.map(|(_, text)| text.as_str()).unwrap_or_else(|| panic!("no step {place}"))
    };
    let has = |place: &str, text: &str| assert!(at(place).contains(text), "{place} lacks {text}:\n{}", at(place));
    let line = |name: &str| {
        let found = truth.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        found.unwrap_or_else(|| panic!("no {name} in {truth}")).trim().to_owned()
    };
    // The first of each process tells all, the others what is new.
    for place in ["[supervisor 1]", "[PID 1 1]", "[command 1]"] {
        for topic in ["namespace mnt: mnt:[", "uid map: ", "host name: ", "cgroup: ", "limit: core=", "mount /proc: "] {
            has(place, &format!("    {topic}"));
        }
    }
    has("[PID 1 4]", "nothing has changed since the step before");
    let shared = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").matches(" shared:").count();
    match shared {
        0 => has("[PID 1 3]", "nothing has changed since the step before"),
        _ => has("[PID 1 3]", &format!("    mounts shared with other namespaces: 0 (before: {shared})\n")),
    }
    has("[PID 1 2]", "inside 1 (session 1, group 1) (before: ");
    has("[PID 1 7]", "others may look into it: no (before: yes)");
    let overlay = format!("    mount + {}/containers/", t.store.display());
    has("[PID 1 10]", &overlay);
    let mounted = at("[PID 1 10]").lines().filter(|line| line.starts_with(&overlay) && line.contains("overlay"));
    assert_eq!(mounted.count(), 1, "{}", at("[PID 1 10]"));
    has("[PID 1 11]", "/rootfs/proc: proc of proc (rw,nosuid,nodev,noexec");
    has("[PID 1 14]", "/rootfs/dev/pts: devpts of devpts");
    has("[PID 1 17]", "    mount / (before: ");
    has("[PID 1 17]", "    mount - /proc: proc of proc");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("hostname");
    has("[PID 1 18]", &format!("    host name: named (before: {})\n", host.trim()));
    has("[command 11]", "    limit + nofile=64:64\n");
    // The command's namespaces and map are those of the program that it becomes.
    for namespace in truth.lines().filter(|line| line.contains(":[")).take(4) {
        let kind = namespace.split(':').next().expect("a kind");
        has("[command 1]", &format!("    namespace {kind}: {namespace}\n"));
    }
    let map: Vec<Vec<u64>> = truth
        .lines()
        .map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>())
        .filter(|numbers| numbers.len() == 3)
        .collect();
    let range = |first: u64, count: u64| match count {
        1 => first.to_string(),
        _ => format!("{first}-{}", first + count - 1),
    };
    let words: Vec<String> =
        map.iter().map(|map| format!("{} is {}", range(map[0], map[2]), range(map[1], map[2]))).collect();
    assert!(!words.is_empty(), "{truth}");
    has("[command 1]", &format!("    uid map: {}\n", words.join(", ")));
    // The filter and the capabilities.
    let filters = line("Seccomp_filters");
    let before = if filters == "1" { "none".to_owned() } else { (filters.parse::<u32>().expect("n") - 1).to_string() };
    has("[command 12]", &format!("    system call filters: {filters} (before: {before})\n"));
    let effective = line("CapEff");
    assert_eq!(effective, "00000000a80425fb", "{truth}");
    let lost = at("[command 12]").lines().find_map(|line| line.strip_prefix("    effective capabilities - "));
    let lost: Vec<&str> = lost.unwrap_or_else(|| panic!("{}", at("[command 12]"))).split(' ').collect();
    let all = at("[command 1]").lines().find_map(|line| line.strip_prefix("    effective capabilities: "));
    let kept: Vec<&str> = all.expect("a set").split(' ').filter(|name| !lost.contains(name)).collect();
    assert_eq!(kept.len(), 14, "{kept:?}");
    assert!(kept.contains(&"CAP_CHOWN") && lost.contains(&"CAP_SYS_ADMIN"), "{kept:?}");
    // Every mount of the container is told by PID 1 and by the command, and no other.
    let points = truth.lines().filter_map(|line| line.split_once(" - ")?.0.split(' ').nth(4));
    let mut points: Vec<&str> = points.collect();
    let mut told_points: Vec<&str> =
        at("[command 1]").lines().filter_map(|line| line.strip_prefix("    mount ")?.split(": ").next()).collect();
    points.sort();
    told_points.sort();
    assert_eq!(points, told_points);
    nothing_left(t);
}

fn q_at_every_step_leaves_nothing(t: &Sandbox) {
    let steps = steps(t);
    for (at, step) in steps.iter().enumerate() {
        let mut pty = begin(t, &["-v", "kept:/data", "/bin/sh", "-c", "echo it ''ran"]);
        let before = pty.flags();
        pty.send(&("\n".repeat(at) + "q\n"));
        let (status, seen) = pty.wait();
        assert_eq!(status, 125, "{step}: {seen}");
        let end = format!("{step}> ccrun: stopped before {step}, as you asked\r\n");
        assert!(seen.ends_with(&end), "{step}: {seen}");
        assert!(!seen.contains("it ran") && seen.matches("ccrun: ").count() == 1, "{step}: {seen}");
        assert_eq!(pty.flags(), before, "{step}");
        nothing_left(t);
    }
    assert_eq!(t.ccrun(&["ps", "-aq"]).ok().stdout, "");
}

fn other_ways_to_end_it_are_q(t: &Sandbox) {
    for place in ["[supervisor 3] cgroup", "[PID 1 9] root file system", "[command 12] execve"] {
        let stopped = format!("ccrun: stopped before {place}, as you asked");
        // Ctrl-C, Ctrl-D, Ctrl-\ and signals to ccrun alone.
        for way in ["\x03", "\x04", "\x1c", "TERM", "HUP"] {
            let mut pty = lead_to(t, place);
            match way {
                "TERM" => sys::kill(pty.pid(), libc::SIGTERM).expect("kill"),
                "HUP" => sys::kill(pty.pid(), libc::SIGHUP).expect("kill"),
                key => pty.send(key),
            }
            let (status, seen) = pty.wait();
            assert!(status == 125 && seen.contains(&stopped), "{place} {way:?}: {status} {seen}");
            nothing_left(t);
        }
        // The person closes the window, or kills ccrun.
        let mut pty = lead_to(t, place);
        pty.hang_up();
        assert_eq!(pty.wait().0, 125, "{place}");
        nothing_left(t);
        let mut pty = lead_to(t, place);
        sys::kill(pty.pid(), libc::SIGKILL).expect("kill");
        assert_eq!(pty.wait().0, 137, "{place}");
        assert!(procs::left_behind().is_empty(), "{place}");
        t.ccrun(&["ps", "-aq"]).ok();
        t.ccrun(&["system", "prune", "-f"]).ok();
        nothing_left(t);
    }
}

/// The process that asks is the only child before there is a container.
fn without_who_asks_there_is_no_start(t: &Sandbox) {
    let mut pty = lead_to(t, "[supervisor 3] cgroup");
    let children = procs::descendants(pty.pid());
    assert_eq!(children.len(), 1, "{children:?}");
    sys::kill(children[0].pid, libc::SIGKILL).expect("kill");
    let (status, seen) = pty.wait();
    assert!(status == 125 && seen.contains("the process that asks before each step has ended"), "{status} {seen}");
    nothing_left(t);
}

/// A start that asks before this step.
fn lead_to(t: &Sandbox, place: &str) -> Pty {
    let steps = steps(t);
    let at = steps.iter().position(|step| step == place).expect("a step");
    let mut pty = begin(t, &["/bin/sh", "-c", "echo it ''ran"]);
    pty.send(&"\n".repeat(at));
    pty.expect(&format!("{place}> "));
    pty
}

fn what_is_typed_after_the_last_step_is_the_containers(t: &Sandbox) {
    let enters = "\n".repeat(steps(t).len());
    let mut pty = begin(t, &["-it", "-e", "PS1=inside> ", "/bin/sh"]);
    let before = pty.flags();
    pty.send(&(enters.clone() + "echo still $((40 + 2))\n"));
    pty.expect("[command 12] execve> ");
    pty.expect("still 42");
    pty.send("tty; exit 4\r");
    pty.expect("/dev/pts/");
    assert_eq!(pty.wait().0, 4);
    assert_eq!(pty.flags(), before);
    // Only stdin is a pipe: the questions are on the terminal that controls it.
    let mut run = command(t, &["-i", "cat"]);
    let words = t.file("words", "from the file\n");
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("{} <{words} | tr a-z A-Z", shown(&run))).env_clear();
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(&t.dir);
    run.env_clear();
    let mut pty = Pty::spawn(shell);
    pty.send(&enters);
    let (status, seen) = pty.wait();
    assert!(status == 0 && seen.ends_with("execve> FROM THE FILE\r\n"), "{status} {seen}");
    nothing_left(t);
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect::<Vec<_>>().join(" ")
}

fn a_shell_beside_it_is_roots_alone(t: &Sandbox) {
    let place = "[PID 1 17] hostname";
    let steps = steps(t);
    let at = steps.iter().position(|step| step == place).expect("a step");
    let rest = "\n".repeat(steps.len() - at);
    let mut run = command(t, &["/bin/sh", "-c", "echo it ''ran"]);
    run.env("SHELL", "/bin/sh").env("PS1", "beside> ").env("ENV", "/dev/null");
    let mut pty = Pty::spawn(run);
    let before = pty.flags();
    pty.send(&"\n".repeat(at));
    pty.expect(&format!("{place}> "));
    pty.send("what\n");
    pty.expect("--step: Enter goes on, ? shows");
    pty.expect(&format!("{place}> "));
    pty.send("s\n");
    if t.mode != Mode::Root {
        pty.expect("s is for root only");
        pty.expect(&format!("{place}> "));
        pty.send(&rest);
        let (status, seen) = pty.wait();
        assert!(status == 0 && seen.ends_with("it ran\r\n"), "{seen}");
        return nothing_left(t);
    }
    pty.expect("beside> ");
    let own = std::fs::read_link("/proc/self/ns/mnt").expect("readlink").display().to_string();
    pty.send("readlink /proc/self/ns/mnt; test -e bin/busybox && cat etc/hostname; id -u\n");
    let text = pty.expect("beside> ");
    assert!(text.contains(&own) && text.contains("\n0\r"), "{text}");
    assert!(text.contains("\ncontainer\r"), "{text}");
    pty.send("stty -echo; exit\n");
    pty.expect(&format!("{place}> "));
    pty.send(&rest);
    let (status, seen) = pty.wait();
    assert!(status == 0 && seen.ends_with("it ran\r\n"), "{seen}");
    assert_eq!(pty.flags(), before);
    nothing_left(t);
}

fn without_a_terminal_it_is_an_error(t: &Sandbox) {
    let mut run = command(t, &["true"]);
    sys::in_new_session(&mut run);
    let out = run.stdin(Stdio::null()).output().expect("run");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(125), "{stderr}");
    assert!(stderr.starts_with("ccrun: --step needs a terminal"), "{stderr}");
    assert!(!Path::new(&t.path("explained")).exists() && !t.store.exists(), "found before anything is made");
}

fn job_control_is_as_of_any_job(t: &Sandbox) {
    let steps = steps(t);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-i").env_clear().current_dir(&t.dir);
    shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    shell.env("PS1", "host> ").env("ENV", "/dev/null").env("TERM", "dumb");
    let mut pty = Pty::spawn(shell);
    pty.expect("host> ");
    let run = shown(&command(t, &["-t=false", "/bin/sh", "-c", "echo it ''ran"]));
    for background in [false, true] {
        pty.send(&format!("{run}{}\n", if background { " &" } else { "" }));
        if background {
            // It stops as soon as it wants to ask.
            eventually("the job stops", || {
                pty.send("jobs\n");
                pty.expect("host> ").contains("Stopped")
            });
        } else {
            pty.expect("[supervisor 1] volumes> ");
            pty.send("\n\n\n");
            pty.expect("[supervisor 4] streams> ");
            pty.send("\x1a");
            pty.expect("Stopped");
            pty.expect("host> ");
        }
        pty.send("echo 'the shell has ''it'\n");
        pty.expect("the shell has it");
        pty.expect("host> ");
        pty.send("fg\n");
        let place = if background { &steps[0] } else { &steps[3] };
        pty.expect(&format!("{place}> "));
        pty.send(&"\n".repeat(steps.len()));
        pty.expect("[command 12] execve> ");
        pty.expect("it ran");
        pty.expect("host> ");
    }
    pty.send("exit\n");
    pty.wait();
    nothing_left(t);
}

fn a_filter_that_might_kill_is_not_asked_under(t: &Sandbox) {
    let killed = ["read", "write", "sendmsg", "recvmsg", "poll", "openat", "readlinkat", "nanosleep"];
    let names: Vec<String> = killed.iter().map(|name| format!("\"{name}\"")).collect();
    let profile = format!(
        "{{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{{\"names\": [{}], \
         \"action\": \"SCMP_ACT_KILL_PROCESS\"}}]}}",
        names.join(", ")
    );
    let file = t.file("profile.json", profile);
    let steps = steps(t);
    let mut pty = begin(
        t,
        &["-t=false", "--security-opt", &format!("seccomp={file}"), "/bin/sh", "-c", "echo cannot be written"],
    );
    pty.send(&"\n".repeat(steps.len()));
    let (status, seen) = pty.wait();
    // The program itself is what the filter ends.
    assert_eq!(status, 159, "{seen}");
    assert_eq!(questions(&seen, &steps), steps[..steps.len() - 1], "{seen}");
    assert!(seen.contains("[command 12] execve comes without a question: "), "{seen}");
    let explained = std::fs::read_to_string(t.path("explained")).expect("read");
    assert!(explained.trim_end().ends_with("= 0") && explained.contains("\n  execve("), "{explained}");
    nothing_left(t);
}

fn the_program_sees_nothing_of_it(t: &Sandbox) {
    let script = "ls /proc/self/fd | tr '\\n' ' '; cat /proc/1/comm; echo /proc/[0-9]*; ulimit -n";
    let with = {
        let mut pty = begin(t, &["-t=false", "/bin/sh", "-c", script]);
        pty.send(&"\n".repeat(steps(t).len()));
        let (status, seen) = pty.wait();
        assert_eq!(status, 0, "{seen}");
        seen.split("[command 12] execve> ").nth(1).expect("the output").trim().replace("\r\n", "\n")
    };
    let without = t.sh(script).ok().stdout;
    assert_eq!(with, without.trim());
    nothing_left(t);
}
