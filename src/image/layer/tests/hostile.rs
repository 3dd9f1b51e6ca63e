//! Made-up layers by the thousand, each as wrong as it likes: `CCRUN_SEED` gives the same again, `CCRUN_CASES` more.

use super::*;
use crate::image::tar::fixture::record;

/// What the process that unpacks them all may take of memory, in KiB: its code and stacks above all.
const MEMORY: usize = 200_000;

/// They are unpacked in a process of their own, with little memory and not for ever.
#[test]
fn hostile_layers_do_no_harm() {
    let this = std::env::current_exe().unwrap();
    let script = format!("ulimit -v {MEMORY}; exec timeout 300 \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(this)
        .args(["--exact", "image::layer::tests::hostile::cases", "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    println!("{told}");
}

#[test]
#[ignore = "run by hostile_layers_do_no_harm"]
fn cases() {
    let count = std::env::var("CCRUN_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(2000);
    let mut random = Random::seeded();
    let dir = Dir::new("hostile");
    let victim = dir.0.join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), "victim").unwrap();
    std::fs::write(dir.0.join("secret"), "secret").unwrap();
    let lower = Dir::new("hostile-lower");
    lower.good(Tar::default().file("a/b/c", "1").link(b'2', "s", "/").dir("b").file("b/.wh.x", "").file("c", "2"));
    let before = outside(&dir);
    let mut good = 0;
    for number in 0..count {
        let seed = random.0;
        let tar = Generator { random: &mut random, victim: victim.to_str().unwrap() }.layer();
        let parent = File::open(&dir.0).unwrap();
        store::remove(parent.as_fd(), c"layer").unwrap();
        std::fs::create_dir(dir.layer()).unwrap();
        // Looks by itself whether the record gives the same tar again.
        let unpacked = dir.unpack_with(&tar, &Limits::default(), number % 4 == 0);
        let told = format!("case {number}, CCRUN_SEED={seed}: {unpacked:?}");
        if let Ok(unpacked) = &unpacked {
            let (lowers, root) = (lower.root(), dir.root());
            let linked = link_from_lower(&[lowers.as_fd()], root.as_fd(), &unpacked.deferred);
            adopt(&[lowers.as_fd()], root.as_fd(), &unpacked.made_up).expect(&told);
            let blamed = linked.err().map(|error| error.to_string());
            assert!(
                blamed.as_ref().is_none_or(|error| error.starts_with("hard link '") || error.contains("its parent '")),
                "{told}: {blamed:?}"
            );
            good += 1;
        }
        assert_eq!(outside(&dir), before, "{told}");
        assert!(told.lines().count() == 1, "more than one line: {told}");
    }
    println!("{good} of {count} are good layers");
    assert!(good > count / 10, "only {good} of {count} could be unpacked, too few to test anything");
}

/// All that must stay as it is: what lies beside the layer, and what it holds.
fn outside(dir: &Dir) -> Vec<String> {
    let mut lines = Vec::new();
    for parent in [dir.0.clone(), dir.0.join("victim")] {
        for entry in std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap()) {
            let meta = entry.metadata().unwrap();
            let times = (meta.ctime(), meta.ctime_nsec(), meta.nlink(), meta.uid(), meta.mode());
            let content = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let ours = entry.file_name() == "layer";
            lines.push(format!("{:?} {content} {:?}", entry.path(), (!ours).then_some(times)));
        }
    }
    lines.sort();
    lines
}

struct Generator<'a> {
    random: &'a mut Random,
    victim: &'a str,
}

