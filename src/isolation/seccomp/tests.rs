//! Programs against a plain reading of the profiles that they come from.

use super::abi::{ABIS, Abi, X32_BIT};
use super::interpret::{Call, run};
use super::json::{self, Machine};
use super::syscalls::TABLE;
use super::*;
use crate::json::json;
use serde_json::Value;
use std::collections::HashMap;

/// Docker's profile, written down independently of our tables.
const DOCKER: &str = include_str!("../../../tests/it/seccomp/docker.json");
const KILL_PROCESS: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

fn machine(capabilities: &[&str]) -> Machine {
    let all = capabilities.iter().map(|name| Set::named(name).unwrap());
    Machine { capabilities: all.fold(Set::docker(), Set::with), kernel: (6, 1) }
}

fn compiled(text: &str, machine: &Machine) -> Result<Vec<Instruction>> {
    Ok(json::parse(text.as_bytes(), machine)?.compile()?.program)
}

fn error(text: &str) -> String {
    compiled(text, &machine(&[])).unwrap_err().to_string()
}

/// What a profile says of each call: rule by rule, as the documents tell it.
struct Reading {
    default: u32,
    abis: Vec<OfAbi>,
}

struct OfAbi {
    abi: &'static Abi,
    newest: Option<u32>,
    /// The rules on each number in their order: conditions and action.
    rules: HashMap<u32, Vec<(Vec<Value>, u32)>>,
}

impl Reading {
    fn new(profile: &Value, machine: &Machine) -> Reading {
        let default = value_of(&profile["defaultAction"], &profile["defaultErrnoRet"]);
        let listed = |list: &Value, abi: &Abi| list.as_array().is_some_and(|list| list.contains(&json!(abi.name)));
        let maps: Vec<&Value> = profile["archMap"].as_array().into_iter().flatten().collect();
        let is_meant = |abi: &Abi| {
            let own = maps.iter().filter(|map| map["architecture"] == ABIS[0].name);
            *abi == ABIS[0]
                || listed(&profile["architectures"], abi)
                || own.into_iter().any(|map| listed(&map["subArchitectures"], abi))
        };
        let syscalls: Vec<&Value> = profile["syscalls"].as_array().unwrap().iter().collect();
        let mut abis = Vec::new();
        for abi in ABIS.iter().filter(|abi| is_meant(abi)) {
            let mut of = OfAbi { abi, newest: None, rules: HashMap::new() };
            for rule in syscalls.iter().filter(|rule| applies(rule, machine)) {
                let action = value_of(&rule["action"], &rule["errnoRet"]);
                let conditions = rule["args"].as_array().cloned().unwrap_or_default();
                let many = rule["names"].as_array().into_iter().flatten();
                for name in many.chain([&rule["name"]]).filter_map(Value::as_str) {
                    let number = abi.number(name);
                    of.newest = of.newest.max(number);
                    if action == default {
                        continue;
                    }
                    if let Some(number) = number {
                        of.rules.entry(number).or_default().push((conditions.clone(), action));
                    }
                    // socketcall(2) and ipc(2) of i386.
                    if let Some((number, which)) = abi.multiplexed(name) {
                        let is = json!({"index": 0, "op": "SCMP_CMP_EQ", "value": which});
                        of.rules.entry(number).or_default().push((vec![is], action));
                    }
                }
            }
            abis.push(of);
        }
        Reading { default, abis }
    }

    fn answer(&self, call: &Call) -> u32 {
        let bit = if Abi::has_bits(call.arch) { call.number & X32_BIT } else { 0 };
        let number = call.number & !bit;
        let Some(of) = self.abis.iter().find(|of| of.abi.audit == call.arch && of.abi.bit == bit) else {
            return KILL_PROCESS;
        };
        let is_open = [ALLOW, 0x7ffc_0000].contains(&self.default) || self.default & 0xffff_0000 == 0x7ff0_0000;
        if of.newest.is_some_and(|newest| number > newest) && !is_open {
            return ENOSYS;
        }
        let rules = of.rules.get(&number).map(Vec::as_slice).unwrap_or_default();
        let always = rules.iter().find(|(conditions, _)| conditions.is_empty());
        let first = || rules.iter().find(|(conditions, _)| holds(conditions, call, *of.abi != ABIS[0]));
        always.or_else(first).map_or(self.default, |(_, action)| *action)
    }
}

