//! The tracker against raft itself: random schedules of elections, pauses, crashes, partitions, lost and late
//! answers. What `judge` says must hold after every step.
//!
//! A schedule follows from its seed; a failure names it: `RAFTGATE_SEED=... cargo test --lib leader::`.

use super::judge::Tally;
use super::world::World;

const SCHEDULES: u64 = 2000;

#[test]
fn what_the_tracker_makes_of_raft_holds_in_random_schedules() {
    if let Ok(seed) = std::env::var("RAFTGATE_SEED") {
        World::new(seed.parse().expect("RAFTGATE_SEED is a number")).run();
        return;
    }
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                (half..SCHEDULES).step_by(2).map(|seed| World::new(seed).run()).collect::<Vec<_>>()
            })
        });
        for half in halves {
            half.join().expect("a schedule failed").into_iter().for_each(|one| tally.add(one));
        }
    });
    println!("{tally:?}");
    // What never happened was not tested.
    let Tally {
        elections, displacements, wakings, overtaken, conflicts, settled, pins, unpins, drains, ..
    } = tally;
    assert!(elections > 2 * SCHEDULES && displacements > SCHEDULES / 4, "{tally:?}");
    assert!(wakings > SCHEDULES / 4 && conflicts > SCHEDULES && overtaken > SCHEDULES, "{tally:?}");
    assert!(settled > SCHEDULES / 4 * 3, "{tally:?}");
    assert!(pins.min(unpins).min(drains) > SCHEDULES / 16, "{tally:?}");
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.elections += other.elections;
        self.displacements += other.displacements;
        self.unlucky_displacements += other.unlucky_displacements;
        self.wakings += other.wakings;
        self.overtaken += other.overtaken;
        self.conflicts += other.conflicts;
        self.settled += other.settled;
        self.pins += other.pins;
        self.unpins += other.unpins;
        self.drains += other.drains;
    }
}
