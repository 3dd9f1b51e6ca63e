//! The first operand of `run`: an image, or already the command.

use crate::cli::args::{One, Parsed, one, utf8};
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::store::Store;
use crate::sys::process;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub const ROOTFS: One = one(
    None,
    "rootfs",
    "DIR[:rw]",
    "Run on the files in DIR, which are not changed; rw: writes go through ($CCRUN_ROOTFS)",
);
pub const IMAGE: One = one(None, "image", "IMAGE", "Run on this image; all operands are the command");

/// The source of the container's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Image(String),
    Rootfs { path: PathBuf, writable: bool },
    Host,
}

/// Docker Hub's official images: bare words that mean an image even if a program has the same name.
const OFFICIAL: &str = "
    adminer aerospike almalinux alpine alt amazoncorretto amazonlinux api-firewall arangodb archlinux backdrop bash
    bonita buildpack-deps busybox caddy cassandra chronograf cirros clearlinux clefos clickhouse clojure composer
    convertigo couchbase couchdb crate dart debian docker drupal eclipse-mosquitto eclipse-temurin eggdrop
    elasticsearch elixir emqx erlang fedora flink fluentd friendica gazebo gcc geonetwork ghost golang gradle groovy
    haproxy haskell haxe hello-world hitch httpd hylang ibm-semeru-runtimes ibmjava influxdb irssi jetty joomla jruby
    julia kapacitor kibana kong krakend liquibase logstash mageia mariadb matomo maven mediawiki memcached mongo
    mongo-express monica mono mysql nats nats-streaming neo4j neurodebian nextcloud nginx node notary odoo open-liberty
    openjdk oraclelinux orientdb percona perl photon php phpmyadmin plone postfixadmin postgres pypy python r-base
    rabbitmq rakudo-star redis redmine registry rethinkdb rocket.chat rockylinux ros ruby rust sapmachine satosa scratch
    silverpeas solr sonarqube spark spiped storm swift swipl teamspeak telegraf tomcat tomee traefik ubuntu unit
    varnish websphere-liberty wordpress xwiki yourls znc zookeeper";

/// Sorts the operands into what to run on and what to run.
pub fn understand(parsed: &Parsed, store: &Store) -> Result<(Wanted, Vec<OsString>)> {
    let all = || parsed.operands.clone();
    if let Some(image) = parsed.text(IMAGE)? {
        if parsed.one(ROOTFS).is_some() {
            return Err(Error::new("conflicting options: cannot specify both --image and --rootfs"));
        }
        return Ok((Wanted::Image(image.to_owned()), all()));
    }
    let from_env = || std::env::var_os("CCRUN_ROOTFS").filter(|dir| !dir.is_empty());
    if let Some(dir) = parsed.one(ROOTFS).map(OsStr::to_owned).or_else(from_env) {
        return Ok((rootfs(&dir), all()));
    }
    let Some((first, rest)) = parsed.operands.split_first() else {
        return Err(Error::new("'ccrun run' requires at least 1 argument")
            .hint("see 'ccrun run --help'")
            .with_status(1));
    };
    if is_image(first, store)? {
        return Ok((Wanted::Image(utf8(first, "image")?.to_owned()), rest.to_vec()));
    }
    Ok((Wanted::Host, all()))
}

fn rootfs(text: &OsStr) -> Wanted {
    let bytes = text.as_bytes();
    let (path, writable) = match (bytes.strip_suffix(b":rw"), bytes.strip_suffix(b":ro")) {
        (Some(path), _) => (path, true),
        (None, Some(path)) => (path, false),
        (None, None) => (bytes, false),
    };
    Wanted::Rootfs { path: OsStr::from_bytes(path).into(), writable }
}

fn is_image(word: &OsStr, store: &Store) -> Result<bool> {
    let bytes = word.as_bytes();
    if [&b"/"[..], b"./", b"../"].iter().any(|start| bytes.starts_with(start)) {
        return Ok(false);
    }
    if bytes.contains(&b'/') || bytes.contains(&b':') || bytes.contains(&b'@') {
        return Ok(true);
    }
    let Some(text) = word.to_str() else { return Ok(false) };
    if OFFICIAL.split_whitespace().any(|name| name == text) || images::find(store, text).ok().flatten().is_some() {
        return Ok(true);
    }
    Ok(process::find_program(text).is_none())
}

/// Explains how the first operand was understood, if that was a guess and the image cannot be pulled.
pub fn explain_guess(parsed: &Parsed, word: &str, error: Error) -> Error {
    let is_named = parsed.one(IMAGE).is_some() || word.contains(['/', ':', '@']);
    if is_named || OFFICIAL.split_whitespace().any(|name| name == word) {
        return error;
    }
    error.context(format_args!("'{word}' was taken as an image, as no program here has that name"))
}

impl Wanted {
    /// How the first operand was understood, and how to say the other: the end of a message.
    pub fn explain(&self) -> String {
        match self {
            Wanted::Image(word) => {
                format!("'{word}' was taken as an image; to run a program of that name on this machine, use --rootfs /")
            }
            Wanted::Rootfs { path, .. } => {
                format!("the command was looked for in {}; for an image, use --image", path.display())
            }
            Wanted::Host => {
                "the first word was taken as a command of this machine; for an image, use --image".to_owned()
            }
        }
    }
}

impl fmt::Display for Wanted {
    /// As `ps` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Image(word) => f.write_str(word),
            Wanted::Rootfs { path, .. } => write!(f, "{}", path.display()),
            Wanted::Host => f.write_str("/"),
        }
    }
}