fn applies(rule: &Value, machine: &Machine) -> bool {
    let asked = |filter: &Value| {
        let texts = |member: &str| -> Vec<String> {
            let list = filter[member].as_array().into_iter().flatten();
            list.map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut asked: Vec<bool> = texts("caps").iter().map(|cap| machine.capabilities.has(&cap[4..])).collect();
        let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        if !texts("arches").is_empty() {
            asked.push(texts("arches").contains(&here.to_owned()));
        }
        if let Some(version) = filter["minKernel"].as_str() {
            let (major, minor) = version.split_once('.').unwrap();
            asked.push(machine.kernel >= (major.parse().unwrap(), minor.parse().unwrap()));
        }
        asked
    };
    asked(&rule["includes"]).iter().all(|so| *so) && !asked(&rule["excludes"]).iter().any(|so| *so)
}

fn value_of(action: &Value, errno: &Value) -> u32 {
    let errno = errno.as_u64().unwrap_or(1) as u32;
    match action.as_str().unwrap() {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        _ => 0,
    }
}

fn holds(conditions: &[Value], call: &Call, is_narrow: bool) -> bool {
    let cut = |value: u64| if is_narrow { u64::from(value as u32) } else { value };
    let one = |condition: &Value| {
        let argument = cut(call.arguments[condition["index"].as_u64().unwrap_or(0) as usize]);
        let value = cut(condition["value"].as_u64().unwrap_or(0));
        match condition["op"].as_str().unwrap() {
            "SCMP_CMP_EQ" => argument == value,
            "SCMP_CMP_NE" => argument != value,
            "SCMP_CMP_LT" => argument < value,
            "SCMP_CMP_LE" => argument <= value,
            "SCMP_CMP_GT" => argument > value,
            "SCMP_CMP_GE" => argument >= value,
            _ => argument & value == cut(condition["valueTwo"].as_u64().unwrap_or(0)),
        }
    };
    let indices: Vec<u64> = conditions.iter().map(|condition| condition["index"].as_u64().unwrap_or(0)).collect();
    let is_twice = (1..indices.len()).any(|at| indices[..at].contains(&indices[at]));
    if is_twice { conditions.iter().any(one) } else { conditions.iter().all(one) }
}

/// Every number of every ABI, with each of `values` in each argument.
fn each_call(values: &[u64], mut check: impl FnMut(&Call)) {
    for abi in ABIS {
        let private = [983_041, 983_042, 983_045, 983_046, 0x3fff_ffff];
        for number in (0..1024).chain(private) {
            for value in values {
                // The kernel gives what a 32-bit program has.
                let value = if abi.audit == ABIS[0].audit { *value } else { u64::from(*value as u32) };
                check(&Call { arch: abi.audit, number: abi.bit | number, arguments: [value; 6] });
            }
        }
    }
    for arch in [0, 0xc000_003f, 0x8000_0016] {
        check(&Call { arch, number: 0, arguments: [0; 6] });
    }
}

const VALUES: [u64; 24] = [
    0,
    1,
    2,
    8,
    14,
    15,
    16,
    33,
    37,
    38,
    39,
    40,
    41,
    0x2_0000,
    0x2_0008,
    0x1000_0000,
    0x7e02_0000,
    0x0100_0011,
    0x5412,
    0x541c,
    0xffff_ffff,
    0x1_0000_0026,
    0x1_0000_5412,
    u64::MAX,
];

/// A change of the default set of capabilities for each rule that asks for one.
const SETS: [&[&str]; 8] = [
    &[],
    &["SYS_ADMIN"],
    &["DAC_READ_SEARCH", "SYS_BOOT"],
    &["SYS_MODULE", "SYS_NICE"],
    &["SYS_PACCT", "SYS_PTRACE"],
    &["SYS_RAWIO", "SYS_TIME"],
    &["SYS_TTY_CONFIG", "SYSLOG"],
    &["BPF", "PERFMON"],
];

#[test]
fn the_default_is_dockers_but_for_what_is_stricter_on_purpose() {
    let profile: Value = serde_json::from_str(DOCKER).unwrap();
    let number = |abi: &Abi, name| abi.number(name).map(|number| abi.bit | number);
    for capabilities in SETS {
        let machine = machine(capabilities);
        let reading = Reading::new(&profile, &machine);
        let ours = Filter::docker(machine.capabilities).unwrap().program;
        let same = compiled(DOCKER, &machine).unwrap();
        let mut stricter = 0;
        each_call(&VALUES, |call| {
            let docker = reading.answer(call);
            assert_eq!(run(&same, call).0, docker, "{call:x?} {capabilities:?}");
            let answer = run(&ours, call).0;
            if answer == docker {
                return;
            }
            // The low half of an argument is what the kernel reads of these.
            let abi = ABIS.iter().find(|abi| {
                abi.audit == call.arch && abi.bit == (if Abi::has_bits(call.arch) { call.number & X32_BIT } else { 0 })
            });
            let is = |name| abi.is_some_and(|abi| number(abi, name) == Some(call.number));
            let low = call.arguments[0] as u32;
            let expected = if is("socket") {
                [15, 33, 38].contains(&low) && answer == EPERM && docker == ALLOW
            } else if is("ioctl") {
                [0x5412, 0x541c].contains(&low) && answer == EPERM && docker == ALLOW
            } else {
                // Of x32 Docker compares the low half alone.
                is("personality") && call.number & X32_BIT != 0 && answer == EPERM && docker == ALLOW
            };
            assert!(expected, "{call:x?} {answer:#x}, Docker's {docker:#x}");
            stricter += 1;
        });
        assert!(stricter > 6, "{stricter} calls are answered otherwise");
    }
}

#[test]
fn the_default_costs_few_instructions() {
    let program = Filter::docker(Set::docker()).unwrap().program;
    let (mut sum, mut count, mut longest) = (0, 0, 0);
    for abi in ABIS {
        let here: Vec<u32> = TABLE.iter().filter_map(|row| abi.of_row(row)).collect();
        for number in here {
            let call = Call { arch: abi.audit, number: abi.bit | number, ..Call::default() };
            let (value, steps) = run(&program, &call);
            if value == ALLOW {
                (sum, count, longest) = (sum + steps, count + 1, longest.max(steps));
            }
        }
    }
    assert!(sum < 14 * count, "{} instructions on average", sum as f32 / count as f32);
    assert!(longest < 28, "{longest} instructions");
    assert!(program.len() < 450, "{} instructions", program.len());
}

/// xorshift64, for profiles that nobody would write.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % below
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.next(list.len())]
    }

    fn profile(&mut self) -> Value {
        let actions = ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "TRAP", "TRACE", "LOG"];
        let operators = ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"];
        let mut syscalls = Vec::new();
        for _ in 0..self.next(30) {
            let names: Vec<&str> = (0..1 + self.next(40)).map(|_| self.of(&TABLE).name()).collect();
            let mut rule = json!({"names": names, "action": format!("SCMP_ACT_{}", self.of(&actions))});
            if self.next(3) == 0 {
                rule["errnoRet"] = json!(self.next(40));
            }
            if self.next(2) == 0 {
                let args = (0..self.next(4)).map(|_| {
                    json!({"index": self.next(6), "value": self.of(&VALUES), "valueTwo": self.of(&VALUES),
                        "op": format!("SCMP_CMP_{}", self.of(&operators))})
                });
                rule["args"] = args.collect();
            }
            for member in ["includes", "excludes"] {
                if self.next(6) == 0 {
                    let caps = ["CAP_SYS_ADMIN", "CAP_CHOWN"];
                    rule[member] = json!({"caps": [self.of(&caps)], "minKernel": self.of(&["4.8", "6.1", "6.2", "7.0"]),
                        "arches": [self.of(&["amd64", "arm64", "x86", "s390x"])]});
                }
            }
            syscalls.push(rule);
        }
        let mut profile = json!({"defaultAction": format!("SCMP_ACT_{}", self.of(&actions)), "syscalls": syscalls});
        if self.next(2) == 0 {
            let mut all: Vec<&str> = ABIS.iter().map(|abi| abi.name).collect();
            all.retain(|_| self.next(2) == 0);
            profile["architectures"] = json!(all);
        }
        profile
    }
}

