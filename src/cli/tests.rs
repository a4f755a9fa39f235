//! What command lines mean.

use clap::{CommandFactory, Parser};

use super::{Command, CommandLine};
use crate::config::Sources;

fn sources(line: &str) -> Result<Sources, clap::error::ErrorKind> {
    match CommandLine::try_parse_from(line.split(' ')).map_err(|error| error.kind())?.command {
        Command::Run(options) => Ok(options.into_sources()),
        other => panic!("not run: {other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn flags_can_say_it_all() {
    let line = "raftgate run --listen :443 --preset openziti --node a=h:1 --node b=[::1]:2 --ca-file ca.pem \
                --admin :1 --log-format json --log-level debug";
    let Sources { file, flags } = sources(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    assert_eq!(file, None);
    assert_eq!(flags.listen.as_deref(), Some(":443"));
    assert_eq!(flags.preset.as_deref(), Some("openziti"));
    assert_eq!(flags.nodes, [("a".into(), "h:1".into()), ("b".into(), "[::1]:2".into())]);
    assert_eq!(flags.ca_file, Some("ca.pem".into()));
    assert_eq!(flags.admin.as_deref(), Some(":1"));
    assert_eq!((flags.log_format.as_deref(), flags.log_level.as_deref()), (Some("json"), Some("debug")));
}

#[cfg(feature = "demo")]
#[test]
fn a_demo_without_a_failover_would_show_nothing() {
    let error = |line: &str| CommandLine::try_parse_from(line.split(' ')).err().map(|error| error.kind());
    assert_eq!(error("raftgate demo --failovers 1"), None);
    assert_eq!(error("raftgate demo --failovers 0"), Some(clap::error::ErrorKind::ValueValidation));
}

#[test]
fn some_flags_go_with_a_file_and_some_do_not() {
    use clap::error::ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};
    assert_eq!(sources("raftgate run").unwrap().file, None);
    assert_eq!(sources("raftgate run -c f --admin :1 --log-level warn").unwrap().file, Some("f".into()));
    assert_eq!(sources("raftgate run -c f --listen :1 --node a=h:1").unwrap_err(), ArgumentConflict);
    assert_eq!(sources("raftgate run --listen :1").unwrap_err(), MissingRequiredArgument);
    assert_eq!(sources("raftgate run --node a=h:1").unwrap_err(), MissingRequiredArgument);
    assert_eq!(sources("raftgate run --preset openziti").unwrap_err(), MissingRequiredArgument);
    assert_eq!(sources("raftgate run --listen :1 --node h:1").unwrap_err(), ValueValidation);
}
