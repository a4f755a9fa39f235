//! The budget of descriptors: how many this process may open, how many the gate itself needs, and how many connections
//! that leaves (S8).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::model::Config;

/// What the kernel grants a process whose limit is "unlimited" (the default of `fs.nr_open`).
const UNLIMITED: u64 = 1_048_576;
/// macOS says "unlimited" and grants no more than this (`OPEN_MAX`).
const OPEN_MAX: u64 = 10_240;

/// Standard streams, the pollers of all threads but the workers', files that are read, and some to spare.
const BASE: u64 = 48;
/// Connections of the admin listener and of the control socket, and what is kept back for them.
const ADMIN: u64 = 96;
/// A worker's poller, its duplicate, its waker and its signals.
const PER_WORKER: u64 = 4;
/// A listening socket, its duplicate for upgrades, and another one while an upgrade passes it on.
const PER_SOCKET: u64 = 3;
/// A node's probe, the probe that hedges it, and the look-up of its name.
const PER_NODE: u64 = 3;

/// How many descriptors a process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// The soft limit as the process found it; `None`: unlimited.
    pub before: Option<u64>,
    /// The soft limit in force.
    pub now: u64,
}

/// The budget of one configuration, in descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorBudget {
    /// All that the process may open.
    pub descriptors: u64,
    /// Those that are kept back for the gate itself: its threads, listening sockets, probes, admin, pipes.
    pub kept_back: u64,
    /// The connections that there are descriptors for; each takes two.
    pub connections: usize,
}

/// Raises the soft limit of descriptors to the hard one, or as far as the system lets it. To be called before a
/// configuration is checked, since `max_connections` follows from the limit.
pub fn raise_descriptor_limit() -> DescriptorLimit {
    let limit = getrlimit(Resource::Nofile);
    for current in wanted_limits(limit.current, limit.maximum) {
        if setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum }).is_ok() {
            break;
        }
    }
    DescriptorLimit { before: limit.current, now: descriptors() }
}

/// The soft limits to try, the best first: the hard limit, then what systems grant that refuse to be taken at their word.
fn wanted_limits(current: Option<u64>, maximum: Option<u64>) -> Vec<Option<u64>> {
    let Some(now) = current else { return Vec::new() };
    let above = |limit: &Option<u64>| limit.is_none_or(|limit| limit > now);
    let within = |limit: &u64| maximum.is_none_or(|maximum| *limit < maximum);
    let fallbacks = [UNLIMITED, OPEN_MAX].into_iter().filter(within).map(Some);
    std::iter::once(maximum).chain(fallbacks).filter(above).collect()
}

impl DescriptorBudget {
    /// The budget within this process's limit.
    pub(super) fn of(config: &Config) -> Self {
        Self::within(descriptors(), own_needs(config))
    }

    fn within(descriptors: u64, own: u64) -> Self {
        let kept_back = own + 2 * pipes_within(descriptors) as u64;
        let connections = descriptors.saturating_sub(kept_back) / 2;
        let connections = usize::try_from(connections).unwrap_or(usize::MAX).max(1);
        DescriptorBudget { descriptors, kept_back, connections }
    }
}

/// The descriptors that a gate uses without a client.
fn own_needs(config: &Config) -> u64 {
    let sockets = config.listeners.iter().map(|listener| listener.bind.len()).sum();
    let nodes = config.clusters.iter().map(|cluster| cluster.nodes.len()).sum();
    needs_of(config.workers, sockets, nodes)
}

fn needs_of(workers: usize, addresses: usize, nodes: usize) -> u64 {
    let [workers, addresses, nodes] = [workers, addresses, nodes].map(|count| count as u64);
    BASE + ADMIN + workers * (PER_WORKER + addresses * PER_SOCKET) + nodes * PER_NODE
}

/// How many pipes each of so many workers may have.
pub(super) fn most_pipes(workers: usize) -> usize {
    pipes_of_each(workers, descriptors())
}

fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)
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
    fn s8_a_connection_takes_two_descriptors_beside_the_gates_own() {
        let own = needs_of(2, 1, 3);
        let of = |descriptors| DescriptorBudget::within(descriptors, own);
        assert_eq!((own, of(1024).kept_back, of(1024).connections), (167, 231, 396));
        assert_eq!((of(65_536).kept_back, of(65_536).connections), (295, 32_620));
        assert_eq!([0, 65, 167].map(|descriptors| of(descriptors).connections), [1; 3]);
    }

    #[test]
    fn s8_what_is_kept_back_grows_with_workers_listeners_and_nodes() {
        let least = needs_of(1, 1, 1);
        assert_eq!(needs_of(16, 1, 1) - least, 15 * 7);
        assert_eq!(needs_of(16, 3, 1) - needs_of(16, 1, 1), 16 * 2 * 3);
        assert_eq!(needs_of(1, 1, 3000) - least, 2999 * 3);
    }

    #[test]
    fn s8_the_soft_limit_is_raised_as_far_as_the_system_lets_it() {
        assert_eq!(wanted_limits(Some(1024), Some(524_288)), [Some(524_288), Some(OPEN_MAX)]);
        assert_eq!(wanted_limits(Some(256), None), [None, Some(UNLIMITED), Some(OPEN_MAX)]);
        assert_eq!(wanted_limits(Some(20_000), None), [None, Some(UNLIMITED)]);
        assert_eq!(wanted_limits(Some(4096), Some(4096)), []);
        assert_eq!(wanted_limits(None, None), []);
    }

    #[test]
    fn workers_share_the_pipes() {
        assert_eq!([0, 1, 4, 65].map(|workers| pipes_of_each(workers, 65_536)), [64, 64, 16, 0]);
    }

    #[test]
    fn the_limit_of_this_process_counts() {
        let granted = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
        assert_eq!(most_pipes(1), pipes_within(granted));
    }
}
