//! The house is as `src/lib.rs` maps it: imports run downward only, roles stand side by side, and the
//! ground floor knows no socket, no clock and no runtime.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The floors from top to bottom.
const FLOORS: [&[&str]; 9] = [
    &["main"],
    &["fuzzing"],
    &["cli"],
    &["demo"],
    &["app"],
    &["config"],
    &["admin", "follow", "probe", "proxy"],
    &["relay", "wire", "sockets", "names", "usual", "nearest", "style", "supervise"],
    &["tenure", "intent", "board", "census", "memory", "metrics"],
];
/// Below all floors.
const GROUND: &str = "leader";
/// They share a floor, and never import one another.
const ROLES: &[&str] = FLOORS[6];

/// One source file.
struct Source {
    /// Its path below `src/`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The room it belongs to: its first folder, or its own name.
    fn room(&self) -> String {
        let first = self.path.components().next().expect("a path has a component");
        Path::new(first.as_os_str()).file_stem().expect("a name").to_string_lossy().into_owned()
    }

    /// What is compiled into the product: no comments, no tests.
    fn product(&self) -> String {
        if self.path.components().any(|part| part.as_os_str().to_string_lossy().contains("test")) {
            return String::new();
        }
        let product = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        without_comments(product)
    }
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    assert!(found.len() > 5, "the sources of {folder} were not found");
    found
}

/// The rooms that a text imports from, by `crate::` or, from the binary, by `raftgate::`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, path) in text.match_indices("crate::").chain(text.match_indices("raftgate::")) {
        let rest = &text[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads(group)),
            None => rooms.extend(identifier(rest)),
        }
    }
    rooms
}

/// The first identifiers of a brace group's members: `a, b::{c, d}}` has `a` and `b`.
fn heads(group: &str) -> Vec<String> {
    let mut heads: Vec<String> = identifier(group).into_iter().collect();
    let mut depth = 1;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.extend(identifier(&group[at + 1..])),
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let name: String =
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    // `crate::Type` is a re-export at the top; a room's name is in small letters.
    name.starts_with(|c: char| c.is_ascii_lowercase()).then_some(name)
}

/// How high a room stands; the ground is 0.
fn floor(room: &str) -> Option<usize> {
    if room == GROUND {
        return Some(0);
    }
    FLOORS.iter().position(|floor| floor.contains(&room)).map(|from_top| FLOORS.len() - from_top)
}

/// What is wrong with a room that imports another, if something is.
fn objection(from: &str, to: &str) -> Option<String> {
    let (Some(upper), Some(lower)) = (floor(from), floor(to)) else {
        return Some(format!("`{from}` imports `{to}`: one of them has no place on the map"));
    };
    if from == to {
        None
    } else if lower > upper {
        Some(format!("`{from}` imports `{to}`, which stands above it"))
    } else if ROLES.contains(&from) && ROLES.contains(&to) {
        Some(format!("the role `{from}` imports the role `{to}`"))
    } else {
        None
    }
}

