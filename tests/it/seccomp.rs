//! The system call filter: what it answers to every number in every ABI and mode, beside what the real
//! Docker's does with the same profile, and profiles of the user's.

pub mod prober;

use crate::cases;
use crate::judges::engine::Engine;
use crate::sandbox::{Mode, Sandbox};
use std::collections::BTreeMap;

cases! {
    Root:
        docker_answers_every_call_the_same;
    Every:
        the_ways_to_more_kernel_are_shut,
        sockets_of_32_bit_programs_are_as_dockers,
        the_filter_is_there_whoever_runs,
        unconfined_means_no_filter,
        a_profile_decides_what_calls_do,
        a_profile_looks_at_arguments,
        a_profile_may_forbid_all_but_the_program_itself,
        a_broken_profile_is_told_in_one_line,
        other_walls_are_named;
}

/// Docker's default profile of 2026, in its own form.
const DOCKER: &str = include_str!("seccomp/docker.json");
/// The other capabilities that the profile has rules for, but SYS_CHROOT, which is there by
/// default, and BPF and PERFMON, of which Debian's Docker doesn't know.
const OTHERS: [&str; 8] =
    ["SYS_BOOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG"];
/// Rules that lie across each other, of every kind.
const ODD: &str = include_str!("seccomp/odd.json");

/// What the prober found out: the answer to each `ABI WHAT`.
type Answers = BTreeMap<String, String>;

fn answers(printed: &str) -> Answers {
    let line = |line: &str| {
        let (what, answer) = line.rsplit_once(' ').expect("ABI WHAT ANSWER");
        (what.to_owned(), answer.to_owned())
    };
    let all: Answers = printed.lines().map(line).collect();
    assert!(all.len() > 800, "only {} answers", all.len());
    all
}

fn probed(t: &Sandbox, flags: &[&str]) -> Answers {
    answers(&t.inside(&[flags, unemulated(t)].concat(), &["syscalls"]).ok().stdout)
}

/// Where root is emulated, by a filter that asks PID 1, there is another user whose calls are not asked about.
fn unemulated(t: &Sandbox) -> &'static [&'static str] {
    if t.mode == Mode::Nosubuid { &["-u", "5:6"] } else { &[] }
}

/// What is answered differently, as `ABI WHAT: ANSWER, not ANSWER`.
fn differences(ours: &Answers, theirs: &Answers) -> Vec<String> {
    assert!(ours.keys().eq(theirs.keys()));
    let pairs = ours.iter().zip(theirs.values()).filter(|((_, our), their)| our != their);
    pairs.map(|((what, our), their)| format!("{what}: {our}, not {their}")).collect()
}

/// Which of the differences none of the rules explains.
fn unexplained<'a>(differences: &'a [String], rules: &[&dyn Fn(&str) -> bool]) -> Vec<&'a String> {
    differences.iter().filter(|difference| !rules.iter().any(|rule| rule(difference))).collect()
}

/// What is stricter than Docker's profile on purpose; see isolation/seccomp/default.rs.
fn is_on_purpose(difference: &str) -> bool {
    let Some((what, "EPERM, not allowed")) = difference.split_once(": ") else { return false };
    let what = what.split_once(' ').expect("ABI WHAT").1;
    // Families as numbers of 64 bits: Docker compares the half that the kernel doesn't read, too.
    let families = ["0xf", "0x10000000f", "0x21", "0x100000021", "0x100000026", "0x100000028"];
    let requests = ["0x5412", "0x541c", "0x100005412", "0xffffffff0000541c"];
    families.iter().any(|family| what == format!("socket({family})"))
        || requests.iter().any(|request| what == format!("ioctl({request})"))
        || difference.starts_with("x32 personality(0x100000000)")
        || difference.starts_with("x32 personality(0xffffffffffffffff)")
}

