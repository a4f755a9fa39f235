//! Watches a client that has no node yet: its opening is read, so that its end of file is seen (S2, S4).

use std::future::poll_fn;
use std::task::ready;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::generation::Listener;
use super::opening::{Opening, SCRATCH, poll_read};
use super::outcome::{Ending, Outcome};
use super::proxy_header::{FORGED, refuse_header};
use super::trace::Trace;
use super::unjoined::Unjoined;
use super::worker::Worker;
use crate::relay::Meter;
use crate::wire::proxy_header::{Sign, sign};

/// A client that has no node yet, apart from the route that it waits for.
pub(super) struct Waiting<'a> {
    pub(super) client: &'a mut Unjoined,
    pub(super) worker: &'a Worker,
    pub(super) listener: &'a Listener,
    pub(super) trace: &'a Trace,
    pub(super) meter: &'a Meter,
    /// Whether a PROXY header of its own would be forged.
    pub(super) may_not_introduce_itself: bool,
}

impl Waiting<'_> {
    /// Reads the client's opening, and is ready once the client is to be ended.
    ///
    /// Bytes are read as long as a server forgets them with the connection (S4). So the end of file of a client that gave
    /// up is seen, and its place is free for another client. After other bytes, or after an end of file without any, the
    /// client may still want its answer: then the kernel keeps what follows, and only a reset ends the wait.
    ///
    /// Dropping the future loses no byte: what was read is in `opening`.
    pub(super) async fn end(mut self, opening: &mut Opening) -> Ending {
        match self.read(opening).await {
            ReadEnd::Abandoned => {
                self.client.keep_orderly();
                Outcome::Client.into()
            }
            ReadEnd::Forged => refuse_header(self.listener, self.trace, &FORGED).into(),
            ReadEnd::Failed => Outcome::ClientError.into(),
            ReadEnd::Unreadable => {
                failed(self.client).await;
                Outcome::ClientError.into()
            }
        }
    }

    async fn read(&mut self, opening: &mut Opening) -> ReadEnd {
        poll_fn(|cx| {
            let mut scratch = self.worker.scratch.borrow_mut();
            while !opening.is_committed() && !opening.is_finished() {
                let room = SCRATCH - opening.kept().len();
                match ready!(poll_read(cx, self.client, &mut scratch[..room])) {
                    Ok([]) => {
                        opening.finish();
                        self.meter.half_closed.set(true);
                    }
                    Ok(bytes) => {
                        opening.add(bytes);
                        self.trace.has_words.set(true);
                        let is_header = matches!(sign(opening.kept()), Sign::Header(_));
                        if self.may_not_introduce_itself && is_header {
                            return ReadEnd::Forged.into();
                        }
                    }
                    Err(_) => return ReadEnd::Failed.into(),
                }
                if opening.is_whole() {
                    self.meter.opening_complete.set(true);
                }
            }
            let end = if opening.is_abandoned() { ReadEnd::Abandoned } else { ReadEnd::Unreadable };
            end.into()
        })
        .await
    }
}

/// Why a client's opening is read no further.
enum ReadEnd {
    /// The client has closed after bytes that mean nothing without an answer.
    Abandoned,
    /// The client begins with a PROXY header that it may not send.
    Forged,
    /// The client's connection has failed.
    Failed,
    /// The client has finished without a byte, or has sent what may have an effect on a node.
    Unreadable,
}

/// Waits until the client's connection has failed. Reads nothing; an end of file is no failure.
pub(super) async fn failed(client: &TcpStream) {
    // An error of `ready` itself means that the worker's runtime ends.
    let _ = client.ready(Interest::ERROR).await;
}
