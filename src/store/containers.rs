//! Containers on disk: what they hold, what they are called, whether they live.
//!
//! A container lives while its supervisor holds the lock of `live/<id>`; locks die
//! with their holder, so that no state file has to be believed. Whoever finds a
//! `live` file that can be locked has found a container whose supervisor was
//! killed, and tidies up after it.

mod saved;
mod state;

use super::layout::write_file;
use super::locks::{self, Taken};
use super::sweep::Gone;
use super::{Patience, Store};
use crate::error::{Error, Result};
use crate::sys::cstr;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{self, Time};
use libc::{LOCK_EX, LOCK_NB, LOCK_SH, O_CREAT};
use serde_json::Value;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

pub use saved::Container;
pub use state::{ProcessId, State, Status};

/// The directory of a container and the lock that says that it lives.
pub struct Live {
    pub dir: PathBuf,
    id: String,
    lock: OwnedFd,
}

impl Store {
    /// Makes the directory of the new container `id`, with `upper`, `work` and `rootfs` in it for its root
    /// file system, and marks it as living.
    pub fn create_container(&self, id: &str, name: &str) -> Result<Live> {
        let lock = self.lock_live(id)?;
        let made = self.take_name(name, id).and_then(|()| self.make_container_dir(id));
        match made {
            Ok(dir) => Ok(Live { dir, id: id.to_owned(), lock }),
            Err(error) => {
                // What cannot be removed now still has its mark of life, by which a sweeper finds it.
                let _ = self.remove_container(id);
                Err(error)
            }
        }
    }

