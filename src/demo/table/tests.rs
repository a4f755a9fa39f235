//! The table, as people see it.

use super::*;

fn row(port: u16, standing: Standing, seen: &str) -> Row {
    Row { address: SocketAddr::from(([127, 0, 0, 1], port)), standing, seen: seen.to_owned() }
}

fn frame() -> Frame {
    let follower = Standing { condition: Condition::Up, term: 4, ..Standing::default() };
    Frame {
        gate: SocketAddr::from(([127, 0, 0, 1], 40_000)),
        elapsed: Duration::from_secs(72),
        nodes: vec![
            row(41_001, Standing { condition: Condition::Down, ..follower }, "unreachable: refused"),
            row(41_002, Standing { leads: true, ..follower }, "leader"),
            row(41_003, follower, "follower"),
        ],
        route: Some("ctrl2".to_owned()),
        totals: Totals { served: 1_204, interrupted: 3, sessions_open: 3, ..Totals::default() },
        waiting: 2,
        failovers: Vec::new(),
        now: "starting ctrl1 again".to_owned(),
    }
}

#[test]
fn a_frame_shows_the_truth_beside_what_the_gate_sees() {
    let expected = "\
raftgate demo  three raft nodes, a gate on 127.0.0.1:40000, a new TLS client every 10 ms  01:12

  node    address            it says       term   the gate sees
  ctrl1   127.0.0.1:41001    (killed)         4   unreachable: refused
> ctrl2   127.0.0.1:41002    I lead           4   leader
  ctrl3   127.0.0.1:41003    I follow         4   follower

  route     ctrl2
  clients   1204 served by the leader, 0 failed, 2 waiting
            3 cut off by their node's death, 0 served by a former leader
  sessions  3 open, 0 ended with their node, 0 broken

  starting ctrl1 again
  Ctrl-C ends the demo with a summary
";
    assert_eq!(render(&frame(), false), expected);
}

#[test]
fn a_leaderless_moment_is_told_as_such() {
    let text = render(&Frame { route: None, ..frame() }, false);
    assert!(text.contains("  route     none: clients are held\n"), "{text}");
    assert!(!text.contains('>'), "{text}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let frame = Frame {
        totals: Totals { failed: 1, ..frame().totals },
        failovers: vec!["   1 kill ... 1 FAILED".to_owned()],
        ..frame()
    };
    let coloured = render(&frame, true);
    assert!(coloured.contains("\x1b[31m1 failed\x1b[0m"), "a failure is red: {coloured}");
    let mut plain = coloured;
    for code in [0, 1, 2, 31, 32, 36] {
        plain = plain.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(plain, render(&frame, false));
}
