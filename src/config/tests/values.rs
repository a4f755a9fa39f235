//! Defaults, presets, and the way to each role's settings and back to TOML.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::words::{
    HOLD_THEN, LOG_FORMAT, LOG_LEVEL, ON_DEMOTION, ON_UNREACHABLE, PRESET, SEND_PROXY, TO, VERIFY, word,
};
use crate::follow::{FateSettings, HoldThen, OnDemotion, OnUnreachable};
use crate::leader::{NodeId, Policy};
use crate::probe::judge::Condition;
use crate::probe::{Roots, TlsSettings, Verify};
use crate::proxy::{LogConnections, Route, ServerNames, Target};
use crate::tenure::To;
use crate::wire::proxy_header::Version;

const PLAIN: &str = r#"
listeners.edge = { bind = ":443", cluster = "c" }
clusters.c.nodes.a = "10.0.0.1:1280"
"#;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn defaults_without_a_preset() {
    let config = config(PLAIN);
    assert_eq!(config.workers, std::thread::available_parallelism().unwrap().get());
    assert!(config.max_connections >= 1);
    assert_eq!((config.log.format, config.log.level), (LogFormat::Text, tracing::Level::INFO));
    assert_eq!(config.log.connections, LogConnections::All);
    assert_eq!((config.shutdown_drain, config.upgrade_drain), (secs(20), None));
    assert_eq!(config.admin_bind, Some("127.0.0.1:9180".parse().unwrap()));
    assert_eq!(config.admin_socket.as_deref(), Some(Path::new("/run/raftgate/raftgate.sock")));
    assert_eq!(config.admin_hosts, [""; 0]);
    assert_eq!(config.listeners[0].bind, ["[::]:443".parse().unwrap()]);
    let cluster = &config.clusters[0];
    assert_eq!(cluster.preset, Preset::None);
    assert_eq!((cluster.probe.path.as_str(), cluster.probe.method.as_str()), ("/", "GET"));
    assert_eq!((&cluster.probe.host, cluster.probe.headers.len()), (&None, 0));
    assert_eq!(cluster.probe.rules.leader, [Condition { status: vec![200..=200], json: vec![] }]);
    assert_eq!(cluster.probe.rules.follower, [Condition { status: vec![429..=429], json: vec![] }]);
    assert_eq!(cluster.probe.policy, Policy::default());
    assert_eq!(cluster.probe.renew, secs(30));
    assert_eq!(
        cluster.probe.tls,
        Some(Tls {
            verify: Verify::Full,
            roots: Roots::System,
            pins: vec![],
            spiffe_trust_domain: None,
            client: None
        })
    );
    assert_eq!(cluster.hold, Hold { timeout: secs(10), limit: 10_000, then: HoldThen::Refuse });
    let fates = FateSettings {
        on_demotion: OnDemotion::Drain,
        on_unreachable: OnUnreachable::Cut,
        unreachable_after: secs(10),
    };
    assert_eq!((cluster.fates, cluster.drain), (fates, secs(30)));
    assert_eq!(
        cluster.connect,
        Connect {
            timeout: secs(2),
            on_first_byte: false,
            first_byte_timeout: Some(secs(30)),
            send_proxy: None,
            source: std::sync::Arc::new([])
        }
    );
    assert_eq!(cluster.timeouts, Timeouts { idle: Some(secs(3600)), half_closed: Some(secs(60)) });
    assert_eq!(cluster.dns_refresh, secs(10));
}

#[test]
fn explicit_keys_win_over_the_preset() {
    let config = config(&least_and(
        "probe.path = \"/other\"\nprobe.leader.status = \"200-204\"\nhold.then = \"refuse\"\n\
         sessions.on_demotion = \"cut\"\nconnect.on_first_byte = false\n",
    ));
    let cluster = &config.clusters[0];
    assert_eq!(cluster.probe.path, "/other");
    assert_eq!(cluster.probe.rules.leader, [Condition { status: vec![200..=204], json: vec![] }]);
    assert_eq!(cluster.probe.rules.follower, Preset::OpenZiti.defaults().rules.follower);
    assert_eq!((cluster.hold.then, cluster.fates.on_demotion), (HoldThen::Refuse, OnDemotion::Cut));
    assert!(!cluster.connect.on_first_byte);
}

