//! Docker's file format for profiles: the OCI's, with rules that may hold for some
//! machines, kernels and capabilities only (docs.docker.com, engine/security/seccomp).
//!
//! Members that it doesn't have are passed over, as Docker does. What it has must be
//! right: a rule that is not understood would be a hole.

use super::abi::ABIS;
use super::compile::{Action, Condition, Op};
use super::profile::{Profile, Rule, abis};
use crate::error::{Error, Result};
use crate::isolation::capabilities::Set;
use crate::sys::seccomp::{FILTER_FLAG_LOG, FILTER_FLAG_SPEC_ALLOW};
use serde_json::{Map, Value};

/// What a profile's conditions are about.
pub struct Machine {
    /// What the container may hold at most.
    pub capabilities: Set,
    /// Major and minor number of the kernel.
    pub kernel: (u32, u32),
}

type Object = Map<String, Value>;

const ACTIONS: &str = "SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_KILL, \
                       SCMP_ACT_TRAP, SCMP_ACT_TRACE and SCMP_ACT_LOG";
const OPERATORS: [(&str, Op); 6] = [
    ("SCMP_CMP_EQ", Op::Equal),
    ("SCMP_CMP_NE", Op::NotEqual),
    ("SCMP_CMP_LT", Op::Less),
    ("SCMP_CMP_LE", Op::LessOrEqual),
    ("SCMP_CMP_GT", Op::Greater),
    ("SCMP_CMP_GE", Op::GreaterOrEqual),
];
/// As libseccomp calls them.
const ARCHITECTURES: &str = "X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 \
                             MIPSEL64N32 PARISC PARISC64 PPC PPC64 PPC64LE RISCV64 S390 S390X SH SHEB";

/// This machine in the words of `includes` and `excludes`.
const HERE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

/// Reads a profile. Errors say what is wrong where in it.
pub fn parse(text: &[u8], machine: &Machine) -> Result<Profile> {
    let value: Value = serde_json::from_slice(text).map_err(|error| Error::new(format_args!("no JSON: {error}")))?;
    let Value::Object(object) = &value else { return Err(Error::new("no JSON object")) };
    let Some(default) = text_of(object, "defaultAction")?.filter(|text| !text.is_empty()) else {
        return Err(Error::new("defaultAction is missing").hint("seccomp=unconfined asks for no filter at all"));
    };
    let default = action(default, number(object, "defaultErrnoRet")?).map_err(|e| e.context("defaultAction"))?;
    if text_of(object, "listenerPath")?.is_some_and(|path| !path.is_empty()) {
        return Err(Error::new("listenerPath: there is no agent to ask about system calls here"));
    }
    let mut rules = Vec::new();
    for (at, value) in list(object, "syscalls")?.iter().enumerate() {
        rules.extend(rule(value, machine).map_err(|error| error.context(format_args!("syscalls[{at}]")))?);
    }
    let named = architectures(object)?;
    Ok(Profile { default, abis: abis(|name| named.contains(&name)), rules, flags: flags(object)? })
}

/// The architectures beside this machine's own.
fn architectures(object: &Object) -> Result<Vec<&str>> {
    let listed = list(object, "architectures")?;
    let maps = list(object, "archMap")?;
    if !listed.is_empty() && !maps.is_empty() {
        return Err(Error::new("it has both architectures and archMap").hint("one of them is enough"));
    }
    let mut named: Vec<&str> = listed.iter().map(architecture).collect::<Result<_>>()?;
    for (at, map) in maps.iter().enumerate() {
        let of = (|| {
            let Value::Object(map) = map else { return Err(Error::new("no object")) };
            let own = map.get("architecture").map(architecture).transpose()?;
            let others = list(map, "subArchitectures")?.iter().map(architecture).collect::<Result<Vec<_>>>()?;
            Ok(if own == Some(ABIS[0].name) { others } else { Vec::new() })
        })();
        named.extend(of.map_err(|error: Error| error.context(format_args!("archMap[{at}]")))?);
    }
    Ok(named)
}

fn architecture(value: &Value) -> Result<&str> {
    let name = value.as_str().ok_or_else(|| Error::new(format_args!("the architecture {value} is no text")))?;
    let known = |name: &str| ARCHITECTURES.split(' ').any(|known| known == name);
    if !name.strip_prefix("SCMP_ARCH_").is_some_and(known) {
        let all = ABIS.iter().map(|abi| abi.name).collect::<Vec<_>>().join(", ");
        return Err(
            Error::new(format_args!("unknown architecture '{name}'")).hint(format_args!("this machine has {all}"))
        );
    }
    Ok(name)
}

