//! Which files may hold credentials, and in which order they count.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The files of one user.
pub struct AuthFiles {
    /// `$REGISTRY_AUTH_FILE`: then it is the only one, as for podman.
    only: Option<PathBuf>,
    podman: Vec<PathBuf>,
    docker: Option<PathBuf>,
    /// What Docker wrote before 2015.
    dockercfg: Option<PathBuf>,
}

impl AuthFiles {
    /// By the user's environment and id (containers-auth.json(5)).
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, uid: u32) -> AuthFiles {
        let dir = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = dir("HOME");
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let runtime = dir("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/containers/{uid}").into());
        // The directory of podman's that stands in for a missing $XDG_RUNTIME_DIR has no `containers` in it.
        let runtime = if dir("XDG_RUNTIME_DIR").is_some() { runtime.join("containers") } else { runtime };
        let config = dir("XDG_CONFIG_HOME").or_else(|| below_home(".config")).map(|dir| dir.join("containers"));
        AuthFiles {
            only: dir("REGISTRY_AUTH_FILE"),
            podman: std::iter::once(runtime).chain(config).map(|dir| dir.join("auth.json")).collect(),
            docker: dir("DOCKER_CONFIG").or_else(|| below_home(".docker")).map(|dir| dir.join("config.json")),
            dockercfg: below_home(".dockercfg"),
        }
    }

    /// Where credentials may be, the place that counts most first.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.only {
            Some(only) => vec![only.clone()],
            None => self.podman.iter().chain(&self.docker).chain(&self.dockercfg).cloned().collect(),
        }
    }

    /// Where `login` puts credentials for a registry that nothing is known of.
    pub fn for_login(&self) -> Option<&Path> {
        self.only.as_deref().or(self.docker.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(variables: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let auth_files = AuthFiles::new(variable, 7);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        (auth_files.files().iter().map(|path| text(path)).collect(), auth_files.for_login().map(text))
    }

    #[test]
    fn the_order_is_podmans() {
        let (all, login) = files(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/7")]);
        let podman = ["/run/user/7/containers/auth.json", "/h/.config/containers/auth.json"];
        assert_eq!(all, [&podman[..], &["/h/.docker/config.json", "/h/.dockercfg"]].concat());
        assert_eq!(login.unwrap(), "/h/.docker/config.json");
        let (all, login) = files(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("XDG_CONFIG_HOME", "/c")]);
        let podman = ["/run/containers/7/auth.json", "/c/containers/auth.json"];
        assert_eq!(all, [&podman[..], &["/d/config.json", "/h/.dockercfg"]].concat());
        assert_eq!(login.unwrap(), "/d/config.json");
    }

    #[test]
    fn a_file_that_is_named_is_the_only_one() {
        let (all, login) = files(&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/a.json"), ("DOCKER_CONFIG", "/d")]);
        assert_eq!((all, login.unwrap()), (vec!["/a.json".to_owned()], "/a.json".to_owned()));
        let (all, login) = files(&[("REGISTRY_AUTH_FILE", ""), ("HOME", "")]);
        assert_eq!((all, login), (vec!["/run/containers/7/auth.json".to_owned()], None));
    }
}