#[test]
fn a_json_condition_alone_takes_any_status() {
    let config = config(&least_and("probe.leader = { json = { \"/a\" = 1, \"/b~1c\" = \"x\" } }"));
    let json = vec![("/a".to_owned(), json!(1)), ("/b~1c".to_owned(), json!("x"))];
    assert_eq!(config.clusters[0].probe.rules.leader, [Condition { status: vec![100..=999], json }]);
}

#[test]
fn a_short_interval_alone_takes_the_fast_one_along() {
    let policy = config(&least_and("probe.interval = \"20ms\"")).clusters[0].probe.policy;
    assert_eq!(
        (policy.interval, policy.fast_interval),
        (Duration::from_millis(20), Duration::from_millis(20))
    );
}

#[test]
fn l7_the_longest_lease_does_not_overflow() {
    let config = config(&least_and(
        "probe.interval = \"365days\"\nprobe.fast_interval = \"365days\"\nprobe.timeout = \"365days\"\nprobe.fall = 100",
    ));
    assert_eq!(
        config.clusters[0].probe.policy.lease(),
        secs(365 * 24 * 360) * 1111 + Duration::from_millis(50)
    );
}

const PATRONI: &str = r#"
listeners.edge = { bind = ":5432", cluster = "c" }
[clusters.c]
preset = "patroni"
nodes.a = "10.0.0.1:5432"
"#;

const RICH: &str = r#"
workers = 3
max_connections = 77
log = { format = "json", level = "trace", connections = false }
shutdown.drain = "0s"
upgrade.drain = "1h"
admin = { bind = "", socket = "/tmp/control \"1\".sock", hosts = ["gate.example.org"] }
listeners.a = { bind = ["127.0.0.1:0", "[::1]:8443", ":9000"], cluster = "two", max_connections = 5, max_connections_per_source = 2 }
listeners.b-2 = { bind = "127.0.0.1:0", cluster = "one", public_names = ["gate.example.org", "10.0.0.1"], allow = ["10.0.0.0/8", "::ffff:192.0.2.0/120", "2001:db8::/32"], deny = "10.1.2.3", accept_proxy_from = ["::ffff:192.0.2.1", "198.51.100.0/24"] }

[listeners.by-name]
bind = "127.0.0.1:0"
cluster = "one"
hello_timeout = "1500ms"
routes = [
    { server_names = "A.example.org.", alpn = ["h2", "acme-tls/1"], cluster = "two" },
    { server_names = ["*.Example.org", "b_c"], reject = true },
    { alpn = "h3", reject = false, cluster = "pinned" },
]

[listeners.by-name-only]
bind = "127.0.0.1:0"
routes = [{ server_names = "a", cluster = "spiffe" }, { reject = true }]

[clusters.two]
nodes.z = { address = "Z.example.org:1", probe_address = "[::1]:443", priority = -5 }
nodes.y = { address = "y.example.org:1", server_name = "why" }
probe.host = "every:80"
probe.headers = { X-A = "1", b = "\"quoted\"" }
probe.leader = [{ status = [200, "202-204"], json = { "/n" = 1.5, "/l" = [1, "x"], "/t" = { a = true } } }]
probe.follower = []
probe.method = "POST"
probe.tls = { verify = "chain", ca_file = "/etc/ca.pem", server_name = "all" }
probe.timeout = "1250ms"
probe.renew = "1us 1s"
hold = { timeout = "0s", limit = 0, then = "last_leader" }
sessions = { on_demotion = "cut", on_unreachable = "keep", unreachable_after = "1m 1ms", drain = "5s" }
timeouts = { idle = "off", half_closed = "off" }
dns.refresh = "1m"
max_age = "0s"

