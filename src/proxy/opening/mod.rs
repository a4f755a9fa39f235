//! The time between the connect and the node's first byte (S4), during which a client whose words a server
//! forgets with the connection may still be moved to another node.

mod decision;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

pub(super) use decision::Opening;
use decision::{AfterClose, Standing, standing};

use super::choice::Setback;
use super::hold::next_change;
use super::journey::Journey;
use super::outcome::{Ending, Outcome};
use super::proxy_header::{FORGED, PATIENCE};
use super::unjoined::Unjoined;
use super::worker::Scratch;
use crate::intent::Suspicion;
use crate::relay::Meter;
use crate::tenure::Tenure;
use crate::wire::hello::{OPENING_LIMIT, Opening as Judgement};
use crate::wire::proxy_header::{Sign, sign};

/// What is read at once: as much as is kept, and the one byte that makes it too much.
pub(super) const SCRATCH: usize = OPENING_LIMIT + 1;

/// How an opening with one node ended.
pub(super) enum Opened {
    /// The client and the node belong together from here on.
    Joined {
        /// The node's end.
        node: Unjoined,
        /// The tenure that the session is of.
        tenure: Arc<Tenure>,
        /// The node's first bytes, which the client has still to get.
        first: Vec<u8>,
        /// What the client sent and the node has still to get.
        unsent: Vec<u8>,
        /// Whether the client has sent its last byte.
        finished: bool,
    },
    /// The client is to be dialled again; nothing of the node has reached it.
    Moved {
        /// What it has sent so far.
        opening: Opening,
        /// If its node itself ended it: that node's tenure, and when; taken before anybody was told, so that the
        /// probe that answers the signal counts (S3).
        closed_early: Option<(Arc<Tenure>, Instant)>,
    },
}

/// Carries the client's opening to the node and waits for its first byte.
///
/// # Errors
/// The end of the connection: the client has gone, or the node insists on closing.
pub(super) async fn open(
    journey: &mut Journey,
    opening: Opening,
    mut tenure: Arc<Tenure>,
    node: Unjoined,
    setback: Option<&Setback>,
) -> Result<Opened, Ending> {
    let mut exchange =
        Exchange::new(opening, node, journey.introduction(), journey.may_not_introduce_itself());
    loop {
        match standing(&tenure, &journey.route.load()) {
            Standing::Stay => {}
            Standing::Adopt(newer) => tenure = newer,
            // A byte that is there already ends every thought of moving.
            Standing::Leave => match exchange.read_node_once_more(&journey.worker.scratch) {
                Some(first) => return Ok(exchange.joined(journey, tenure, first)),
                None => return Ok(Opened::Moved { opening: exchange.opening, closed_early: None }),
            },
        }
        let tell_until = exchange.forgery.tell_until();
        let happened = tokio::select! {
            biased;
            happened = exchange.next(&mut journey.client, &journey.meter, &journey.worker.scratch) => happened,
            () = next_change(&mut journey.route) => continue,
            () = at(tell_until) => Happened::ClientForges("what it sent could become a PROXY header, and nothing more came"),
        };
        return match happened {
            Happened::ClientMayForge => continue,
            Happened::ClientForges(how) => Err(journey.refuse_header(how).into()),
            Happened::NodeSpoke(first) => Ok(exchange.joined(journey, tenure, first)),
            // The node that has got nothing of it is left: the bytes go to another one, once.
            Happened::ClientCommitted if exchange.sent == 0 && is_overtaken(journey, &tenure) => {
                continue;
            }
            Happened::ClientCommitted => Ok(exchange.joined(journey, tenure, Vec::new())),
            Happened::ClientAbandoned => {
                journey.client.keep_orderly();
                exchange.node.keep_orderly();
                Err(Outcome::Client.into())
            }
            Happened::ClientFailed => Err(Outcome::ClientError.into()),
            Happened::NodeClosed { orderly } => match exchange.read_node_once_more(&journey.worker.scratch) {
                Some(first) => Ok(exchange.joined(journey, tenure, first)),
                None => exchange.after_close(journey, orderly, setback, tenure),
            },
        };
    }
}

/// Whether the client is to leave this node for another one.
fn is_overtaken(journey: &Journey, tenure: &Tenure) -> bool {
    matches!(standing(tenure, &journey.route.load()), Standing::Leave)
}