    fn make_container_dir(&self, id: &str) -> Result<PathBuf> {
        let dir = self.dir("containers")?.join(id);
        for path in [dir.clone(), dir.join("upper"), dir.join("work"), dir.join("rootfs")] {
            fs::mkdir(&path, 0o777)
                .and_then(|()| self.give_to_root(&path))
                .map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))?;
        }
        Ok(dir)
    }

    fn live_path(&self, id: &str) -> PathBuf {
        self.root().join("live").join(id)
    }

    /// Makes and locks `live/<id>`. A sweeper may take it in the moment between, and then it is made again.
    fn lock_live(&self, id: &str) -> Result<OwnedFd> {
        let path = self.dir("live")?.join(id);
        loop {
            if let Taken::Ours(lock) = locks::take(&path, O_CREAT, LOCK_EX)? {
                return Ok(lock);
            }
        }
    }

    /// Gives the name to the container `id`, or says who has it. A name is a symbolic link, as that is made
    /// whole in one step and refused if it is there.
    fn take_name(&self, name: &str, id: &str) -> Result<()> {
        let path = self.dir("names")?.join(name);
        match fs::symlink(id, &path) {
            Ok(()) => Ok(()),
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                let holder = self.holder(name).unwrap_or_default();
                if !holder.is_empty()
                    && ["containers", "live"].iter().any(|dir| self.root().join(dir).join(&holder).exists())
                {
                    return Err(Error::new(format_args!(
                        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have \
                         to remove (or rename) that container to be able to reuse that name."
                    )));
                }
                // Its container is gone: a removal was cut short.
                fs::unlink(&path).map_err(|error| error.renamed(format_args!("remove {}", path.display())))?;
                self.take_name(name, id)
            }
            Err(error) => Err(error.renamed(format_args!("name a container {}", path.display()))),
        }
    }

    /// Whether a container is called so.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.holder(name).is_some()
    }

    /// The id of the container that has this name.
    fn holder(&self, name: &str) -> Option<String> {
        fs::readlink(self.root().join("names").join(name)).ok()?.into_os_string().into_string().ok()
    }

    /// Writes down what a new container is made from, and its first state.
    pub fn save_container(&self, id: &str, document: &Value, state: &State) -> Result<()> {
        let dir = self.root().join("containers").join(id);
        // Not by way of a rename: half a document is taken for none, and then the container never ran.
        fs::write_file(dir.join("config.json"), document.to_string().as_bytes(), 0o666)?;
        fs::write_file(dir.join("state.json"), state.to_text().as_bytes(), 0o666)
    }

    fn state_path(&self, id: &str) -> PathBuf {
        self.root().join("containers").join(id).join("state.json")
    }

    /// Writes how far a living container has come.
    pub fn save_state(&self, live: &Live, state: &State) -> Result<()> {
        write_file(&self.state_path(&live.id), state.to_text().as_bytes())
    }

    /// Writes how a container ended, and that it lives no more.
    pub fn finish_container(&self, live: &Live, state: &State) -> Result<()> {
        self.finish(&live.id, state)
    }

    fn finish(&self, id: &str, state: &State) -> Result<()> {
        let (path, text) = (self.state_path(id), state.to_text());
        write_file(&path, text.as_bytes()).or_else(|error| {
            // On a full disk it stands where the one before has its place already.
            let before = fs::open(&cstr(&path)?, libc::O_WRONLY, 0);
            before.and_then(|file| fs::write_all(file.as_fd(), text.as_bytes())).map_err(|_| error)
        })?;
        self.unmark_live(id)
    }

    fn unmark_live(&self, id: &str) -> Result<()> {
        let path = self.live_path(id);
        match fs::unlink(&path) {
            Err(error) if error.errno() != Some(libc::ENOENT) => {
                Err(error.renamed(format_args!("remove {}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// Removes all that there is of a container, which must not be running. If it is interrupted, what is left is
    /// out of sight.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        self.put_container_away(id, None)?.remove(Patience::endless()).map(drop)
    }

    /// The same by its maker, who knows what it is called.
    pub fn remove_named(&self, id: &str, name: &str) -> Result<()> {
        self.put_container_away(id, Some(name))?.remove(Patience::endless()).map(drop)
    }

    /// Takes a container out of sight.
    fn put_container_away(&self, id: &str, name: Option<&str>) -> Result<Gone<'_>> {
        let names = match name {
            Some(name) => vec![name.to_owned()],
            // Without a document, cut short or damaged, all names have to be looked through.
            None => match self.container(id) {
                Ok(container) => vec![container.name().to_owned()],
                Err(_) => self.names_in("names").unwrap_or_default(),
            },
        };
        for name in names {
            if self.holder(&name).is_some_and(|holder| holder == id) {
                let _ = fs::unlink(self.root().join("names").join(name));
            }
        }
        let gone = self.put_away(&self.root().join("containers").join(id))?;
        self.unmark_live(id)?;
        Ok(gone)
    }

    /// What is kept about the container `id`.
    pub fn container(&self, id: &str) -> Result<Container> {
        let dir = self.root().join("containers").join(id);
        let path = dir.join("config.json");
        let document: Value = serde_json::from_slice(fs::read_text(&path)?.as_bytes()).unwrap_or_default();
        let container = if document["ccrun"].is_object() {
            let state = self.saved_state(id)?.map(|state| self.alive(id, state)).transpose()?;
            state.and_then(|state| Container::new(id, document, state))
        } else {
            let text = |path| fs::read_text(path).unwrap_or_default();
            let old = saved::of_v03(id, &document, &text(dir.join("exit.json")), &text(self.live_path(id)));
            old.and_then(|old| Some(Container { state: self.alive(id, old.state.clone()).ok()?, ..old }))
        };
        container.ok_or_else(|| {
            Error::new(format_args!("{} is damaged", path.display()))
                .hint(format_args!("ccrun rm -f {} removes the container", short(id)))
        })
    }

    /// A container whose state was lost with the machine. Its files are worth as much as before.
    fn of_damaged_state(&self, id: &str) -> Option<Container> {
        let path = self.root().join("containers").join(id).join("config.json");
        let document = serde_json::from_slice(fs::read_text(&path).ok()?.as_bytes()).ok()?;
        let began = fs::lstat(self.state_path(id)).ok()?.mtime;
        Container::new(id, document, State { created: began, ..State::default() })
    }

    /// How far the container has come.
    pub fn state(&self, id: &str) -> Result<State> {
        match self.saved_state(id)? {
            Some(state) => self.alive(id, state),
            // One of ccrun 0.3.
            None => self.container(id).map(|container| container.state),
        }
    }

    fn saved_state(&self, id: &str) -> Result<Option<State>> {
        let path = self.state_path(id);
        match fs::read_text(&path) {
            Ok(text) => State::from_text(&text).map(Some).ok_or_else(|| {
                Error::new(format_args!("{} is damaged", path.display()))
                    .hint(format_args!("ccrun rm -f {} removes the container", short(id)))
            }),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `state`, and whether the container lives. One that seems to but has no supervisor any more was killed.
    fn alive(&self, id: &str, state: State) -> Result<State> {
        // Shared, so that two who look at once do not take each other for the supervisor.
        match locks::take(&self.live_path(id), 0, LOCK_SH | LOCK_NB)? {
            Taken::Theirs => Ok(State { is_alive: true, ..state }),
            // Its supervisor was killed, or it has just ended, and what was read stood there before that.
            Taken::Ours(_) | Taken::Gone if state.is_running() => {
                let end = fs::read_text(self.state_path(id)).ok().and_then(|text| State::from_text(&text));
                Ok(end.filter(|end| end.status == Status::Exited).unwrap_or_else(|| state.killed(None)))
            }
            Taken::Ours(_) if state.status != Status::Exited => Ok(state.killed(None)),
            Taken::Ours(_) | Taken::Gone => Ok(state),
        }
    }

    /// Whether the container has a supervisor.
    pub fn is_alive(&self, id: &str) -> Result<bool> {
        Ok(matches!(locks::take(&self.live_path(id), 0, LOCK_SH | LOCK_NB)?, Taken::Theirs))
    }

    /// Waits until the container runs no more.
    pub fn wait_for_end(&self, id: &str) -> Result<()> {
        locks::take(&self.live_path(id), 0, LOCK_SH).map(drop)
    }

    /// The ids of all containers.
    pub fn container_ids(&self) -> Result<Vec<String>> {
        let mut ids = self.names_in("containers")?;
        ids.retain(|id| is_id(id));
        Ok(ids)
    }

    /// The id of the container that the user calls `word`: its id, the beginning of it, or its name.
    pub fn find_container(&self, word: &str) -> Result<String> {
        let gone = || Error::new(format_args!("No such container: {word}"));
        if word.is_empty() || word.contains('/') || word.starts_with('.') {
            return Err(gone());
        }
        if let Some(id) = self.holder(word) {
            return Ok(id);
        }
        let ids = self.container_ids()?;
        let mut found = ids.into_iter().filter(|id| id.starts_with(word));
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(Error::new(format_args!("more than one container id begins with {word}"))),
            (None, _) => Err(gone()),
        }
    }

    /// Finds the containers whose supervisor was killed, and gives each to `bury`, which removes what they
    /// have outside the store. Those started with --rm are removed, the others end with status 137. Returns the first
    /// failure, after all others have been tried.
    pub fn sweep_containers(&self, patience: Patience, bury: impl Fn(&Container)) -> Result<()> {
        let mut outcome = Ok(());
        for id in self.names_in("live")?.into_iter().filter(|id| is_id(id)) {
            // Not ours: it runs, or it has just ended in the ordinary way.
            let Ok(Taken::Ours(lock)) = locks::take(&self.live_path(&id), 0, LOCK_EX | LOCK_NB) else { continue };
            let container = self.container(&id).ok().or_else(|| self.of_damaged_state(&id));
            container.iter().for_each(&bury);
            let swept = match container {
                Some(container) if !container.is_removed() => self.finish_swept(&id, container.state),
                _ => self.remove_swept(&id, lock, patience),
            };
            outcome = outcome.and(swept);
        }
        outcome
    }

    fn finish_swept(&self, id: &str, found: State) -> Result<()> {
        let finished = found.finished.or_else(|| Some(clock()));
        let end = if found.status == Status::Exited { State { finished, ..found } } else { found.killed(finished) };
        self.finish(id, &end)
    }

    fn remove_swept(&self, id: &str, lock: OwnedFd, patience: Patience) -> Result<()> {
        let gone = self.put_container_away(id, None)?;
        // From here on nobody takes it for one that runs.
        drop(lock);
        gone.remove(patience).map(drop)
    }
}

impl Live {
    /// Gives up the mark of life early: for the child, which must not keep the lock.
    pub fn lock(&self) -> &OwnedFd {
        &self.lock
    }
}

/// Whether a name is one that a container's directory has.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The first twelve digits, as Docker shows ids.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    u64::try_from(clock().seconds).unwrap_or(0)
}

/// The present moment.
pub fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(0), nanoseconds: since.subsec_nanos() }
}