#[test]
fn imports_run_downward_only_and_roles_never_import_one_another() {
    let mut objections = Vec::new();
    for source in sources("src") {
        let room = source.room();
        if room == "lib" {
            continue;
        }
        for imported in imports(&source.product()) {
            let wrong = objection(&room, &imported);
            objections.extend(wrong.map(|wrong| format!("{}: {wrong}", source.path.display())));
        }
    }
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn the_ground_knows_no_socket_no_clock_and_no_runtime() {
    for source in sources("src").iter().filter(|source| source.room() == GROUND) {
        let product = source.product();
        for forbidden in
            ["tokio", "::now(", "std::net", "std::fs", "std::thread", "SystemTime", "tracing", "serde"]
        {
            assert!(!product.contains(forbidden), "{}: `{forbidden}`", source.path.display());
        }
    }
}

/// Where the wall clock may be asked for, and what for: people. Wherever it decided something, a clock that is set would
/// change what the gate does (L9).
const WALL_CLOCK: [(&str, &str); 8] = [
    ("board.rs", "it is asked here, and nowhere else; events are told with their time"),
    ("admin/control/answer.rs", "the age of sessions, as they are listed"),
    ("admin/metrics.rs", "a metric"),
    ("admin/status.rs", "the status tells its own time"),
    ("cli/check.rs", "whether a certificate has expired"),
    ("follow/drive.rs", "since when a node leads, as it is told"),
    ("follow/drive/route.rs", "the same"),
    ("follow/nodes.rs", "when a node was last heard, as it is told"),
];

#[test]
fn l9_the_wall_clock_is_for_people_alone() {
    let knows = |text: &str| text.contains("wall_clock(") || text.contains("SystemTime");
    let mut found = BTreeSet::new();
    for source in sources("src").iter().filter(|source| source.room() != "demo" && knows(&source.product())) {
        found.insert(source.path.display().to_string());
    }
    let allowed: BTreeSet<String> = WALL_CLOCK.iter().map(|(file, _)| (*file).to_owned()).collect();
    let strangers: Vec<_> = found.symmetric_difference(&allowed).collect();
    assert!(strangers.is_empty(), "not as this list has it: {strangers:?}");
    let board = sources("src").into_iter().filter(|source| source.product().contains("SystemTime"));
    assert_eq!(board.map(|source| source.path).collect::<Vec<_>>(), [Path::new("board.rs")]);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for folder in ["src", "tests", "benches"] {
        for source in sources(folder) {
            assert!(source.text.starts_with("//! "), "{folder}/{}", source.path.display());
        }
    }
}

#[test]
fn every_room_is_on_the_map() {
    let map = sources("src").into_iter().find(|source| source.room() == "lib").expect("lib.rs is there").text;
    for room in FLOORS[1..].iter().copied().flatten().chain([&GROUND]) {
        assert!(map.contains(&format!("//! {room}")) || map.contains(&format!(" {room}/")), "{room}");
    }
    for source in sources("src").iter().filter(|source| source.room() != "lib") {
        assert!(floor(&source.room()).is_some(), "{} is in no room", source.path.display());
    }
}

#[test]
fn every_map_has_all_that_is_there() {
    let mut maps = 0;
    for folder in ["src", "tests/blackbox", "benches"] {
        for source in sources(folder).iter().filter(|source| source.text.contains("\n//! ```text\n")) {
            let map: String = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
            let named: BTreeSet<&str> = map.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let modules = modules(&source.text);
            maps += usize::from(!modules.is_empty());
            for module in modules {
                assert!(named.contains(module), "{folder}/{}: no `{module}`", source.path.display());
            }
        }
    }
    assert!(maps > 10, "the maps were not found: {maps}");
}

/// The modules that a file declares, but for those that are compiled under a condition: tests, fuzz targets, the demo.
fn modules(text: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    let mut is_conditional = false;
    for line in text.lines() {
        let declaration = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        if let Some(name) = declaration.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            modules.extend((!is_conditional).then_some(name));
        }
        is_conditional = line.starts_with("#[cfg(") || (is_conditional && line.starts_with("#["));
    }
    modules
}

#[test]
fn every_rule_that_is_cited_can_be_looked_up() {
    let readme = include_str!("../../README.md");
    let mut cited = BTreeSet::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        cited.extend(
            source.text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| is_rule(w)).map(str::to_owned),
        );
    }
    assert!(cited.len() > 20, "the citations were not found: {cited:?}");
    let missing: Vec<_> = cited.iter().filter(|rule| !readme.contains(&format!("| **{rule}** |"))).collect();
    assert!(missing.is_empty(), "not in README: {missing:?}");
}

/// Whether a word is a rule's number: L3, S4, D10.
fn is_rule(word: &str) -> bool {
    let number = word.strip_prefix(['L', 'S', 'D', 'O']).unwrap_or_default();
    (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn the_judge_of_imports_finds_what_is_wrong() {
    let text = "use crate::{leader::{Pace, Signal}, proxy::Settings,\n probe};\nlet x = crate::admin::y(); // crate::cli";
    let found = imports(&without_comments(text));
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["admin", "leader", "probe", "proxy"]);
    assert!(objection("probe", "proxy").is_some());
    assert!(objection("leader", "tenure").is_some());
    assert!(objection("relay", "proxy").is_some());
    assert!(objection("proxy", "nowhere").is_some());
    for (from, to) in [("proxy", "relay"), ("config", "probe"), ("tenure", "leader"), ("relay", "relay")] {
        assert_eq!(objection(from, to), None, "{from} -> {to}");
    }
}
