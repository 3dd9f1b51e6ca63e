//! Which distribution this is (os-release(5)), and what installs a program there.

/// How packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Apk,
    Dnf,
    Pacman,
    Zypper,
}

pub struct Distribution(Option<Manager>);

impl Distribution {
    pub fn of_host() -> Distribution {
        let text =
            ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| std::fs::read_to_string(path).ok());
        Distribution::of(&text.unwrap_or_default())
    }

    /// Its own name counts before those that it is like.
    fn of(os_release: &str) -> Distribution {
        let value = |name: &str| {
            let lines = os_release.lines().rev();
            let value = lines.filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).next();
            value.unwrap_or_default().trim_matches(['"', '\'']).to_ascii_lowercase()
        };
        let names = value("ID") + " " + &value("ID_LIKE");
        Distribution(names.split_whitespace().find_map(|name| match name {
            "debian" | "ubuntu" | "raspbian" => Some(Manager::Apt),
            "alpine" | "postmarketos" => Some(Manager::Apk),
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "amzn" => Some(Manager::Dnf),
            "arch" | "archarm" | "manjaro" => Some(Manager::Pacman),
            "suse" | "sles" => Some(Manager::Zypper),
            name if name.starts_with("opensuse") => Some(Manager::Zypper),
            _ => None,
        }))
    }

    /// The command that brings `program`; none where nobody knows.
    pub fn install(&self, program: &str) -> Option<String> {
        let manager = self.0?;
        let package = match (program, manager) {
            ("newuidmap", Manager::Apt) => "uidmap",
            ("newuidmap", Manager::Apk) => "shadow-subids",
            ("newuidmap", Manager::Dnf) => "shadow-utils",
            ("newuidmap", _) => "shadow",
            ("apparmor_parser", _) => "apparmor",
            (program, _) => program,
        };
        let command = match manager {
            Manager::Apt => "apt-get install",
            Manager::Apk => "apk add",
            Manager::Dnf => "dnf install",
            Manager::Pacman => "pacman -S",
            Manager::Zypper => "zypper install",
        };
        Some(format!("{command} {package}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distribution_has_its_command() {
        for (os_release, command) in [
            ("NAME=\"Debian GNU/Linux\"\nID=debian\n", "apt-get install uidmap"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install uidmap"),
            ("ID=alpine\n", "apk add shadow-subids"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install shadow-utils"),
            ("ID=arch\n", "pacman -S shadow"),
            ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", "zypper install shadow"),
        ] {
            assert_eq!(Distribution::of(os_release).install("newuidmap").as_deref(), Some(command), "{os_release}");
        }
        assert_eq!(Distribution::of("ID=fedora\n").install("curl").as_deref(), Some("dnf install curl"));
        for unknown in ["", "ID=mine\n", "ID_LIKE=\n"] {
            assert_eq!(Distribution::of(unknown).install("curl"), None, "{unknown}");
        }
    }
}