[clusters.one]
preset = "openziti"
max_age = "50ms"
nodes.a = "[2001:db8::1]:1280"
probe.tls.enabled = false
connect = { send_proxy = "v2", source = ["2001:db8::5", "::ffff:10.0.0.5"] }

[clusters.pinned]
connect.send_proxy = "v1"
nodes.a = "10.0.0.1:1280"
probe.tls = { verify = "pin", pins = ["sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="], client_cert_file = "/c.pem", client_key_file = "/c.key" }

[clusters.spiffe]
nodes.a = { address = "10.0.0.2:1280", spiffe_id = "spiffe://d.org/controller/a" }
probe.tls.spiffe_trust_domain = "D.org"
"#;

#[test]
fn the_effective_configuration_reads_back_as_the_same() {
    for toml in [PLAIN, LEAST, RICH, &LEAST.replace("openziti", "vault"), PATRONI] {
        let written = config(toml);
        let effective = written.effective_toml();
        assert_eq!(config(&effective), written, "{effective}");
    }
    assert!(config(RICH).effective_toml().contains("deny = [\"10.1.2.3\"]"), "an address has no prefix");
}

#[test]
fn secrets_are_not_shown() {
    let toml = least_and(
        "probe.headers = { Authorization = \"s3\", cookie = \"s3\", X-Vault-Token = \"s3\", X-A = \"open\" }",
    );
    let effective = config(&toml).effective_toml();
    assert!(!effective.contains("s3"), "{effective}");
    assert_eq!(effective.matches("(hidden)").count(), 3);
    assert!(effective.contains("open"));
}

#[test]
fn every_choice_has_its_word() {
    let presets = [Preset::None, Preset::OpenZiti, Preset::Vault, Preset::Patroni];
    assert_eq!(presets.map(|it| word(PRESET, &it)), ["none", "openziti", "vault", "patroni"]);
    assert_eq!([LogFormat::Text, LogFormat::Json].map(|it| word(LOG_FORMAT, &it)), ["text", "json"]);
    assert_eq!(
        [Verify::Full, Verify::Chain, Verify::Pin, Verify::None].map(|it| word(VERIFY, &it)),
        ["full", "chain", "pin", "none"]
    );
    let thens =
        [HoldThen::Refuse, HoldThen::LastLeader, HoldThen::AnyReachable].map(|it| word(HOLD_THEN, &it));
    assert_eq!(thens, ["refuse", "last_leader", "any_reachable"]);
    let demotions = [OnDemotion::Keep, OnDemotion::Drain, OnDemotion::Cut].map(|it| word(ON_DEMOTION, &it));
    assert_eq!(demotions, ["keep", "drain", "cut"]);
    let silences = [OnUnreachable::Cut, OnUnreachable::Keep].map(|it| word(ON_UNREACHABLE, &it));
    assert_eq!(silences, ["cut", "keep"]);
    let headers = [None, Some(Version::V1), Some(Version::V2)].map(|it| word(SEND_PROXY, &it));
    assert_eq!(headers, ["off", "v1", "v2"]);
    for to in [To::Leader, To::Followers, To::Any] {
        assert_eq!(word(TO, &to), to.as_str());
    }
    for (name, level) in LOG_LEVEL {
        assert_eq!(level.as_str().to_lowercase(), *name);
    }
    assert_eq!(LOG_LEVEL.len(), 5);
}

