//! Containers on disk: what they hold, what they are called, whether they live.
//!
//! A container lives while its supervisor holds the lock of `live/<id>`; locks die
//! with their holder, so that no state file has to be believed. Whoever finds a
//! `live` file that can be locked has found a container whose supervisor was
//! killed, and tidies up after it.

use super::Store;
use super::layout::write_file;
use super::locks::{self, Taken};
use crate::error::{Error, Result};
use libc::{LOCK_EX, LOCK_NB, LOCK_SH, O_CREAT};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is kept about a container beside its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_id: Option<String>,
    pub command: Vec<String>,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether it is to be removed when it ends.
    pub remove: bool,
    /// The cgroup directories that were made for it.
    pub cgroup: Vec<PathBuf>,
    pub stop_signal: Option<String>,
    /// Whether PID 1 is ccrun, and the command its child.
    pub init: bool,
    /// The names of the volumes that are mounted into it.
    pub volumes: Vec<String>,
}

/// How far a container has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// With its exit status, and when that was (seconds since 1970).
    Exited {
        code: u8,
        finished: u64,
    },
}

/// The directory of a container and the lock that says that it lives.
pub struct Live {
    pub dir: PathBuf,
    lock: OwnedFd,
}

impl Store {
    /// Makes the directory of the new container `id`, with `upper`, `work` and `rootfs` in it for its root
    /// file system, and marks it as living.
    pub fn create_container(&self, id: &str, name: &str) -> Result<Live> {
        let lock = self.lock_live(id)?;
        let made = self.take_name(name, id).and_then(|()| self.make_container_dir(id));
        match made {
            Ok(dir) => Ok(Live { dir, lock }),
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
            std::fs::create_dir(&path)
                .and_then(|()| self.give_to_root(&path))
                .map_err(|e| Error::io(format!("make the directory {}", path.display()), &e))?;
        }
        Ok(dir)
    }

    fn live_path(&self, id: &str) -> Result<PathBuf> {
        Ok(self.dir("live")?.join(id))
    }

    /// Makes and locks `live/<id>`. A sweeper may take it in the moment between, and then it is made again.
    fn lock_live(&self, id: &str) -> Result<OwnedFd> {
        let path = self.live_path(id)?;
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
        match std::os::unix::fs::symlink(id, &path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let holder = self.holder(name).unwrap_or_default();
                if !holder.is_empty()
                    && ["containers", "live"].iter().any(|dir| self.root().join(dir).join(&holder).exists())
                {
                    return Err(Error::new(format!(
                        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have \
                         to remove (or rename) that container to be able to reuse that name."
                    )));
                }
                // Its container is gone: a removal was cut short.
                std::fs::remove_file(&path).map_err(|e| Error::io(format!("remove {}", path.display()), &e))?;
                self.take_name(name, id)
            }
            Err(error) => Err(Error::io(format!("name a container {}", path.display()), &error)),
        }
    }

    /// Whether a container is called so.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.holder(name).is_some()
    }

    /// The id of the container that has this name.
    fn holder(&self, name: &str) -> Option<String> {
        std::fs::read_link(self.root().join("names").join(name)).ok()?.into_os_string().into_string().ok()
    }

    pub fn save_record(&self, record: &Record) -> Result<()> {
        let path = self.root().join("containers").join(&record.id).join("config.json");
        // Not by way of a rename: half a record is taken for none, and then the container never ran.
        std::fs::write(&path, record.to_json().to_string())
            .map_err(|e| Error::io(format!("write {}", path.display()), &e))
    }

    /// Writes how the container ended, and that it lives no more.
    pub fn finish_container(&self, id: &str, code: u8) -> Result<()> {
        let path = self.dir("containers")?.join(id).join("exit.json");
        write_file(&path, json!({ "code": code, "finished": now() }).to_string().as_bytes())?;
        self.unmark_live(id)
    }

    fn unmark_live(&self, id: &str) -> Result<()> {
        let path = self.live_path(id)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes all that there is of a container, which must not be running.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        let dir = self.dir("containers")?.join(id);
        // Without a record, cut short or damaged, all names have to be looked through.
        let names = self.record(id).map_or_else(|_| list(&self.root().join("names")), |record| Ok(vec![record.name]));
        for name in names.unwrap_or_default() {
            if self.holder(&name).is_some_and(|holder| holder == id) {
                let _ = std::fs::remove_file(self.root().join("names").join(name));
            }
        }
        // Overlay leaves this one with mode 0; empty, it can be removed all the same.
        let _ = std::fs::remove_dir(dir.join("work/work"));
        self.remove_tree(&dir)?;
        self.unmark_live(id)
    }

    /// What is kept about the container `id`.
    pub fn record(&self, id: &str) -> Result<Record> {
        let path = self.root().join("containers").join(id).join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(format!("read {}", path.display()), &e))?;
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        Record::from_json(id, &value).ok_or_else(|| {
            Error::new(format!("{} is damaged", path.display()))
                .hint(format!("ccrun rm -f {} removes the container", short(id)))
        })
    }

    /// Whether the container runs, and how it ended if not.
    pub fn container_state(&self, id: &str) -> Result<State> {
        // Shared, so that two who look at once do not take each other for the supervisor.
        if let Taken::Theirs = locks::take(&self.live_path(id)?, 0, LOCK_SH | LOCK_NB)? {
            return Ok(State::Running);
        }
        let path = self.root().join("containers").join(id).join("exit.json");
        let value: Value =
            std::fs::read_to_string(path).ok().and_then(|t| serde_json::from_str(&t).ok()).unwrap_or(Value::Null);
        let code = value["code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(137);
        Ok(State::Exited { code, finished: value["finished"].as_u64().unwrap_or(0) })
    }

    /// Who runs the container, which must be found [`State::Running`] after this for it to mean anything.
    pub fn container_processes(&self, id: &str) -> Result<Option<Processes>> {
        let text = std::fs::read_to_string(self.live_path(id)?).unwrap_or_default();
        let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
        Ok(numbers.next().zip(numbers.next()).map(|(supervisor, init)| Processes { supervisor, init }))
    }

    /// Waits until the container runs no more.
    pub fn wait_for_end(&self, id: &str) -> Result<()> {
        locks::take(&self.live_path(id)?, 0, LOCK_SH).map(drop)
    }

    /// The ids of all containers.
    pub fn container_ids(&self) -> Result<Vec<String>> {
        list(&self.dir("containers")?)
    }

    /// The id of the container that the user calls `word`: its id, the beginning of it, or its name.
    pub fn find_container(&self, word: &str) -> Result<String> {
        let gone = || Error::new(format!("No such container: {word}"));
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
            (Some(_), Some(_)) => Err(Error::new(format!("more than one container id begins with {word}"))),
            (None, _) => Err(gone()),
        }
    }

    /// Finds the containers whose supervisor was killed, and gives each to `bury`, which removes what they
    /// have outside the store. Those started with --rm are removed, the others end with status 137.
    pub fn sweep_containers(&self, bury: impl Fn(&Record)) -> Result<()> {
        for id in list(&self.dir("live")?)? {
            // Not ours: it runs, or it has just ended in the ordinary way.
            let Ok(Taken::Ours(_lock)) = locks::take(&self.live_path(&id)?, 0, LOCK_EX | LOCK_NB) else { continue };
            match self.record(&id) {
                Ok(record) => {
                    bury(&record);
                    if record.remove { self.remove_container(&id)? } else { self.finish_container(&id, 137)? }
                }
                Err(_) => self.remove_container(&id)?,
            }
        }
        Ok(())
    }
}

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes {
    pub supervisor: i32,
    /// The container's PID 1, as the host sees it.
    pub init: i32,
}

