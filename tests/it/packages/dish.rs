//! The package `dish` and its friend `plate`: the same life for both package managers, in
//! which their scripts do what real ones do to users, groups, owners and modes.

use super::sign::Key;
use super::{Package, apk, content, deb, run};
use crate::sandbox::{Cmd, Sandbox};
use crate::tar::{Entry, entry};

/// The same steps of a life as a package, whoever its manager is.
pub struct Life {
    pub volumes: Vec<String>,
    script: String,
}

impl Life {
    pub fn lived(&self, cmd: &dyn Fn(&[&str]) -> Cmd, image: &str) -> String {
        let out = content(run(cmd, &self.volumes, image, &["sh", "-c", &self.script])).stdout;
        assert_eq!(super::part(&out, "files"), FILES, "after the installation, of all:\n{out}");
        assert_eq!(super::part(&out, "sound"), "", "as the package manager sees it, of all:\n{out}");
        assert_eq!(super::part(&out, "upgraded"), FILES.to_owned() + MORE, "after the upgrade, of all:\n{out}");
        assert_eq!(super::part(&out, "removed"), "", "what is left at the end, of all:\n{out}");
        out
    }
}

/// Who owns what, once `dish` is installed; its scripts have made what lies in /var.
const FILES: &str = "\
-rwxr-xr-x root:root /usr/bin/dish
-rwxr-s--x root:dish /usr/bin/dish-lock
-rwsr-xr-x root:root /usr/bin/dish-su
drwxr-xr-x root:root /usr/share/dishes
-rw-r--r-- root:root /usr/share/dishes/one
drwxr-x--- dish:dish /var/lib/dish
-rw-r----- dish:dish /var/lib/dish/by-su
-rw-r--r-- dish:dish /var/lib/dish/copied
-rw-r--r-- dish:dish /var/lib/dish/daemon
drwx------ dish:dish /var/lib/dish/dir
-rw-r--r-- dish:dish /var/lib/dish/dir/file
lrwxrwxrwx dish:dish /var/lib/dish/link
prw--w---- dish:tty /var/lib/dish/pipe
-rw------- dish:dish /var/lib/dish/secret
-rw-r----- dish:dish /var/lib/dish/state
drwxrws--- root:dish /var/log/dish
-rw-r----- dish:dish /var/log/dish/log
-rw-r--r-- root:dish /var/log/dish/roots
drwxrwxrwt root:root /var/spool/dish
";

/// What the upgrade adds.
const MORE: &str = "-rw-r--r-- dish:dish /var/spool/dish/upgraded\n";

/// Prints them so; `ls` is of both busybox and Debian.
const SHOW: &str = "show() {
    find /usr/bin/dish* /usr/share/dishes /var/lib/dish /var/log/dish /var/spool/dish 2>/dev/null |
        LC_ALL=C sort | while read -r path; do stat -c '%A %U:%G %n' $path; done
}";

