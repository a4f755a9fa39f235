//! The arithmetic of the bench of peers: what it says is reached must be.

use std::collections::BTreeMap;

#[path = "../../benches/peers/goals.rs"]
mod goals;

use goals::{Bound, GOALS, Goal, Measure, Medians, added_latency};

/// Medians by workload and peer.
#[derive(Default)]
struct Table {
    values: BTreeMap<(&'static str, &'static str), f64>,
    cpu: Option<f64>,
    kib: Option<f64>,
}

impl Medians for Table {
    fn value(&self, workload: &str, peer: &str) -> Option<f64> {
        self.values.get(&(workload, peer)).copied()
    }

    fn cpu_per_gb(&self, workload: &str) -> Option<f64> {
        self.cpu.filter(|_| workload == "bulk-8")
    }

    fn kib_per_cluster(&self) -> Option<f64> {
        self.kib
    }
}

/// Messages a second that take 10, 20, 25 and 30 µs.
fn ping_pong() -> Table {
    let rates =
        [("direct", 100_000.0), ("raftgate", 50_000.0), ("haproxy", 40_000.0), ("haproxy-best", 1e6 / 30.0)];
    let values = rates.into_iter().map(|(peer, rate)| (("ping", peer), rate)).collect();
    Table { values, ..Table::default() }
}

fn reached(measure: Measure, table: &Table) -> Option<f64> {
    Goal { workload: "ping", measure, bound: Bound::AtLeast(1.0) }.reached(table)
}

fn assert_near(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{found:?} is not {expected}");
}

#[test]
fn a_multiple_is_raftgates_figure_over_the_peers() {
    assert_near(reached(Measure::Times("haproxy"), &ping_pong()), 1.25);
    assert_near(reached(Measure::Times("direct"), &ping_pong()), 0.5);
    assert_near(reached(Measure::Itself, &ping_pong()), 50_000.0);
}

#[test]
fn added_latency_is_what_a_messages_way_takes_beyond_the_direct_one() {
    assert_near(Some(added_latency(50_000.0, 100_000.0)), 10e-6);
    assert_near(reached(Measure::AddedLatency("haproxy"), &ping_pong()), 10.0 / 15.0);
    assert_near(reached(Measure::AddedLatency("haproxy-best"), &ping_pong()), 0.5);
}

#[test]
fn nothing_is_reached_by_what_was_not_run() {
    assert_eq!(reached(Measure::Times("nginx"), &ping_pong()), None);
    for (_, missing) in ping_pong().values.keys() {
        let mut table = ping_pong();
        table.values.remove(&("ping", missing));
        let added = reached(Measure::AddedLatency("haproxy"), &table);
        assert_eq!(added.is_none(), *missing != "haproxy-best", "without {missing}");
    }
    for goal in GOALS {
        assert_eq!(goal.reached(&Table::default()), None, "{goal:?}");
    }
}

#[test]
fn costs_are_taken_as_they_are() {
    let table = Table { cpu: Some(0.07), kib: Some(64.0), ..Table::default() };
    let of = |measure| GOALS.into_iter().find(|goal| goal.measure == measure).unwrap();
    let (cpu, kib) = (of(Measure::CpuPerGb), of(Measure::KibPerCluster));
    assert_near(cpu.reached(&table), 0.07);
    assert_near(kib.reached(&table), 64.0);
    assert!(cpu.is_met_by(0.07) && !cpu.is_met_by(0.071));
    assert!(kib.is_met_by(64.0) && !kib.is_met_by(64.5));
}

#[test]
fn a_bound_is_met_by_itself() {
    let goal = |bound| Goal { workload: "ping", measure: Measure::Itself, bound };
    for (bound, met, missed) in [(Bound::AtLeast(1.07), 1.08, 1.069), (Bound::AtMost(1400.0), 1399.0, 1401.0)]
    {
        let limit = match bound {
            Bound::AtLeast(limit) | Bound::AtMost(limit) => limit,
        };
        assert!(goal(bound).is_met_by(limit) && goal(bound).is_met_by(met) && !goal(bound).is_met_by(missed));
    }
}
