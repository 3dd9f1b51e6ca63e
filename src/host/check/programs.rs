//! The programs that a pull starts, and the certificates that it trusts.

use super::{Finding, Host};
use crate::sys::process::find_program;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where distributions keep the certificates of the authorities that they trust.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub fn check(host: &Host) -> Vec<Finding> {
    let mut findings = vec![curl(host)];
    let own = ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"];
    if !BUNDLES.iter().any(|bundle| Path::new(bundle).exists())
        && own.iter().all(|name| std::env::var_os(name).is_none())
    {
        let text = "no bundle of certificates: curl trusts no registry";
        findings.push(Finding::less("certificates", text).mended_by(host.install("ca-certificates")));
    }
    findings.push(match says("zstd") {
        Some(_) => Finding::ok("zstd", "unpacks layers compressed with zstd"),
        None => {
            Finding::less("zstd", "not to be run: few images have layers that need it").mended_by(host.install("zstd"))
        }
    });
    findings
}

fn curl(host: &Host) -> Finding {
    let Some(text) = says("curl") else {
        return Finding::fails("curl", "not to be run, and pull needs it; load works without")
            .mended_by(host.install("curl"));
    };
    let version = text.split_whitespace().nth(1).unwrap_or("of unknown version");
    let protocols = text.lines().find_map(|line| line.strip_prefix("Protocols:")).unwrap_or_default();
    if protocols.split_whitespace().any(|protocol| protocol == "https") {
        Finding::ok("curl", format!("{version}, with https"))
    } else {
        Finding::fails("curl", format!("{version} has been built without https")).mended_by(host.install("curl"))
    }
}

/// What a program on PATH says of its version.
fn says(program: &str) -> Option<String> {
    let mut command = Command::new(find_program(program)?);
    let output = command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
