//! Hooks: programs to be run at points of a container's life (config.md, "POSIX-platform Hooks").

use super::object::{Absolute, object};

object! {
    pub struct Hook {
        path: Absolute = "path",
        args: Vec<String> = "args",
        env: Vec<String> = "env",
        /// In seconds.
        timeout: Option<i64> = "timeout",
    }
    #[derive(Default)]
    pub struct Hooks {
        prestart: Vec<Hook> = "prestart",
        create_runtime: Vec<Hook> = "createRuntime",
        create_container: Vec<Hook> = "createContainer",
        start_container: Vec<Hook> = "startContainer",
        poststart: Vec<Hook> = "poststart",
        poststop: Vec<Hook> = "poststop",
    }
}

impl Hooks {
    /// The kinds of which there are some, by their names.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ];
        all.into_iter().filter(|(_, hooks)| !hooks.is_empty()).map(|(kind, _)| kind)
    }
}
