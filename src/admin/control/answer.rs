//! What is said about a request, as JSON: what was done, or what failed and what to do.

use std::fmt::Display;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::admin::pages::{JSON, Page};
use crate::board::wall_clock;
use crate::census::{Listing, Session};
use crate::intent::{CommandError, Refusal};
use crate::nearest::nearest;

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

#[derive(Serialize)]
struct SessionShown<'s> {
    listener: &'s str,
    client: String,
    cluster: Option<&'s str>,
    node: Option<&'s str>,
    epoch: Option<u64>,
    state: &'static str,
    /// Seconds since the Unix epoch.
    since: f64,
    to_node: u64,
    to_client: u64,
}

impl Answer {
    /// Something went wrong.
    pub(super) fn error(status: StatusCode, message: impl Display) -> Self {
        Answer { status, body: json!({ "error": message.to_string() }) }
    }

    /// A command was carried out.
    pub(super) fn done(message: impl Display) -> Self {
        Answer { status: StatusCode::OK, body: json!({ "done": message.to_string() }) }
    }

    /// Sessions were cut.
    pub(super) fn cut(message: impl Display, sessions: usize) -> Self {
        Answer { status: StatusCode::OK, body: json!({ "done": message.to_string(), "sessions": sessions }) }
    }

    /// A name is nobody's; `whose` says among what it was looked for.
    pub(super) fn unknown<'k>(whose: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are {}", known.join(", ")),
        };
        Answer::error(StatusCode::NOT_FOUND, format!("there is no {whose} {name:?}; {hint}"))
    }

    /// A command was not carried out.
    pub(super) fn refused(cluster: &str, node: &str, error: CommandError) -> Self {
        match error {
            CommandError::Refused(Refusal::Leads(_)) => Answer::error(
                StatusCode::CONFLICT,
                format!(
                    "{node} leads {cluster}: without it, clients wait until another node does; to drain it anyway, \
                     add --force (on the socket: ?force=true)"
                ),
            ),
            CommandError::Stopping => {
                Answer::error(StatusCode::SERVICE_UNAVAILABLE, format!("{node} of {cluster}: {error}"))
            }
            CommandError::Refused(_) | CommandError::NoAddress | CommandError::HandsOver => {
                Answer::error(StatusCode::CONFLICT, format!("{node} of {cluster}: {error}"))
            }
        }
    }

    /// The sessions that were asked for.
    pub(super) fn sessions(listing: &Listing) -> Self {
        let now = wall_clock();
        let show = |session: &Session| {
            json!(SessionShown {
                listener: &session.listener,
                client: session.client.to_string(),
                cluster: session.cluster.as_deref(),
                node: session.node.as_deref(),
                epoch: session.epoch,
                state: session.state.as_str(),
                since: now - session.age.as_secs_f64(),
                to_node: session.to_node,
                to_client: session.to_client,
            })
        };
        let sessions: Vec<Value> = listing.sessions.iter().map(show).collect();
        let body = json!({ "now": now, "total": listing.total, "sessions": sessions });
        Answer { status: StatusCode::OK, body }
    }

    pub(super) fn into_page(self) -> Page {
        // With a line's end, for people who use curl.
        Page { status: self.status, content_type: JSON, body: format!("{}\n", self.body).into_bytes() }
    }
}
