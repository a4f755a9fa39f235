//! Routes by name and protocol: what is doubted, and what counts as a use of a cluster.

use super::*;

/// A listener with these routes and the clusters `a` and `b`; the routes begin at line 5.
fn routed(routes: &str) -> String {
    format!(
        "clusters.a.nodes.n = \"10.0.0.1:1\"\nclusters.b.nodes.n = \"10.0.0.1:1\"\n[listeners.e]\n\
         bind = \":443\"\nroutes = [\n{routes}\n]\n"
    )
}

#[test]
fn a_cluster_that_only_routes_lead_to_is_not_idle() {
    let routes = "{ server_names = \"b.org\", cluster = \"b\" }, { cluster = \"a\" }";
    assert_eq!(warnings(&routed(routes)), [""; 0]);
    let routes = "{ server_names = \"b.org\", reject = true }, { cluster = \"a\" }";
    assert_eq!(warnings(&routed(routes)), ["t.toml:2: clusters.b: no listener sends clients here"]);
}

#[test]
fn a_route_that_is_never_reached_is_a_warning() {
    let routes = "{ server_names = [\"*.org\", \"a.net\"], cluster = \"a\" },\n\
                  { server_names = [\"b.org\", \"a.net\"], alpn = \"h2\", cluster = \"b\" },\n\
                  { server_names = [\"b.net\", \"x.b.org\"], cluster = \"b\" },\n\
                  { alpn = [\"h2\", \"h3\"], reject = true },\n\
                  { server_names = \"c.net\", alpn = \"h3\", cluster = \"b\" },\n\
                  { cluster = \"a\" },\n\
                  { alpn = \"h4\", cluster = \"b\" }";
    let at = |line: usize, said: &str| format!("t.toml:{line}: listeners.e.routes.{said} (counted from 0)");
    assert_eq!(
        warnings(&routed(routes))
            .iter()
            .map(|said| said.split(" comes first").next().unwrap())
            .collect::<Vec<_>>(),
        [
            &at(7, "1: is never reached, because route 0")[..],
            &(at(8, "2.server_names.1: x.b.org never gets here, because route 0") + " has it"),
            &at(10, "4: is never reached, because route 3"),
            &at(12, "6: is never reached, because route 5"),
        ]
    );
}

#[test]
fn a_route_that_is_reached_by_some_is_none() {
    let routes = "{ server_names = \"a.org\", alpn = \"h2\", cluster = \"a\" },\n\
                  { server_names = \"a.org\", cluster = \"b\" },\n\
                  { server_names = \"*.a.org\", cluster = \"b\" },\n\
                  { server_names = \"*.org\", cluster = \"a\" },\n\
                  { alpn = [\"h2\", \"h3\"], cluster = \"b\" },\n\
                  { cluster = \"a\" }";
    assert_eq!(warnings(&routed(routes)), [""; 0]);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let timeout = LEAST.replacen("cluster", "hello_timeout = \"1s\"\ncluster", 1);
    assert_eq!(
        warnings(&timeout),
        [
            "t.toml:3: listeners.edge.hello_timeout: has no effect, because no `routes` need the client's hello"
        ]
    );
    let routes = "{ alpn = \"h2,http/1.1\", cluster = \"b\" }, { cluster = \"a\" }";
    assert_eq!(
        warnings(&routed(routes)),
        [
            "t.toml:6: listeners.e.routes.0.alpn: \"h2,http/1.1\" is compared as the name of one protocol; several are a list"
        ]
    );
}

#[test]
fn a_listener_without_a_default_says_so_in_what_is_in_effect() {
    let toml = routed("{ server_names = \"B.org\", alpn = \"h2\", cluster = \"b\" }, { reject = true }");
    let effective = config(&toml).effective_toml();
    let shown = "# cluster: none: who is taken by no route is refused\nroutes = [\n    \
                 { server_names = [\"b.org\"], alpn = [\"h2\"], cluster = \"b\" },\n    { reject = true },\n]\n\
                 hello_timeout = \"5s\"\n";
    assert!(effective.contains(shown), "{effective}");
}
