//! Containers on disk: their files, their names, and whether they are alive.
//!
//! A container is alive while its supervisor holds the lock of `live/<id>`. Locks end with their process, so no state
//! file has to be trusted. A `live` file that can be locked belongs to a container whose supervisor was killed: the next
//! command cleans up after it.

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
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use saved::Container;
pub use state::{ProcessId, State, Status};

/// A live container: its directory, and the lock that marks it as alive.
pub struct Live {
    pub dir: PathBuf,
    id: String,
    lock: OwnedFd,
}

impl Store {
    /// Makes the directory of the new container `id`, with `upper`, `work` and `rootfs` for its root file system, and
    /// marks it as alive.
    pub fn create_container(&self, id: &str, name: &str) -> Result<Live> {
        let lock = self.lock_live(id)?;
        let made = self.take_name(name, id).and_then(|()| self.make_container_dir(id));
        match made {
            Ok(dir) => Ok(Live { dir, id: id.to_owned(), lock }),
            Err(error) => {
                // If this fails, `live/<id>` is still there, and a sweep finds it.
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

    /// The directory of the container `id`.
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.root().join("containers").join(id)
    }

    fn document_path(&self, id: &str) -> PathBuf {
        self.container_dir(id).join("config.json")
    }

    fn state_path(&self, id: &str) -> PathBuf {
        self.container_dir(id).join("state.json")
    }

    fn live_path(&self, id: &str) -> PathBuf {
        self.root().join("live").join(id)
    }

    /// Makes and locks `live/<id>`. Makes it again if a sweep removes it before it is locked.
    fn lock_live(&self, id: &str) -> Result<OwnedFd> {
        let path = self.dir("live")?.join(id);
        loop {
            if let Taken::Ours(lock) = locks::take(&path, O_CREAT, LOCK_EX)? {
                return Ok(lock);
            }
        }
    }

    /// Gives the name to the container `id`; the error names the container that has it. A name is a symbolic link, which
    /// is made atomically and never replaces another.
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
                // Its container is gone: a removal was interrupted.
                fs::unlink(&path).map_err(|error| error.renamed(format_args!("remove {}", path.display())))?;
                self.take_name(name, id)
            }
            Err(error) => Err(error.renamed(format_args!("name a container {}", path.display()))),
        }
    }

    /// Whether a container has this name.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.holder(name).is_some()
    }

    /// The id of the container that has this name.
    fn holder(&self, name: &str) -> Option<String> {
        fs::readlink(self.root().join("names").join(name)).ok()?.into_os_string().into_string().ok()
    }

    /// Writes the document of a new container, and its first state.
    pub fn save_container(&self, id: &str, document: &Value, state: &State) -> Result<()> {
        // Without a rename: half a document counts as none, and such a container has never run.
        fs::write_file(self.document_path(id), document.to_string().as_bytes(), 0o666)?;
        fs::write_file(self.state_path(id), state.to_text().as_bytes(), 0o666)
    }

    /// Writes the state of a live container.
    pub fn save_state(&self, live: &Live, state: &State) -> Result<()> {
        write_file(&self.state_path(&live.id), state.to_text().as_bytes())
    }

    /// Writes the last state of a container, and unmarks it as alive.
    pub fn finish_container(&self, live: &Live, state: &State) -> Result<()> {
        self.finish(&live.id, state)
    }

    fn finish(&self, id: &str, state: &State) -> Result<()> {
        let (path, text) = (self.state_path(id), state.to_text());
        write_file(&path, text.as_bytes()).or_else(|error| {
            // On a full disk, overwrite the old state: that needs no new space. Only the first line of the file counts.
            let old = fs::open(&cstr(&path)?, libc::O_WRONLY, 0);
            old.and_then(|old| fs::write_all(old.as_fd(), text.as_bytes())).map_err(|_| error)
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

    /// Removes a container, which must not be running. If interrupted, it is no longer visible, and a sweep removes the
    /// rest.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        self.put_container_away(id, None)?.remove(Patience::endless()).map(drop)
    }

    /// The same as [`Store::remove_container`], where the container's name is known.
    pub fn remove_named(&self, id: &str, name: &str) -> Result<()> {
        self.put_container_away(id, Some(name))?.remove(Patience::endless()).map(drop)
    }

    /// Makes a container invisible, to be removed.
    fn put_container_away(&self, id: &str, name: Option<&str>) -> Result<Gone<'_>> {
        let names = match name {
            // It may have got another one since.
            Some(name) if self.holder(name).is_some_and(|holder| holder == id) => vec![name.to_owned()],
            // Without a document, cut short or damaged, all names have to be looked through.
            _ => match self.container(id) {
                Ok(container) => vec![container.name().to_owned()],
                Err(_) => self.names_in("names").unwrap_or_default(),
            },
        };
        for name in names {
            if self.holder(&name).is_some_and(|holder| holder == id) {
                let _ = fs::unlink(self.root().join("names").join(name));
            }
        }
        let gone = self.put_away(&self.container_dir(id))?;
        self.unmark_live(id)?;
        Ok(gone)
    }

    /// Reads the document and the state of the container `id`.
    pub fn container(&self, id: &str) -> Result<Container> {
        let path = self.document_path(id);
        let document: Value = serde_json::from_slice(fs::read_text(&path)?.as_bytes()).unwrap_or_default();
        let container = if document["ccrun"].is_object() {
            let state = self.saved_state(id)?.map(|state| self.alive(id, state)).transpose()?;
            state.and_then(|state| Container::new(id, document, state))
        } else {
            let text = |path| fs::read_text(path).unwrap_or_default();
            let old = saved::of_v03(
                id,
                &document,
                &text(self.container_dir(id).join("exit.json")),
                &text(self.live_path(id)),
            );
            old.and_then(|old| Some(Container { state: self.alive(id, old.state.clone()).ok()?, ..old }))
        };
        container.ok_or_else(|| damaged(&path, id))
    }

    /// Reads a container whose state file is damaged, as after a power failure. Its other files may still be of use.
    fn of_damaged_state(&self, id: &str) -> Option<Container> {
        let path = self.document_path(id);
        let document = serde_json::from_slice(fs::read_text(&path).ok()?.as_bytes()).ok()?;
        let created = fs::lstat(self.state_path(id)).ok()?.mtime;
        Container::new(id, document, State { created, ..State::default() })
    }

    /// Reads the state of the container `id`.
    pub fn state(&self, id: &str) -> Result<State> {
        match self.saved_state(id)? {
            Some(state) => self.alive(id, state),
            // A container of ccrun 0.3.
            None => self.container(id).map(|container| container.state),
        }
    }

    fn saved_state(&self, id: &str) -> Result<Option<State>> {
        let path = self.state_path(id);
        match fs::read_text(&path) {
            Ok(text) => State::from_text(&text).map(Some).ok_or_else(|| damaged(&path, id)),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns `state` with `is_alive` set. A container that should be running but has no supervisor was killed.
    fn alive(&self, id: &str, state: State) -> Result<State> {
        // A shared lock, so that two readers do not take each other for the supervisor.
        match locks::take(&self.live_path(id), 0, LOCK_SH | LOCK_NB)? {
            Taken::Theirs => Ok(State { is_alive: true, ..state }),
            // Its supervisor was killed, or it has just ended, and `state` is out of date.
            Taken::Ours(_) | Taken::Gone if state.is_running() => {
                let end = fs::read_text(self.state_path(id)).ok().and_then(|text| State::from_text(&text));
                Ok(end.filter(|end| end.status == Status::Exited).unwrap_or_else(|| state.killed(None)))
            }
            Taken::Ours(_) if state.status != Status::Exited => Ok(state.killed(None)),
            Taken::Ours(_) | Taken::Gone => Ok(state),
        }
    }

    /// Whether the container's supervisor is alive.
    pub fn is_alive(&self, id: &str) -> Result<bool> {
        Ok(matches!(locks::take(&self.live_path(id), 0, LOCK_SH | LOCK_NB)?, Taken::Theirs))
    }

    /// Waits until the container runs no more. Its last state, which its supervisor leaves where the mark of life is if
    /// nothing else is kept.
    pub fn wait_for_end(&self, id: &str) -> Result<State> {
        let opened = cstr(self.live_path(id)).and_then(|path| fs::open(&path, libc::O_RDWR | libc::O_NOFOLLOW, 0));
        if let Ok(live) = opened {
            fs::flock(live.as_fd(), LOCK_SH)?;
            let text = fs::read_to_end(live.as_fd(), usize::MAX)?;
            if let Some(end) = State::from_text(&String::from_utf8_lossy(&text)) {
                return Ok(end);
            }
        }
        self.state(id)
    }

    /// Gives the container another name.
    pub fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        let mut container = self.container(id)?;
        let old = container.name().to_owned();
        self.take_name(name, id)?;
        container.document["ccrun"]["name"] = name.into();
        let path = self.document_path(id);
        let text = container.document.to_string();
        if let Err(error) = write_file(&path, text.as_bytes()) {
            let _ = fs::unlink(self.root().join("names").join(name));
            return Err(error);
        }
        let _ = fs::unlink(self.root().join("names").join(old));
        Ok(())
    }

    /// The ids of all containers.
    pub fn container_ids(&self) -> Result<Vec<String>> {
        let mut ids = self.names_in("containers")?;
        ids.retain(|id| is_id(id));
        Ok(ids)
    }

    /// Finds the container that the user calls `word`: its id, the beginning of its id, or its name.
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

    /// Cleans up after containers whose supervisor was killed: calls `clean_up`, which removes what they have outside the
    /// store, removes those started with --rm, and gives the others the status 137. Tries all of them; returns the first
    /// error.
    pub fn sweep_containers(&self, patience: Patience, clean_up: impl Fn(&Container)) -> Result<()> {
        let mut outcome = Ok(());
        for id in self.names_in("live")?.into_iter().filter(|id| is_id(id)) {
            // Otherwise it is running, or it has just ended normally.
            let Ok(Taken::Ours(lock)) = locks::take(&self.live_path(&id), 0, LOCK_EX | LOCK_NB) else { continue };
            let container = self.container(&id).ok().or_else(|| self.of_damaged_state(&id));
            container.iter().for_each(&clean_up);
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
        // It is no longer visible, and so nobody takes it for a running one.
        drop(lock);
        gone.remove(patience).map(drop)
    }
}

impl Live {
    /// Leaves the last state for those who wait, where all else of the container goes.
    pub fn leave_state(&self, state: &State) -> Result<()> {
        fs::write_all(self.lock.as_fd(), state.to_text().as_bytes())
    }

    /// Gives up the mark of life early: for the child, which must not keep the lock.
    pub fn lock(&self) -> &OwnedFd {
        &self.lock
    }
}

fn damaged(path: &Path, id: &str) -> Error {
    Error::new(format_args!("{} is damaged", path.display()))
        .hint(format_args!("ccrun rm -f {} removes the container", short(id)))
}

/// Whether `name` is a container id.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The first twelve digits of an id, as Docker shows ids.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    u64::try_from(clock().seconds).unwrap_or(0)
}

/// The current time.
pub fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(0), nanoseconds: since.subsec_nanos() }
}