fn flags(object: &Object) -> Result<u64> {
    let mut flags = 0;
    for value in list(object, "flags")? {
        flags |= match value.as_str() {
            // There is only one thread to synchronise.
            Some("SECCOMP_FILTER_FLAG_TSYNC") => 0,
            Some("SECCOMP_FILTER_FLAG_LOG") => FILTER_FLAG_LOG,
            Some("SECCOMP_FILTER_FLAG_SPEC_ALLOW") => FILTER_FLAG_SPEC_ALLOW,
            _ => {
                return Err(Error::new(format_args!("unknown flag {value}")).hint(
                    "there are SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG and SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                ));
            }
        };
    }
    Ok(flags)
}

/// A rule, unless it is for other machines.
fn rule(value: &Value, machine: &Machine) -> Result<Option<Rule>> {
    let Value::Object(object) = value else { return Err(Error::new("no object")) };
    let names = strings(object, "names")?;
    let names = match text_of(object, "name")?.filter(|name| !name.is_empty()) {
        Some(_) if !names.is_empty() => return Err(Error::new("it has both name and names")),
        Some(name) => vec![name.to_owned()],
        None => names,
    };
    let name = text_of(object, "action")?.ok_or_else(|| Error::new("action is missing"))?;
    let action = action(name, number(object, "errnoRet")?)?;
    let conditions = list(object, "args")?.iter().map(condition).collect::<Result<Vec<_>>>()?;
    let excluded = applies(object, "excludes", machine)?;
    let included = applies(object, "includes", machine)?;
    // Of what excludes lists, one is enough; of includes, all must be so.
    let is_meant = !excluded.contains(&true) && !included.contains(&false);
    Ok(is_meant.then_some(Rule { names, action, conditions }))
}

/// For each thing that `includes` or `excludes` asks, whether it is so.
fn applies(object: &Object, member: &str, machine: &Machine) -> Result<Vec<bool>> {
    let filter = match object.get(member) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(filter)) => filter,
        Some(_) => return Err(Error::new(format_args!("{member} is no object"))),
    };
    let mut asked = Vec::new();
    let arches = strings(filter, "arches")?;
    if !arches.is_empty() {
        asked.push(arches.iter().any(|arch| arch == HERE));
    }
    for name in strings(filter, "caps")? {
        // One that nobody knows is one that the container hasn't got.
        asked.push(name.strip_prefix("CAP_").is_some_and(|name| machine.capabilities.has(name)));
    }
    if let Some(text) = text_of(filter, "minKernel")?.filter(|text| !text.is_empty()) {
        let version = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let version = version
            .ok_or_else(|| Error::new(format_args!("{member}: invalid kernel version '{text}'")).hint("such as 4.8"))?;
        asked.push(machine.kernel >= version);
    }
    Ok(asked)
}

fn action(name: &str, errno: Option<u64>) -> Result<Action> {
    // The kernel makes 4095 of more.
    let number = match errno {
        Some(errno @ 0..=4095) => errno as u16,
        Some(errno) => return Err(Error::new(format_args!("{errno} is no errno")).hint("0 to 4095")),
        None => libc::EPERM as u16,
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_NOTIFY" => {
            return Err(Error::new("SCMP_ACT_NOTIFY: there is no agent to ask about system calls here"));
        }
        _ => return Err(Error::new(format_args!("unknown action '{name}'")).hint(format_args!("there are {ACTIONS}"))),
    })
}

fn condition(value: &Value) -> Result<Condition> {
    let Value::Object(object) = value else { return Err(Error::new("args holds what is no object")) };
    let argument = number(object, "index")?.unwrap_or(0);
    if argument > 5 {
        return Err(Error::new(format_args!("args: index {argument}")).hint("a system call has arguments 0 to 5"));
    }
    let argument = argument as u8;
    let value = number(object, "value")?.unwrap_or(0);
    let name = text_of(object, "op")?.ok_or_else(|| Error::new("args: op is missing"))?;
    if name == "SCMP_CMP_MASKED_EQ" {
        let wanted = number(object, "valueTwo")?.unwrap_or(0);
        return Ok(Condition { argument, mask: value, op: Op::Equal, value: wanted });
    }
    match OPERATORS.iter().find(|(known, _)| *known == name) {
        Some((_, op)) => Ok(Condition { argument, mask: u64::MAX, op: *op, value }),
        None => {
            let all = OPERATORS.map(|(name, _)| name).join(", ");
            Err(Error::new(format_args!("args: unknown operator '{name}'"))
                .hint(format_args!("there are {all} and SCMP_CMP_MASKED_EQ")))
        }
    }
}

// Members of an object; null is as good as missing.

fn list<'a>(object: &'a Object, member: &str) -> Result<&'a [Value]> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(Error::new(format_args!("{member} is no list"))),
    }
}

fn strings(object: &Object, member: &str) -> Result<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = list(object, member)?.iter().map(text).collect::<Option<Vec<_>>>();
    all.ok_or_else(|| Error::new(format_args!("{member} holds what is no text")))
}

fn text_of<'a>(object: &'a Object, member: &str) -> Result<Option<&'a str>> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::new(format_args!("{member} is no text"))),
    }
}

fn number(object: &Object, member: &str) -> Result<Option<u64>> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(Error::new(format_args!("{member} is {value}")).hint("a whole number from 0 on")),
        },
    }
}
