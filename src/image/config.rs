//! The image config: what an image says about how it wants to be run.
//!
//! Many tools have written these over the years, so every field may be absent,
//! `null` or of an odd type; only what decides over safety is insisted on.

use super::digest::Digest;
use super::json;
use super::platform::Platform;
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub platform: Platform,
    /// RFC 3339, as it was written.
    pub created: Option<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`, in the image's order.
    pub env: Vec<String>,
    pub working_dir: String,
    pub user: String,
    pub stop_signal: Option<String>,
    pub volumes: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// The digests of the layers' uncompressed tars, the lowest first.
    pub diff_ids: Vec<Digest>,
    pub history: Vec<History>,
}

/// How one layer came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub created: Option<String>,
    pub created_by: String,
    pub comment: String,
    /// Whether the step changed no files and so has no layer.
    pub empty_layer: bool,
}

impl Config {
    pub fn parse(bytes: &[u8]) -> Result<Config> {
        let value = json::object("the image config", bytes)?;
        let config = value.get("config").unwrap_or(&Value::Null);
        let text = |name: &str| string(config, name).unwrap_or_default();
        let parsed = Config {
            platform: Platform::new(
                &string(&value, "os").unwrap_or_else(|| "linux".to_owned()),
                &string(&value, "architecture").unwrap_or_else(|| Platform::host().architecture().to_owned()),
                string(&value, "variant").as_deref(),
            ),
            created: string(&value, "created"),
            entrypoint: words(config, "Entrypoint"),
            cmd: words(config, "Cmd"),
            env: words(config, "Env").into_iter().filter(|entry| is_environment(entry)).collect(),
            working_dir: text("WorkingDir"),
            user: text("User"),
            stop_signal: string(config, "StopSignal"),
            volumes: config.get("Volumes").and_then(Value::as_object).map(keys).unwrap_or_default(),
            labels: labels(config),
            diff_ids: diff_ids(&value)?,
            history: list(&value, "history").iter().map(History::read).collect(),
        };
        let fields = [&parsed.working_dir, &parsed.user].into_iter().chain(&parsed.stop_signal);
        let texts = fields.chain(&parsed.entrypoint).chain(&parsed.cmd).chain(&parsed.volumes);
        if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
            return Err(Error::new(format_args!("the image config has a NUL byte in '{text}'")));
        }
        Ok(parsed)
    }
}

impl History {
    fn read(value: &Value) -> History {
        History {
            created: string(value, "created"),
            created_by: string(value, "created_by").unwrap_or_default(),
            comment: string(value, "comment").unwrap_or_default(),
            empty_layer: value.get("empty_layer").and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

/// A text that is there and not empty.
fn string(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A list of words. Docker once wrote a single one as a plain string and still reads that.
fn words(value: &Value, name: &str) -> Vec<String> {
    match value.get(name) {
        Some(Value::String(word)) => vec![word.clone()],
        _ => list(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

/// What is no `NAME=value` cannot stand in an environment.
fn is_environment(entry: &str) -> bool {
    entry.find('=').is_some_and(|at| at > 0) && !entry.contains('\0')
}

fn keys(object: &serde_json::Map<String, Value>) -> Vec<String> {
    object.keys().cloned().collect()
}

fn labels(config: &Value) -> BTreeMap<String, String> {
    let object = config.get("Labels").and_then(Value::as_object);
    let pairs = object.into_iter().flatten();
    crate::sort::into(pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))))
}

/// The diff ids must be right to the last one: they are what each layer is checked against.
fn diff_ids(value: &Value) -> Result<Vec<Digest>> {
    let rootfs = value.get("rootfs").unwrap_or(&Value::Null);
    if let Some(kind) = string(rootfs, "type").filter(|kind| kind != "layers") {
        return Err(Error::new(format_args!("the image's root file system is of the unknown type '{kind}'")));
    }
    list(rootfs, "diff_ids")
        .iter()
        .map(|id| match id.as_str() {
            Some(id) => Digest::parse(id).map_err(|error| error.context("diff_ids of the image config")),
            None => Err(Error::new("diff_ids of the image config: not a text")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    const FULL: &str = r#"{"architecture":"arm64","variant":"v8","os":"linux","created":"2024-05-22T18:18:12Z",
        "config":{"User":"1000:5","Env":["PATH=/bin","EMPTY=","NOVALUE","=x","N\u0000L=1"],"Entrypoint":["/e","a b"],
        "Cmd":["c"],"WorkingDir":"/w","StopSignal":"SIGQUIT","Volumes":{"/data":{},"/b":null},
        "ExposedPorts":{"80/tcp":{}},"Labels":{"a":"b","n":1},"Healthcheck":{"Test":["NONE"]}},
        "history":[{"created_by":"ADD x","empty_layer":true},{"created":"2024","comment":"c"},7],
        "rootfs":{"type":"layers","diff_ids":
        ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

    #[test]
    fn every_field_is_read() {
        let config = Config::parse(FULL.as_bytes()).unwrap();
        assert_eq!(config.platform.to_string(), "linux/arm64");
        assert_eq!(config.created.as_deref(), Some("2024-05-22T18:18:12Z"));
        assert_eq!((config.entrypoint.len(), config.cmd.len()), (2, 1));
        assert_eq!(config.env, ["PATH=/bin", "EMPTY="]);
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/w", "1000:5"));
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!(config.volumes, ["/b", "/data"]);
        assert_eq!(config.labels.get("a").map(String::as_str), Some("b"));
        assert_eq!(config.diff_ids, [Digest::of(b"")]);
        assert_eq!(config.history.len(), 3);
        assert!(config.history[0].empty_layer);
    }

    #[test]
    fn odd_fields_are_borne() {
        for text in [
            "{}",
            r#"{"config":null,"rootfs":null,"history":null}"#,
            r#"{"config":{"Env":null,"Cmd":null,"Entrypoint":[],"Volumes":[],"Labels":null,"User":null}}"#,
            r#"{"config":[],"rootfs":{"type":"layers","diff_ids":null},"os":7}"#,
        ] {
            let config = Config::parse(text.as_bytes()).unwrap();
            assert_eq!((config.platform, config.cmd), (Platform::host(), vec![]), "{text}");
        }
        let shell = Config::parse(br#"{"config":{"Cmd":"run me"}}"#).unwrap();
        assert_eq!(shell.cmd, ["run me"]);
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        for text in [
            "",
            "[]",
            "<html>",
            r#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#,
            r#"{"rootfs":{"diff_ids":[7]}}"#,
            r#"{"rootfs":{"type":"windows"}}"#,
            r#"{"config":{"Cmd":["a\u0000b"]}}"#,
            r#"{"config":{"User":"\u0000"}}"#,
            r#"{"config":{"User":"0","User":"1000"}}"#,
        ] {
            assert!(Config::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        mutation::each(&[FULL, "{}"], 5000, |bytes| drop(Config::parse(bytes)));
    }
}
