//! What is said about mistakes: the file, the line, the key, what was found, what is expected.

use proptest::prelude::*;

use super::*;

const SHOWN_NODES: &str = "nodes = { ctrl1 = \"10.0.0.1:1280\" }";

/// Keys added to the least configuration, in line 9, and what is said about them.
const IN_THE_CLUSTER: &[(&str, &[&str])] = &[
    (
        "hold.timout = \"1s\"",
        &["9: clusters.controllers.hold.timout: there is no such key; did you mean `timeout`?"],
    ),
    (
        "max_age = \"1s\"",
        &["9: clusters.controllers.max_age: there is no such key; \
           known here: preset, nodes, probe, hold, sessions, connect, timeouts, dns"],
    ),
    (
        "probe.interval = 250",
        &["9: clusters.controllers.probe.interval: \
           found 250, expected a duration with its unit, such as \"250ms\", \"10s\" or \"1h\""],
    ),
    (
        "probe.interval = \"250\"",
        &["9: clusters.controllers.probe.interval: \
           found \"250\", expected a duration with its unit, such as \"250ms\", \"10s\" or \"1h\""],
    ),
    (
        "probe.timeout = \"9999days\"",
        &[
            "9: clusters.controllers.probe.timeout: found \"9999days\", expected a duration of at most 365 days",
        ],
    ),
    ("probe.renew = \"0s\"", &["9: clusters.controllers.probe.renew: found 0s, expected at least 1ms"]),
    (
        "probe.fast_interval = \"1s\"",
        &[
            "9: clusters.controllers.probe.fast_interval: 1s is longer than `interval`, 250ms; make it shorter",
        ],
    ),
    ("probe.fall = 0", &["9: clusters.controllers.probe.fall: found 0, expected a number from 1 to 100"]),
    (
        "probe.rise = -1",
        &["9: clusters.controllers.probe.rise: found -1, expected a whole number, not negative"],
    ),
    (
        "probe.path = \"raft\"",
        &["9: clusters.controllers.probe.path: found \"raft\", expected a path that starts with /"],
    ),
    (
        "probe.path = \"/a#b\"",
        &["9: clusters.controllers.probe.path: found \"/a#b\", expected a path that starts with /"],
    ),
    (
        "probe.method = \"get\"",
        &["9: clusters.controllers.probe.method: found \"get\", but methods are in capitals; write \"GET\""],
    ),
    (
        "probe.method = \"HEAD\"",
        &["9: clusters.controllers.probe.method: \
           answers to HEAD have no body, but `json` conditions need one; use GET"],
    ),
    (
        "probe.method = \"CONNECT\"",
        &["9: clusters.controllers.probe.method: CONNECT asks for a tunnel, not for an answer; use GET"],
    ),
    (
        "probe.host = \"a b\"",
        &[
            "9: clusters.controllers.probe.host: found \"a b\", expected a name or address, with or without a port",
        ],
    ),
    (
        "probe.headers.host = \"a\"",
        &["9: clusters.controllers.probe.headers.host: has a key of its own; use probe.host"],
    ),
    (
        "probe.headers = { \"a b\" = \"1\", Content-Length = \"3\", X = \"a\\nb\" }",
        &[
            "9: clusters.controllers.probe.headers.Content-Length: is set by the probe itself; leave it out",
            "9: clusters.controllers.probe.headers.X: \
             its value has characters that no header may have, such as a line's end",
            "9: clusters.controllers.probe.headers.\"a b\": is not a header's name; use letters, digits and dashes",
        ],
    ),
    (
        "probe.headers = { X-A = \"1\", x-a = \"2\" }",
        &[
            "9: clusters.controllers.probe.headers.x-a: is there twice, for case does not matter; leave one out",
        ],
    ),
    (
        "probe.leader = []",
        &[
            "9: clusters.controllers.probe.leader: is empty, so nobody could ever lead; give at least one condition",
        ],
    ),
    (
        "probe.leader = {}",
        &["9: clusters.controllers.probe.leader: \
           is empty, so that every answer would do; give `status`, `json` or both"],
    ),
    (
        "probe.leader.status = []",
        &[
            "9: clusters.controllers.probe.leader.status: is empty, so that no answer would do; give at least one status",
        ],
    ),
    (
        "probe.leader.status = [\n  200,\n  \"299-200\",\n  99,\n]",
        &[
            "11: clusters.controllers.probe.leader.status.1: \
             found \"299-200\", expected statuses from 100 to 999, the lower first",
            "12: clusters.controllers.probe.leader.status.2: \
             found 99, expected statuses from 100 to 999, the lower first",
        ],
    ),
    (
        "probe.leader.status = true",
        &["9: clusters.controllers.probe.leader.status: \
           found true, expected a status such as 200, or a range such as \"200-299\""],
    ),
    (
        "probe.leader.json = { \"raft\" = true, \"/a~2\" = 1 }",
        &[
            "9: clusters.controllers.probe.leader.json.\"/a~2\": \
             is not a JSON pointer; it starts with /, such as \"/raft/isLeader\"",
            "9: clusters.controllers.probe.leader.json.raft: \
             is not a JSON pointer; it starts with /, such as \"/raft/isLeader\"",
        ],
    ),
    (
        "probe.tls.verify = \"ful\"",
        &["9: clusters.controllers.probe.tls.verify: \
           found \"ful\", expected one of full, chain, pin, none; did you mean \"full\"?"],
    ),
    (
        "probe.tls.server_name = \"a:1\"",
        &["9: clusters.controllers.probe.tls.server_name: \
           found \"a:1\", expected a DNS name or an IP address, without a port"],
    ),
    (
        "probe.tls.verify = \"pin\"",
        &["9: clusters.controllers.probe.tls.verify: is \"pin\", but there are no `pins`; \
           give that of each node's key (to learn it, give any: `raftgate check --probe` shows the one seen)"],
    ),
    (
        "probe.tls.verify = \"pin\"\nprobe.tls.pins = [\"sha256/AAEC\"]\nprobe.tls.spiffe_trust_domain = \"a b\"",
        &[
            "10: clusters.controllers.probe.tls.pins.0: found \"sha256/AAEC\", expected the SHA-256 of a public key: \
           64 hex digits, or \"sha256/\" and 44 letters of base64",
            "11: clusters.controllers.probe.tls.spiffe_trust_domain: found \"a b\", expected a trust domain such as \
           \"example.org\": letters, digits, dots, dashes and underscores",
        ],
    ),
    (
        "probe.tls.pins = \"sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
        &["9: clusters.controllers.probe.tls.pins: is looked at with verify = \"pin\" alone, \
           but `verify` is \"full\"; change it, or leave out the pins"],
    ),
    (
        "probe.tls.verify = \"none\"\nprobe.tls.spiffe_trust_domain = \"d.org\"",
        &["10: clusters.controllers.probe.tls.spiffe_trust_domain: is vouched for by a chain alone, \
           but `verify` is \"none\"; use \"full\" or \"chain\", or leave this out"],
    ),
    (
        "probe.tls.client_cert_file = \"/c.pem\"",
        &[
            "9: clusters.controllers.probe.tls.client_cert_file: is no use without `client_key_file`; give both or neither",
        ],
    ),
    (
        "probe.tls.client_key_file = \"\"",
        &[
            "9: clusters.controllers.probe.tls.client_key_file: is no use without `client_cert_file`; give both or neither",
        ],
    ),
    (
        "[listeners.other]\nbind = \":444\"\ncluster = \"controllers\"\npublic_names = [\"a.org\", \"a.org:443\"]",
        &["12: listeners.other.public_names.1: found \"a.org:443\", \
           expected a DNS name or an IP address that clients use, without a port"],
    ),
    ("hold = 5", &["9: clusters.controllers.hold: found 5, expected a table"]),
    ("hold.then = 1", &["9: clusters.controllers.hold.then: found 1, expected a text in quotes"]),
    (
        "connect.on_first_byte = \"yes\"",
        &["9: clusters.controllers.connect.on_first_byte: found \"yes\", expected true or false"],
    ),
    ("dns.refresh = \"0s\"", &["9: clusters.controllers.dns.refresh: found 0s, expected at least 1ms"]),
    (
        "timeouts.idle = \"0s\"",
        &["9: clusters.controllers.timeouts.idle: found 0s, expected a duration; write \"off\" for none"],
    ),
    (
        "timeouts.idle = \"never\"",
        &["9: clusters.controllers.timeouts.idle: \
           found \"never\", expected \"off\", or a duration with its unit, such as \"60s\" or \"1h\""],
    ),
    (
        "[listeners.other]\nbind = \":443\"\ncluster = \"controler\"",
        &[
            "10: listeners.other.bind: [::]:443 is already taken by 0.0.0.0:443 of listeners.edge.bind; \
             use another address or port",
            "11: listeners.other.cluster: there is no cluster \"controler\"; did you mean \"controllers\"?",
        ],
    ),
    (
        "[listeners.other]",
        &[
            "9: listeners.other.cluster: is missing; name one of [clusters]",
            "9: listeners.other.bind: is missing; give an address such as \":443\", or a list of them",
        ],
    ),
    (
        "[listeners.other]\nbind = [\"127.0.0.1:9180\"]\ncluster = \"x\"",
        &[
            "10: listeners.other.bind.0: 127.0.0.1:9180 is already taken by 127.0.0.1:9180 of admin.bind; \
             use another address or port",
            "11: listeners.other.cluster: there is no cluster \"x\"; add [clusters.x]",
        ],
    ),
    (
        "[clusters.\"no good\"]\nnodes.a = \"h:1\"",
        &["9: clusters.\"no good\": \
           \"no good\" cannot be a name; use up to 64 letters, digits, dashes, dots and underscores"],
    ),
    (
        "[log]\nlevel = \"verbose\"",
        &["10: log.level: found \"verbose\", expected one of error, warn, info, debug, trace"],
    ),
    ("[listners.x]", &["9: listners: there is no such key; did you mean `listeners`?"]),
    ("hold.limit = ", &["9: this is not TOML: check the line's value, quotes and brackets"]),
    ("hold = {}\nhold = {}", &["10: this is not TOML: duplicate key `hold` in table `clusters.controllers`"]),
];