/// Debian's libseccomp is older than the profile: it has no names for calls above some number, and
/// Docker's runtime then answers ENOSYS; in x32, where the newest numbers are in the middle, EPERM.
fn newer_than(answers: &Answers) -> impl Fn(&str) -> bool + use<> {
    let number = |what: &str| what.strip_prefix("native ").and_then(|number| number.parse::<u32>().ok());
    let known = answers.iter().filter(|(_, answer)| *answer != "ENOSYS").filter_map(|(what, _)| number(what));
    let newest = known.max().expect("some known call");
    assert!((440..=470).contains(&newest), "{newest} is the newest that Docker knows");
    move |difference| {
        let (what, answers) = difference.split_once(": ").expect("WHAT: ANSWERS");
        let (abi, number) = what.split_once(' ').expect("ABI WHAT");
        let Ok(number) = number.parse::<u32>() else { return false };
        let young = (newest + 1..=470).contains(&number);
        match abi {
            "x32" => young && answers == "allowed, not EPERM",
            _ => young && answers.ends_with("not ENOSYS"),
        }
    }
}

fn docker_answers_every_call_the_same(t: &Sandbox) {
    let engine = Engine::start(t);
    let import = "tar -C $0 -c . | docker -H $1 import - probed";
    t.command("sh", &["-ec", import, &t.busybox, &engine.host()]).timeout(120).ok();
    let mount = format!("{}:/it:ro", t.it);
    let docker = |flags: &[&str]| {
        let run = ["run", "--rm", "--network", "none", "-v", &mount];
        answers(&engine.docker(&[&run, flags, &["probed", "/it", "--inside", "syscalls"]].concat()).ok().stdout)
    };
    let file = t.file("docker.json", DOCKER);
    let option = format!("seccomp={file}");
    let theirs = docker(&["--security-opt", &option]);
    let of_file = probed(t, &["--security-opt", &option]);
    let ours = probed(t, &[]);

    // The same profile means the same, with more and with fewer capabilities too.
    let is_newer = newer_than(&theirs);
    let found = differences(&of_file, &theirs);
    let none: &[&String] = &[];
    assert_eq!(unexplained(&found, &[&is_newer]), none, "a profile's meaning differs from Docker's");
    let [first, second, third] = [&["SYS_ADMIN"][..], &["SYS_PTRACE", "DAC_READ_SEARCH"], &OTHERS];
    for names in [first, second, third] {
        let mut flags: Vec<String> = names.iter().map(|name| format!("--cap-add={name}")).collect();
        flags.push("--cap-drop=SYS_CHROOT".to_owned());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let with_file = [&flags[..], &["--security-opt", &option]].concat();
        let (theirs, of_file) = (docker(&with_file), probed(t, &with_file));
        let found = differences(&of_file, &theirs);
        assert_eq!(unexplained(&found, &[&newer_than(&theirs)]), none, "a profile's meaning differs with {names:?}");
        let found = differences(&probed(t, &flags), &of_file);
        assert_eq!(unexplained(&found, &[&is_on_purpose]), none, "the default is not Docker's with {names:?}");
    }
    // The default is that profile, and a few rules that are stricter.
    let found = differences(&ours, &of_file);
    assert_eq!(unexplained(&found, &[&is_on_purpose]), none, "the default is not Docker's");
    let native = found.iter().filter(|difference| difference.starts_with("native ")).count();
    assert_eq!(native, 6 + 4, "{found:?}");
    assert!(found.iter().all(|difference| difference.contains('(')), "a whole call is shut: {found:?}");

    let option = format!("seccomp={}", t.file("odd.json", ODD));
    let odd = differences(&probed(t, &["--security-opt", &option]), &docker(&["--security-opt", &option]));
    assert_eq!(odd, [""; 0], "an odd profile's meaning differs from Docker's");

    // What this engine has built in is older than the profile of 2026. That has shut io_uring, AF_ALG and
    // AF_VSOCK, and opened what is younger, or was shut for holes that are long closed.
    let built_in = docker(&[]);
    let is_newer = newer_than(&built_in);
    let opened = [
        libc::SYS_name_to_handle_at,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pkey_mprotect,
        libc::SYS_pkey_alloc,
        libc::SYS_pkey_free,
    ];
    let shut = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    let is_opened = |what: &str| opened.iter().any(|number| what == format!("native {number}: allowed, not EPERM"));
    let is_shut = |what: &str| {
        shut.iter().any(|number| what == format!("native {number}: EPERM, not allowed"))
            || ["0x26", "0x28"].iter().any(|family| what == format!("native socket({family}): EPERM, not allowed"))
    };
    let found = differences(&theirs, &built_in);
    let native: Vec<String> = found.into_iter().filter(|difference| difference.starts_with("native ")).collect();
    assert_eq!(unexplained(&native, &[&is_newer, &is_opened, &is_shut]), none, "the engine's own profile");
    assert_eq!(native.iter().filter(|difference| is_opened(difference) || is_shut(difference)).count(), 6 + 3 + 2);
}

