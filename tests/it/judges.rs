//! The same images by ccrun and by the programs that people use today: the trees
//! must be the same, file by file. Where they differ on purpose, the reason stands here.

mod engine;
mod nasty;
pub mod tree;

use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox};
use crate::{cases, skip, users};
use engine::Engine;
use std::time::SystemTime;
use tree::Tree;

cases! {
    Every:
        umoci_makes_the_same_tree;
    Root:
        docker_makes_the_same_trees,
}

/// What every container runtime puts into a container's tree.
const RUNTIMES: &[&str] =
    &["/dev", "/proc", "/sys", "/it", "/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"];

/// An image, pushed, and what ccrun makes of it.
struct Pulled {
    name: String,
    tree: Tree,
    start: SystemTime,
}

impl Pulled {
    fn new(t: &Sandbox, registry: &Registry, repository: &str, image: &Image) -> Pulled {
        let start = SystemTime::now();
        registry.push(repository, "v1", image);
        let name = format!("{}/{repository}:v1", registry.host);
        let mount = format!("{}:/it:ro", t.it);
        let run = ["run", "--rm", "-v", &mount, &name, "/it", "--inside", "tree", "/"];
        let out = t.ccrun(&run).timeout(120).ok();
        Pulled { name, tree: image_only(&out.stdout, start), start }
    }

    /// What Docker makes of it.
    fn by_docker(&self, t: &Sandbox, engine: &Engine) -> Tree {
        let mount = format!("{}:/it:ro", t.it);
        engine.docker(&["pull", "-q", &self.name]).ok();
        let run = ["run", "--rm", "--network", "none", "-v", &mount, &self.name, "/it", "--inside", "tree", "/"];
        image_only(&engine.docker(&run).ok().stdout, self.start)
    }

    /// What umoci makes of the same image, as the root of all ids that this user has.
    fn by_umoci(&self, t: &Sandbox, image: &Image) -> Tree {
        if !users::have("umoci") {
            skip!("umoci is not installed");
        }
        let layout = format!("layout-{}", self.name.rsplit('/').next().unwrap_or_default().replace(':', "-"));
        image.write_layout(&t.dir.join(&layout));
        let script =
            format!("umoci unpack --image {layout}:v1 {layout}-out && {} --inside tree {layout}-out/rootfs", t.it);
        let script: &[&str] = &["sh", "-c", &script];
        let map: &[&str] = match t.mode {
            Mode::Root => &[],
            Mode::Subuid => &["unshare", "--map-root-user", "--map-auto"],
            Mode::Nosubuid => &["unshare", "--map-root-user"],
        };
        let words = [map, script].concat();
        image_only(&t.command(words[0], &words[1..]).timeout(120).ok().stdout, self.start)
    }

    /// The trees are the same but for `known` differences (`PATH FIELD`), and those are there.
    fn agrees(&self, with: &str, judge: &Tree, known: &[&str]) {
        let is = |line: &str, known: &str| line.strip_prefix(known).is_some_and(|rest| rest.starts_with(": "));
        let differences = self.tree.differences(judge);
        let unknown: Vec<_> = differences.iter().filter(|line| !known.iter().any(|known| is(line, known))).collect();
        assert!(unknown.is_empty(), "{} and {with} differ (ccrun's first):\n{unknown:#?}", self.name);
        let gone: Vec<_> = known.iter().filter(|known| !differences.iter().any(|line| is(line, known))).collect();
        assert!(gone.is_empty(), "{} and {with} do not differ any more:\n{gone:#?}", self.name);
    }
}

/// A tree without what a runtime adds, and without the times that this changes.
fn image_only(text: &str, start: SystemTime) -> Tree {
    Tree::parse(text).without(RUNTIMES).without_field("/", "mtime").without_field("/etc", "mtime").made_since(start)
}

fn umoci_makes_the_same_tree(t: &Sandbox) {
    let registry = Registry::open();
    let image = nasty::image(t);
    let pulled = Pulled::new(t, &registry, "some/nasty", &image);
    pulled.agrees("umoci", &pulled.by_umoci(t, &image), &[]);
}

fn docker_makes_the_same_trees(t: &Sandbox) {
    let engine = Engine::start(t);
    let registry = Registry::open();
    let image = nasty::image(t).layer(nasty::from_former_days()).docker();
    let pulled = Pulled::new(t, &registry, "some/nasty", &image);
    pulled.agrees("Docker", &pulled.by_docker(t, &engine), &[]);
}
