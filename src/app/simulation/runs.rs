//! Random schedules by the thousand; each follows from its seed.

use std::collections::BTreeMap;

use super::schedule::{Outcome, Schedule};

/// How many schedules are played, unless `RAFTGATE_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 1000;

/// What was seen in all schedules.
#[derive(Debug, Default)]
struct Total {
    elections: u64,
    displacements: u64,
    wakings: u64,
    conflicts: u64,
    settled: u64,
    probes: u64,
    drained: u64,
    kept_again: u64,
    cut: u64,
    /// By kind of failure: how often, and the longest that what is promised of it took, in microseconds.
    followed: BTreeMap<&'static str, (u64, u64)>,
}

impl Total {
    fn add(&mut self, one: &Outcome) {
        self.elections += one.tally.elections;
        self.displacements += one.tally.displacements;
        self.wakings += one.tally.wakings;
        self.conflicts += one.tally.conflicts;
        self.settled += one.tally.settled;
        self.probes += one.probes;
        self.drained += one.drained;
        self.kept_again += one.kept_again;
        self.cut += one.cut;
        if let Some((kind, took)) = one.followed {
            let (count, longest) = self.followed.entry(kind).or_default();
            (*count, *longest) = (*count + 1, took.max(*longest));
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("RAFTGATE_SEED and _SCHEDULES are numbers"))
}

#[test]
fn what_probers_and_follow_make_of_raft_holds_in_random_schedules() {
    if let Some(seed) = number("RAFTGATE_SEED") {
        Schedule::play(seed, true);
        return;
    }
    let schedules = number("RAFTGATE_SCHEDULES").unwrap_or(SCHEDULES);
    let mut total = Total::default();
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let seeds = (half..schedules).step_by(2);
            scope.spawn(move || seeds.map(|seed| Schedule::play(seed, false)).collect::<Vec<_>>())
        });
        for half in halves {
            half.join().expect("a schedule failed").iter().for_each(|one| total.add(one));
        }
    });
    println!("{total:?}");
    // What never happened was not tested.
    assert!(total.elections > 2 * schedules && total.displacements > schedules / 4, "{total:?}");
    assert!(total.wakings > schedules / 4 && total.conflicts > schedules, "{total:?}");
    assert!(total.settled > schedules / 4 * 3, "{total:?}");
    assert!(total.drained.min(total.kept_again).min(total.cut) > schedules / 20, "{total:?}");
    assert!(total.followed.len() == 4 && total.followed.values().all(|(count, _)| *count > schedules / 50));
}

#[test]
fn a_seed_brings_the_same_schedule_to_the_byte() {
    for seed in 0..10 {
        let [first, second] = [(); 2].map(|()| Schedule::play(seed, true).trace);
        assert!(first.lines().count() > 100, "little happened: {first}");
        assert!(first == second, "seed {seed}");
    }
}
