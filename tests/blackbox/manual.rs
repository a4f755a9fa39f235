//! What the package brings for people at a terminal: the manual's pages and the shells' completions. They are made of the
//! command line itself; `RAFTGATE_BLESS=1 cargo test --test blackbox manual` makes them anew.

use std::path::{Path, PathBuf};

use clap::Command;

use crate::support::word_by_word::{Changes, files};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// The command line as the package has it, without the demo, and without what only a gate says to itself.
fn command_line() -> Command {
    let whole = raftgate::cli::command_line();
    let commands = whole
        .get_subcommands()
        .filter(|command| command.get_name() != "demo" && !command.is_hide_set())
        .cloned();
    let about = whole.get_about().cloned().unwrap_or_default();
    Command::new("raftgate").version(env!("CARGO_PKG_VERSION")).about(about).subcommands(commands)
}

fn page(name: &str, command: &Command) -> String {
    let mut page = Vec::new();
    let source = concat!("raftgate ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone()).title(name).source(source).render(&mut page).unwrap();
    String::from_utf8(page).unwrap()
}

#[test]
fn the_manual_says_what_the_command_line_is() {
    let whole = command_line();
    let mut changes = Changes::default();
    let mut pages = vec![("raftgate.1".to_owned(), page("raftgate", &whole))];
    for command in whole.get_subcommands() {
        let name = format!("raftgate-{}", command.get_name());
        let named = command.clone().display_name(name.clone()).bin_name(name.replacen('-', " ", 1));
        pages.push((format!("{name}.1"), page(&name, &named)));
    }
    for (name, page) in &pages {
        changes.compare(&folder("man").join(name), Some(page));
    }
    for file in files(&folder("man"), "1") {
        let name = file.file_name().unwrap().to_str().unwrap();
        if pages.iter().all(|(page, _)| page != name) {
            changes.compare(&file, None);
        }
    }
    changes.assert_none();
}

#[test]
fn the_completions_are_those_of_the_command_line() {
    let mut changes = Changes::default();
    for (shell, name) in [
        (clap_complete::Shell::Bash, "raftgate.bash"),
        (clap_complete::Shell::Zsh, "_raftgate"),
        (clap_complete::Shell::Fish, "raftgate.fish"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command_line(), "raftgate", &mut script);
        changes.compare(&folder("completions").join(name), Some(&String::from_utf8(script).unwrap()));
    }
    changes.assert_none();
}
