//! Which files of src/ import each other, seen from their text.

use super::Source;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The names from the crate's root on: `cli::container::rm`.
type Path = Vec<String>;

/// One file, as the module that it is.
struct Module {
    /// What it calls by a short name: `use super::a::b` is b, which is really a::b.
    names: BTreeMap<String, Path>,
    /// Every path that it names.
    paths: BTreeSet<Path>,
}

/// Every shortest circle of files that import each other, as `a → b → a`. A module and what lies below it are one here.
pub fn find(files: &[Source]) -> Vec<String> {
    let edges = imports_of_each(files);
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (from, targets) in &edges {
        for to in targets {
            let Some(way) = way(&edges, to, from) else { continue };
            let members: BTreeSet<&Path> = way.iter().copied().collect();
            if seen.insert(members) {
                let names: Vec<String> = [from].into_iter().chain(way).map(|path| path.join("::")).collect();
                circles.push(names.join(" → "));
            }
        }
    }
    circles
}

/// The modules that each module imports, but for those above and below it.
pub fn imports_of_each(files: &[Source]) -> BTreeMap<Path, BTreeSet<Path>> {
    let modules: BTreeMap<Path, Module> = files.iter().map(|file| (place(&file.name), Module::read(file))).collect();
    let own =
        |(own, module): (&Path, &Module)| (own.clone(), imports(&modules, own, module).into_iter().cloned().collect());
    modules.iter().map(own).collect()
}

/// The modules that a module imports, but for those above and below it.
fn imports<'a>(modules: &'a BTreeMap<Path, Module>, own: &Path, module: &Module) -> BTreeSet<&'a Path> {
    let targets = module.paths.iter().filter_map(|path| resolve(modules, path, 0));
    targets.filter(|target| !own.starts_with(target) && !target.starts_with(own)).collect()
}

/// The module in which a path ends, through the names that modules on the way have only imported themselves.
fn resolve<'a>(modules: &'a BTreeMap<Path, Module>, path: &[String], depth: usize) -> Option<&'a Path> {
    let length = (1..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (own, module) = modules.get_key_value(&path[..length])?;
    let elsewhere = path.get(length).and_then(|name| module.names.get(name)).filter(|_| depth < 8);
    elsewhere.and_then(|path| resolve(modules, path, depth + 1)).or(Some(own))
}

/// The shortest way along the imports.
fn way<'a>(edges: &'a BTreeMap<Path, BTreeSet<Path>>, from: &'a Path, to: &Path) -> Option<Vec<&'a Path>> {
    let mut before: BTreeMap<&Path, Option<&Path>> = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if at == to {
            let mut way: Vec<&Path> = std::iter::successors(Some(at), |at| before[*at]).collect();
            way.reverse();
            return Some(way);
        }
        for next in edges.get(at).into_iter().flatten() {
            before.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some(at)
            });
        }
    }
    None
}

/// `cli/container/rm.rs` is `cli::container::rm`.
pub fn place(file: &str) -> Path {
    let name = file.strip_suffix(".rs").expect("a Rust file");
    if name == "main" { Vec::new() } else { name.split('/').map(str::to_owned).collect() }
}

impl Module {
    fn read(file: &Source) -> Module {
        let own = place(&file.name);
        let mut module = Module { names: BTreeMap::new(), paths: BTreeSet::new() };
        for (at, _) in file.code.match_indices("use ") {
            if file.code[..at].ends_with(|c: char| c.is_whitespace() || c == ')') {
                let (text, base) =
                    start(&file.code[at + "use ".len()..], &own).unwrap_or((&file.code[at + 4..], own.clone()));
                for (path, name) in tree(text, &base) {
                    module.names.insert(name, path);
                }
            }
        }
        for (at, _) in file.code.match_indices("crate::").chain(file.code.match_indices("super::")) {
            // The second one of super::super:: is read with the first.
            if file.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            if let Some((text, base)) = start(&file.code[at..], &own) {
                module.paths.extend(tree(text, &base).into_iter().map(|(path, _)| path));
            }
        }
        // Through a name that was imported: `use super::a;` and then `a::b::c`.
        for (name, path) in &module.names {
            for (at, found) in file.code.match_indices(&format!("{name}::")) {
                let is_word = !file.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                if is_word && !name.is_empty() {
                    module.paths.extend(tree(&file.code[at + found.len()..], path).into_iter().map(|(path, _)| path));
                }
            }
        }
        module
    }
}

/// What follows `crate::`, `super::` or `self::`, and from where it counts.
fn start<'a>(text: &'a str, own: &[String]) -> Option<(&'a str, Path)> {
    if let Some(rest) = text.strip_prefix("crate::") {
        return Some((rest, Vec::new()));
    }
    if let Some(rest) = text.strip_prefix("self::") {
        return Some((rest, own.to_vec()));
    }
    let mut rest = text.strip_prefix("super::")?;
    let mut base = own[..own.len().saturating_sub(1)].to_vec();
    while let Some(more) = rest.strip_prefix("super::") {
        rest = more;
        base.pop();
    }
    Some((rest, base))
}

/// The paths of `a::{b, c::d as e}`, and what each is called.
fn tree(text: &str, base: &[String]) -> Vec<(Path, String)> {
    let mut paths = Vec::new();
    read_tree(text, base, &mut paths);
    paths
}

/// Reads one path or group; returns what follows it.
fn read_tree<'a>(text: &'a str, base: &[String], paths: &mut Vec<(Path, String)>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = read_tree(rest, base, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let word =
        |text: &'a str| text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()));
    let (name, rest) = word(text);
    if name.is_empty() {
        // `*` names all of the module.
        paths.push((base.to_vec(), String::new()));
        return rest.strip_prefix('*').unwrap_or(rest);
    }
    let path = if name == "self" { base.to_vec() } else { [base, &[name.to_owned()]].concat() };
    if let Some(rest) = rest.strip_prefix("::") {
        return read_tree(rest, &path, paths);
    }
    let (alias, rest) = rest.strip_prefix(" as ").map_or((name, rest), word);
    let alias = if alias == "self" { path.last().cloned().unwrap_or_default() } else { alias.to_owned() };
    paths.push((path, alias));
    rest
}
