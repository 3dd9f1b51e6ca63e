//! Dockerfile instructions that change an image's config: `ccrun import --change`.

mod words;

use crate::error::{Error, Result};
use crate::json::json;
use serde_json::{Map, Value};

/// Does what one instruction says to the part of a config that is called "config".
pub fn apply(config: &mut Map<String, Value>, instruction: &str) -> Result<()> {
    let line = instruction.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (word, rest) = (word.to_ascii_uppercase(), rest.trim());
    change(config, &word, rest).map_err(|error| error.context(format_args!("change '{line}'")))
}

fn change(config: &mut Map<String, Value>, word: &str, rest: &str) -> Result<()> {
    if rest.is_empty() {
        return Err(Error::new(format_args!("{word} needs something behind it")));
    }
    match word {
        "CMD" => set(config, "Cmd", command(rest)),
        "ENTRYPOINT" => set(config, "Entrypoint", command(rest)),
        "ENV" => pairs(config, rest)?.into_iter().for_each(|(name, value)| set_variable(config, &name, &value)),
        "LABEL" => pairs(config, rest)?.into_iter().for_each(|(name, value)| key(config, "Labels", name, value.into())),
        "EXPOSE" => {
            for word in expanded(config, rest)? {
                ports(&word)?.into_iter().for_each(|port| key(config, "ExposedPorts", port, json!({})));
            }
        }
        "VOLUME" => {
            let volumes = list(rest).map_or_else(|| expanded(config, rest), Ok)?;
            volumes.into_iter().for_each(|volume| key(config, "Volumes", volume, json!({})));
        }
        "USER" => set(config, "User", single(config, rest)?.into()),
        "STOPSIGNAL" => set(config, "StopSignal", single(config, rest)?.into()),
        "WORKDIR" => {
            let former = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
            let dir = directory(former, &single(config, rest)?);
            set(config, "WorkingDir", dir.into());
        }
        "HEALTHCHECK" => set(config, "Healthcheck", health(rest)?),
        "ONBUILD" => match config.entry("OnBuild").or_insert_with(|| json!([])) {
            Value::Array(steps) => steps.push(rest.into()),
            other => *other = json!([rest]),
        },
        _ => {
            return Err(Error::new(format_args!("{word} is not a valid change command")).hint(
                "they are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR",
            ));
        }
    }
    Ok(())
}

fn set(config: &mut Map<String, Value>, name: &str, value: Value) {
    config.insert(name.to_owned(), value);
}

/// Sets a key of an object of the config.
fn key(config: &mut Map<String, Value>, object: &str, name: String, value: Value) {
    if let Value::Object(object) = config.entry(object).or_insert_with(|| json!({})) {
        object.insert(name, value);
    }
}

fn variable(config: &Map<String, Value>, name: &str) -> Option<String> {
    let env = config.get("Env").and_then(Value::as_array)?;
    let values = env.iter().filter_map(|entry| entry.as_str()?.split_once('='));
    values.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next_back()
}