/// What packages do once their files are there, with the words that both systems know.
/// `AS_DISH COMMAND` is the way to another user, `DAEMON COMMAND` starts one as that user.
const CONFIGURE: &str = "set -e
mkdir -p /var/log/dish
chown -R root:dish /var/log/dish
chmod 2770 /var/log/dish
: >/var/log/dish/roots
AS_DISH 'umask 027; id -un >/var/lib/dish/by-su; ln -s by-su /var/lib/dish/link; : >/var/log/dish/log'
[ \"$(cat /var/lib/dish/by-su)\" = dish ]
install -o dish -g dish -m 600 /usr/share/dishes/one /var/lib/dish/secret
AS_DISH 'mkdir -m 700 /var/lib/dish/dir; : >/var/lib/dish/dir/file; cp /var/lib/dish/dir/file /var/lib/dish/copied'
mkfifo -m 620 /var/lib/dish/pipe
chown dish:tty /var/lib/dish/pipe
DAEMON
tries=0
until [ -e /var/lib/dish/daemon ]; do tries=$((tries + 1)); [ $tries -lt 300 ]; sleep 0.1; done
";

const DAEMON: &str = "[ \"$1\" != daemon ] || { sleep 0.2; : >/var/lib/dish/daemon; exec sleep 60; }\n";

fn files(version: &str) -> Vec<Entry> {
    vec![
        apk::file("usr/bin/dish", 0o755, &format!("#!/bin/sh\n{DAEMON}echo dish {version}\n")),
        apk::file("usr/bin/dish-lock", 0o2751, "lock").named("root", "dish"),
        apk::file("usr/bin/dish-su", 0o4755, "su"),
        apk::file("usr/share/dishes/one", 0o644, version),
        dir("var/lib/dish", 0o750).named("dish", "dish"),
        apk::file("var/lib/dish/state", 0o640, "state").named("dish", "dish"),
        dir("var/spool/dish", 0o1777),
    ]
}

fn dir(path: &str, mode: u32) -> Entry {
    entry(path, b'5', mode)
}

pub fn alpines(t: &Sandbox) -> Life {
    let configure = CONFIGURE
        .replace("AS_DISH", "su dish -s /bin/sh -c")
        .replace("DAEMON", "setsid su dish -s /bin/sh -c 'exec dish daemon' </dev/null >/dev/null 2>&1 &");
    let dish = |version, scripts: &[(&'static str, String)]| Package {
        name: "dish",
        version,
        depends: "plate>=1.0",
        triggers: "",
        scripts: scripts.to_vec(),
        files: files(version),
    };
    let users = "addgroup -S dish\nadduser -S -D -H -h /var/lib/dish -s /sbin/nologin -G dish -g dish dish\n";
    let gone = "rm -r /var/lib/dish /var/log/dish /var/spool/dish\ndeluser dish\n";
    let installing =
        [("pre-install", format!("#!/bin/sh -e\n{users}")), ("post-install", format!("#!/bin/sh\n{configure}"))];
    let upgrading = [
        ("pre-upgrade", "#!/bin/sh -e\nsu dish -s /bin/sh -c ': >/var/spool/dish/upgraded'\n".to_owned()),
        ("post-upgrade", "#!/bin/sh -e\n[ \"$1 $2\" = '1.1-r0 1.0-r0' ]\n".to_owned()),
        ("post-deinstall", format!("#!/bin/sh -e\n{gone}")),
    ];
    let packages = [
        Package {
            name: "plate",
            version: "1.0-r0",
            depends: "",
            triggers: "/usr/share/dishes",
            scripts: vec![("trigger", "#!/bin/sh\nls \"$@\" >/usr/share/plate/index\n".into())],
            files: vec![dir("usr/share/plate", 0o755)],
        },
        dish("1.0-r0", &installing),
        dish("1.1-r0", &[&installing[..], &upgrading].concat()),
    ];
    let script = format!(
        "{SHOW}; set -e; apk add dish=1.0-r0
        echo == files; show; echo == sound; apk audit --system --check-permissions --recursive /usr /var >/tmp/audit
        grep -E 'dish|plate' /tmp/audit || :
        cat /usr/share/plate/index | grep -v one || :
        echo == next; id -u dish; apk verify /repo/{}/dish*.apk; apk add --upgrade dish
        echo == upgraded; show; [ \"$(dish)\" = 'dish 1.1-r0' ]
        echo == last; apk del dish
        echo == removed; show; id -u dish 2>/dev/null || :
        echo == end",
        apk::ARCH
    );
    Life { volumes: apk::repository(&Key::make(t), &t.dir.join("apk"), &packages), script }
}

pub fn debians(t: &Sandbox) -> Life {
    let configure = CONFIGURE
        .replace("AS_DISH", "su -s /bin/sh dish -c")
        .replace("DAEMON", "start-stop-daemon --start --background --chuid dish --make-pidfile --pidfile /run/dish.pid --startas /usr/bin/dish -- daemon");
    let more = "runuser -u dish -- id -un | grep -qx dish
        echo dish:secret | chpasswd
        passwd -q -l dish
        dpkg-statoverride --add --update root dish 2751 /usr/bin/dish-lock\n";
    // Dish is nobody yet when its files are unpacked by numbers; Debian's packages give them away later.
    let nobodys = |version: &'static str| -> Vec<Entry> {
        let plain =
            |one: Entry| if one.names == ("root", "dish") { Entry { mode: 0o755, ..one.named("", "") } } else { one };
        files(version).into_iter().map(plain).collect()
    };
    let users = "groupadd --system dish
        useradd --system --gid dish --home-dir /var/lib/dish --no-create-home --shell /usr/sbin/nologin dish\n";
    let gone = "dpkg-statoverride --remove /usr/bin/dish-lock
        rm -rf /var/lib/dish /var/log/dish /var/spool/dish
        deluser --quiet --system dish\n";
    let upgraded = "[ $1 != upgrade ] || su -s /bin/sh dish -c ': >/var/spool/dish/upgraded'\n";
    let dish = |version| Package {
        name: "dish",
        version,
        depends: "plate (>= 1.0)",
        triggers: "",
        scripts: vec![
            ("preinst", format!("#!/bin/sh -e\n{upgraded}[ $1 = install ] || exit 0\n{users}")),
            ("postinst", format!("#!/bin/sh\n[ \"$1 $2\" = 'configure ' ] || exit 0\n{configure}{more}")),
            (
                "prerm",
                "#!/bin/sh -e\n[ $1 = upgrade ] || start-stop-daemon --stop --quiet --pidfile /run/dish.pid\n".into(),
            ),
            ("postrm", format!("#!/bin/sh -e\n[ $1 = purge ] || exit 0\n{gone}")),
        ],
        files: nobodys(version),
    };
    let packages = [
        Package {
            name: "plate",
            version: "1.0",
            depends: "adduser",
            triggers: "",
            scripts: vec![
                ("triggers", "interest-noawait /usr/share/dishes\n".into()),
                (
                    "postinst",
                    "#!/bin/sh -e
                    [ $1 != configure ] || adduser --quiet --system --group --home /var/lib/plate plate
                    echo /usr/share/dishes/* >/usr/share/plate/index\n"
                        .into(),
                ),
            ],
            files: vec![dir("usr/share/plate", 0o755)],
        },
        dish("1.0"),
        dish("1.1"),
    ];
    let script = format!(
        "{SHOW}; set -e; apt-get update; echo == verifier; cat /tmp/who-verifies
        echo == install; apt-get install -y dish=1.0
        echo == files; show; echo == sound; dpkg --verify; dpkg --audit; grep -v one /usr/share/plate/index || :
        stat -c '%U:%G' /var/lib/plate | grep -v plate:plate || :
        echo == next; id dish plate; apt-get install -y dish
        echo == upgraded; show; [ \"$(dish)\" = 'dish 1.1' ]
        echo == last; apt-get purge -y dish
        echo == removed; show; id -u dish 2>/dev/null || :
        echo == end"
    );
    Life { volumes: deb::repository(&Key::make(t), &t.dir.join("deb"), &packages), script }
}