#[test]
fn each_role_gets_its_own_settings() {
    let config = config(RICH);
    let proxy = config.proxy_settings();
    assert_eq!((proxy.workers, proxy.max_connections, proxy.log_connections), (3, 77, LogConnections::None));
    let names = |names: &[Option<std::sync::Arc<str>>]| {
        names.iter().flatten().map(ToString::to_string).collect::<Vec<_>>()
    };
    let clusters: Vec<_> = proxy.clusters.iter().map(|it| (it.name.to_string(), names(&it.nodes))).collect();
    assert_eq!(
        clusters,
        [
            ("one".into(), vec!["a".into()]),
            ("pinned".into(), vec!["a".into()]),
            ("spiffe".into(), vec!["a".into()]),
            ("two".into(), vec!["y".into(), "z".into()])
        ]
    );
    let listeners: Vec<_> = proxy.listeners.iter().map(|it| (&*it.name, it.bind.len(), it.cluster)).collect();
    assert_eq!(
        listeners,
        [("a", 3, Some(3)), ("b-2", 1, Some(0)), ("by-name", 1, Some(0)), ("by-name-only", 1, None)]
    );
    let bounds = proxy.listeners.iter().map(|it| (it.max_connections, it.max_connections_per_source));
    assert_eq!(bounds.collect::<Vec<_>>(), [(Some(5), Some(2)), (None, None), (None, None), (None, None)]);
    let shown =
        |networks: &[ipnet::IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let access = proxy.listeners[..2].iter().map(|it| (shown(&it.access.allow), shown(&it.access.deny)));
    let networks = "10.0.0.0/8 192.0.2.0/24 2001:db8::/32".to_owned();
    assert_eq!(
        access.collect::<Vec<_>>(),
        [(String::new(), String::new()), (networks, "10.1.2.3/32".to_owned())]
    );
    let proxies = proxy.listeners.iter().map(|it| shown(&it.proxies.0));
    assert_eq!(proxies.collect::<Vec<_>>()[..2], ["", "192.0.2.1/32 198.51.100.0/24"]);
    let headers = proxy.clusters.iter().map(|it| it.send_proxy);
    assert_eq!(headers.collect::<Vec<_>>(), [Some(Version::V2), Some(Version::V1), None, None]);
    let sources: Vec<String> = proxy.clusters[0].source.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["2001:db8::5", "10.0.0.5"]);

    let routes = &proxy.listeners[2].routes;
    let name = |text: &str| ServerNames::Exactly(text.to_owned());
    let below = ServerNames::Below("example.org".to_owned());
    let route = |server_names: &[ServerNames], alpn: &[&str], target| Route {
        server_names: server_names.to_vec(),
        alpn: alpn.iter().map(|it| it.as_bytes().to_vec()).collect(),
        target,
    };
    let expected = [
        route(&[name("a.example.org")], &["h2", "acme-tls/1"], Target::Cluster(3)),
        route(&[below, name("b_c")], &[], Target::Reject),
        route(&[], &["h3"], Target::Cluster(1)),
    ];
    assert_eq!((&routes.table[..], routes.hello_timeout), (&expected[..], Duration::from_millis(1500)));
    assert!(proxy.listeners[0].routes.table.is_empty());

    let two = &config.clusters[3];
    let address = |port| std::net::SocketAddr::from(([192, 0, 2, 1], port));
    let addresses = [(1, 2), (3, 4)].map(|(node, probe)| NodeAddresses {
        address: address(node).into(),
        probe_address: address(probe).into(),
    });
    let follow = two.follow_settings(&addresses);
    let nodes: Vec<_> =
        follow.nodes.iter().map(|it| (&*it.name, it.address.current().unwrap(), it.priority)).collect();
    assert_eq!(nodes, [("y", address(1), 0), ("z", address(3), -5)]);
    assert_eq!(follow.hold_then, HoldThen::LastLeader);
    assert_eq!(follow.policy.timeout, Duration::from_millis(1250));

    let probes = two.probe_settings(&addresses);
    let who: Vec<_> = probes.iter().map(|it| (it.id, &*it.node, it.address.current().unwrap())).collect();
    assert_eq!(who, [(NodeId(0), "y", address(2)), (NodeId(1), "z", address(4))]);
    let tls = |name: &str| TlsSettings::new(Verify::Chain, Roots::File("/etc/ca.pem".into()), name);
    assert_eq!(probes[0].tls, Some(tls("why")));
    assert_eq!(probes[1].tls, Some(tls("all")));
    let whole = |place: usize| config.clusters[place].probe_settings(&addresses)[0].tls.clone().unwrap();
    assert_eq!((whole(1).verify, whole(1).pins.len()), (Verify::Pin, 1));
    assert_eq!(whole(1).client.unwrap().key.to_str(), Some("/c.key"));
    assert_eq!(whole(2).spiffe_id.unwrap().to_string(), "spiffe://d.org/controller/a");
    assert_eq!(whole(2).spiffe_trust_domain.unwrap().to_string(), "d.org");
    let probes_header = |place: usize| config.clusters[place].probe_settings(&addresses)[0].send_proxy;
    assert_eq!([0, 1, 2, 3].map(probes_header), [Some(Version::V2), Some(Version::V1), None, None]);
    assert_eq!((probes[0].request.method.as_str(), probes[0].request.host.as_str()), ("POST", "every:80"));
}

