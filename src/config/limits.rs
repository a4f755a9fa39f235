//! How many connections this process could have at all, and how many pipes beside them.

use rustix::process::{Resource, getrlimit};

/// Descriptors kept for probes, admin, logs and listeners.
const RESERVE: u64 = 64;

/// What the kernel grants a process whose limit is "unlimited" (the default of `fs.nr_open`).
const UNLIMITED: u64 = 1_048_576;

/// As many as there are descriptors for: a session takes two.
pub(super) fn most_connections() -> usize {
    connections_within(descriptors())
}

/// How many pipes each of so many workers may have.
pub(super) fn most_pipes(workers: usize) -> usize {
    pipes_of_each(workers, descriptors())
}

fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)
}

fn connections_within(descriptors: u64) -> usize {
    let kept_back = RESERVE + 2 * pipes_within(descriptors) as u64;
    usize::try_from(descriptors.saturating_sub(kept_back) / 2).unwrap_or(usize::MAX).max(1)
}

/// A pipe takes two descriptors, too: one in sixteen is for them, and no more than are of use. They are lent to sessions
/// only while bytes are under way, and an unprivileged user has not many more large ones (`fs.pipe-user-pages-soft`).
fn pipes_within(descriptors: u64) -> usize {
    const MOST: u64 = 64;
    usize::try_from((descriptors / 32).min(MOST)).unwrap_or_default()
}

fn pipes_of_each(workers: usize, descriptors: u64) -> usize {
    pipes_within(descriptors) / workers.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_two_descriptors_and_some_are_kept_back() {
        assert_eq!((connections_within(1024), pipes_within(1024)), (448, 32));
        assert_eq!((connections_within(65_536), pipes_within(65_536)), (32_672, 64));
        assert_eq!(connections_within(65), 1);
        assert_eq!(connections_within(0), 1);
    }

    #[test]
    fn workers_share_the_pipes() {
        assert_eq!([0, 1, 4, 65].map(|workers| pipes_of_each(workers, 65_536)), [64, 64, 16, 0]);
    }

    #[test]
    fn the_limit_of_this_process_counts() {
        let granted = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
        let of_one = (connections_within(granted), pipes_within(granted));
        assert_eq!((most_connections(), most_pipes(1)), of_one);
    }
}