#[test]
fn any_profile_means_what_it_says() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut random = Random(seed);
    let mut checked = 0;
    for _ in 0..60 {
        let profile = random.profile();
        let machine = machine(random.of(&SETS));
        let reading = Reading::new(&profile, &machine);
        let program = match compiled(&profile.to_string(), &machine) {
            Ok(program) => program,
            Err(error) if error.to_string().ends_with("the kernel takes 4096") => continue,
            Err(error) => panic!("{error}: {profile}, seed {seed}"),
        };
        checked += 1;
        let values = [random.of(&VALUES), random.of(&VALUES)];
        each_call(&values, |call| {
            assert_eq!(run(&program, call).0, reading.answer(call), "{call:x?} by {profile}, seed {seed}");
        });
    }
    assert!(checked > 40, "only {checked} of the profiles are short enough, seed {seed}");
}

#[test]
fn socketcall_and_ipc_are_the_calls_that_they_stand_for() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[
        {"names":["socket","semtimedop"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}"#;
    let program = compiled(text, &machine(&[])).unwrap();
    if cfg!(target_arch = "x86_64") {
        let answer =
            |number, first| run(&program, &Call { arch: 0x4000_0003, number, arguments: [first, 0, 0, 0, 0, 0] }).0;
        assert_eq!(
            [answer(102, 1), answer(102, 2), answer(117, 4), answer(117, 1)],
            [0x5_000d, ALLOW, 0x5_000d, ALLOW]
        );
    }
}

#[test]
fn a_broken_profile_says_what_is_wrong_where() {
    let rule = |rule: &str| {
        format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["a"]}}, {rule}]}}"#).replacen(
            r#"{"names":["a"]}"#,
            r#"{"names":["a"],"action":"SCMP_ACT_LOG"}"#,
            1,
        )
    };
    let top = |members: &str| format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO",{members}}}"#);
    for (text, expected) in [
        ("".to_owned(), "no JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"a\":}".to_owned(), "no JSON: expected value at line 1 column 6"),
        ("[]".to_owned(), "no JSON object"),
        ("{}".to_owned(), "defaultAction is missing; seccomp=unconfined asks for no filter at all"),
        (r#"{"defaultAction":7}"#.to_owned(), "defaultAction is no text"),
        (
            r#"{"defaultAction":"SCMP_ACT_DENY"}"#.to_owned(),
            "defaultAction: unknown action 'SCMP_ACT_DENY'; there are SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, \
             SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_KILL, SCMP_ACT_TRAP, SCMP_ACT_TRACE and SCMP_ACT_LOG",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#.to_owned(),
            "defaultAction: SCMP_ACT_NOTIFY: there is no agent to ask about system calls here",
        ),
        (top(r#""defaultErrnoRet":-1"#), "defaultErrnoRet is -1; a whole number from 0 on"),
        (top(r#""defaultErrnoRet":4096"#), "defaultAction: 4096 is no errno; 0 to 4095"),
        (top(r#""syscalls":{}"#), "syscalls is no list"),
        (top(r#""syscalls":[7]"#), "syscalls[0]: no object"),
        (top(r#""listenerPath":"/run/a""#), "listenerPath: there is no agent to ask about system calls here"),
        (
            top(r#""flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]"#),
            "unknown flag \"SECCOMP_FILTER_FLAG_NEW_LISTENER\"; there are SECCOMP_FILTER_FLAG_TSYNC, \
             SECCOMP_FILTER_FLAG_LOG and SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        ),
        (
            top(r#""architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]"#),
            "it has both architectures and archMap; one of them is enough",
        ),
        (rule("{}"), "syscalls[1]: action is missing"),
        (rule(r#"{"names":[1],"action":"SCMP_ACT_LOG"}"#), "syscalls[1]: names holds what is no text"),
        (rule(r#"{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}"#), "syscalls[1]: it has both name and names"),
        (
            rule(r#"{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"op":"SCMP_CMP_EQ","index":6}]}"#),
            "syscalls[1]: args: index 6; a system call has arguments 0 to 5",
        ),
        (
            rule(r#"{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"op":"SCMP_CMP_IS","index":0}]}"#),
            "syscalls[1]: args: unknown operator 'SCMP_CMP_IS'; there are SCMP_CMP_EQ, SCMP_CMP_NE, SCMP_CMP_LT, \
             SCMP_CMP_LE, SCMP_CMP_GT, SCMP_CMP_GE and SCMP_CMP_MASKED_EQ",
        ),
        (
            rule(r#"{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"op":"SCMP_CMP_EQ","value":1.5}]}"#),
            "syscalls[1]: value is 1.5; a whole number from 0 on",
        ),
        (
            rule(r#"{"names":["a"],"action":"SCMP_ACT_LOG","includes":{"minKernel":"new"}}"#),
            "syscalls[1]: includes: invalid kernel version 'new'; such as 4.8",
        ),
    ] {
        assert_eq!(error(&text), expected, "{text}");
    }
    let all = ABIS.iter().map(|abi| abi.name).collect::<Vec<_>>().join(", ");
    let unknown = format!("unknown architecture 'SCMP_ARCH_VAX'; this machine has {all}");
    assert_eq!(error(&top(r#""architectures":["SCMP_ARCH_VAX"]"#)), unknown);
    assert_eq!(error(&top(r#""archMap":[{"architecture":"SCMP_ARCH_VAX"}]"#)), format!("archMap[0]: {unknown}"));
    // One rule for each of 2000 values.
    let args = |n| json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"op": "SCMP_CMP_EQ", "value": n}]});
    let many = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": (0..2000).map(args).collect::<Vec<_>>()});
    assert!(error(&many.to_string()).ends_with("instructions; the kernel takes 4096"));
}

#[test]
fn what_is_no_concern_of_this_machine_is_passed_over() {
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","comment":[1],"archMap":[{"architecture":"SCMP_ARCH_MIPS",
        "subArchitectures":["SCMP_ARCH_X32"]}],"architectures":null,"flags":[],"listenerPath":"","syscalls":[
        {"names":["no_such_call","read"],"action":"SCMP_ACT_ALLOW","args":[],"comment":"","includes":{},"excludes":null},
        {"name":"write","action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_BOGUS"]}},
        {"name":"close","action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_CHOWN","CAP_BOGUS"]}}]}"#;
    let program = compiled(text, &machine(&[])).unwrap();
    let native = &ABIS[0];
    let answer = |number| run(&program, &Call { arch: native.audit, number, ..Call::default() }).0;
    let of = |name| answer(native.number(name).unwrap());
    assert_eq!(
        [of("read"), of("write"), of("close")],
        [ALLOW, ALLOW, if of("close") == ENOSYS { ENOSYS } else { EPERM }]
    );
    assert_eq!(answer(native.number("openat2").unwrap()), ENOSYS);
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(88_172_645_463_325_252);
    let seed: Vec<u8> = DOCKER.bytes().skip(DOCKER.find("\"socket\"").unwrap_or(0) - 20).take(1500).collect();
    let seed = [br#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":["#.as_slice(), &seed].concat();
    for _ in 0..5000 {
        let mut text = seed.clone();
        for _ in 0..1 + random.next(4) {
            let at = random.next(text.len().max(1));
            match random.next(3) {
                0 => text[at] = random.next(256) as u8,
                1 if text.len() > 1 => drop(text.remove(at)),
                _ => text.truncate(at.max(1)),
            }
        }
        let _ = json::parse(&text, &machine(&[])).and_then(|profile| profile.compile());
    }
}
