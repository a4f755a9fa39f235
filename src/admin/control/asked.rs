//! What a request asks for: pure, from its method and target.

use hyper::{Method, StatusCode};

use super::answer::Answer;

/// How many sessions are listed unless another number is asked for.
const DEFAULT_LIMIT: usize = 1000;
/// The most that are listed at once: they are held in memory.
const HIGHEST_LIMIT: usize = 100_000;

/// The commands about one node.
const VERBS: [&str; 4] = ["drain", "undrain", "pin", "cut"];

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'r> {
    /// The sessions.
    Sessions {
        /// Of this cluster alone.
        cluster: Option<&'r str>,
        /// With nodes of this name alone.
        node: Option<&'r str>,
        /// How many at most.
        limit: usize,
    },
    /// An override of one node.
    Override {
        /// Which.
        order: Order,
        /// Its cluster.
        cluster: &'r str,
        /// Its name.
        node: &'r str,
    },
    /// No node of the cluster is to be pinned.
    Unpin {
        /// The cluster.
        cluster: &'r str,
    },
    /// The configuration is to be read again.
    Reload,
    /// The process is to hand over to a new one.
    Upgrade,
    /// The sessions with one node are to be reset.
    Cut {
        /// Its cluster.
        cluster: &'r str,
        /// Its name.
        node: &'r str,
    },
}

/// What is to be in force for a node (L10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Never route to it.
    Drain {
        /// Even if it leads.
        force: bool,
    },
    /// Let it be the route again.
    Undrain,
    /// Route to it, whatever it says.
    Pin,
}

/// What a request asks for, or what is wrong with it; `None` is for what the admin listener answers too.
pub(super) fn parse<'r>(
    method: &Method,
    path: &'r str,
    query: Option<&'r str>,
) -> Result<Option<Asked<'r>>, Answer> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let asked = match segments.as_slice() {
        ["sessions"] => {
            expect(method, &[Method::GET, Method::HEAD])?;
            let [cluster, node, limit] = parameters(query, ["cluster", "node", "limit"])?;
            Asked::Sessions { cluster, node, limit: limit.map_or(Ok(DEFAULT_LIMIT), self::limit)? }
        }
        ["reload"] => {
            expect(method, &[Method::POST])?;
            let [] = parameters(query, [])?;
            Asked::Reload
        }
        ["upgrade"] => {
            expect(method, &[Method::POST])?;
            let [] = parameters(query, [])?;
            Asked::Upgrade
        }
        ["clusters", cluster, "unpin"] => {
            expect(method, &[Method::POST])?;
            let [] = parameters(query, [])?;
            Asked::Unpin { cluster }
        }
        ["clusters", cluster, "nodes", node, verb] if VERBS.contains(verb) => {
            expect(method, &[Method::POST])?;
            about_a_node(cluster, node, verb, query)?
        }
        ["clusters", _, "nodes", _, verb] => return Err(Answer::unknown("command", verb, VERBS)),
        ["clusters", ..] => {
            return Err(Answer::error(
                StatusCode::NOT_FOUND,
                "no such path; there are /clusters/CLUSTER/nodes/NODE/{drain|undrain|pin|cut} and \
                 /clusters/CLUSTER/unpin",
            ));
        }
        _ => return Ok(None),
    };
    Ok(Some(asked))
}

fn about_a_node<'r>(
    cluster: &'r str,
    node: &'r str,
    verb: &str,
    query: Option<&'r str>,
) -> Result<Asked<'r>, Answer> {
    if verb == "drain" {
        let [force] = parameters(query, ["force"])?;
        let order = Order::Drain { force: force.map_or(Ok(false), self::force)? };
        return Ok(Asked::Override { order, cluster, node });
    }
    let [] = parameters(query, [])?;
    Ok(match verb {
        "undrain" => Asked::Override { order: Order::Undrain, cluster, node },
        "pin" => Asked::Override { order: Order::Pin, cluster, node },
        _ => Asked::Cut { cluster, node },
    })
}

fn expect(method: &Method, wanted: &[Method]) -> Result<(), Answer> {
    if wanted.contains(method) {
        return Ok(());
    }
    let wanted = &wanted[0];
    Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, format!("found {method}, expected {wanted}")))
}

