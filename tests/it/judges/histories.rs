//! Images by chance: directories whose files come, change their kind and go, layer after layer.

use crate::image::{Image, Layer};
use crate::random::Random;
use crate::tar::{Entry, Tar, entry};
use std::collections::BTreeMap;

const DIRECTORIES: usize = 40;
const LAYERS: usize = 6;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What lies in one of the directories: `a`, `a/x`, …, and whether it is a directory.
type State = BTreeMap<String, bool>;

/// An image of several layers. With `again`, layers also remove what they make anew: a whiteout, and then an entry of
/// that name, which Docker takes for a change of what is below.
pub fn image(random: &mut Random, again: bool) -> Image {
    let mut states = vec![State::new(); DIRECTORIES];
    let mut layers = Vec::new();
    for _ in 0..LAYERS {
        let mut tar = Tar::new().dir("etc", 0o755);
        for (n, state) in states.iter_mut().enumerate() {
            let dir = format!("d{n}");
            let mut writer = Writer { tar: tar.dir(&dir, 0o755), dir, state, files: Vec::new(), random, again };
            NAMES.iter().for_each(|name| writer.change(name));
            tar = writer.tar;
        }
        layers.push(Layer::gzip(tar.finish()));
    }
    Image::new(layers)
}

/// Writes what one layer does to one directory.
struct Writer<'a> {
    tar: Tar,
    dir: String,
    state: &'a mut State,
    /// Files that this layer has here, to be linked to.
    files: Vec<String>,
    random: &'a mut Random,
    again: bool,
}

impl Writer<'_> {
    fn change(&mut self, name: &str) {
        let was = self.state.get(name).copied();
        if was.is_some() && self.random.below(8) == 0 {
            self.whiteout(name);
            if !self.again || self.random.below(2) == 0 {
                return;
            }
        }
        match self.random.below(12) {
            0 | 1 => self.leaf(name),
            2..=4 => self.directory(name, false),
            5 if was == Some(true) => self.directory(name, true),
            _ => {}
        }
    }

    fn leaf(&mut self, name: &str) {
        self.forget(name);
        self.state.insert(name.to_owned(), false);
        let path = format!("{}/{name}", self.dir);
        let target = self.files.get(self.random.below(4)).cloned();
        let one = match (self.random.below(5), target) {
            (0, _) => Entry { link: b"somewhere".to_vec(), ..entry(&path, b'2', 0o777) },
            (1, _) => entry(&path, b'6', 0o640),
            (2, Some(target)) => {
                self.tar = std::mem::take(&mut self.tar).hardlink(&path, &target);
                return;
            }
            (kind, _) => {
                let content = format!("{}", self.random.below(1000));
                // What hard links tell of them is what they are.
                let mode = if kind == 3 { 0o644 } else { 0o600 };
                if kind == 3 {
                    self.files.push(path.clone());
                }
                Entry { data: content.into_bytes(), ..entry(&path, b'0', mode) }
            }
        };
        self.tar = std::mem::take(&mut self.tar).entry(&one);
    }

    /// A directory, with changes in it; `opaque` hides what the layers below have there.
    fn directory(&mut self, name: &str, opaque: bool) {
        if self.state.get(name) == Some(&false) || opaque {
            self.forget(name);
        }
        self.state.insert(name.to_owned(), true);
        let path = format!("{}/{name}", self.dir);
        let modes = [0o755, 0o700, 0o1777, 0o500];
        self.tar = std::mem::take(&mut self.tar).dir(&path, *self.random.of(&modes));
        let early = self.random.below(2) == 0;
        let mark = |tar: &mut Tar| *tar = std::mem::take(tar).file(&format!("{path}/.wh..wh..opq"), 0, "");
        if opaque && early {
            mark(&mut self.tar);
        }
        for inner in ["x", "y"].map(|inner| format!("{name}/{inner}")) {
            match self.random.below(6) {
                0 | 1 => self.leaf(&inner),
                2 if name.len() < 4 => self.directory(&inner, false),
                3 if self.state.contains_key(&inner) => self.whiteout(&inner),
                _ => {}
            }
        }
        if opaque && !early {
            mark(&mut self.tar);
        }
    }

    fn whiteout(&mut self, name: &str) {
        self.forget(name);
        let (parent, last) = name.rsplit_once('/').map_or(("", name), |(parent, last)| (parent, last));
        self.tar = std::mem::take(&mut self.tar).file(&format!("{}/{parent}/.wh.{last}", self.dir), 0, "");
    }

    fn forget(&mut self, name: &str) {
        let below = format!("{name}/");
        self.state.retain(|path, _| path != name && !path.starts_with(&below));
    }
}
