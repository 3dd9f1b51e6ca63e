//! `ccrun check`: what this host can do.

use crate::cli::args::{Command, Parsed, one};
use crate::cli::output::listing::{self, Headings};
use crate::cli::{output, store};
use crate::container::sandbox::NamespaceSandbox;
use crate::error::{Error, Result};
use crate::host::check::{self, Finding, Verdict};
use crate::host::fix::{self, Step, User};
use crate::isolation::idmap::IdMap;
use crate::sys::cred;
use serde_json::{Value, json};

pub static COMMAND: Command = Command {
    name: "check",
    usage: "[OPTIONS]",
    summary: "Tell what this host can do, and what mends it",
    flags: &[listing::FORMAT, one(None, "fix", "USER", "As root, do once what this user needs, and say what was done")],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[("Name", "NAME"), ("Verdict", "VERDICT"), ("Text", "TEXT"), ("Command", "COMMAND")];

fn run(parsed: &Parsed) -> Result<u8> {
    if let Some(name) = parsed.text("fix")? {
        return fix(name);
    }
    let root = store::root(parsed)?;
    let map = IdMap::to_be(&root.join("idmap"))?;
    let findings = check::all(&root, map.clone(), &NamespaceSandbox { map });
    let text = match parsed.text("format")? {
        None => findings.iter().map(line).collect(),
        format => {
            let default = "table {{.Verdict}}\t{{.Name}}\t{{.Text}}\t{{.Command}}";
            listing::show(format, default, HEADINGS, &findings.iter().map(fields).collect::<Vec<_>>())?
        }
    };
    output::print(&text)?;
    Ok(u8::from(findings.iter().any(|finding| finding.verdict == Verdict::Fails)))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Less => "less",
        Verdict::Fails => "FAILS",
    }
}

fn line(finding: &Finding) -> String {
    let command = finding.command.as_ref().map(|command| format!(": {command}")).unwrap_or_default();
    format!("{:<6} {}: {}{command}\n", word(finding.verdict), finding.about, finding.text)
}

fn fields(finding: &Finding) -> Value {
    json!({
        "Name": finding.about, "Verdict": word(finding.verdict).to_lowercase(), "Text": finding.text,
        "Command": finding.command.as_deref().unwrap_or_default(),
    })
}

fn fix(name: &str) -> Result<u8> {
    if cred::geteuid() != 0 {
        return Err(Error::new("check --fix changes files in /etc, which only root may").hint("run it with sudo"));
    }
    let mut status = 0;
    for step in fix::fix(&User::find(name)?) {
        match step {
            Ok(Step::Done(text)) => output::print(&format!("done   {text}\n"))?,
            Ok(Step::Already(text)) => output::print(&format!("ok     {text}\n"))?,
            Ok(Step::Left(text)) => output::print(&format!("left   {text}\n"))?,
            Err(error) => {
                output::complain(&error);
                status = 1;
            }
        }
    }
    Ok(status)
}
