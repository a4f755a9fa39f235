//! What the reader of requests to the control socket holds for any method and target.

use hyper::{Method, StatusCode};

use super::asked::{Asked, parse};

/// A request: nothing is asked for but by its own words and method, and a refusal says why.
///
/// The first byte chooses the method; the rest is the target.
pub fn control_request(bytes: &[u8]) {
    let Some((method, target)) = bytes.split_first() else { return };
    let method = [Method::GET, Method::POST, Method::HEAD, Method::DELETE][usize::from(*method) % 4].clone();
    let target = String::from_utf8_lossy(target);
    let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    let words: Vec<&str> = path.split('/').collect();
    match parse(&method, path, query) {
        Ok(None) => {
            assert!(
                !matches!(words[..], [_, "sessions" | "reload" | "upgrade"] | [_, "clusters", ..]),
                "{path} is ours"
            );
        }
        Ok(Some(Asked::Sessions { cluster, node, limit })) => {
            assert!(
                words[1..] == ["sessions"] && method != Method::POST && method != Method::DELETE,
                "{target}"
            );
            assert!((1..=100_000).contains(&limit), "{limit}");
            assert!([cluster, node].into_iter().flatten().all(|name| target.contains(name)), "{target}");
        }
        Ok(Some(Asked::Reload)) => assert!(words[1..] == ["reload"] && method == Method::POST, "{target}"),
        Ok(Some(Asked::Upgrade)) => assert!(words[1..] == ["upgrade"] && method == Method::POST, "{target}"),
        Ok(Some(Asked::Unpin { cluster })) => {
            assert!(words[1..] == ["clusters", cluster, "unpin"] && method == Method::POST, "{target}");
        }
        Ok(Some(Asked::Override { cluster, node, .. } | Asked::Cut { cluster, node })) => {
            assert_eq!(words[1..words.len() - 1], ["clusters", cluster, "nodes", node], "{target}");
            assert_eq!(method, Method::POST);
        }
        Err(answer) => {
            let known = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
            assert!(known.contains(&answer.status), "{}", answer.status);
            let why = answer.body["error"].as_str().unwrap_or_default().to_owned();
            assert!(!why.is_empty(), "refused for no reason");
            assert!(answer.into_page().body.ends_with(b"\n"), "no line");
        }
    }
}
