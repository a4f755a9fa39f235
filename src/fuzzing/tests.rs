//! Every target with its seeds (`tests/fuzz/corpus/`) and with mutations of them, a second or so each.
//!
//! A failure tells the number of its mutation; `RAFTGATE_FUZZ=NUMBER` tries that one alone, with the test's name to
//! choose the target. `RAFTGATE_FUZZ=FIRST..LAST` tries others than usual, as many as one likes.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use super::mutate::Matter;
use super::table::{TARGETS, Target, target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The seeds of a target by their files' names.
fn seeds(target: Target) -> Vec<(String, Vec<u8>)> {
    let corpus = folder().join("corpus").join(target.name);
    let files = fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut seeds: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    seeds.sort();
    assert!(seeds.len() > 3, "{} has hardly a seed", corpus.display());
    seeds
}

/// The words of its dictionary, as libFuzzer reads it: a quoted one a line.
fn words(target: Target) -> Vec<Vec<u8>> {
    let dictionary = folder().join("dictionaries").join(target.name).with_extension("dict");
    let text = fs::read_to_string(dictionary).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"')).map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
        (rest, ()) = match (first, behind) {
            (b'\\', [b'x', one, other, behind @ ..]) => {
                (behind, bytes.push(hex(&[*one, *other]).expect("two hex digits")))
            }
            (b'\\', [escaped, behind @ ..]) => (behind, bytes.push(*escaped)),
            _ => (behind, bytes.push(first)),
        };
    }
    bytes
}

/// Runs a target; says with what before it fails.
fn run(target: Target, bytes: &[u8], what: &str) {
    let ended = catch_unwind(|| (target.run)(bytes));
    assert!(ended.is_ok(), "{} fails with {what}:\n{}", target.name, bytes.escape_ascii());
}

/// The numbers of the mutations that are to be tried.
fn wanted(target: Target) -> Range<u64> {
    let Ok(text) = std::env::var("RAFTGATE_FUZZ") else { return 0..target.mutations };
    let number = |text: &str| text.parse::<u64>().expect("RAFTGATE_FUZZ is NUMBER or FIRST..LAST");
    match text.split_once("..") {
        Some((first, last)) => number(first)..number(last),
        None => number(&text)..number(&text) + 1,
    }
}

fn try_all(name: &str) {
    let target = target(name);
    let seeds = seeds(target);
    for (file, seed) in &seeds {
        run(target, seed, &format!("the seed {file}"));
    }
    let matter = Matter { seeds: seeds.into_iter().map(|(_, seed)| seed).collect(), words: words(target) };
    for number in wanted(target) {
        run(target, &matter.mutation(number), &format!("mutation {number} (RAFTGATE_FUZZ={number})"));
    }
}

/// A test for each target, by its name.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { try_all(stringify!($name)); })*

        #[test]
        fn each_target_is_tried_here_and_has_a_driver() {
            let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(BTreeSet::from([$(stringify!($name)),*]), names);
            let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
            for name in names {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
                let driver = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
                assert!(driver.contains(&format!("target(\"{name}\")")), "{name}: {driver}");
            }
        }
    };
}

targets! {
    client_hello proxy_header probe_answer verdict certificate configuration haproxy values routes control_request
    gate_answer pem last_event_id letter
}

#[test]
fn dictionaries_are_read() {
    assert_eq!(unescaped(r#"a\"\\\x0d\xff"#), b"a\"\\\x0d\xff");
    assert!(words(target("haproxy")).contains(&b"frontend".to_vec()));
    let known = TARGETS.iter().map(|target| format!("{}.dict", target.name)).collect::<Vec<_>>();
    for file in fs::read_dir(folder().join("dictionaries")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{name} is of no target");
    }
}
