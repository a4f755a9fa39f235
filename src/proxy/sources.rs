//! How many connections each source has at one listener (S8). Only sources that have some are known, so that the
//! memory is bounded by the connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// So many places for each source and no more, over all workers.
#[derive(Debug)]
pub(super) struct Sources {
    taken: Mutex<HashMap<Source, usize>>,
    limit: AtomicUsize,
}

/// Whom a bound is for: an IPv4 address, or an IPv6 network of 64 bits, for who has one address has all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(IpAddr);

/// A source's place, until dropped.
#[derive(Debug)]
pub(super) struct SourcePlace {
    source: Source,
    sources: Arc<Sources>,
}

impl Sources {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Sources { taken: Mutex::default(), limit: AtomicUsize::new(limit) })
    }

    /// From now on so many for each. Whoever has a place keeps it, even beyond that.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A place for this client, unless its source has all of its own.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Option<SourcePlace> {
        let source = Source::of(client);
        let mut sources = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = sources.get(&source).copied().unwrap_or(0);
        if taken >= self.limit.load(Ordering::Relaxed) {
            return None;
        }
        sources.insert(source, taken + 1);
        Some(SourcePlace { source, sources: Arc::clone(self) })
    }
}

impl Source {
    fn of(client: IpAddr) -> Self {
        // A dual-stack listener knows IPv4 clients by a mapped address.
        Source(match client.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl Drop for SourcePlace {
    fn drop(&mut self) {
        let mut sources = self.sources.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = sources.entry(self.source) {
            match entry.get() {
                0 | 1 => {
                    entry.remove();
                }
                taken => {
                    let left = taken - 1;
                    entry.insert(left);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn s8_each_source_has_its_own_bound_and_leaves_nothing_behind() {
        let sources = Sources::new(2);
        let taken = [sources.take(ip("192.0.2.1")).unwrap(), sources.take(ip("192.0.2.1")).unwrap()];
        assert!(sources.take(ip("192.0.2.1")).is_none());
        let other = sources.take(ip("192.0.2.2")).unwrap();
        let [first, second] = taken;
        drop(first);
        let again = sources.take(ip("192.0.2.1")).unwrap();
        assert!(sources.take(ip("192.0.2.1")).is_none());
        drop((second, other, again));
        assert!(sources.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn s8_a_source_is_an_ipv4_address_or_an_ipv6_network() {
        let same = |a, b| Source::of(ip(a)) == Source::of(ip(b));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