#[test]
fn probes_begin_with_a_proxy_header_only_where_clients_go() {
    for (node, same_port) in [
        (r#"{ address = "10.0.0.1:1280" }"#, true),
        (r#"{ address = "10.0.0.1:1280", probe_address = "10.0.0.1:1281" }"#, false),
        (r#"{ address = "10.0.0.1:1280", probe_address = "10.0.0.2:1280" }"#, false),
    ] {
        let config = config(&format!(
            "listeners.edge = {{ bind = \":443\", cluster = \"c\" }}\nclusters.c.nodes.a = {node}\n\
             clusters.c.connect.send_proxy = \"v1\""
        ));
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        let addresses = NodeAddresses { address: address.into(), probe_address: address.into() };
        let probes = config.clusters[0].probe_settings(&[addresses]);
        assert_eq!(probes[0].send_proxy, same_port.then_some(Version::V1), "{node}");
    }
}

#[test]
fn readers_are_of_the_cluster_that_their_listener_names() {
    let config = config(
        "listeners.w = { bind = \":1\", cluster = \"a\" }\n\
         listeners.r = { bind = \":2\", cluster = \"a\", to = \"followers\" }\n\
         listeners.o = { bind = \":3\", to = \"any\", routes = [{ server_names = [\"b.org\"], cluster = \"b\" }, { reject = true }] }\n\
         [clusters]\na.nodes = { x = \"h:1\", y = \"h:2\" }\nb.nodes = { x = \"h:1\", y = \"h:2\" }",
    );
    assert_eq!([0, 1].map(|cluster| config.readers_of(cluster)), [[To::Followers], [To::Any]]);
    let to: Vec<_> = config.proxy_settings().listeners.iter().map(|it| it.to).collect();
    assert_eq!(to, [To::Any, To::Followers, To::Leader]);
    assert!(config.effective_toml().contains("to = \"followers\""));
}

#[test]
fn the_host_header_is_what_a_client_of_the_node_would_send() {
    for (node, tls, host) in [
        (r#""Ctrl1.example.org:1280""#, true, "ctrl1.example.org:1280"),
        (r#""ctrl1.example.org:443""#, true, "ctrl1.example.org"),
        (r#""ctrl1.example.org:443""#, false, "ctrl1.example.org:443"),
        (r#""ctrl1.example.org:80""#, false, "ctrl1.example.org"),
        (r#""[::1]:1280""#, true, "[::1]:1280"),
        (r#"{ address = "10.0.0.1:1", probe_address = "10.0.0.2:2" }"#, true, "10.0.0.2:2"),
        (r#"{ address = "10.0.0.1:1", server_name = "c" }"#, true, "c:1"),
    ] {
        let toml = format!(
            "listeners.e = {{ bind = \":1\", cluster = \"c\" }}\n[clusters.c]\nnodes.n = {node}\nprobe.tls.enabled = {tls}"
        );
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let addresses = [NodeAddresses { address: any.into(), probe_address: any.into() }];
        assert_eq!(config(&toml).clusters[0].probe_settings(&addresses)[0].request.host, host, "{node}");
    }
}

#[test]
fn s8_clients_never_get_the_descriptors_that_are_kept_back() {
    let config = config(&format!("max_connections = 1000000000\n{PLAIN}"));
    assert_eq!(config.max_connections, 1_000_000_000, "shown as it was written");
    assert!(config.proxy_settings().max_connections < 1_000_000_000);
}
