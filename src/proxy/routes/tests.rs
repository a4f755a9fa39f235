//! The table: who is taken by which route, and which routes are never reached.

use super::*;

fn names(texts: &[&str]) -> Vec<ServerNames> {
    let name = |text: &&str| match text.strip_prefix("*.") {
        Some(parent) => ServerNames::Below(parent.to_owned()),
        None => ServerNames::Exactly((*text).to_owned()),
    };
    texts.iter().map(name).collect()
}

fn protocols(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn route(server_names: &[&str], alpn: &[&str], target: Target) -> Route {
    Route { server_names: names(server_names), alpn: protocols(alpn), target }
}

fn routes(table: &[Route]) -> Routes {
    Routes { table: table.into(), ..Routes::none() }
}

fn hello(server_name: &str, alpn: &[&str]) -> Names {
    let name = Some(server_name.as_bytes().to_vec()).filter(|name| !name.is_empty());
    Names { server_name: name, alpn: protocols(alpn) }
}

#[test]
fn a_name_is_compared_without_case_and_without_the_last_dot() {
    let route = route(&["a.example.org"], &[], Target::Reject);
    for (name, taken) in [
        ("a.example.org", true),
        ("A.Example.ORG", true),
        ("a.example.org.", true),
        ("a.example.org..", false),
        ("b.a.example.org", false),
        ("xa.example.org", false),
        ("example.org", false),
        ("a.example.orgx", false),
        (".", false),
        ("", false),
    ] {
        assert_eq!(route.takes(&hello(name, &[])), taken, "{name}");
    }
}

#[test]
fn a_wildcard_is_for_one_label_or_several_and_not_for_none() {
    let route = route(&["*.example.org"], &[], Target::Reject);
    for (name, taken) in [
        ("a.example.org", true),
        ("a.b.example.org", true),
        ("A.EXAMPLE.ORG.", true),
        ("example.org", false),
        (".example.org", false),
        ("aexample.org", false),
        ("a.example.org.evil.org", false),
        ("org", false),
        ("", false),
    ] {
        assert_eq!(route.takes(&hello(name, &[])), taken, "{name}");
    }
}

#[test]
fn alpn_is_taken_if_the_client_offers_any_of_it_exactly_as_written() {
    let route = route(&[], &["h2", "acme-tls/1"], Target::Reject);
    for (offered, taken) in [
        (&["h2"][..], true),
        (&["http/1.1", "acme-tls/1"], true),
        (&["H2"], false),
        (&["h2c", "http/1.1"], false),
        (&[], false),
    ] {
        assert_eq!(route.takes(&hello("a.org", offered)), taken, "{offered:?}");
        assert_eq!(route.takes(&hello("", offered)), taken, "{offered:?} without a name");
    }
}

#[test]
fn both_have_to_hold_and_the_first_route_decides() {
    let table = routes(&[
        route(&["a.org"], &["h2"], Target::Cluster(0)),
        route(&["a.org", "*.b.org"], &[], Target::Cluster(1)),
        route(&["x.b.org"], &[], Target::Cluster(2)),
        route(&[], &["h3"], Target::Reject),
    ]);
    for (name, alpn, target) in [
        ("a.org", &["h2"][..], Some(Target::Cluster(0))),
        ("a.org", &["h3"], Some(Target::Cluster(1))),
        ("x.b.org", &["h2"], Some(Target::Cluster(1))),
        ("c.org", &["h3"], Some(Target::Reject)),
        ("", &["h3"], Some(Target::Reject)),
        ("c.org", &["h2"], None),
        ("", &[], None),
    ] {
        assert_eq!(table.target(&hello(name, alpn)), target, "{name} {alpn:?}");
    }
    assert!(!table.cover_all());
    let all = routes(&[route(&[], &[], Target::Cluster(3))]);
    assert!(all.cover_all());
    assert_eq!(all.target(&hello("", &[])), Some(Target::Cluster(3)));
    assert_eq!(Routes::none().target(&hello("a.org", &[])), None);
}

#[test]
fn a_route_covers_what_it_would_always_take_first() {
    let covers = |route: &Route, name: &str, alpn: &[&str]| {
        route.covers(names(&[name]).first().filter(|_| !name.is_empty()), &protocols(alpn))
    };
    let one = route(&["a.org", "*.b.org"], &[], Target::Reject);
    for (name, covered) in [
        ("a.org", true),
        ("x.b.org", true),
        ("*.b.org", true),
        ("*.x.b.org", true),
        ("b.org", false),
        ("*.a.org", false),
        ("*.org", false),
        ("", false),
    ] {
        assert_eq!(covers(&one, name, &[]), covered, "{name}");
        assert_eq!(covers(&one, name, &["h2"]), covered, "{name} with h2");
    }
    let h2 = route(&[], &["h2", "h3"], Target::Reject);
    for (alpn, covered) in [(&["h2"][..], true), (&["h3", "h2"], true), (&["h2", "h4"], false), (&[], false)]
    {
        assert_eq!(covers(&h2, "a.org", alpn), covered, "{alpn:?}");
        assert_eq!(covers(&h2, "", alpn), covered, "{alpn:?}");
    }
    assert!(covers(&route(&[], &[], Target::Reject), "", &[]));
}

#[test]
fn a_name_reaches_every_cluster_that_its_clients_may_be_sent_to() {
    let table = routes(&[
        route(&["a.org"], &["h2"], Target::Cluster(5)),
        route(&["a.org"], &["h3"], Target::Reject),
        route(&["a.org", "*.b.org"], &[], Target::Cluster(1)),
        route(&[], &["acme-tls/1"], Target::Cluster(2)),
    ]);
    for (name, reached) in
        [(Some("A.org"), &[1, 5][..]), (Some("x.b.org"), &[1]), (Some("c.org"), &[2, 9]), (None, &[2, 9])]
    {
        assert_eq!(table.reached_by(name, Some(9)), reached, "{name:?}");
    }
    assert_eq!(table.reached_by(Some("c.org"), None), [2]);
    assert_eq!(Routes::none().reached_by(Some("c.org"), Some(0)), [0]);
}
