//! Names looked up on paused time, by a scripted name service.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};

use super::*;

const REFRESH: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// What the name service does with one question.
enum Reply {
    Finds(Vec<u8>),
    Fails,
    FindsAfter(Duration, Vec<u8>),
    Hangs,
}
use Reply::{Fails, Finds, FindsAfter, Hangs};

/// A name that is kept, and the moments at which the service was asked for it.
struct Kept {
    address: Address,
    begin: Instant,
    asked: Rc<RefCell<Vec<Duration>>>,
}

impl Kept {
    /// To be called on a `LocalSet`. The last reply is repeated.
    fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let host = Directory::default().add("ctrl1.test");
        let address = host.port(1280);
        let (begin, asked) = (Instant::now(), Rc::<RefCell<Vec<Duration>>>::default());
        let replies = RefCell::new(replies.into_iter().collect::<VecDeque<_>>());
        let book = Rc::clone(&asked);
        spawn_local(keep(host, REFRESH, move |name| {
            assert_eq!(&*name, "ctrl1.test");
            book.borrow_mut().push(begin.elapsed());
            let mut replies = replies.borrow_mut();
            let reply = if replies.len() > 1 { replies.pop_front() } else { None };
            let answer = answer(reply.as_ref().unwrap_or_else(|| &replies[0]));
            async move {
                sleep(answer.0).await;
                answer.1
            }
        }));
        Kept { address, begin, asked }
    }

    /// The current address's last octet once this time has passed since the start.
    async fn at(&self, since_begin: Duration) -> Option<u8> {
        tokio::time::sleep_until(self.begin + since_begin + Duration::from_millis(1)).await;
        self.address.current().map(|address| match address.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => unreachable!("nothing here has IPv6"),
        })
    }
}

fn answer(reply: &Reply) -> (Duration, io::Result<Vec<IpAddr>>) {
    let found = |last: &[u8]| Ok(last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect());
    match reply {
        Finds(last) => (Duration::ZERO, found(last)),
        Fails => (Duration::ZERO, Err(io::Error::other("no such name"))),
        FindsAfter(delay, last) => (*delay, found(last)),
        Hangs => (Duration::from_hours(24), Err(io::Error::other("far too late"))),
    }
}

/// Runs a script on paused time.
fn scripted(script: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, script);
}

#[test]
fn a_change_is_adopted_within_one_refresh() {
    scripted(async {
        let kept = Kept::start([Finds(vec![1]), Finds(vec![1]), Finds(vec![2])]);
        assert_eq!(kept.at(Duration::ZERO).await, Some(1), "at once");
        let mut changes = kept.address.host.directory.changes();
        assert_eq!(kept.at(REFRESH).await, Some(1));
        assert!(!changes.has_changed().unwrap(), "an unchanged look-up changes nothing");
        assert_eq!(kept.at(2 * REFRESH).await, Some(2));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
    });
}

#[test]
fn a_failure_keeps_the_last_good_address() {
    scripted(async {
        let kept = Kept::start([Finds(vec![1]), Fails, Finds(vec![2])]);
        assert_eq!(kept.at(REFRESH).await, Some(1));
        assert_eq!(kept.address.trouble().as_deref(), Some("no such name"));
        assert_eq!(kept.at(2 * REFRESH).await, Some(2));
        assert_eq!(kept.address.trouble(), None);
    });
}

#[test]
fn a_first_look_up_may_succeed_late() {
    scripted(async {
        let kept = Kept::start([Fails, Fails, Finds(vec![1])]);
        kept.address.looked_up().await;
        assert_eq!(kept.address.to_string(), "ctrl1.test:1280");
        assert_eq!(kept.at(REFRESH).await, None);
        assert_eq!(kept.at(2 * REFRESH).await, Some(1));
        assert_eq!(kept.address.to_string(), "10.0.0.1:1280");
    });
}

#[test]
fn a_service_that_hangs_is_asked_once_at_a_time_and_known_to_hang_after_the_deadline() {
    scripted(async {
        let kept = Kept::start([Finds(vec![1]), Hangs]);
        assert_eq!(kept.at(REFRESH + 4 * SECOND).await, Some(1));
        assert_eq!(kept.address.trouble(), None);
        assert_eq!(kept.at(20 * REFRESH).await, Some(1), "the last good address stays");
        let trouble = kept.address.trouble();
        assert_eq!(trouble.as_deref(), Some("the name service has not answered for 5s"));
        assert_eq!(kept.asked.borrow().len(), 2, "no second question while one hangs: {:?}", kept.asked);
    });
}

#[test]
fn an_answer_after_the_deadline_counts_nevertheless() {
    scripted(async {
        let kept = Kept::start([FindsAfter(7 * SECOND, vec![1]), Finds(vec![2])]);
        kept.address.looked_up().await;
        assert_eq!(kept.begin.elapsed().as_secs(), 5, "known to be late at the deadline");
        assert_eq!(kept.at(7 * SECOND).await, Some(1));
        assert_eq!(kept.at(7 * SECOND + REFRESH).await, Some(2));
    });
}

#[test]
fn a_single_look_up_ends_with_the_answer_or_at_the_deadline() {
    scripted(async {
        let host = Directory::default().add("ctrl1.test");
        let begin = Instant::now();
        look_up_once(host.clone(), |_| pending()).await;
        assert_eq!((begin.elapsed().as_secs(), host.port(1).current()), (5, None));
        look_up_once(host.clone(), async |_| Ok(vec![[10, 0, 0, 1].into()])).await;
        assert_eq!(host.port(1).current(), Some(([10, 0, 0, 1], 1).into()));
    });
}

#[tokio::test]
async fn the_systems_name_service_knows_this_host() {
    let found = system("localhost".into()).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert!(system("no\0name".into()).await.is_err());
}

#[test]
fn only_a_second_address_of_one_kind_is_another() {
    let host = Directory::default().add("n.test");
    let v4 = |last| IpAddr::from([10, 0, 0, last]);
    let v6 = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]);
    for (found, others) in [(vec![v4(1), v6], vec![]), (vec![v6, v4(1), v4(2)], vec![v4(2)])] {
        host.take(Ok(found));
        assert_eq!(host.port(1).others().iter().map(SocketAddr::ip).collect::<Vec<_>>(), others);
    }
}

#[test]
fn what_is_reached_on_one_port_is_current_for_all_of_the_host() {
    let directory = Directory::default();
    let (host, other) = (directory.add("n.test"), directory.add("n.test"));
    for host in [&host, &other] {
        host.take(Ok(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]));
    }
    host.port(1).note_reached(([10, 0, 0, 2], 1).into());
    assert_eq!(host.port(2).current(), Some(([10, 0, 0, 2], 2).into()));
    assert_eq!(other.port(2).current(), Some(([10, 0, 0, 1], 2).into()), "another node's");
    host.take(Ok(vec![[10, 0, 0, 3].into()]));
    let all = host.port(2).all();
    assert_eq!(all, [([10, 0, 0, 3], 2).into(), ([10, 0, 0, 2], 2).into()]);
    assert!(!host.port(2).is_listed(([10, 0, 0, 2], 2).into()));
}
