//! What each path answers: pure, from a request's method and target to a status and a body.

use hyper::{Method, StatusCode};

use super::State;
use super::page;
use super::status::Snapshot;
use crate::board::Board;
use crate::metrics;

const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
/// What Prometheus expects of the text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const HTML: &str = "text/html; charset=utf-8";
pub(super) const EVENT_STREAM: &str = "text/event-stream";

const INDEX: &str = "Raftgate\n\n\
    /                    the page\n\
    /metrics             for Prometheus\n\
    /livez               the process is alive\n\
    /readyz              bound, first round of probes done, not draining\n\
    /readyz?cluster=N    and cluster N has a leader\n\
    /status              everything, as JSON\n\
    /events              what changes, as server-sent events\n";

/// A whole answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Page {
    pub(super) fn text(status: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        Page { status, content_type: TEXT, body: body.into() }
    }
}

/// Answers one request.
pub(super) fn answer(state: &State, method: &Method, path: &str, query: Option<&str>) -> Page {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD: this listener only reads\n");
    }
    match path {
        "/" => asset(HTML, &page::render(&Snapshot::whole(&state.board), cluster_asked_for(query))),
        "/page.css" => asset("text/css; charset=utf-8", page::CSS),
        "/page.js" => asset("text/javascript; charset=utf-8", page::JS),
        "/icon.svg" => asset("image/svg+xml", page::ICON),
        // Whoever wants more than its head has been taken aside before.
        "/events" => asset(EVENT_STREAM, ""),
        "/metrics" => scrape(state),
        "/livez" => Page::text(StatusCode::OK, "alive\n"),
        "/readyz" => readiness(&state.board, query),
        "/status" => status(&state.board),
        _ => Page::text(StatusCode::NOT_FOUND, format!("no such path; there are:\n\n{INDEX}")),
    }
}

/// The answer to a request by a name that a foreign web page may have.
pub(super) fn misdirected(host: &str) -> Page {
    let why = format!(
        "the admin listener does not answer to the name {host:?} here, for a foreign web page could have it; use an \
         address, or add the name to admin.hosts\n"
    );
    Page::text(StatusCode::MISDIRECTED_REQUEST, why)
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

/// Names have no character that a query would have to escape.
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

fn status(board: &Board) -> Page {
    match serde_json::to_vec_pretty(&Snapshot::whole(board)) {
        Ok(body) => Page { status: StatusCode::OK, content_type: JSON, body },
        Err(error) => Page::text(StatusCode::INTERNAL_SERVER_ERROR, format!("status: {error}\n")),
    }
}

fn asset(content_type: &'static str, text: &str) -> Page {
    Page { status: StatusCode::OK, content_type, body: text.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::board::ClusterStatus;

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