impl Generator<'_> {
    /// One time in so many.
    fn one_in(&mut self, many: usize) -> bool {
        self.random.below(many) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())].clone()
    }

    fn layer(mut self) -> Vec<u8> {
        let mut tar = Tar::default();
        for _ in 0..1 + self.random.below(12) {
            tar = self.entry(tar);
        }
        let mut bytes = match self.random.below(8) {
            0 => tar.open_end(),
            1 => [tar.end(), vec![b'x'; self.random.below(3000)]].concat(),
            2 => [tar.end(), vec![0; self.random.below(20_000)]].concat(),
            _ => tar.end(),
        };
        if self.one_in(6) {
            self.random.mutate(&mut bytes);
            for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
                let sealed = Block(block.try_into().unwrap()).sealed();
                block.copy_from_slice(&sealed.0);
            }
        }
        bytes
    }

    /// Names that meet each other often, and a few that no layer should have.
    fn name(&mut self) -> Vec<u8> {
        if self.one_in(60) {
            let evil: [&[u8]; 12] = [
                b"..",
                b"../victim",
                b"a/../../secret",
                b"/..",
                b".wh...",
                b".wh.",
                b".wh..",
                b"",
                b"loop/x",
                b"far/x",
                b".wh.a/x",
                b"victim/file",
            ];
            return self.pick(&evil).to_vec();
        }
        if self.one_in(100) {
            let depth = 1 + self.random.below(80);
            return [self.pick(&[&b"d/"[..], b"s/", b"dir/"]).repeat(depth), b"x".to_vec()].concat();
        }
        let parts: [&[u8]; 11] = [b"a", b"b", b"c", b"a", b"b", b"s", b"t", b".", b"", b"\xff\xfe", b"x\ny"];
        let marks: [&[u8]; 5] = [b".wh.a", b".wh.b", b".wh.s", b".wh..wh..opq", b".wh..wh.plnk"];
        let count = 1 + self.random.below(3);
        let mut names: Vec<&[u8]> = (0..count).map(|_| self.pick(&parts)).collect();
        if self.one_in(8) {
            names.push(self.pick(&marks));
        }
        let mut name = names.join(&b'/');
        match self.random.below(30) {
            0 => name.insert(0, b'/'),
            1 => name.push(b'/'),
            2 => name.splice(0..0, *b"a/../").for_each(drop),
            3 => name.resize(self.pick(&[99, 100, 101, 255, 256]), b'n'),
            _ => {}
        }
        name
    }

    fn target(&mut self) -> Vec<u8> {
        let victim = self.victim.as_bytes().to_vec();
        match self.random.below(12) {
            0 => victim,
            1 => [&victim[..], b"/file"].concat(),
            2 => b"../victim/file".to_vec(),
            3 => b"/".to_vec(),
            4 => b"..".to_vec(),
            5 => b"loop".to_vec(),
            _ => self.name(),
        }
    }

    fn number(&mut self, digits: usize) -> Vec<u8> {
        match self.random.below(30) {
            0 => [&[0x80], &self.random.next().to_be_bytes()[..digits.min(8) - 1]].concat(),
            1 => vec![0xff; digits],
            2 => vec![b'7'; digits],
            _ => format!("{:0width$o}\0", self.random.below(3000), width = digits - 1).into_bytes(),
        }
    }

    fn entry(&mut self, mut tar: Tar) -> Tar {
        let (name, kind) = (self.name(), self.pick(b"000000000055555122221346\0\x007"));
        let kind = if self.one_in(150) { self.pick(b"SVgxLKZMD") } else { kind };
        let is_file = matches!(kind, b'0' | b'7' | 0);
        let length = self.pick(&[0, 0, 1, 5, 511, 512, 513, 3000, 70_000]);
        let body: Vec<u8> = (0..length).map(|at| (at as u64 ^ self.random.0) as u8).collect();
        let mut records: Vec<u8> = Vec::new();
        for _ in 0..if self.one_in(4) { 1 + self.random.below(3) } else { 0 } {
            records.extend(self.record(is_file, body.len()));
        }
        if !records.is_empty() {
            tar = tar.add(Block::new(b"pax", b'x', records.len()), &records);
        }
        if name.len() > 100 {
            tar = tar.long(b'L', &name);
        }
        let target = self.target();
        if target.len() > 100 {
            tar = tar.long(b'K', &target);
        }
        let stray = if self.one_in(40) { body.len() } else { 0 };
        let mut block = Block::new(&name[..name.len().min(100)], kind, if is_file { body.len() } else { stray });
        if matches!(kind, b'1' | b'2') {
            block.put(157, &target[..target.len().min(100)]);
        }
        let (mode, uid, mtime) = (self.number(8), self.number(8), self.number(12));
        block.put(100, &mode).put(108, &uid).put(136, &mtime);
        if self.one_in(200) {
            let size = self.number(12);
            block.put(124, &size);
        }
        tar.add(block.sealed(), if is_file { &body } else { b"" })
    }

    /// A PAX record, mostly one that makes sense.
    fn record(&mut self, is_file: bool, length: usize) -> Vec<u8> {
        let (name, target) = (self.name(), self.target());
        let half = length / 2;
        match self.random.below(14) {
            0 => record("path", &name),
            1 => record("linkpath", &target),
            2 => record("uid", self.pick(&["0", "7", "4294967295", "18446744073709551615", "-1"]).as_bytes()),
            3 => record("mtime", self.pick(&["1.5", "-1.25", "0", "99999999999999999", "x"]).as_bytes()),
            4 => record("SCHILY.xattr.user.overlay.opaque", b"y"),
            5 => record("SCHILY.xattr.user.any", &name),
            6 => record("SCHILY.xattr.security.capability", &[1, 0, 0, self.pick(&[2, 3, 9]), 0, 4, 0, 0]),
            7 if self.one_in(5) => record("size", self.random.below(5000).to_string().as_bytes()),
            8 | 9 if is_file => {
                // Two segments, a hole before each, sometimes a map that lies.
                let off = if self.one_in(8) { self.random.below(10) } else { 0 };
                let (first, second) = (self.random.below(1 << 20), (1 << 21) + self.random.below(1 << 40));
                let map = format!("{first},{half},{second},{}", length - half + off);
                [
                    record("GNU.sparse.size", (second + length).to_string().as_bytes()),
                    record("GNU.sparse.map", map.as_bytes()),
                ]
                .concat()
            }
            10 if self.one_in(10) => self.name(),
            _ => record("comment", &name),
        }
    }
}