/// i386's socketcall(2) has its arguments in memory, where no filter can look: which family a socket is to be of is not
/// seen. Docker's profile lets it through, as 32-bit programs have no other way to any socket, and so does ours. Who has
/// none of them can shut it.
fn sockets_of_32_bit_programs_are_as_dockers(t: &Sandbox) {
    if !cfg!(target_arch = "x86_64") {
        crate::skip!("there is no i386 here");
    }
    let docker = t.file("docker.json", DOCKER);
    let (ours, theirs) = (probed(t, &[]), probed(t, &["--security-opt", &format!("seccomp={docker}")]));
    for call in 1..=20 {
        let name = format!("i386 socketcall({call})");
        assert_eq!((&*ours[&name], &*theirs[&name]), ("allowed", "allowed"), "{name}");
    }
    // The call of its own, whose family can be seen.
    for family in ["0x26", "0x28"] {
        let name = format!("i386 socket({family})");
        assert_eq!((&*ours[&name], &*theirs[&name]), ("EPERM", "EPERM"), "{name}");
    }
    // Not by leaving it out alone: what is said of socket(2) is said of this way to it, too, but for what is not seen.
    let rule = "{\"names\": [\"socketcall\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 13},";
    let shut = DOCKER.replace("\"socketcall\",", "").replacen("\"syscalls\": [", &format!("\"syscalls\": [{rule}"), 1);
    assert!(shut.contains(rule) && shut.matches("socketcall").count() == 1);
    let shut = probed(t, &["--security-opt", &format!("seccomp={}", t.file("shut.json", shut))]);
    assert_eq!(shut["i386 socketcall(1)"], "13");
    assert_eq!(shut["native socket(0x2)"], "allowed");
}

/// Rows E12 to E17 and E33 of the threats: new namespaces, AF_ALG and its like, io_uring and other young
/// parts of the kernel, keyrings, typing into a terminal, and the ways around by other ABIs.
fn the_ways_to_more_kernel_are_shut(t: &Sandbox) {
    let answers = probed(t, &[]);
    let count = |abi: &str, answer: &str| {
        let numbers = answers.iter().filter(|(what, _)| what.starts_with(abi) && !what.contains('('));
        numbers.filter(|(_, found)| *found == answer).count()
    };
    let is = |what: &str, answer: &str| assert_eq!(answers[what], answer, "{what}");
    // Calls that are shut and allowed; on kernels before 6.18 too, as no call is made.
    let usual = if cfg!(target_arch = "x86_64") { 300..320 } else { 260..280 };
    assert!(usual.contains(&count("native ", "allowed")), "{}", count("native ", "allowed"));
    assert!(count("native ", "EPERM") > 60, "{}", count("native ", "EPERM"));
    for number in [467, 599, 9999, 983_041, 0x3fff_fff0] {
        is(&format!("native {number}"), "ENOSYS");
    }
    for (number, answer) in [
        (libc::SYS_mount, "EPERM"),
        (libc::SYS_unshare, "EPERM"),
        (libc::SYS_setns, "EPERM"),
        (libc::SYS_clone3, "ENOSYS"),
        (libc::SYS_bpf, "EPERM"),
        (libc::SYS_perf_event_open, "EPERM"),
        (libc::SYS_userfaultfd, "EPERM"),
        (libc::SYS_io_uring_setup, "EPERM"),
        (libc::SYS_io_uring_enter, "EPERM"),
        (libc::SYS_kexec_load, "EPERM"),
        (libc::SYS_keyctl, "EPERM"),
        (libc::SYS_add_key, "EPERM"),
        (libc::SYS_request_key, "EPERM"),
        (libc::SYS_open_by_handle_at, "EPERM"),
        (libc::SYS_pivot_root, "EPERM"),
        (libc::SYS_move_pages, "EPERM"),
        (libc::SYS_ptrace, "allowed"),
        (libc::SYS_chroot, "allowed"),
        (libc::SYS_execve, "allowed"),
    ] {
        is(&format!("native {number}"), answer);
    }
    let abis: &[&str] = if cfg!(target_arch = "x86_64") { &["native", "i386", "x32"] } else { &["native"] };
    for abi in abis {
        for family in [15, 33, 38, 40] {
            is(&format!("{abi} socket({family:#x})"), "EPERM");
        }
        for family in [1, 2, 10, 16, 17] {
            is(&format!("{abi} socket({family:#x})"), "allowed");
        }
        for request in ["0x5412", "0x541c", "0x100005412", "0xffffffff0000541c"] {
            is(&format!("{abi} ioctl({request})"), "EPERM");
        }
        is(&format!("{abi} ioctl(0x5401)"), "allowed");
        is(&format!("{abi} personality(0x40000)"), "EPERM");
        for (bit, answer) in
            [(17, "EPERM"), (25, "EPERM"), (28, "EPERM"), (30, "EPERM"), (8, "allowed"), (16, "allowed")]
        {
            is(&format!("{abi} clone({:#x})", 17 | 1u64 << bit), answer);
        }
    }
    // mount, by its number of 32-bit programs and of x32's.
    if cfg!(target_arch = "x86_64") {
        is("i386 21", "EPERM");
        is("x32 165", "EPERM");
    }
}

