//! What is known of hosts' addresses, and what an answer or a failure changes: pure.

use std::net::IpAddr;
use std::sync::Arc;

/// The hosts of one directory, by their places.
#[derive(Clone, Debug, Default)]
pub struct Book(Vec<Entry>);

/// One host.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// What the name stands for, in the order in which it became known: a name service that turns its answers
    /// round, as many do, changes nothing.
    listed: Vec<IpAddr>,
    /// Where the host has last made a statement. This address stays, even when it is no longer listed, until a
    /// statement is made at another one: no client is sent to where the node has said nothing yet.
    reached: Option<IpAddr>,
    /// Why the newest look-up failed, if it did.
    trouble: Option<Arc<str>>,
}

/// What a look-up brought that was not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The name stands for other addresses than before: these.
    Addresses(Vec<IpAddr>),
    /// It cannot be looked up; what was known stays.
    Trouble(Arc<str>),
    /// It can be looked up again, and stands for the same as before.
    TroubleOver,
}

impl Book {
    /// Adds a host and returns its place. An `address` needs no look-up.
    pub(super) fn add(&mut self, address: Option<IpAddr>) -> usize {
        self.0.push(Entry { listed: address.into_iter().collect(), ..Entry::default() });
        self.0.len() - 1
    }

    /// Takes in what a look-up brought. An answer without any address is a failure.
    pub(super) fn take(&mut self, place: usize, answer: Result<Vec<IpAddr>, Arc<str>>) -> Option<News> {
        let entry = &mut self.0[place];
        match answer {
            Ok(found) if found.is_empty() => entry.fail("the name service knows no address for it".into()),
            Ok(found) => entry.list(&found),
            Err(cause) => entry.fail(cause),
        }
    }

    /// Notes where a host was reached. Returns whether that is another address than the current one was.
    pub(super) fn note_reached(&mut self, place: usize, address: IpAddr) -> bool {
        let before = self.current(place);
        self.0[place].reached = Some(address);
        self.current(place) != before
    }

    /// The address that was last reached, or else the first that is listed.
    pub(super) fn current(&self, place: usize) -> Option<IpAddr> {
        let entry = &self.0[place];
        entry.reached.or_else(|| entry.listed.first().copied())
    }

    /// Where the host was last reached, if it ever was.
    pub(super) fn reached(&self, place: usize) -> Option<IpAddr> {
        self.0[place].reached
    }

    /// What the name stands for.
    pub(super) fn listed(&self, place: usize) -> Vec<IpAddr> {
        self.0[place].listed.clone()
    }

    /// Everything that leads to the host, in the order in which to try it: from the one after `failed`, or else from
    /// the current one. The address at which the host was reached comes before those that are listed, even when it is
    /// no longer one of them: a wrong answer of the name service takes no working address away.
    pub(super) fn in_turn(&self, place: usize, failed: Option<IpAddr>) -> Vec<IpAddr> {
        let Entry { listed, reached, .. } = &self.0[place];
        let unlisted = reached.filter(|address| !listed.contains(address));
        let mut turn: Vec<IpAddr> = unlisted.into_iter().chain(listed.iter().copied()).collect();
        let position = |wanted| turn.iter().position(|address| Some(*address) == wanted);
        let begin = match position(failed) {
            Some(failed) => failed + 1,
            None => position(self.current(place)).unwrap_or(0),
        };
        // `begin` may be one past the end, which turns everything round to where it was.
        turn.rotate_left(begin);
        turn
    }

    /// Puts an address that failed behind the others that are listed. Returns whether the current address is another
    /// one now, which is never so for a host that was reached: there, the probe decides.
    pub(super) fn pass_over(&mut self, place: usize, failed: IpAddr) -> bool {
        let before = self.current(place);
        let listed = &mut self.0[place].listed;
        if listed.first() == Some(&failed) {
            listed.rotate_left(1);
        }
        self.current(place) != before
    }

    pub(super) fn is_listed(&self, place: usize, address: IpAddr) -> bool {
        self.0[place].listed.contains(&address)
    }

    pub(super) fn is_looked_up(&self, place: usize) -> bool {
        !self.0[place].listed.is_empty() || self.0[place].trouble.is_some()
    }

    pub(super) fn trouble(&self, place: usize) -> Option<Arc<str>> {
        self.0[place].trouble.clone()
    }
}

impl Entry {
    fn list(&mut self, found: &[IpAddr]) -> Option<News> {
        let was_in_trouble = self.trouble.take().is_some();
        let mut listed: Vec<IpAddr> =
            self.listed.iter().copied().filter(|address| found.contains(address)).collect();
        for address in found {
            if !listed.contains(address) {
                listed.push(*address);
            }
        }
        if listed == self.listed {
            return was_in_trouble.then_some(News::TroubleOver);
        }
        self.listed.clone_from(&listed);
        Some(News::Addresses(listed))
    }

