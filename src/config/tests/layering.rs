//! Who wins: defaults, preset, file, environment, flags; and what variables mean.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::proxy::LogConnections;

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn layered(toml: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Loaded, ConfigError> {
    let file = Some(import::toml("t.toml", toml));
    Layers { file, environment: env(variables), flags: flags.clone(), ..Layers::default() }.assemble()
}

fn with_env(variables: &[(&str, &str)]) -> Loaded {
    layered(LEAST, variables, &Flags::default()).unwrap()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = format!("admin.bind = \"127.0.0.1:1\"\n{LEAST}");
    let port = |variables, flags: &Flags| {
        layered(&file, variables, flags).unwrap().config.admin_bind.unwrap().port()
    };
    let flags = Flags { admin: Some("127.0.0.1:3".into()), ..Flags::default() };
    let variables: &[(&str, &str)] = &[("RAFTGATE_ADMIN__BIND", "127.0.0.1:2")];
    assert_eq!(port(&[], &Flags::default()), 1);
    assert_eq!(port(variables, &Flags::default()), 2);
    assert_eq!(port(variables, &flags), 3);
    assert_eq!(port(&[], &flags), 3);
}

#[test]
fn a_variable_changes_one_key_and_no_other() {
    let loaded = with_env(&[("RAFTGATE_CLUSTERS__CONTROLLERS__PROBE__INTERVAL", "500ms"), ("PATH", "/bin")]);
    assert_eq!(loaded.warnings, [""; 0]);
    let mut expected = config(LEAST);
    Arc::make_mut(&mut expected.clusters[0]).probe.policy.interval = Duration::from_millis(500);
    assert_eq!(loaded.config, expected);
}

#[test]
fn variables_can_be_numbers_lists_tables_and_nothing() {
    let config = with_env(&[
        ("RAFTGATE_WORKERS", "5"),
        ("RAFTGATE_LOG__CONNECTIONS", "false"),
        ("RAFTGATE_ADMIN__BIND", ""),
        ("RAFTGATE_LISTENERS__EDGE__BIND", "[127.0.0.1:1,127.0.0.1:2]"),
        ("RAFTGATE_CLUSTERS__CONTROLLERS__NODES__CTRL4", "{address=\"h:1\", priority=7}"),
    ])
    .config;
    assert_eq!((config.workers, config.log.connections, config.admin_bind), (5, LogConnections::None, None));
    assert_eq!(config.listeners[0].bind.len(), 2);
    assert_eq!(config.clusters[0].nodes[3].priority, 7);
}

#[test]
fn a_text_that_looks_like_something_else_stays_a_text() {
    for (text, kept) in
        [("0123", "0123"), ("true", "true"), ("1.50", "1.50"), ("[x]", "[x]"), ("[::]:1", "[::]:1")]
    {
        let config = with_env(&[("RAFTGATE_CLUSTERS__CONTROLLERS__PROBE__HEADERS__X_KEY", text)]).config;
        assert_eq!(config.clusters[0].probe.headers, [("X-Key".to_owned(), kept.to_owned())]);
    }
    let config = with_env(&[("RAFTGATE_LISTENERS__EDGE__BIND", "[::]:1")]).config;
    assert_eq!(config.listeners[0].bind, ["[::]:1".parse().unwrap()]);
}

#[test]
fn variables_find_names_with_capitals_and_dashes() {
    let toml = LEAST
        .replace("controllers", "Ziti-Controllers")
        .replace("[clusters.Ziti", "[clusters.\"Ziti")
        .replace("ers]", "ers\"]");
    let variables = [("RAFTGATE_CLUSTERS__ZITI_CONTROLLERS__HOLD__LIMIT", "9")];
    let config = layered(&toml, &variables, &Flags::default()).unwrap().config;
    assert_eq!((config.clusters.len(), config.clusters[0].hold.limit), (1, 9));
}

#[test]
fn a_variable_for_a_header_has_dashes_in_its_name() {
    let headers = |toml: &str| {
        let variable = ("RAFTGATE_CLUSTERS__CONTROLLERS__PROBE__HEADERS__X_VAULT_TOKEN", "s3cret");
        layered(toml, &[variable], &Flags::default()).unwrap().config.clusters[0].probe.headers.clone()
    };
    let header = |name: &str| [(name.to_owned(), "s3cret".to_owned())];
    assert_eq!(headers(LEAST), header("X-Vault-Token"));
    // The file's own spelling stays, even one with underscores.
    for name in ["x-vault-token", "X_Vault_Token", "X-Vault-Token"] {
        let file = format!("{LEAST}\n[clusters.controllers.probe.headers]\n{name} = \"from the file\"\n");
        assert_eq!(headers(&file), header(name));
    }
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let loaded = with_env(&[
        ("RAFTGATE_PORT", "tcp://10.0.0.1:443"),
        ("RAFTGATE_PORT_443_TCP_ADDR", "10.0.0.1"),
        ("RAFTGATE_LOG__COLOUR", "red"),
        ("RAFTGATE_", "x"),
    ]);
    assert_eq!(
        loaded.warnings,
        [
            "environment variable RAFTGATE_: \"\": ignored: there is no such key",
            "environment variable RAFTGATE_LOG__COLOUR: log.colour: ignored: there is no such key",
            "environment variable RAFTGATE_PORT: port: ignored: there is no such key",
            "environment variable RAFTGATE_PORT_443_TCP_ADDR: port_443_tcp_addr: ignored: there is no such key",
        ]
    );
    assert_eq!(loaded.config, config(LEAST));
}

#[test]
fn a_mistake_names_its_variable_or_flag() {
    let variables = [
        ("RAFTGATE_WORKERS", "many"),
        ("RAFTGATE_CLUSTERS__CONTROLLERS__HOLD__THEN", "refse"),
        ("RAFTGATE_CLUSTERS__TYPO__HOLD__LIMIT", "9"),
    ];
    let flags = Flags { log_level: Some("loud".into()), ..Flags::default() };
    assert_eq!(
        lines(layered(LEAST, &variables, &flags)),
        [
            "environment variable RAFTGATE_CLUSTERS__CONTROLLERS__HOLD__THEN: clusters.controllers.hold.then: \
             found \"refse\", expected one of refuse, last_leader, any_reachable; did you mean \"refuse\"?",
            "environment variable RAFTGATE_CLUSTERS__TYPO__HOLD__LIMIT: clusters.typo.nodes: \
             there is no node; add at least one, such as nodes = { ctrl1 = \"10.0.0.1:1280\" }",
            "environment variable RAFTGATE_WORKERS: workers: found \"many\", expected a whole number, not negative",
            "--log-level: log.level: found \"loud\", expected one of error, warn, info, debug, trace",
        ]
    );
}

#[test]
fn flags_alone_make_a_configuration() {
    let nodes = [("ctrl1", "10.0.0.1:1280"), ("ctrl2", "[::1]:1280")];
    let flags = Flags {
        listen: Some(":443".into()),
        preset: Some("openziti".into()),
        nodes: nodes.map(|(name, address)| (name.to_owned(), address.to_owned())).into(),
        ..Flags::default()
    };
    let loaded = load_from(&Sources { file: None, flags: flags.clone() }, Vec::new()).unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    assert_eq!(
        (&*loaded.config.listeners[0].name, &*loaded.config.clusters[0].name),
        ("edge", "controllers")
    );
    assert_eq!(loaded.config.clusters[0].nodes.len(), 2);

    let twice = [("a", "h:1"), ("a", "h:2")].map(|(name, address)| (name.to_owned(), address.to_owned()));
    let twice = Flags { nodes: twice.into(), ..flags.clone() };
    assert_eq!(
        lines(load_from(&Sources { file: None, flags: twice }, Vec::new())),
        ["--node: clusters.controllers.nodes.a: is given twice; each needs a name of its own"]
    );

    let wrong = Flags { nodes: vec![("a.b".into(), "h".into())], listen: Some("443".into()), ..flags };
    assert_eq!(
        lines(load_from(&Sources { file: None, flags: wrong }, Vec::new())),
        [
            "--listen: listeners.edge.bind: found \"443\", expected IP:PORT, or :PORT for every address of this machine",
            "--node: clusters.controllers.nodes.\"a.b\".address: found \"h\", which has no port; write host:port",
        ]
    );
}

#[test]
fn a_missing_file_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere.toml");
    let error =
        load_from(&Sources { file: Some(path.clone()), flags: Flags::default() }, Vec::new()).unwrap_err();
    let expected = "cannot be read: No such file or directory (os error 2); name the file with -c FILE";
    assert_eq!(error.to_string(), format!("{}: {expected}", path.display()));
    assert!(ConfigError::NoFile.to_string().contains("-c FILE"));
}