#[test]
fn each_mistake_is_told_with_its_line() {
    for (keys, expected) in IN_THE_CLUSTER {
        let expected: Vec<String> = expected.iter().map(|line| format!("t.toml:{line}")).collect();
        assert_eq!(mistakes(&least_and(keys)), expected, "{keys}");
    }
}

#[test]
fn mistakes_in_nodes() {
    for (nodes, expected) in [
        (
            "nodes = {}",
            format!("4: clusters.c.nodes: there is no node; add at least one, such as {SHOWN_NODES}"),
        ),
        (
            "nodes.a = \"h\"",
            "4: clusters.c.nodes.a.address: found \"h\", which has no port; write host:port".into(),
        ),
        (
            "nodes.a = \"h:0\"",
            "4: clusters.c.nodes.a.address: found \"h:0\", whose port is not a number from 1 to 65535".into(),
        ),
        (
            "nodes.a = { adress = \"h:1\", address = \"h:1\" }",
            "4: clusters.c.nodes.a.adress: there is no such key; did you mean `address`?".into(),
        ),
        (
            "nodes.a = { priority = 1 }",
            "4: clusters.c.nodes.a.address: is missing; give \"host:port\"".into(),
        ),
        (
            "nodes.a = 5",
            "4: clusters.c.nodes.a: found 5, expected \"host:port\" or a table with `address`".into(),
        ),
        (
            "nodes.a = { address = \"h:1\", spiffe_id = \"spiffe://d\" }",
            "4: clusters.c.nodes.a.spiffe_id: found \"spiffe://d\", \
             expected an id such as \"spiffe://example.org/controller/ctrl1\""
                .into(),
        ),
        (
            "nodes.a = { address = \"h:1\", spiffe_id = \"spiffe://d/a\" }\nprobe.tls.verify = \"none\"",
            "4: clusters.c.nodes.a.spiffe_id: is vouched for by a chain alone, \
             but `probe.tls.verify` is \"none\"; use \"full\" or \"chain\", or leave this out"
                .into(),
        ),
        (
            "nodes.a = { address = \"h:1\", spiffe_id = \"spiffe://d/a\" }\nprobe.tls.spiffe_trust_domain = \"e\"",
            "4: clusters.c.nodes.a.spiffe_id: spiffe://d/a is not of the trust domain e, which \
             `probe.tls.spiffe_trust_domain` demands; no certificate could be both"
                .into(),
        ),
        (
            "nodes.a = \"h:1\"\nnodes.b = \"H:1\"",
            "5: clusters.c.nodes.b: has the address h:1 of a; each node has its own".into(),
        ),
        (
            "nodes.a = \"h:1\"\nnodes.b = { address = \"h:2\", probe_address = \"h:1\" }",
            "5: clusters.c.nodes.b: has the probe address h:1 of a; each node has its own".into(),
        ),
    ] {
        let toml = format!("listeners.e = {{ bind = \":1\", cluster = \"c\" }}\n\n[clusters.c]\n{nodes}\n");
        assert_eq!(mistakes(&toml), [format!("t.toml:{expected}")], "{nodes}");
    }
}