/// The values of these parameters, and of no others: a misspelled one would change what is asked for.
fn parameters<'r, const N: usize>(
    query: Option<&'r str>,
    known: [&str; N],
) -> Result<[Option<&'r str>; N], Answer> {
    let mut values = [None; N];
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(place) = known.iter().position(|known| *known == name) else {
            let expected = match known.as_slice() {
                [] => "none is expected here".to_owned(),
                known => format!("expected {}", known.join(", ")),
            };
            let message = format!("there is no parameter {name:?}; {expected}");
            return Err(Answer::error(StatusCode::BAD_REQUEST, message));
        };
        values[place] = Some(value);
    }
    Ok(values)
}

fn limit(text: &str) -> Result<usize, Answer> {
    let limit = text.parse().ok().filter(|limit| (1..=HIGHEST_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("limit: found {text:?}, expected a number from 1 to {HIGHEST_LIMIT}");
        Answer::error(StatusCode::BAD_REQUEST, message)
    })
}

fn force(text: &str) -> Result<bool, Answer> {
    text.parse().map_err(|_| {
        let message = format!("force: found {text:?}, expected true or false");
        Answer::error(StatusCode::BAD_REQUEST, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parsed = Result<Option<Asked<'static>>, Answer>;

    fn get(path: &'static str, query: Option<&'static str>) -> Parsed {
        parse(&Method::GET, path, query)
    }

    fn post(path: &'static str, query: Option<&'static str>) -> Parsed {
        parse(&Method::POST, path, query)
    }

    fn refused(asked: Parsed) -> (u16, String) {
        let answer = asked.unwrap_err();
        (answer.status.as_u16(), answer.body["error"].as_str().unwrap().to_owned())
    }

    #[test]
    fn o6_commands_are_posted_and_the_rest_is_read() {
        let order = |order| Ok(Some(Asked::Override { order, cluster: "c", node: "n" }));
        assert_eq!(post("/clusters/c/nodes/n/drain", None), order(Order::Drain { force: false }));
        assert_eq!(post("/clusters/c/nodes/n/undrain", None), order(Order::Undrain));
        assert_eq!(post("/clusters/c/nodes/n/pin", None), order(Order::Pin));
        let cut = Asked::Cut { cluster: "c", node: "n" };
        assert_eq!(post("/clusters/c/nodes/n/cut", None), Ok(Some(cut)));
        assert_eq!(post("/clusters/c/unpin", None), Ok(Some(Asked::Unpin { cluster: "c" })));
        assert_eq!(post("/reload", None), Ok(Some(Asked::Reload)));
        assert_eq!(post("/upgrade", None), Ok(Some(Asked::Upgrade)));
        for path in [
            "/clusters/c/nodes/n/drain",
            "/clusters/c/nodes/n/cut",
            "/clusters/c/unpin",
            "/reload",
            "/upgrade",
        ] {
            assert_eq!(refused(get(path, None)).0, 405, "{path}");
        }
        assert_eq!(refused(post("/sessions", None)).0, 405);
        assert_eq!((get("/status", None), post("/status", None)), (Ok(None), Ok(None)));
    }

    #[test]
    fn l10_force_is_for_a_drain_and_is_spelled_out() {
        let drain = |query| post("/clusters/c/nodes/n/drain", query);
        let order =
            |force| Ok(Some(Asked::Override { order: Order::Drain { force }, cluster: "c", node: "n" }));
        assert_eq!(drain(Some("force=true")), order(true));
        assert_eq!(drain(Some("force=false")), order(false));
        assert_eq!(refused(drain(Some("force"))).0, 400);
        assert_eq!(refused(drain(Some("forse=true"))).0, 400);
        assert_eq!(refused(post("/clusters/c/nodes/n/pin", Some("force=true"))).0, 400);
    }

    #[test]
    fn sessions_can_be_narrowed_down() {
        let asked = |cluster, node, limit| Ok(Some(Asked::Sessions { cluster, node, limit }));
        assert_eq!(get("/sessions", Some("node=n&cluster=c&limit=7")), asked(Some("c"), Some("n"), 7));
        assert_eq!(get("/sessions", None), asked(None, None, 1000));
        for wrong in ["limit=0", "limit=100001", "limit=x", "nodes=n"] {
            assert_eq!(refused(get("/sessions", Some(wrong))).0, 400, "{wrong}");
        }
    }

    #[test]
    fn a_misspelled_command_is_told_the_nearest() {
        let (status, message) = refused(post("/clusters/c/nodes/n/darin", None));
        assert_eq!(status, 404);
        assert!(message.ends_with("did you mean \"drain\"?"), "{message}");
        assert_eq!(refused(post("/clusters/c", None)).0, 404);
        assert_eq!(refused(post("/clusters/c/nodes/n", None)).0, 404);
    }
}