fn set_variable(config: &mut Map<String, Value>, name: &str, value: &str) {
    let Value::Array(env) = config.entry("Env").or_insert_with(|| json!([])) else { return };
    let entry = Value::from(format!("{name}={value}"));
    let is_it = |old: &&mut Value| old.as_str().and_then(|old| old.split_once('=')).is_some_and(|(old, _)| old == name);
    match env.iter_mut().find(is_it) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

fn expanded(config: &Map<String, Value>, text: &str) -> Result<Vec<String>> {
    words::split(text)?.into_iter().map(|word| words::expand(word, &|name| variable(config, name))).collect()
}

fn single(config: &Map<String, Value>, text: &str) -> Result<String> {
    words::expand(text, &|name| variable(config, name))
}

/// A JSON list of texts.
fn list(text: &str) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(text.as_bytes()).ok()?;
    value.as_array()?.iter().map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// A command: a JSON list as it is, anything else is for the shell.
fn command(text: &str) -> Value {
    list(text).map_or_else(|| json!(["/bin/sh", "-c", text]), Value::from)
}

/// `NAME=value NAME="another value"`, or the older `NAME value up to the end`.
fn pairs(config: &Map<String, Value>, text: &str) -> Result<Vec<(String, String)>> {
    let words = words::split(text)?;
    if let [name, _, ..] = words.as_slice()
        && !name.contains('=')
    {
        let value = text.get(name.len()..).unwrap_or_default().trim_start();
        return Ok(vec![(single(config, name)?, single(config, value)?)]);
    }
    let pair = |word: &str| -> Result<(String, String)> {
        let (name, value) =
            word.split_once('=').ok_or_else(|| Error::new(format_args!("'{word}' is no NAME=VALUE")))?;
        let name = single(config, name)?;
        if name.is_empty() {
            return Err(Error::new(format_args!("'{word}' has no name")));
        }
        Ok((name, single(config, value)?))
    };
    words.into_iter().map(pair).collect()
}

/// `80`, `80/udp`, `8000-8010/tcp` as the keys of ExposedPorts.
fn ports(text: &str) -> Result<Vec<String>> {
    let bad = || Error::new(format_args!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad);
    let (first, last) = (port(first)?, port(last)?);
    if first > last || !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A directory as it is reached from the former one.
fn directory(former: &str, dir: &str) -> String {
    let from = if dir.starts_with('/') { "" } else { former };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(dir.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `NONE`, or options and `CMD command`.
fn health(text: &str) -> Result<Value> {
    let mut check = Map::new();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let bad = || Error::new(format_args!("invalid option --{option}"));
        let (key, value) = match name {
            "interval" => ("Interval", nanoseconds(value).ok_or_else(bad)?),
            "timeout" => ("Timeout", nanoseconds(value).ok_or_else(bad)?),
            "start-period" => ("StartPeriod", nanoseconds(value).ok_or_else(bad)?),
            "retries" => ("Retries", value.parse().map_err(|_| bad())?),
            _ => return Err(bad()),
        };
        check.insert(key.to_owned(), value.into());
        rest = after.trim_start();
    }
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let test = match (word.to_ascii_uppercase().as_str(), list(rest)) {
        ("NONE", _) if rest.is_empty() => vec!["NONE".to_owned()],
        ("CMD", Some(argv)) => [vec!["CMD".to_owned()], argv].concat(),
        ("CMD", None) if !rest.trim().is_empty() => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
        _ => return Err(Error::new("HEALTHCHECK is NONE or CMD and a command")),
    };
    check.insert("Test".to_owned(), test.into());
    Ok(check.into())
}

/// A duration as Go writes it, `1m30s`, `500ms`.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let scale = match rest.get(..unit)? {
            "ns" => 1,
            "us" | "µs" => 1000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(scale)?)?;
        rest = rest.get(unit..)?;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    fn changed(lines: &[&str]) -> Result<Value> {
        let mut config = Map::new();
        lines.iter().try_for_each(|line| apply(&mut config, line))?;
        Ok(Value::from(config))
    }

    #[test]
    fn instructions_do_what_docker_makes_of_them() {
        for (lines, config) in [
            (&["CMD [\"a\", \"b c\"]"][..], json!({"Cmd": ["a", "b c"]})),
            (&["cmd a  b"], json!({"Cmd": ["/bin/sh", "-c", "a  b"]})),
            (&["ENTRYPOINT [\"/e\"]", "ENTRYPOINT []"], json!({"Entrypoint": []})),
            (&["ENV A=1 B=\"x y\"", "ENV A=2$A C='$B'"], json!({"Env": ["A=21", "B=x y", "C=$B"]})),
            (&["ENV A one  two", "ENV P=$A:/bin"], json!({"Env": ["A=one  two", "P=one  two:/bin"]})),
            (&["LABEL a.b=\"c\" d=e"], json!({"Labels": {"a.b": "c", "d": "e"}})),
            (
                &["EXPOSE 80 53/UDP 8000-8001"],
                json!({"ExposedPorts":
                {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}}}),
            ),
            (&["USER app:staff", "STOPSIGNAL SIGINT"], json!({"User": "app:staff", "StopSignal": "SIGINT"})),
            (&["VOLUME /a /b", "VOLUME [\"/c d\"]"], json!({"Volumes": {"/a": {}, "/b": {}, "/c d": {}}})),
            (&["WORKDIR /a//b", "WORKDIR ../c/."], json!({"WorkingDir": "/a/c"})),
            (&["HEALTHCHECK NONE"], json!({"Healthcheck": {"Test": ["NONE"]}})),
            (
                &["HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f x"],
                json!({"Healthcheck":
                {"Interval": 90_000_000_000u64, "Retries": 3, "Test": ["CMD-SHELL", "curl -f x"]}}),
            ),
            (&["ONBUILD RUN x", "ONBUILD COPY . ."], json!({"OnBuild": ["RUN x", "COPY . ."]})),
        ] {
            assert_eq!(changed(lines).unwrap(), config, "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (line, said) in [
            ("RUN x", "RUN is not a valid change command"),
            ("", "needs something"),
            ("CMD", "CMD needs something"),
            ("ENV A", "'A' is no NAME=VALUE"),
            ("ENV =x", "no name"),
            ("ENV A=1 B x", "'B' is no NAME=VALUE"),
            ("EXPOSE 0", "invalid containerPort: 0"),
            ("EXPOSE 9-8", "invalid containerPort"),
            ("EXPOSE 80/x", "invalid containerPort"),
            ("HEALTHCHECK --interval=x CMD y", "invalid option --interval=x"),
            ("HEALTHCHECK y", "NONE or CMD"),
        ] {
            let error = changed(&[line]).unwrap_err().to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let lines = [
            "ENV A=1 B='x' C \"d\"",
            "HEALTHCHECK --interval=1m30s CMD [\"x\"]",
            "EXPOSE 1-3/udp",
            "WORKDIR a/../b",
            "VOLUME [\"/a\"]",
        ];
        mutation::each(&lines, 5000, |bytes| drop(changed(&[&String::from_utf8_lossy(bytes)])));
    }
}