    fn fail(&mut self, cause: Arc<str>) -> Option<News> {
        if self.trouble.replace(Arc::clone(&cause)).as_ref() == Some(&cause) {
            return None;
        }
        Some(News::Trouble(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn ips<const N: usize>(last: [u8; N]) -> Vec<IpAddr> {
        last.map(ip).into()
    }

    /// A name that stands for these.
    fn listing<const N: usize>(last: [u8; N]) -> Book {
        let mut book = Book::default();
        book.add(None);
        book.take(0, Ok(ips(last)));
        book
    }

    #[test]
    fn an_address_is_known_and_a_name_is_not_until_it_was_looked_up() {
        let mut book = Book::default();
        let (fixed, name) = (book.add(Some(ip(1))), book.add(None));
        assert_eq!((book.current(fixed), book.is_looked_up(fixed)), (Some(ip(1)), true));
        assert_eq!((book.current(name), book.is_looked_up(name)), (None, false));
        assert_eq!(book.take(name, Err("no".into())), Some(News::Trouble("no".into())));
        assert_eq!((book.current(name), book.is_looked_up(name)), (None, true));
        assert_eq!(book.take(name, Ok(ips([2]))), Some(News::Addresses(ips([2]))));
        assert_eq!((book.current(name), book.trouble(name)), (Some(ip(2)), None));
    }

    #[test]
    fn an_unchanged_look_up_changes_nothing_in_whatever_order_it_comes() {
        let mut book = listing([1, 2, 3]);
        for answer in [ips([1, 2, 3]), ips([3, 1, 2]), ips([2, 2, 1, 3])] {
            assert_eq!(book.take(0, Ok(answer)), None);
            assert_eq!(book.in_turn(0, None), ips([1, 2, 3]));
        }
    }

    #[test]
    fn a_failure_keeps_the_last_good_and_is_told_once() {
        let mut book = listing([1, 2]);
        assert_eq!(book.take(0, Err("down".into())), Some(News::Trouble("down".into())));
        assert_eq!(book.take(0, Err("down".into())), None);
        let empty = book.take(0, Ok(Vec::new()));
        assert_eq!(empty, Some(News::Trouble("the name service knows no address for it".into())));
        assert_eq!((book.current(0), book.in_turn(0, None)), (Some(ip(1)), ips([1, 2])));
        assert_eq!(book.take(0, Ok(ips([1, 2]))), Some(News::TroubleOver));
        assert_eq!(book.trouble(0), None);
    }

    #[test]
    fn addresses_are_tried_in_turn_from_the_current_one_or_after_the_one_that_failed() {
        let mut book = listing([1, 2, 3]);
        assert_eq!(book.in_turn(0, Some(ip(1))), ips([2, 3, 1]));
        assert_eq!(book.in_turn(0, Some(ip(3))), ips([1, 2, 3]));
        assert!(book.note_reached(0, ip(2)));
        assert_eq!(book.in_turn(0, None), ips([2, 3, 1]));
        assert_eq!(book.in_turn(0, Some(ip(9))), ips([2, 3, 1]), "what failed is not listed any more");
    }

    #[test]
    fn a_host_stays_where_it_was_reached_until_it_is_reached_elsewhere() {
        let mut book = listing([1]);
        assert!(!book.note_reached(0, ip(1)), "it was the current one already");
        assert_eq!(book.take(0, Ok(ips([2]))), Some(News::Addresses(ips([2]))));
        assert_eq!((book.current(0), book.in_turn(0, None)), (Some(ip(1)), ips([1, 2])));
        assert_eq!(book.in_turn(0, Some(ip(1))), ips([2, 1]));
        assert_eq!((book.reached(0), book.listed(0)), (Some(ip(1)), ips([2])));
        assert!(book.note_reached(0, ip(2)));
        assert_eq!((book.current(0), book.in_turn(0, None)), (Some(ip(2)), ips([2])));
    }

    #[test]
    fn an_address_that_fails_is_passed_over_unless_it_was_reached() {
        let mut book = listing([1, 2, 3]);
        assert!(book.pass_over(0, ip(1)));
        assert_eq!((book.current(0), book.listed(0)), (Some(ip(2)), ips([2, 3, 1])));
        assert!(!book.pass_over(0, ip(1)), "the failure is of the address before");
        assert_eq!(book.take(0, Ok(ips([1, 2, 3]))), None, "the next look-up does not undo it");
        book.note_reached(0, ip(2));
        assert!(!book.pass_over(0, ip(2)));
    }

    #[test]
    fn a_host_that_nobody_has_to_reach_moves_when_its_address_is_gone() {
        let mut book = listing([1, 2]);
        book.take(0, Ok(ips([3, 2, 1])));
        assert_eq!(book.current(0), Some(ip(1)));
        book.take(0, Ok(ips([3, 2])));
        assert_eq!(book.current(0), Some(ip(2)));
    }
}
