//! What the table of routes holds for any names.

use super::routes::{Route, Routes, ServerNames, Target};
use crate::wire::hello::names::Names;

/// A table of routes, one a line (`NAMES PROTOCOLS`, both with commas between, a name being `*.PARENT` for all below it),
/// and after an empty line the names that clients ask for, `NAME PROTOCOLS`: each goes where a naive reader would send it,
/// no route that is said to cover another lets a client through to it, and no client gets where it cannot be.
pub fn routes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (table, clients) = text.split_once("\n\n").unwrap_or((&text, ""));
    let table: Vec<Route> =
        table.lines().take(20).enumerate().map(|(place, line)| route(place, line)).collect();
    let routes = Routes { table: table.into(), ..Routes::none() };
    for line in clients.lines().take(20) {
        let names = client(line);
        let takes = |route: &&Route| is_for(route, &names);
        let first = routes.table.iter().find(takes);
        assert_eq!(routes.target(&names), first.map(|route| route.target), "{names:?}");
        assert!(first.is_some() || !routes.cover_all(), "all are covered, but not {names:?}");
        reaches(&routes, &names);
        for route in routes.table.iter().filter(takes) {
            are_covered(&routes, route, &names);
        }
    }
}

fn route(place: usize, line: &str) -> Route {
    let (names, protocols) = line.split_once(' ').unwrap_or((line, ""));
    let pattern = |text: &str| match text.strip_prefix("*.") {
        Some(parent) => ServerNames::Below(parent.to_ascii_lowercase()),
        None => ServerNames::Exactly(text.to_ascii_lowercase()),
    };
    let is_all = place % 7 == 6;
    Route {
        server_names: listed(names).map(pattern).collect(),
        alpn: listed(protocols).map(|name| name.as_bytes().to_vec()).collect(),
        target: if is_all { Target::Reject } else { Target::Cluster(place) },
    }
}

fn client(line: &str) -> Names {
    let (name, protocols) = line.split_once(' ').unwrap_or((line, ""));
    Names {
        server_name: Some(name.as_bytes().to_vec()).filter(|name| !name.is_empty()),
        alpn: listed(protocols).map(|name| name.as_bytes().to_vec()).collect(),
    }
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

/// Whether a route is for a client, read as simply as can be.
fn is_for(route: &Route, client: &Names) -> bool {
    let of_name = |pattern: &ServerNames| {
        let Some(name) = &client.server_name else { return false };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        match pattern {
            ServerNames::Exactly(wanted) => name == wanted,
            ServerNames::Below(parent) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        }
    };
    (route.server_names.is_empty() || route.server_names.iter().any(of_name))
        && (route.alpn.is_empty() || route.alpn.iter().any(|protocol| client.alpn.contains(protocol)))
}

/// Where the client goes is among the clusters that its name is said to reach.
fn reaches(routes: &Routes, client: &Names) {
    const DEFAULT: usize = 1000;
    let target = routes.target(client).unwrap_or(Target::Cluster(DEFAULT));
    let name = client.server_name.as_deref().map(|name| str::from_utf8(name).expect("made of text"));
    let reached = routes.reached_by(name, Some(DEFAULT));
    assert!(target.cluster().is_none_or(|cluster| reached.contains(&cluster)), "{client:?}: {reached:?}");
}

/// A client that a route is for is taken by every route that covers all names by which it could be.
fn are_covered(routes: &Routes, route: &Route, client: &Names) {
    let one = |pattern: &ServerNames| Route { server_names: vec![pattern.clone()], ..route.clone() };
    let by_name = route.server_names.iter().filter(|pattern| is_for(&one(pattern), client)).map(Some);
    let by_all = route.server_names.is_empty().then_some(None);
    for pattern in by_name.chain(by_all) {
        for other in routes.table.iter().filter(|other| other.covers(pattern, &route.alpn)) {
            assert!(is_for(other, client), "{other:?} covers {pattern:?} of {route:?}, but not {client:?}");
        }
    }
}