fn the_filter_is_there_whoever_runs(t: &Sandbox) {
    let status = "grep -E '^(Seccomp|CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs):' /proc/self/status; unshare -U true";
    let runs = |flags: &[&str]| {
        let out = t.run(&[flags, &["/bin/sh", "-c", status]].concat()).out();
        assert!(out.status != 0 && out.stderr.contains("Operation not permitted"), "{flags:?}: {}", out.stderr);
        out.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let expected = |capabilities: &str, no_new_privileges: u8| {
        format!(
            "CapInh: 0000000000000000 CapPrm: {capabilities} CapEff: {capabilities} CapAmb: 0000000000000000 \
             NoNewPrivs: {no_new_privileges} Seccomp: 2"
        )
    };
    let (root, none) = ("00000000a80425fb", "0000000000000000");
    let with = ["--security-opt", "no-new-privileges"];
    for init in [&[][..], &["--no-init"]] {
        assert_eq!(runs(init), expected(root, 0));
        assert_eq!(runs(&[init, &["-u", "5:6"]].concat()), expected(none, 0));
        assert_eq!(runs(&[init, &with].concat()), expected(root, 1));
        assert_eq!(runs(&[init, &with, &["-u", "5:6"]].concat()), expected(none, 1));
    }
    // It is passed on to those who come in by set-user-id, where that works at all.
    if t.mode == Mode::Root {
        assert_eq!(runs(&["--security-opt", "seccomp=builtin", "-u", "65535"]), expected(none, 0));
    }
}

fn unconfined_means_no_filter(t: &Sandbox) {
    let status = ["/bin/grep", "-E", "^(Seccomp|CapEff):", "/proc/self/status"];
    for option in ["seccomp=unconfined", "seccomp:unconfined"] {
        let flags = ["--security-opt", option];
        let capabilities = if unemulated(t).is_empty() { "a80425fb" } else { "00000000" };
        let expected = format!("CapEff:\t00000000{capabilities}\nSeccomp:\t0\n");
        t.run(&[&flags, unemulated(t), &status[..]].concat()).ok().prints(&expected);
    }
    // The last one counts.
    let flags = ["--security-opt", "seccomp=unconfined", "--security-opt", "seccomp=builtin"];
    t.run(&[&flags, &status[..]].concat()).ok().has("Seccomp:\t2\n");
    let answers = probed(t, &["--security-opt", "seccomp=unconfined"]);
    let refused: Vec<_> = answers.iter().filter(|(_, answer)| *answer != "allowed").collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn with_profile(t: &Sandbox, profile: &str, flags: &[&str], script: &str) -> crate::sandbox::Out {
    let option = format!("seccomp={}", t.file("profile.json", profile));
    t.run(&[&["--security-opt", &option], flags, &["/bin/sh", "-c", script]].concat()).out()
}

fn a_profile_decides_what_calls_do(t: &Sandbox) {
    let profile = |action: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{{"architecture":"SCMP_ARCH_X86_64",
            "subArchitectures":["SCMP_ARCH_X86"]}}],"syscalls":[{{"names":["mkdir","mkdirat","no_such"],{action}}}]}}"#
        )
    };
    for user in [&[][..], &["-u", "0:0"], &["-u", "5:6"], &["--no-init"], &["--security-opt", "no-new-privileges"]] {
        let run = |action: &str, script: &str| with_profile(t, &profile(action), user, script);
        let out = run(r#""action":"SCMP_ACT_ERRNO","errnoRet":28"#, "mkdir /tmp/a; ls -d /tmp");
        assert_eq!((&out.stdout[..], out.status), ("/tmp\n", 0), "{user:?} {}", out.stderr);
        assert!(out.stderr.contains("No space left on device"), "{user:?} {}", out.stderr);
        run(r#""action":"SCMP_ACT_ERRNO""#, "mkdir /tmp/a").exit(1).says("Operation not permitted");
        run(r#""action":"SCMP_ACT_KILL_PROCESS""#, "mkdir /tmp/a; echo $?").exit(0).prints("159\n");
        run(r#""action":"SCMP_ACT_KILL""#, "mkdir /tmp/a; echo $?").exit(0).prints("159\n");
        run(r#""action":"SCMP_ACT_TRAP""#, "mkdir /tmp/a; echo $?").exit(0).prints("159\n");
        // Nobody traces it. What emulation asks about, it asks about before a tracer is.
        if t.mode != Mode::Nosubuid || user.contains(&"5:6") {
            run(r#""action":"SCMP_ACT_TRACE""#, "mkdir /tmp/a").exit(1).says("Function not implemented");
        }
        run(r#""action":"SCMP_ACT_LOG""#, "mkdir /dev/shm/a && ls /dev/shm").exit(0).prints("a\n");
        // Of those who may do all that this machine's kernel can, and of nobody.
        let members = [
            (r#""includes":{"caps":["CAP_SYS_ADMIN"]}"#, 0),
            (r#""includes":{"caps":["CAP_CHOWN"],"minKernel":"4.8"}"#, 1),
            (r#""excludes":{"caps":["CAP_CHOWN"]}"#, 0),
            (r#""includes":{"minKernel":"99.0"}"#, 0),
            (r#""includes":{"arches":["s390x"]}"#, 0),
            (r#""excludes":{"arches":["s390x"]}"#, 1),
        ];
        for (member, status) in members {
            run(&format!(r#""action":"SCMP_ACT_ERRNO",{member}"#), "mkdir /dev/shm/a").exit(status);
        }
    }
}

fn a_profile_looks_at_arguments(t: &Sandbox) {
    let profile = |args: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"name":"kill","action":"SCMP_ACT_ERRNO","errnoRet":28,
            "args":[{args}]}}]}}"#
        )
    };
    let script = "trap : USR1; kill -0 $$ && echo 0; kill -USR1 $$ && echo 10; kill -WINCH $$ && echo 28";
    for (args, let_through) in [
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_EQ"}"#, "0\n28\n"),
        (r#"{"index":1,"value":0,"op":"SCMP_CMP_NE"}"#, "0\n"),
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_GT"}"#, "0\n10\n"),
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_GE"}"#, "0\n"),
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_LT"}"#, "10\n28\n"),
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_LE"}"#, "28\n"),
        (r#"{"index":1,"value":16,"valueTwo":16,"op":"SCMP_CMP_MASKED_EQ"}"#, "0\n10\n"),
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_EQ"},{"index":0,"value":0,"op":"SCMP_CMP_EQ"}"#, "0\n10\n28\n"),
        (r#"{"index":1,"value":10,"op":"SCMP_CMP_EQ"},{"index":1,"value":28,"op":"SCMP_CMP_EQ"}"#, "0\n"),
    ] {
        with_profile(t, &profile(args), &[], script).prints(let_through);
    }
}

/// After the filter is loaded, ccrun itself needs capset and execve, and with no_new_privs only execve.
fn a_profile_may_forbid_all_but_the_program_itself(t: &Sandbox) {
    let native = |more: &str| {
        // What busybox needs for this. None of it is what ccrun changes users, signals or descriptors with.
        let calls = "execve arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom brk \
                     mmap munmap mprotect prctl getuid newfstatat getgid setgid setuid write writev exit_group";
        let names: Vec<String> =
            calls.split_whitespace().chain(more.split_whitespace()).map(|n| format!("\"{n}\"")).collect();
        format!(
            r#"{{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{{"names":[{}],"action":"SCMP_ACT_ALLOW"}}]}}"#,
            names.join(",")
        )
    };
    let run = |profile: &str, flags: &[&str]| {
        let option = format!("seccomp={}", t.file("profile.json", profile));
        t.run(&[&["--security-opt", &option], flags, &["/bin/echo", "yes"]].concat()).out()
    };
    for user in [&[][..], &["-u", "5:6"], &["--no-init"]] {
        run(&native("capset"), user).exit(0).prints("yes\n");
        let with = [user, &["--security-opt", "no-new-privileges"]].concat();
        run(&native(""), &with).exit(0).prints("yes\n");
    }
    // execve itself is the command's, and Docker starts nothing then either.
    let no_execve = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"execve","action":"SCMP_ACT_ERRNO"}]}"#;
    run(no_execve, &[]).exit(126).says("exec: \"/bin/echo\": cannot be run: ");
}

fn a_broken_profile_is_told_in_one_line(t: &Sandbox) {
    let many: Vec<String> = (0..2000).map(|n| format!(r#"{{"index":0,"op":"SCMP_CMP_EQ","value":{n}}}"#)).collect();
    let many = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"name":"read","action":"SCMP_ACT_ERRNO","args":[{}]}}]}}"#,
        many.join(",")
    );
    for (profile, says) in [
        ("", "no JSON: EOF while parsing a value at line 1 column 0"),
        ("{}", "defaultAction is missing; seccomp=unconfined asks for no filter at all"),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"ALLOW"}]}"#,
            "syscalls[0]: unknown action 'ALLOW'; there are SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, ",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["\u001b[2J"],"action":"\u001b[2J\n"}]}"#,
            r"syscalls[0]: unknown action '\x1b[2J\x0a'; ",
        ),
        (&many, " instructions; the kernel takes 4096"),
    ] {
        let file = t.file("profile.json", profile);
        let out = t.run(&["--security-opt", &format!("seccomp={file}"), "/bin/true"]).out();
        out.error(125, &format!("ccrun: seccomp profile {file}: ")).says(says);
    }
    let run = |option: &str| t.run(&["--security-opt", option, "/bin/true"]).out();
    run("seccomp=/no/such.json").error(
        125,
        "ccrun: opening seccomp profile (/no/such.json) failed: open /no/such.json: No such file or directory (ENOENT)",
    );
    run("seccomp=/dev/zero").error(125, "ccrun: seccomp profile /dev/zero: more than 1 MiB");
    run("seccomp=/").error(125, "EISDIR");
    t.nothing_left();
}

fn other_walls_are_named(t: &Sandbox) {
    let run = |option: &str| t.run(&["--security-opt", option, "/bin/true"]).out();
    run("apparmor=unconfined").exit(0);
    run("label=disable").exit(0);
    run("label:disable").exit(0);
    run("apparmor=docker-default").error(125, "apparmor=docker-default: containers get no AppArmor profile here");
    run("label=type:svirt_t").error(125, "label=type:svirt_t: containers get no SELinux label here");
    for option in ["seccomp", "seccomp=", "bogus", "no-new-privileges=maybe"] {
        run(option).error(125, &format!(
            "invalid --security-opt: \"{option}\"; no-new-privileges, seccomp=unconfined, seccomp=builtin or seccomp=FILE"
        ));
    }
}
