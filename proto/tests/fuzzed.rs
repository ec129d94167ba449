//! Every message that is declared here is in the list of the fuzz target `codec`, which is a workspace of its own and
//! would not notice a new one.
#![allow(clippy::unwrap_used, reason = "a test, and its helpers")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CODEC: &str = include_str!("../../fuzz/fuzz_targets/codec.rs");

/// Module and name of every message in the list; a module may have another name there.
fn listed() -> BTreeSet<(String, String)> {
    let (_, list) = CODEC.split_once("\nmessages! {\n").unwrap();
    let (list, _) = list.split_once("\n}\n").unwrap();
    let groups = list.lines().filter_map(|line| line.trim().trim_end_matches("},").split_once("::{"));
    groups
        .flat_map(|(module, names)| {
            let module = match (module, names.contains("Transmit")) {
                ("secure_element", _) => "element",
                ("element", true) => "trustlet/element",
                (module, _) => module,
            };
            names.split(',').map(move |name| (module.to_owned(), name.trim().to_owned()))
        })
        .collect()
}

/// Files of a folder and of those in it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Names that a file declares.
fn declared(source: &str) -> Vec<String> {
    let mut lines = source.lines().map(str::trim);
    let mut names = Vec::new();
    while let Some(line) = lines.next() {
        if line.ends_with("::message! {") || line.ends_with("::code! {") {
            let name = lines.by_ref().find(|line| !line.starts_with("//") && !line.starts_with('#'));
            names.push(name.and_then(|name| name.split_once(' ')).unwrap().0.to_owned());
        }
    }
    names
}

#[test]
fn every_message_is_fuzzed() {
    let listed = listed();
    let mut count = 0;
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let mut module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        // Two modules have this name.
        if file.ends_with("trustlet/element.rs") {
            module.insert_str(0, "trustlet/");
        }
        for name in declared(&fs::read_to_string(&file).unwrap()) {
            count += 1;
            assert!(listed.contains(&(module.clone(), name.clone())), "{module}::{name} is not fuzzed");
        }
    }
    assert!(count > 200, "only {count} messages were found");
}
