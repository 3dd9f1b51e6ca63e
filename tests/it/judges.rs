//! The same images by ccrun and by the programs that people use today: the trees
//! must be the same, file by file. Where they differ on purpose, the reason stands here.

pub mod debian;
pub mod distribution;
pub mod engine;
mod histories;
pub mod nasty;
pub mod tree;
pub mod walls;

use crate::image::{Image, Layer};
use crate::random::Random;
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox};
use crate::{cases, skip, users};
use engine::Engine;
use std::time::SystemTime;
use tree::Tree;

cases! {
    Root:
        docker_makes_the_same_trees,
        podman_makes_the_same_tree,
        umoci_makes_the_same_of_histories;
    Every:
        umoci_makes_the_same_tree,
        a_hundred_layers_are_one_tree,
        gnu_tar_makes_the_same_of_its_sparse_files,
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
        let rootless = if t.mode == Mode::Nosubuid { "--rootless" } else { "" };
        let script = format!(
            "umoci unpack {rootless} --image {layout}:v1 {layout}-out && {} --inside tree {layout}-out/rootfs",
            t.it
        );
        let script: &[&str] = &["sh", "-c", &script];
        let map: &[&str] = match t.mode {
            Mode::Root => &[],
            Mode::Subuid => &["unshare", "--map-root-user", "--map-auto"],
            Mode::Nosubuid => &["unshare", "--map-root-user"],
        };
        let words = [map, script].concat();
        image_only(&t.command(words[0], &words[1..]).timeout(120).ok().stdout, self.start)
    }

    /// Without times: those of directories are each tool's own affair when a layer says nothing of them.
    fn timeless(self) -> Pulled {
        Pulled { tree: self.tree.without_field("", "mtime"), ..self }
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

/// Only the host's root can make devices; for others they are in the layer's record alone.
const DEVICES: [&str; 2] = ["/k/disk type", "/k/null type"];
/// A link to a file of a layer below is a copy of it: layers are kept apart.
const LINKS: [&str; 9] = [
    "/links/capable same-as",
    "/links/fifo same-as",
    "/links/four same-as",
    "/links/one same-as",
    "/links/symlink same-as",
    "/links/three same-as",
    "/links/to-fifo same-as",
    "/links/to-symlink same-as",
    "/links/two same-as",
];
/// `/` is as the topmost layer says that speaks of it, as with umoci. Docker's is always 0755, podman's always 0555.
const ROOT: &str = "/ mode";
/// Docker and podman know no time before 1970.
const EARLY: &str = "/a/before-1970 mtime";
/// Go's tar reader takes an xattr without a value for none.
const EMPTY_XATTR: &str = "/a/xattr xattr-user.empty";

fn umoci_makes_the_same_tree(t: &Sandbox) {
    let registry = Registry::open();
    let image = nasty::image(t, [vec![nasty::again()], nasty::across_layers()].concat());
    let mut pulled = Pulled::new(t, &registry, "some/nasty", &image);
    let mut umoci = pulled.by_umoci(t, &image);
    let mut known = vec![EMPTY_XATTR];
    if t.mode != Mode::Root {
        known.extend(DEVICES);
    }
    // It puts something into these directories after it has given them their times.
    known.extend(["/d mtime", "/n mtime", "/r/opaque-late/sub mtime"]);
    known.extend(LINKS);
    if t.mode == Mode::Nosubuid {
        // All is root's. A set-id bit whose owner was lost would lend out root's rights, and umoci has its notes.
        known.extend([
            "/a/setuid-of-another mode",
            "/a/capable-of-another mode",
            "/a/setgid-dir mode",
            "/r/chmod mode",
        ]);
        pulled.tree = pulled.tree.without_field("", "owner");
        umoci = umoci.without_field("", "owner").without_field("", "xattr-user.rootlesscontainers");
    }
    pulled.agrees("umoci", &umoci, &known);
}

fn umoci_makes_the_same_of_histories(t: &Sandbox) {
    let image = histories::image(&mut Random::from_environment(), true);
    let pulled = Pulled::new(t, &Registry::open(), "some/histories", &image).timeless();
    assert!(pulled.tree.len() > 150, "only {} files", pulled.tree.len());
    pulled.agrees("umoci", &pulled.by_umoci(t, &image).without_field("", "mtime"), &[]);
}

fn a_hundred_layers_are_one_tree(t: &Sandbox) {
    let image = nasty::hundred_layers();
    let pulled = Pulled::new(t, &Registry::open(), "some/hundred", &image);
    assert!(pulled.tree.len() > 50, "only {} files", pulled.tree.len());
    pulled.agrees("umoci", &pulled.by_umoci(t, &image), &[]);
}

fn docker_makes_the_same_trees(t: &Sandbox) {
    let engine = Engine::start(t);
    let registry = Registry::open();
    let image = nasty::image(t, vec![nasty::from_former_days()]).docker();
    let pulled = Pulled::new(t, &registry, "some/nasty", &image);
    // The book-keeping of aufs is of no use to anyone, and today's containerd leaves it out.
    let known = [ROOT, EARLY, EMPTY_XATTR, "/.wh..wh.plnk type", "/.wh..wh.plnk/12.34 type"];
    pulled.agrees("Docker", &pulled.by_docker(t, &engine), &known);
    let image = histories::image(&mut Random::from_environment(), false).docker();
    let pulled = Pulled::new(t, &registry, "some/histories", &image).timeless();
    pulled.agrees("Docker", &pulled.by_docker(t, &engine).without_field("", "mtime"), &[]);
    let pulled = Pulled::new(t, &registry, "some/alpine", &Image::new(vec![owned_tree(t, &t.alpine)]).docker());
    assert!(pulled.tree.len() > 400, "Alpine has only {} files", pulled.tree.len());
    pulled.agrees("Docker", &pulled.by_docker(t, &engine), &[]);
    let debian = debian::image(t, "gz").docker();
    let pulled = Pulled::new(t, &registry, "some/debian", &debian);
    assert!(pulled.tree.len() > 5000, "Debian has only {} files", pulled.tree.len());
    pulled.agrees("Docker", &pulled.by_docker(t, &engine), &[]);
}

fn podman_makes_the_same_tree(t: &Sandbox) {
    if !users::have("podman") {
        skip!("podman is not installed");
    }
    let registry = Registry::open();
    let image = nasty::image(t, vec![]);
    let pulled = Pulled::new(t, &registry, "some/nasty", &image);
    // It wants this path short.
    let run = format!("/run/ccrun-it-{}", std::process::id());
    let podman = |words: &str| {
        let words = format!("--root {}/podman --runroot {run} --storage-driver overlay {words}", t.dir.display());
        t.command("podman", &words.split(' ').collect::<Vec<_>>()).out()
    };
    let pull = podman(&format!("pull -q --tls-verify=false {}", pulled.name));
    let mounted = podman(&format!("image mount {}", pulled.name));
    let tree = t.command(&t.it, &["--inside", "tree", mounted.line()]).out();
    podman("image umount --all");
    let _ = std::fs::remove_dir_all(run);
    pull.exit(0);
    let text = tree.exit(0).stdout;
    let known = [ROOT, EARLY, EMPTY_XATTR];
    pulled.agrees("podman", &image_only(&text, pulled.start), &known);
}

/// GNU's own kind of sparse file is read by GNU tar alone, and by ccrun.
fn gnu_tar_makes_the_same_of_its_sparse_files(t: &Sandbox) {
    nasty::pack_by_gnu_tar(t);
    let image = Image::new(vec![nasty::packed(t, "gnu-sparse")]);
    let mut pulled = Pulled::new(t, &Registry::open(), "some/sparse", &image);
    let script = format!("mkdir out && tar -xpf gnu-sparse.tar -C out && {} --inside tree out", t.it);
    let mut judge = image_only(&t.command("sh", &["-ec", &script]).ok().stdout, pulled.start);
    if t.mode != Mode::Root {
        pulled.tree = pulled.tree.without_field("", "owner");
        judge = judge.without_field("", "owner");
    }
    // A container has one for its hosts file.
    pulled.agrees("GNU tar", &judge, &["/etc type"]);
}

/// A directory as a layer, owners and all.
fn owned_tree(t: &Sandbox, dir: &str) -> Layer {
    let flags = ["--format=posix", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--sort=name"];
    let words = [&flags[..], &["-C", dir, "-cf", "owned.tar", "."]].concat();
    t.command("tar", &words).ok();
    Layer::gzip(std::fs::read(t.path("owned.tar")).expect("read"))
}
