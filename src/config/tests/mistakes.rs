//! Doubts are told as warnings, and whatever the file holds, there is an answer. What is said about mistakes is a
//! contract with people: `tests/blackbox/invalid/` has it word by word.

use proptest::prelude::*;

use super::*;

#[test]
fn each_mistake_is_one_line_and_then_the_line_of_the_file() {
    let Err(ConfigError::Invalid(told)) =
        load_text("t.toml", &least_and("hold.limit = \"5\"\nprobe.fall = 0"))
    else {
        panic!("it is valid");
    };
    assert_eq!(
        told,
        [
            "t.toml:9: clusters.controllers.hold.limit: found \"5\", expected a whole number, not negative\n  \
             9 | hold.limit = \"5\"\n    |      ^^^^^^^^^^^",
            "t.toml:10: clusters.controllers.probe.fall: found 0, expected a number from 1 to 100\n  \
             10 | probe.fall = 0\n     |       ^^^^^^^^",
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
            "probe.tls.verify = \"pin\"\nprobe.tls.pins = \"sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
            vec!["8: clusters.controllers.probe.tls.ca_file: has no effect, because `verify` is \"pin\""],
        ),
        (
            "probe.tls.verify = \"chain\"",
            vec![
                "9: clusters.controllers.probe.tls.verify: with \"chain\" alone, everybody who has a certificate of an \
                 authority in `ca_file`, for any name, can claim leadership; give each node its `spiffe_id`, or use \
                 \"full\" with its `server_name`",
            ],
        ),
        (
            "probe.tls.verify = \"chain\"\nprobe.tls.spiffe_trust_domain = \"d.org\"",
            vec![
                "9: clusters.controllers.probe.tls.verify: with \"chain\" and no more than a trust domain, everybody who \
                 has a certificate of d.org can claim leadership, routers and clients included; give each node its \
                 `spiffe_id`, or use \"full\" with its `server_name`",
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
            "probe.follower = []",
            vec![
                "9: clusters.controllers.probe.follower: no answer counts as a follower's, \
                 so that a change of leader shows only when the old one falls silent",
            ],
        ),
        (
            "max_age = \"4550ms\"",
            vec![
                "9: clusters.controllers.max_age: 4s 550ms changes nothing: \
                 a leader that has not said so for 4s 550ms is no longer one, by the settings of `probe`",
            ],
        ),
        ("max_age = \"4549ms\"", vec![]),
        ("[clusters.idle]\nnodes.a = \"h:1\"", vec!["9: clusters.idle: no listener sends clients here"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|line| format!("t.toml:{line}")).collect();
        assert_eq!(warnings(&least_and(keys)), expected, "{keys}");
    }
    let listener = LEAST.replacen(
        "cluster =",
        "deny = [\"10.0.0.0/8\"]\nallow = [\"192.0.2.1\", \"10.1.0.0/16\"]\ncluster =",
        1,
    );
    assert_eq!(
        warnings(&listener),
        ["t.toml:4: listeners.edge.allow.1: 10.1.0.0/16 has no effect, because `deny` has 10.0.0.0/8"]
    );
    let readers = |cluster: &str| {
        let text = LEAST.replacen("cluster =", "to = \"followers\"\ncluster =", 1);
        warnings(&format!("{text}{cluster}"))
    };
    assert_eq!(readers(""), [""; 0]);
    assert_eq!(
        readers("probe.follower = []")[0],
        "t.toml:3: listeners.edge.to: no answer counts as a follower's, so clients will wait in vain for one; \
         say by clusters.controllers.probe.follower which one does"
    );
    let alone = LEAST.replacen("cluster =", "to = \"followers\"\ncluster =", 1);
    let alone = alone.replacen(", ctrl2 = \"10.0.0.2:1280\", ctrl3 = \"10.0.0.3:1280\"", "", 1);
    assert_eq!(
        warnings(&alone),
        [
            "t.toml:3: listeners.edge.to: the only node of controllers leads or nobody does, so clients will wait in vain \
          for one that follows; \"any\" takes the leader, too"
        ]
    );
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
