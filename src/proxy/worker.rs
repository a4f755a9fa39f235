//! One worker: a thread with its own runtime, from which its sessions never leave (D1, D8).

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::sleep;

use super::accept::{Doorway, accept};
use super::generation::{Entrance, Generation, Plan};
use super::limits::Places;
use super::open::Open;
use super::opening::SCRATCH;
use super::outcome::Outcome;
use super::sessions::Sessions;
use super::settings::LogConnections;
use crate::census::Question;
use crate::metrics::Counter;
use crate::relay::Gear;
use crate::supervise::{Alarm, Failing, caught, supervised};

/// What all sessions of a worker read through (D2).
const BUFFER: usize = 256 * 1024;

/// After how many polls of tasks the poller is asked for more events although tasks are ready. Sessions that move bulk leave
/// the queue after each turn, so this bounds the wait only where this many are ready at once (D9).
const POLLS_BETWEEN_EVENTS: u32 = 64;

/// How often pipes that nobody needs are closed.
const TIDY: Duration = Duration::from_secs(1);

/// What the workers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Take clients in.
    Serve,
    /// Leave new ones to another process, and keep the sockets: it may be back to `Serve`.
    Pause,
    /// Take no new ones, and end once the last has left.
    Quiesce,
    /// The same, where another process has the same sockets: whoever waits there is its business.
    Leave,
    /// End everything now.
    Cut,
}

/// What every worker is made from.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    pub(super) plan: Plan,
    /// Bounds connections over all workers.
    pub(super) places: Arc<Places>,
    pub(super) orders: watch::Receiver<Order>,
    /// Told if a worker's thread ends by a panic.
    pub(super) failing: Failing,
}

/// What one worker shares with nobody.
pub(super) struct Share {
    pub(super) sockets: Vec<Socket>,
    pub(super) questions: Questions,
    pub(super) changes: mpsc::UnboundedReceiver<Change>,
}