#[test]
fn o1_named_files_are_looked_at_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let load = |ca: &str| {
        let file = at("raftgate.toml");
        std::fs::write(&file, LEAST.replace("/etc/raftgate/ziti-root.pem", ca)).unwrap();
        load_from(&Sources { file: Some(file.into()), flags: Flags::default() }, Vec::new())
    };
    let place = format!("{}:8: clusters.controllers.probe.tls.ca_file", at("raftgate.toml"));
    let missing = at("missing.pem");
    let expected = format!("{place}: {missing} cannot be read: No such file or directory (os error 2)");
    assert_eq!(lines(load(&missing)), [expected]);

    let empty = at("empty.pem");
    std::fs::File::create(&empty).unwrap().write_all(b"nothing\n").unwrap();
    let expected =
        format!("{place}: {empty} has no certificate; it should be a PEM file with root certificates");
    assert_eq!(lines(load(&empty)), [expected]);

    let good = at("good.pem");
    let certified = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap();
    std::fs::write(&good, certified.cert.pem()).unwrap();
    assert!(load(&good).is_ok());
}

#[test]
fn o1_a_client_certificate_is_tried_with_its_key_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let issue = || rcgen::generate_simple_self_signed(vec!["gate".to_owned()]).unwrap();
    let (one, other) = (issue(), issue());
    let root = write("root.pem", one.cert.pem());
    let certificate = write("client.pem", one.cert.pem());
    let key = write("client.key", one.signing_key.serialize_pem());
    let other_key = write("other.key", other.signing_key.serialize_pem());
    let load = |certificate: &str, key: &str| {
        let least = LEAST.replace("/etc/raftgate/ziti-root.pem", &root);
        let keys = format!(
            "probe.tls.client_cert_file = \"{certificate}\"\nprobe.tls.client_key_file = \"{key}\"\n"
        );
        let file = write("raftgate.toml", least + &keys);
        load_from(&Sources { file: Some(file.into()), flags: Flags::default() }, Vec::new())
    };
    assert!(load(&certificate, &key).is_ok());
    for (certificate, key, place, words) in [
        (
            &certificate,
            &other_key,
            ":9: clusters.controllers.probe.tls.client_cert_file: ",
            "is for another key",
        ),
        (
            &certificate,
            &certificate,
            ":10: clusters.controllers.probe.tls.client_key_file: ",
            "no private key",
        ),
        (&key, &key, ":9: clusters.controllers.probe.tls.client_cert_file: ", "has no certificate in it"),
    ] {
        let told = lines(load(certificate, key)).join("\n");
        assert!(told.contains(place) && told.contains(words), "{place}{words} in: {told}");
    }
}

#[test]
fn log_connections_may_be_useful_by_file_and_by_variable() {
    let file = config(&format!("log.connections = \"useful\"\n{LEAST}"));
    let variable = with_env(&[("RAFTGATE_LOG__CONNECTIONS", "useful")]).config;
    for config in [file, variable] {
        assert_eq!(config.log.connections, LogConnections::Useful);
        assert!(config.effective_toml().contains("connections = \"useful\""));
    }
    let said = lines(load_text("t.toml", &format!("log.connections = \"some\"\n{LEAST}"))).join(" ");
    assert!(said.contains("log.connections") && said.contains("true, false, or \"useful\""), "{said}");
}
