//! Tests of the imports among the library's files: no circles, and each folder imports only the
//! folders below it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module, as the list of names from the crate's root to it.
type Module = Vec<String>;

/// The folders and files at the crate's root, each with all folders and files that it may import.
const LAYERS: [(&str, &[&str]); 10] = [
    ("error", &[]),
    ("num", &[]),
    ("synapse", &["error"]),
    ("wiring", &["error"]),
    ("gate", &["error", "num"]),
    ("neuron", &["error", "num"]),
    ("scan", &["error", "num", "gate", "neuron"]),
    ("layer", &["error", "gate", "neuron", "scan", "synapse", "wiring"]),
    ("gradcheck", &["layer", "scan"]),
    ("train", &["error", "layer"]),
];

/// One file: the names that it defines, the names that it re-exports with their paths, and all
/// paths that it uses.
#[derive(Default)]
struct Source {
    defined: BTreeSet<String>,
    exported: BTreeMap<String, Module>,
    named: Vec<Module>,
}

/// Returns the code of a file, without comments and tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Collects the paths of a `use` tree.
fn paths(prefix: &[String], tree: &str, found: &mut Vec<Module>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let names = path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(String::from);
        found.push(prefix.iter().cloned().chain(names).collect());
        return;
    };
    let head = tree[..open].split("::").map(str::trim).filter(|name| !name.is_empty()).map(String::from);
    let prefix: Module = prefix.iter().cloned().chain(head).collect();
    let (mut depth, mut part) = (0, String::new());
    for character in tree[open + 1..].chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match (character, depth) {
            (',', 0) => paths(&prefix, &std::mem::take(&mut part), found),
            (_, -1) => break,
            _ => part.push(character),
        }
    }
    if !part.trim().is_empty() {
        paths(&prefix, &part, found);
    }
}

/// Returns a path from the crate's root, or `None` if the path belongs to another crate.
fn from_root(path: &[String], module: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let below = |up: usize, rest: &[String]| -> Module { [&module[..module.len() - up], rest].concat() };
    match path.first()?.as_str() {
        "crate" | "$crate" => Some(path[1..].to_vec()),
        "self" => Some(below(0, &path[1..])),
        "super" => {
            let up = path.iter().take_while(|name| *name == "super").count();
            (up <= module.len()).then(|| below(up, &path[up..]))
        }
        _ => modules.contains(&below(0, &path[..1])).then(|| below(0, path)),
    }
}

impl Source {
    fn read(text: &str, module: &Module, modules: &BTreeSet<Module>) -> Self {
        // A visibility such as `pub(in …)` is not an import.
        let mut text = format!("\n{}", code(text));
        while let Some(at) = text.find("pub(in ") {
            let length = text[at..].find(')').expect("a visibility ends");
            text.replace_range(at..=at + length, "pub");
        }
        let mut source = Self::default();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let words: Vec<&str> = text.split(|c: char| !is_name(c) && c != '!').filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            if ["struct", "enum", "trait", "fn", "const", "static", "type", "macro_rules!"].contains(&pair[0]) {
                source.defined.insert(pair[1].to_string());
            }
        }
        let mut rest = String::new();
        for statement in text.split_inclusive(';') {
            let line =
                statement.rfind("\nuse ").or_else(|| statement.rfind(" use ")).filter(|_| statement.ends_with(';'));
            let Some(at) = line.filter(|&at| !statement[at..].contains('$')) else {
                rest.push_str(statement);
                continue;
            };
            rest.push_str(&statement[..at]);
            let exported = statement[..at].rsplit('\n').next().is_some_and(|before| before.contains("pub"));
            let mut found = Vec::new();
            // In a module inside a file, `super::*` means the file itself.
            if statement[at..].starts_with(" use super::*") {
                continue;
            }
            paths(&[], statement[at + 4..].trim_end_matches(';').trim(), &mut found);
            for path in found.iter().filter_map(|path| from_root(path, module, modules)) {
                match (exported, path.last()) {
                    (true, Some(name)) => drop(source.exported.insert(name.clone(), path)),
                    _ => source.named.push(path),
                }
            }
        }
        for word in rest.split(|c: char| !is_name(c) && c != ':' && c != '$').filter(|word| word.contains("::")) {
            let path: Module = word.split("::").filter(|name| !name.is_empty()).map(String::from).collect();
            source.named.extend(from_root(&path, module, modules));
        }
        source
    }
}