impl Live {
    /// Notes who runs it, for whoever wants to end it.
    pub fn note(&self, processes: Processes) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let text = format!("{} {}\n", processes.supervisor, processes.init);
        let file = std::fs::File::from(self.lock.try_clone().map_err(|e| Error::io("dup", &e))?);
        file.write_all_at(text.as_bytes(), 0).map_err(|e| Error::io("write who runs the container", &e))
    }

    /// Gives up the mark of life early: for the child, which must not keep the lock.
    pub fn lock(&self) -> &OwnedFd {
        &self.lock
    }
}

impl Record {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "image": self.image, "imageId": self.image_id,
            "command": self.command, "created": self.created, "remove": self.remove,
            "cgroup": self.cgroup.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "stopSignal": self.stop_signal, "init": self.init, "volumes": self.volumes,
        })
    }

    fn from_json(id: &str, value: &Value) -> Option<Record> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let texts =
            |name: &str| value[name].as_array().map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned));
        Some(Record {
            id: text("id").filter(|own| own == id)?,
            name: text("name")?,
            image: text("image")?,
            image_id: text("imageId"),
            command: texts("command")?.collect(),
            created: value["created"].as_u64()?,
            remove: value["remove"].as_bool()?,
            cgroup: texts("cgroup")?.map(PathBuf::from).collect(),
            stop_signal: text("stopSignal"),
            init: value["init"].as_bool().unwrap_or(true),
            volumes: texts("volumes").into_iter().flatten().collect(),
        })
    }
}

/// The first twelve digits, as Docker shows ids.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn list(dir: &std::path::Path) -> Result<Vec<String>> {
    let failed = |e| Error::io(format!("read {}", dir.display()), &e);
    let names = std::fs::read_dir(dir).map_err(failed)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_disk_and_a_damaged_one_is_none() {
        let record = Record {
            id: "ab".into(),
            name: "n".into(),
            image: "alpine".into(),
            command: vec!["sh".into()],
            cgroup: vec!["/sys/fs/cgroup/x".into()],
            ..Record::default()
        };
        let json = record.to_json();
        assert_eq!(Record::from_json("ab", &json), Some(record));
        assert_eq!(Record::from_json("other", &json), None);
        for damaged in ["null", "[]", "{}", r#"{"id":"ab","name":7}"#] {
            assert_eq!(Record::from_json("ab", &serde_json::from_str(damaged).unwrap()), None, "{damaged}");
        }
    }
}