/// The next generation, as one worker hears of it (O2).
#[derive(Debug)]
pub(super) struct Change {
    pub(super) plan: Plan,
    /// The sockets that stay, by the address that they are bound to, with their listener's place; the others are closed.
    pub(super) kept: Arc<[(SocketAddr, usize)]>,
    /// Those that are new.
    pub(super) sockets: Vec<Socket>,
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Socket {
    /// The place of its listener in the settings.
    pub(super) place: usize,
    pub(super) listener: std::net::TcpListener,
    /// Whether another process has it, too, and keeps it when this one stops.
    pub(super) shared: bool,
    pub(super) open: Open,
}

/// Where a worker is asked for its sessions.
pub(super) type Questions = mpsc::Receiver<Question>;

/// Where the openings of a worker are read into. No await while it is borrowed.
pub(super) type Scratch = RefCell<Box<[u8]>>;

/// What the connections of one worker share.
#[derive(Debug)]
pub(super) struct Worker {
    /// What new clients come under.
    present: RefCell<Generation>,
    /// Where it accepts.
    doorways: RefCell<Vec<Rc<Doorway>>>,
    /// Rung whenever one of them is gone.
    closed: Notify,
    orders: watch::Receiver<Order>,
    pub(super) sessions: Rc<Sessions>,
    pub(super) gear: Gear,
    /// Counts pipes that the kernel has refused.
    pipe_refusals: Counter,
    pub(super) scratch: Scratch,
    pub(super) places: Arc<Places>,
    pub(super) log_connections: Cell<LogConnections>,
}

/// The body of a worker's thread. Says by `started` whether it serves; returns when its last client has left after
/// [`Order::Quiesce`], or after [`Order::Cut`].
pub(super) fn run(beginning: Beginning, share: Share, started: &std::sync::mpsc::Sender<io::Result<()>>) {
    let _alarm = Alarm::new("a worker's thread", beginning.failing.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_EVENTS)
        .build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let Share { sockets, questions, changes } = share;
        let worker = Worker::new(beginning);
        match worker.open_all(sockets) {
            Ok(()) => {
                let _ = started.send(Ok(()));
                worker.serve(questions, changes).await;
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

impl Worker {
    pub(super) fn new(Beginning { plan, places, orders, .. }: Beginning) -> Rc<Self> {
        let worker = Worker {
            present: RefCell::new(Generation::new(&plan, None)),
            doorways: RefCell::default(),
            closed: Notify::new(),
            orders,
            sessions: Sessions::new(),
            gear: Gear::new(BUFFER, plan.settings.pipes),
            pipe_refusals: plan.metrics.pipe_refusals(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            places,
            log_connections: Cell::new(plan.settings.log_connections),
        };
        worker.sessions.look_out(worker.present.borrow().timeouts(), false);
        Rc::new(worker)
    }

    /// The listener in this place, with where its clients may go.
    pub(super) fn entrance(&self, place: usize) -> Rc<Entrance> {
        Rc::clone(&self.present.borrow().entrances[place])
    }

    /// Starts to accept at each socket.
    fn open_all(self: &Rc<Self>, sockets: Vec<Socket>) -> io::Result<()> {
        sockets.into_iter().try_for_each(|socket| self.open(socket).map(drop))
    }

    /// Accepts at this socket until told otherwise, and closes it then.
    pub(super) fn open(self: &Rc<Self>, socket: Socket) -> io::Result<Rc<Doorway>> {
        let Socket { place, listener, shared, open } = socket;
        listener.set_nonblocking(true)?;
        let socket = TcpListener::from_std(listener)?;
        let address = open.address();
        let doorway = Rc::new(Doorway::new(address, shared, self.entrance(place)));
        self.doorways.borrow_mut().push(Rc::clone(&doorway));
        let opened = Rc::clone(&doorway);
        let (worker, socket) = (Rc::clone(self), Rc::new(socket));
        tokio::task::spawn_local(async move {
            let role = format!("acceptor at {address}");
            let orders = || worker.orders.clone();
            supervised(role, || {
                accept(Rc::clone(&worker), Rc::clone(&doorway), Rc::clone(&socket), orders())
            })
            .await;
            drop(socket);
            drop(open);
            worker.doorways.borrow_mut().retain(|other| !Rc::ptr_eq(other, &doorway));
            worker.closed.notify_one();
        });
        Ok(opened)
    }

    /// Goes over to the next generation (O2). Nothing waits in here: no client sees one half of it.
    fn change(self: &Rc<Self>, Change { plan, kept, sockets }: Change) {
        let next = Generation::new(&plan, Some(&self.present.borrow()));
        let loses_clusters = self.present.borrow().loses_clusters_to(&next);
        self.sessions.look_out(next.timeouts(), loses_clusters);
        next.open_mailboxes(&self.sessions);
        self.log_connections.set(plan.settings.log_connections);
        for doorway in self.doorways.borrow().iter() {
            match kept.iter().find(|(address, _)| *address == doorway.address) {
                Some((_, place)) => doorway.lead_to(Rc::clone(&next.entrances[*place])),
                None => doorway.close(),
            }
        }
        self.present.replace(next);
        for socket in sockets {
            let listener = Rc::clone(&self.entrance(socket.place).listener);
            if let Err(error) = self.open(socket) {
                let listener = &listener.name;
                tracing::error!(%listener, %error, "a listening socket is lost: it cannot be served");
            }
        }
    }

    /// Has the gear close pipes that nobody needs, for as long as the worker lives.
    async fn tidy(self: Rc<Self>) {
        loop {
            sleep(TIDY).await;
            self.pipe_refusals.inc_by(self.gear.tidy_pipes());
        }
    }

    async fn serve(self: Rc<Self>, questions: Questions, mut changes: mpsc::UnboundedReceiver<Change>) {
        let mut orders = self.orders.clone();
        let sessions = Rc::clone(&self.sessions);
        tokio::task::spawn_local(supervised("sweep", move || Rc::clone(&sessions).sweep()));
        let (sessions, questions) = (Rc::clone(&self.sessions), Rc::new(Mutex::new(questions)));
        let answer = move || Rc::clone(&sessions).answer(Rc::clone(&questions));
        tokio::task::spawn_local(supervised("census", answer));
        let worker = Rc::clone(&self);
        tokio::task::spawn_local(supervised("pipes", move || Rc::clone(&worker).tidy()));
        self.present.borrow().open_mailboxes(&self.sessions);
        loop {
            tokio::select! {
                biased;
                // Without a sender the proxy itself is gone, and so is everybody's wish to serve.
                _ = orders.wait_for(|order| !matches!(order, Order::Serve | Order::Pause)) => break,
                Some(change) = changes.recv() => {
                    // Whatever it was that went wrong, clients who come are served as before, or by what is new of it.
                    let _ = caught(|| self.change(change));
                }
            }
        }
        self.gear.close_pipes();
        while !self.doorways.borrow().is_empty() {
            self.closed.notified().await;
        }
        tokio::select! {
            () = self.sessions.emptied() => return,
            _ = orders.wait_for(|order| *order == Order::Cut) => {}
        }
        self.sessions.end_all(Outcome::Shutdown);
        self.sessions.emptied().await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use tokio::task::LocalSet;
    use tokio::time::Instant;

    use super::super::sessions::{Call, Slot};
    #[cfg(all(target_os = "linux", not(portable)))]
    use super::super::tests::harness::bare_worker_under;
    use super::super::tests::harness::{bare_worker_of, settings};
    use super::super::trace::Trace;
    use super::*;
    use crate::census::census;
    use crate::leader::NodeId;
    use crate::tenure::{Fate, channel};

    #[cfg(all(target_os = "linux", not(portable)))]
    #[tokio::test(start_paused = true)]
    async fn d3_pipes_are_closed_when_idle_and_at_a_hand_over() {
        let (_writer, route) = channel(Instant::now(), Arc::default());
        let (mut settings, (orders, received)) = (settings(), watch::channel(Order::Serve));
        settings.pipes = 4;
        let (worker, _entrance) = bare_worker_under(received, settings, route);
        let ((_census, mut questions), (_changes, changes)) = (census(1), mpsc::unbounded_channel());
        let serves = async {
            let serving = tokio::task::spawn_local(Rc::clone(&worker).serve(questions.remove(0), changes));
            worker.gear.make_pipe();
            assert_eq!(worker.gear.idle_pipes(), 1);
            sleep(TIDY * 3).await;
            assert_eq!(worker.gear.idle_pipes(), 0);
            worker.gear.make_pipe();
            orders.send(Order::Leave).unwrap();
            // No client is there, so the gate ends as soon as it has heard of that.
            serving.await.unwrap();
            assert_eq!(worker.gear.idle_pipes(), 0);
        };
        LocalSet::new().run_until(serves).await;
    }

    #[tokio::test(start_paused = true)]
    async fn o5_a_sweep_and_a_mailbox_that_panic_are_begun_anew() {
        let now = Instant::now();
        let (mut writer, route) = channel(now, Arc::default());
        let mut settings = settings();
        settings.clusters[0].idle = Some(Duration::from_mins(1));
        let (worker, entrance) = bare_worker_of(settings, route);
        let ((_census, mut questions), (_changes, changes)) = (census(1), mpsc::unbounded_channel());
        let serves = async {
            let serving = tokio::task::spawn_local(Rc::clone(&worker).serve(questions.remove(0), changes));
            let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), now);
            let admit =
                || worker.sessions.admit(&entrance, &Rc::default(), &Rc::new(Trace::new(tenure.address)));
            let (joined, idle) = (admit(), admit());
            worker.sessions.join(joined.key(), Arc::clone(&tenure));
            let broken = worker.sessions.broken();
            writer.set_fate(&tenure, Fate::Cut);
            // The sweep comes round, and the mailbox has something to do.
            sleep(Duration::from_secs(5)).await;
            drop(broken);
            sleep(Duration::from_secs(1)).await;
            let called = |slot: &Slot| slot.poll_call(&Context::from_waker(Waker::noop()));
            assert_eq!(called(&joined), Poll::Ready(Call::End(Outcome::Cut)));
            sleep(Duration::from_mins(1)).await;
            assert_eq!(called(&idle), Poll::Ready(Call::End(Outcome::Idle)));
            serving.abort();
        };
        LocalSet::new().run_until(serves).await;
    }
}