/// What can happen before a node's first byte.
enum Happened {
    NodeSpoke(Vec<u8>),
    NodeClosed {
        orderly: bool,
    },
    /// What the client has sent may have an effect on the node: it cannot be sent twice.
    ClientCommitted,
    /// What it has sent so far may become a PROXY header, which it may not send.
    ClientMayForge,
    /// It has, and how.
    ClientForges(&'static str),
    /// It has closed after bytes that mean nothing without an answer.
    ClientAbandoned,
    ClientFailed,
}

/// One node's part of an opening.
struct Exchange {
    opening: Opening,
    /// How much of what is kept this node has got.
    sent: usize,
    finish_sent: bool,
    /// The PROXY header, which comes before all that is kept and is no part of it.
    introduction: Vec<u8>,
    /// How much of it this node has got.
    introduced: usize,
    forgery: Forgery,
    node: Unjoined,
}

/// Whether the client, whom no proxy vouches for, begins with a PROXY header of its own. What may become one is kept back
/// from the node, unless the client ends with it, or the node has spoken first: a node that would believe the header
/// would have waited for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgery {
    /// It does not, or would do no harm.
    No,
    /// It has said nothing yet.
    Possible,
    /// What it has said may become one; until when it may be.
    Likely(Instant),
}

impl Forgery {
    fn tell_until(self) -> Option<Instant> {
        if let Forgery::Likely(until) = self { Some(until) } else { None }
    }
}

impl Exchange {
    fn new(opening: Opening, node: Unjoined, introduction: Vec<u8>, may_not_introduce_itself: bool) -> Self {
        let forgery = match opening.kept() {
            _ if !may_not_introduce_itself || opening.is_finished() => Forgery::No,
            [] => Forgery::Possible,
            kept if sign(kept) == Sign::Perhaps => Forgery::Likely(Instant::now() + PATIENCE),
            _ => Forgery::No,
        };
        Exchange { opening, sent: 0, finish_sent: false, introduction, introduced: 0, forgery, node }
    }

    async fn next(&mut self, client: &mut TcpStream, meter: &Meter, scratch: &Scratch) -> Happened {
        std::future::poll_fn(|cx| self.poll(cx, client, meter, &mut scratch.borrow_mut())).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut TcpStream,
        meter: &Meter,
        scratch: &mut [u8],
    ) -> Poll<Happened> {
        // Nobody is joined to a node that has not been told whom it gets.
        if ready!(self.poll_introduce(cx)).is_err() {
            return Poll::Ready(Happened::NodeClosed { orderly: false });
        }
        // What was read of the client for the sake of its route was more than an opening.
        if self.opening.is_committed() && self.forgery == Forgery::No {
            return Poll::Ready(Happened::ClientCommitted);
        }
        // The node first: a byte of it decides everything.
        match poll_read(cx, &mut self.node, scratch) {
            Poll::Ready(Ok([])) => return Poll::Ready(Happened::NodeClosed { orderly: true }),
            Poll::Ready(Ok(first)) => return Poll::Ready(Happened::NodeSpoke(first.to_vec())),
            Poll::Ready(Err(_)) => return Poll::Ready(Happened::NodeClosed { orderly: false }),
            Poll::Pending => {}
        }
        loop {
            if ready!(self.poll_deliver(cx)).is_err() {
                return Poll::Ready(Happened::NodeClosed { orderly: false });
            }
            if self.opening.is_finished() {
                return Poll::Pending;
            }
            let room = SCRATCH - self.opening.kept().len();
            match ready!(poll_read(cx, client, &mut scratch[..room])) {
                Ok([]) => {
                    self.opening.finish();
                    meter.half_closed.set(true);
                    if let Forgery::Likely(_) = self.forgery {
                        return Poll::Ready(Happened::ClientCommitted);
                    }
                    if self.opening.is_abandoned() {
                        return Poll::Ready(Happened::ClientAbandoned);
                    }
                }
                Ok(bytes) => {
                    if let Some(happened) = self.take_in(bytes, meter) {
                        return Poll::Ready(happened);
                    }
                }
                Err(_) => return Poll::Ready(Happened::ClientFailed),
            }
        }
    }

