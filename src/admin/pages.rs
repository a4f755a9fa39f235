//! What each path answers: pure, from a request's method and target to a status and a body.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde::Serialize;

use super::State;
use super::loads::Loads;
use crate::board::{Board, BoardEvent, ClusterStatus, NodeStatus, wall_clock};
use crate::metrics;

const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
/// What Prometheus expects of the text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "Raftgate\n\n\
    /metrics             for Prometheus\n\
    /livez               the process is alive\n\
    /readyz              bound, first round of probes done, not draining\n\
    /readyz?cluster=N    and cluster N has a leader\n\
    /status              everything, as JSON\n";

/// A whole answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Page {
    fn text(status: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        Page { status, content_type: TEXT, body: body.into() }
    }
}

/// Answers one request.
pub(super) fn answer(state: &State, method: &Method, path: &str, query: Option<&str>) -> Page {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD: this listener only reads\n");
    }
    match path {
        "/" => Page::text(StatusCode::OK, INDEX),
        "/metrics" => scrape(state),
        "/livez" => Page::text(StatusCode::OK, "alive\n"),
        "/readyz" => readiness(&state.board, query),
        "/status" => status(state),
        _ => Page::text(StatusCode::NOT_FOUND, format!("no such path; there are:\n\n{INDEX}")),
    }
}

fn scrape(state: &State) -> Page {
    state.count_dropped_lines();
    match metrics::render(&state.registry) {
        Ok(body) => Page { status: StatusCode::OK, content_type: METRICS, body },
        Err(error) => Page::text(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}\n")),
    }
}

fn readiness(board: &Board, query: Option<&str>) -> Page {
    let unready =
        board.not_ready().or_else(|| cluster_asked_for(query).and_then(|name| leaderless(board, name)));
    match unready {
        None => Page::text(StatusCode::OK, "ready\n"),
        Some(why) => Page::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

fn cluster_asked_for(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("cluster="))
}

fn leaderless(board: &Board, name: &str) -> Option<String> {
    match board.cluster(name) {
        None => Some(format!("there is no cluster {name}")),
        Some(cluster) if cluster.status().leader.is_none() => Some(format!("cluster {name} has no leader")),
        Some(_) => None,
    }
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    now: f64,
    ready: bool,
    listeners: Vec<Listener>,
    clusters: BTreeMap<Arc<str>, Cluster>,
}

#[derive(Serialize)]
struct Listener {
    name: Arc<str>,
    address: SocketAddr,
}

#[derive(Serialize)]
struct Cluster {
    #[serde(flatten)]
    status: Arc<ClusterStatus>,
    /// Clients that wait for a route.
    held: i64,
    nodes: Vec<Node>,
    events: Vec<BoardEvent>,
}

#[derive(Serialize)]
struct Node {
    #[serde(flatten)]
    status: NodeStatus,
    /// Clients joined to it.
    sessions: i64,
}

fn status(state: &State) -> Page {
    let board = &state.board;
    let loads = Loads::of(&state.registry);
    let clusters = board.clusters().map(|(name, cluster)| {
        let status = cluster.status();
        let nodes = status
            .nodes
            .iter()
            .map(|node| Node { status: node.clone(), sessions: loads.sessions(name, &node.name) })
            .collect();
        (Arc::clone(name), Cluster { status, held: loads.held(name), nodes, events: cluster.events() })
    });
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        now: wall_clock(),
        ready: board.not_ready().is_none(),
        listeners: board.listeners().map(|(name, address)| Listener { name, address }).collect(),
        clusters: clusters.collect(),
    };
    match serde_json::to_vec_pretty(&status) {
        Ok(body) => Page { status: StatusCode::OK, content_type: JSON, body },
        Err(error) => Page::text(StatusCode::INTERNAL_SERVER_ERROR, format!("status: {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(metrics::registry().unwrap(), Arc::new(Board::new(["ctrl".into()])), || 3).unwrap()
    }

    fn get(state: &State, path: &str, query: Option<&str>) -> (u16, String) {
        let page = answer(state, &Method::GET, path, query);
        (page.status.as_u16(), String::from_utf8(page.body).unwrap())
    }

    fn publish(state: &State, leader: Option<&str>) {
        let status = ClusterStatus {
            leader: leader.map(Into::into),
            first_round_done: true,
            ..ClusterStatus::default()
        };
        state.board.cluster("ctrl").unwrap().publish(status);
    }

    #[test]
    fn ready_means_bound_probed_and_not_draining() {
        let state = state();
        assert_eq!(
            get(&state, "/readyz", None),
            (503, "not ready: listeners are not bound yet\n".to_owned())
        );
        state.board.set_bound(Vec::new());
        let probing = "not ready: cluster ctrl: the first round of probes is not done\n";
        assert_eq!(get(&state, "/readyz", None), (503, probing.to_owned()));
        publish(&state, None);
        assert_eq!(get(&state, "/readyz", None), (200, "ready\n".to_owned()));
        state.board.set_draining();
        assert_eq!(get(&state, "/readyz", None), (503, "not ready: draining\n".to_owned()));
        assert_eq!(get(&state, "/livez", None).0, 200);
    }

    #[test]
    fn ready_for_a_cluster_means_that_it_has_a_leader() {
        let state = state();
        state.board.set_bound(Vec::new());
        publish(&state, None);
        assert_eq!(get(&state, "/readyz", Some("cluster=ctrl")).0, 503);
        publish(&state, Some("n1"));
        assert_eq!(get(&state, "/readyz", Some("cluster=ctrl")).0, 200);
        let unknown = get(&state, "/readyz", Some("x=1&cluster=other"));
        assert_eq!(unknown, (503, "not ready: there is no cluster other\n".to_owned()));
    }

    #[test]
    fn dropped_log_lines_are_counted_once() {
        let state = state();
        for _ in 0..2 {
            assert!(get(&state, "/metrics", None).1.contains("\nraftgate_log_lines_dropped_total 3\n"));
        }
    }

    #[test]
    fn the_status_names_listeners_and_clusters() {
        let state = state();
        state.board.set_bound(vec![("edge".into(), ([127, 0, 0, 1], 443).into())]);
        publish(&state, Some("n1"));
        let status: serde_json::Value = serde_json::from_str(&get(&state, "/status", None).1).unwrap();
        assert_eq!(status["listeners"][0]["address"], "127.0.0.1:443");
        assert_eq!(status["clusters"]["ctrl"]["leader"], "n1");
    }

    #[test]
    fn it_only_reads() {
        let page = answer(&state(), &Method::POST, "/status", None);
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(get(&state(), "/nothing", None).0, 404);
    }
}
