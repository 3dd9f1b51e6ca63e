//! Docker Hub's names on this machine: a private mount and network namespace in
//! which they lead to loopback, where a TLS proxy stands before the stand-in
//! registry, with a certificate that only this namespace trusts. Nothing in the
//! released binary knows of it.

use crate::sys;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub const PORT: u16 = 8080;
pub const CDN: &str = "production.cloudflare.docker.com";
const NAMES: &str = "registry-1.docker.io auth.docker.io index.docker.io production.cloudflare.docker.com";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why there can be no stand-in hub here, if so.
pub fn missing() -> Option<&'static str> {
    if sys::uid() != 0 {
        return Some("a private network namespace with Docker Hub's names needs root");
    }
    let has = |program: &str| {
        ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
    };
    if !has("socat") || !has("openssl") {
        return Some("socat and openssl are not both installed");
    }
    (!Path::new(BUNDLE).exists()).then_some("no CA bundle at /etc/ssl/certs/ca-certificates.crt")
}

/// The certificates, made once for all tests: `ca.pem` and `server.pem` (with its key).
pub fn make_certificates(dir: &Path) {
    let names = NAMES.split(' ').map(|name| format!("DNS:{name}")).collect::<Vec<_>>().join(",");
    let script = format!(
        "set -e; umask 077
        new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30'
        openssl req -x509 $new -keyout ca.key -out ca.pem -subj '/CN=ccrun tests'
        openssl req $new -keyout server.key -out server.csr -subj /CN=registry-1.docker.io
        printf 'subjectAltName={names}\\n' >ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out server.crt
        cat server.crt server.key >server.pem; chmod 644 ca.pem server.pem"
    );
    std::fs::create_dir_all(dir).expect("mkdir");
    let out = Command::new("sh").arg("-c").arg(script).current_dir(dir).output().expect("sh");
    std::fs::write(dir.join("hosts"), format!("127.0.0.1 localhost {NAMES}\n")).expect("write");
    assert!(out.status.success(), "openssl: {}", String::from_utf8_lossy(&out.stderr));
}

/// The proxy; ends with the test.
pub struct Hub(Child);

impl Drop for Hub {
    fn drop(&mut self) {
        // Its children, one per connection, are of its process group.
        let _ = sys::kill(-(self.0.id() as i32), libc::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Moves this process (still single-threaded, still root) to where Docker Hub is here.
pub fn enter(certificates: &Path) -> std::io::Result<()> {
    sys::unshare_mounts_and_network()?;
    // So that the proxy can run as the user of the test.
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")?;
    let bind = |source: PathBuf, target: &str| {
        let target = std::fs::canonicalize(target)?;
        sys::mount(source.to_str().expect("UTF-8"), &target, libc::MS_BIND)
    };
    bind(certificates.join("hosts"), "/etc/hosts")?;
    bind(certificates.join("ca.pem"), BUNDLE)
}

/// Starts the TLS proxy before the registry that `Registry::hub` starts.
pub fn start_proxy(certificates: &Path) -> std::io::Result<Hub> {
    let key = certificates.join("server.pem");
    let listen = format!("OPENSSL-LISTEN:443,bind=127.0.0.1,reuseaddr,fork,verify=0,cert={}", key.display());
    let mut socat = Command::new("socat");
    socat.args([&listen, &format!("TCP:127.0.0.1:{PORT}")]).process_group(0);
    socat.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::dies_with_us(&mut socat);
    let hub = Hub(socat.spawn()?);
    // It listens only once its port answers.
    for _ in 0..500 {
        if std::net::TcpStream::connect(("127.0.0.1", 443)).is_ok() {
            return Ok(hub);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(std::io::Error::other("socat never listened on port 443"))
}