/// Returns the module that defines the item at the end of a path. Follows re-exports.
fn home(path: &[String], sources: &BTreeMap<Module, Source>, depth: usize) -> Option<Module> {
    let length = (0..=path.len()).rev().find(|&length| sources.contains_key(&path[..length]))?;
    let (module, rest) = path.split_at(length);
    let source = &sources[module];
    match rest.first() {
        Some(name) if !source.defined.contains(name) && depth < 8 => match source.exported.get(name) {
            Some(other) => home(&[other.as_slice(), &rest[1..]].concat(), sources, depth + 1),
            None => Some(module.to_vec()),
        },
        _ => Some(module.to_vec()),
    }
}

fn collect(folder: &Path, module: &Module, texts: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().to_string();
        let below = [module.as_slice(), std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            collect(&path, &below, texts);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let own = ["mod", "lib"].contains(&stem.as_str());
            texts.insert(if own { module.clone() } else { below }, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns the modules that each module imports.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let mut texts = BTreeMap::new();
    collect(&Path::new(&package).join("../crates/burn-spiking/src"), &Vec::new(), &mut texts);
    imports_of(&texts)
}

fn imports_of(texts: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = texts.keys().cloned().collect();
    let source = |(module, text): (&Module, &String)| (module.clone(), Source::read(text, module, &modules));
    let sources: BTreeMap<Module, Source> = texts.iter().map(source).collect();
    let of = |(module, source): (&Module, &Source)| {
        let homes = source.named.iter().filter_map(|path| home(path, &sources, 0));
        (module.clone(), homes.filter(|other| other != module).collect())
    };
    sources.iter().map(of).collect()
}

/// Returns a circle of imports, if there is one: each module imports the next, and the last module
/// imports the first.
fn circle(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    fn visit(
        module: &Module,
        imports: &BTreeMap<Module, BTreeSet<Module>>,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<Module>> {
        if let Some(at) = way.iter().position(|other| other == module) {
            return Some(way[at..].to_vec());
        }
        if !done.insert(module.clone()) {
            return None;
        }
        way.push(module.clone());
        let found = imports[module].iter().find_map(|other| visit(other, imports, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    let found = imports.keys().find_map(|module| visit(module, imports, &mut Vec::new(), &mut done))?;
    Some(found.into_iter().map(|module| module.join("::")).collect())
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let imports = imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 150, "the sources were not read: {imports:?}");
    assert_eq!(circle(&imports), None);
}

#[test]
fn folders_import_what_is_below_them() {
    let mut above = Vec::new();
    for (module, others) in imports() {
        let Some(folder) = module.first() else { continue };
        let (_, below) = LAYERS.iter().find(|(name, _)| name == folder).expect("a folder of LAYERS");
        for other in others {
            let there = other.first().map_or("lib", String::as_str);
            if there != folder && !below.contains(&there) {
                above.push(format!("{} imports {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert_eq!(above, Vec::<String>::new());
}

#[test]
fn a_circle_is_found_behind_re_exports_and_paths() {
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(String::from).collect::<Module>();
    let with = |b: &str| -> BTreeMap<Module, String> {
        let a = "use super::B;\n// use crate::nothing;\npub struct A;\n";
        let root = "mod a;\nmod b;\npub use a::{A};\npub use b::B;\n";
        [("", root), ("a", a), ("b", b)].map(|(name, text)| (module(name), text.to_string())).into()
    };
    assert_eq!(circle(&imports_of(&with("pub struct B;\n"))), None);
    for closing in
        ["use crate::{A};\npub struct B(A);\n", "pub struct B(crate::a::A);\n", "use super::A;\npub struct B;\n"]
    {
        assert!(circle(&imports_of(&with(closing))).is_some(), "{closing}");
    }
    let tests_alone = "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::A;\n}\n";
    assert_eq!(circle(&imports_of(&with(tests_alone))), None);
}
