//! How many connections this process could have at all.

use rustix::process::{Resource, getrlimit};

/// Descriptors kept for probes, admin, logs and listeners.
const RESERVE: u64 = 64;

/// What the kernel grants a process whose limit is "unlimited" (the default of `fs.nr_open`).
const UNLIMITED: u64 = 1 << 20;

/// As many as there are descriptors for: a session takes two.
pub(super) fn most_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
    connections_within(descriptors)
}

fn connections_within(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(RESERVE) / 2).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_two_descriptors_and_some_are_kept_back() {
        assert_eq!(connections_within(1024), 480);
        assert_eq!(connections_within(65), 1);
        assert_eq!(connections_within(0), 1);
    }
}
