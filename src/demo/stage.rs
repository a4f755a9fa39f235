//! The play itself: faults, clients and the picture of it all, at once, until the end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::client::Client;
use super::clients::{Books, Load};
use super::cluster::Cluster;
use super::faults::Director;
use super::gate::Gate;
use super::node::Node;
use super::screen::Screen;
use super::standing::Standing;
use super::table::{FAILOVERS_SHOWN, Frame, Row};
use super::{DemoError, Options, Summary};
use crate::board::NodeStatus;

/// The table is drawn this often.
const FRAME: Duration = Duration::from_millis(200);

/// Plays until the failovers are done, somebody presses Ctrl-C, or the demo cannot go on; then ends everything.
pub(super) async fn play(
    options: Options,
    mut cluster: Cluster,
    gate: Gate,
    client: Client,
) -> Result<Summary, DemoError> {
    let books = Books::open();
    let screen = Screen::open();
    let load = Load { client, gate: gate.address(), books: books.clone(), standings: cluster.standings() };
    let picture = Picture {
        gate: &gate,
        addresses: cluster.nodes().iter().map(Node::address).collect(),
        standings: cluster.standings(),
        books: &books,
        screen: &screen,
    };
    screen.say(&format!("a gate on {} in front of three nodes; they elect a leader", gate.address()));
    let mut director = Director { cluster: &mut cluster, gate: &gate, books: books.clone(), screen: &screen };
    let (stop, stopped) = watch::channel(false);
    let script = async {
        let outcome = tokio::select! {
            outcome = director.run(options.failovers) => {
                outcome.map_err(|error| DemoError::Cluster(error.to_string()))
            }
            why = gate.failed() => Err(DemoError::Gate(why)),
            () = told_to_end() => Ok(()),
        };
        screen.say("ending: the last clients get their answers; Ctrl-C again does not wait");
        stop.send_replace(true);
        outcome
    };
    let sessions = load.clone().keep_sessions();
    let script_and_clients = async { tokio::join!(script, load.run(stopped)).0 };
    let outcome = tokio::select! {
        outcome = script_and_clients => outcome,
        () = told_twice_to_end() => Ok(()),
        () = sessions => Ok(()),
        () = picture.keep_drawing() => Ok(()),
    };
    picture.draw();
    let summary = books.ledger().summary();
    gate.stop().await;
    cluster.stop().await;
    outcome.map(|()| summary)
}

/// Ctrl-C, a service manager's request, or the end of the terminal: all end the demo in order, so that nothing stays
/// behind.
async fn told_to_end() {
    let on = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = on(SignalKind::interrupt()) => {}
        () = on(SignalKind::terminate()) => {}
        () = on(SignalKind::hangup()) => {}
    }
}

/// Every call sees every signal, so the first one is counted here as well.
async fn told_twice_to_end() {
    told_to_end().await;
    told_to_end().await;
}

/// Everything that the table shows.
struct Picture<'a> {
    gate: &'a Gate,
    addresses: Vec<SocketAddr>,
    standings: watch::Receiver<Vec<Standing>>,
    books: &'a Books,
    screen: &'a Screen,
}

impl Picture<'_> {
    async fn keep_drawing(&self) {
        loop {
            self.draw();
            sleep(FRAME).await;
        }
    }

    fn draw(&self) {
        self.screen.draw(&self.frame());
    }

    fn frame(&self) -> Frame {
        let status = self.gate.status();
        let ledger = self.books.ledger();
        let failovers: Vec<_> =
            ledger.failovers().iter().enumerate().map(|(index, failover)| failover.row(index + 1)).collect();
        Frame {
            gate: self.gate.address(),
            elapsed: ledger.began().elapsed(),
            nodes: self.rows(&status.nodes),
            route: status.leader.as_deref().map(str::to_owned),
            totals: ledger.totals(),
            waiting: ledger.under_way(),
            failovers: failovers[failovers.len().saturating_sub(FAILOVERS_SHOWN)..].to_vec(),
            now: self.screen.now(),
        }
    }

    /// The gate lists nodes in the order of their names, as the demo does.
    fn rows(&self, seen: &[NodeStatus]) -> Vec<Row> {
        let standings = self.standings.borrow();
        let nodes = self.addresses.iter().zip(standings.iter()).enumerate();
        nodes
            .map(|(place, (address, standing))| Row {
                address: *address,
                standing: *standing,
                seen: seen.get(place).map(seen_by_gate).unwrap_or_default(),
            })
            .collect()
    }
}

/// What the gate holds a node for, and the reason where there is one to tell.
fn seen_by_gate(node: &NodeStatus) -> String {
    match node.state {
        "unfit" | "unreachable" => format!("{}: {}", node.state, node.detail),
        state => state.to_owned(),
    }
}