    /// Judges what the client has said with these bytes.
    fn take_in(&mut self, bytes: &[u8], meter: &Meter) -> Option<Happened> {
        let judgement = self.opening.add(bytes);
        meter.opening_complete.set(self.opening.is_whole());
        if self.forgery != Forgery::No {
            match (sign(self.opening.kept()), self.forgery) {
                (Sign::Perhaps, Forgery::Likely(_)) => return None,
                (Sign::Perhaps, _) => {
                    self.forgery = Forgery::Likely(Instant::now() + PATIENCE);
                    return Some(Happened::ClientMayForge);
                }
                (Sign::Header(_), _) => return Some(Happened::ClientForges(FORGED)),
                (Sign::Other, _) => self.forgery = Forgery::No,
            }
        }
        (judgement == Judgement::Committed).then_some(Happened::ClientCommitted)
    }

    /// Tells the node whom it gets; where that one has spoken already, in one packet with its words.
    fn poll_introduce(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_introduced() {
            let header = &self.introduction[self.introduced..];
            let parts = [IoSlice::new(header), IoSlice::new(due(&self.opening, self.sent, self.forgery))];
            let of_header = header.len();
            let written = ready!(Pin::new(&mut *self.node).poll_write_vectored(cx, &parts))?;
            self.introduced += written.min(of_header);
            self.sent += written.saturating_sub(of_header);
        }
        Poll::Ready(Ok(()))
    }

    fn is_introduced(&self) -> bool {
        self.introduced == self.introduction.len()
    }

    /// Brings the node up to date with the client, its end of file included.
    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let due = due(&self.opening, self.sent, self.forgery);
            if due.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut *self.node).poll_write(cx, due))?;
            self.sent += written;
        }
        if self.opening.is_finished() && !self.finish_sent {
            ready!(Pin::new(&mut *self.node).poll_shutdown(cx))?;
            self.finish_sent = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Asks the kernel itself: the runtime may not have heard yet of what has come.
    fn read_node_once_more(&self, scratch: &Scratch) -> Option<Vec<u8>> {
        if !self.is_introduced() {
            return None;
        }
        let mut scratch = scratch.borrow_mut();
        match (&*socket2::SockRef::from(&*self.node)).read(&mut scratch) {
            Ok(n) if n > 0 => Some(scratch[..n].to_vec()),
            _ => None,
        }
    }

    fn joined(self, journey: &Journey, tenure: Arc<Tenure>, first: Vec<u8>) -> Opened {
        // The node's byte may have been seen before its new tenure was: the old one's fate does not concern it.
        let tenure = match standing(&tenure, &journey.route.load()) {
            Standing::Adopt(newer) => newer,
            Standing::Stay | Standing::Leave => tenure,
        };
        let finished = self.opening.is_finished();
        // Only now: what a node got before its client left it is sent again, and was relayed once.
        journey.meter.to_node.set(journey.meter.to_node.get() + self.sent as u64);
        Opened::Joined {
            node: self.node,
            tenure,
            first,
            unsent: self.opening.into_unsent(self.sent),
            finished,
        }
    }

    fn after_close(
        self,
        journey: &mut Journey,
        orderly: bool,
        setback: Option<&Setback>,
        tenure: Arc<Tenure>,
    ) -> Result<Opened, Ending> {
        match self.opening.after_close(orderly, setback, &tenure, &journey.route.load()) {
            AfterClose::Move => {
                let at = Instant::now();
                journey.cluster.inbox.signal(tenure.node, Suspicion::ClosedEarly);
                Ok(Opened::Moved { opening: self.opening, closed_early: Some((tenure, at)) })
            }
            AfterClose::PassOn if orderly => {
                journey.client.keep_orderly();
                Err(if self.opening.is_finished() { Outcome::Client } else { Outcome::Node }.into())
            }
            AfterClose::PassOn => Err(Outcome::NodeError.into()),
        }
    }
}

/// What a node that has got so much may have of the client's words besides.
fn due(opening: &Opening, sent: usize, forgery: Forgery) -> &[u8] {
    if let Forgery::Likely(_) = forgery { &[] } else { &opening.kept()[sent..] }
}

/// That moment; never, if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Reads what is there into `scratch`; an empty slice is the end of file.
pub(super) fn poll_read<'a>(
    cx: &mut Context<'_>,
    stream: &mut TcpStream,
    scratch: &'a mut [u8],
) -> Poll<io::Result<&'a [u8]>> {
    let mut buffer = ReadBuf::new(scratch);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    let read = buffer.filled().len();
    Poll::Ready(Ok(&scratch[..read]))
}