#[test]
fn an_empty_file_lacks_both_halves() {
    assert_eq!(
        mistakes(""),
        [
            "t.toml: listeners: there is no listener; add [listeners.NAME] with `bind` and `cluster`",
            "t.toml: clusters: there is no cluster; add [clusters.NAME] with its nodes",
        ]
    );
}

#[test]
fn o1_all_mistakes_are_told_at_once_from_top_to_bottom() {
    let toml = format!(
        "workers = 0\nadmin.bind = \"x\"\n{}",
        least_and("probe.fall = \"2\"\nhold.then = \"\"\ncolour = 1")
    );
    assert_eq!(
        mistakes(&toml),
        [
            "t.toml:1: workers: found 0, expected a number from 1 to 1024",
            "t.toml:2: admin.bind: found \"x\", expected an address such as \"127.0.0.1:9180\", or \"\" for none",
            "t.toml:11: clusters.controllers.probe.fall: found \"2\", expected a whole number, not negative",
            "t.toml:12: clusters.controllers.hold.then: found \"\", expected one of refuse, last_leader, any_reachable",
            "t.toml:13: clusters.controllers.colour: there is no such key; \
             known here: preset, nodes, probe, hold, sessions, connect, timeouts, dns",
        ]
    );
}

#[test]
fn contradictions_are_warnings() {
    for (keys, expected) in [
        (
            "probe.tls.verify = \"none\"",
            vec![
                "8: clusters.controllers.probe.tls.ca_file: has no effect, because `verify` is \"none\"",
                "9: clusters.controllers.probe.tls.verify: \
                 with \"none\", anybody on the path to a node can claim leadership; use \"full\" or \"chain\"",
            ],
        ),
        (
            "probe.tls.enabled = false",
            vec![
                "8: clusters.controllers.probe.tls.ca_file: has no effect, because `enabled` is false",
                "9: clusters.controllers.probe.tls.enabled: \
                 without TLS, anybody on the path to a node can claim leadership",
            ],
        ),
        (
            "probe.tls.verify = \"pin\"\nprobe.tls.pins = \"sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
            vec!["8: clusters.controllers.probe.tls.ca_file: has no effect, because `verify` is \"pin\""],
        ),
        (
            "probe.follower = []",
            vec![
                "9: clusters.controllers.probe.follower: no answer counts as a follower's, \
                 so that a change of leader shows only when the old one falls silent",
            ],
        ),
        ("[clusters.idle]\nnodes.a = \"h:1\"", vec!["9: clusters.idle: no listener sends clients here"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|line| format!("t.toml:{line}")).collect();
        assert_eq!(warnings(&least_and(keys)), expected, "{keys}");
    }
    let many = warnings(&format!("max_connections = 1000000000\n{LEAST}"));
    assert_eq!(many.len(), 1);
    assert!(
        many[0].starts_with("t.toml:1: max_connections: 1000000000 connections need more descriptors"),
        "{many:?}"
    );
}

proptest! {
    /// Nothing panics on input: whatever is cut out of a file or put into it, there is an answer.
    #[test]
    fn any_text_is_either_a_configuration_or_a_mistake(from in 0usize..2000, length in 0usize..40, put in "[\\[\\]{}=.\"a-z0-9~ \n-]{0,8}") {
        let mut toml = least_and("probe.leader = [{ status = [200], json = { \"/a\" = 1 } }]\ntimeouts.idle = \"off\"\n");
        let from = from % toml.len();
        let to = (from + length).min(toml.len());
        toml.replace_range(from..to, &put);
        if let Ok(loaded) = load_text("t.toml", &toml) {
            prop_assert_eq!(load_text("e.toml", &loaded.config.effective_toml()).map_err(|error| error.to_string()).map(|it| it.config), Ok(loaded.config));
        }
    }
}
