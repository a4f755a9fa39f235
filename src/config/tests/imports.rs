//! Tests of a `haproxy.cfg` that is read from a file.

use super::*;

const FILE: &str = "defaults\n mode tcp\n timeout connect 4s\n timeout client 30m\n timeout server 30m\n\
    listen ctrl\n bind :5000\n option httpchk GET /health-checks/controller/raft\n http-check expect status 200\n \
    server a 10.0.0.1:1280 check check-ssl verify none on-marked-down shutdown-sessions\n";

fn imported(bytes: &[u8]) -> Result<Imported, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, bytes).unwrap();
    import(&file)
}

#[test]
fn o1_bytes_that_are_not_utf_8_are_left_in_comments() {
    let mut bytes = b"# \xe9criture\n".to_vec();
    bytes.extend(FILE.as_bytes());
    assert_eq!(imported(&bytes).unwrap().config, imported(FILE.as_bytes()).unwrap().config);
    // In a value they are found, with their line.
    let text = FILE.replace("listen ctrl", "listen ctrl?");
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
    let said = imported(&bytes).unwrap_err().to_string();
    assert!(said.contains("haproxy.cfg:6: ") && said.contains("not UTF-8"), "{said}");
}

#[test]
fn o1_toml_that_is_not_utf_8_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.toml");
    fs::write(&file, b"workers = 1\n# \xe9\n").unwrap();
    let sources = Sources { file: Some(file), ..Sources::default() };
    let said = load(&sources).unwrap_err().to_string();
    assert!(said.contains("raftgate.toml:2: ") && said.contains("not UTF-8"), "{said}");
}

#[test]
fn httpchk_with_a_host_asks_for_that_host() {
    let asked = "GET /health-checks/controller/raft";
    let text = FILE.replace(asked, &format!("{asked} HTTP/1.1 ctrl.example.org"));
    let config = imported(text.as_bytes()).unwrap().config;
    assert_eq!(config.clusters[0].probe.host.as_deref(), Some("ctrl.example.org"));
    let said = imported(text.replace("ctrl.example.org", "a b").as_bytes()).unwrap_err().to_string();
    assert!(said.contains("only the method, the path, the version and a host can stand here"), "{said}");
}

#[test]
fn o1_refusals_and_wrong_values_are_told_at_once() {
    let text = FILE
        .replace(" bind :5000\n", " bind :5000\n bind :5000\n stick on src\n")
        .replace("GET /health-checks/controller/raft", "GET");
    let said = imported(text.as_bytes()).unwrap_err().to_string();
    for mistake in [":9: stick: refused", ":7: listeners.ctrl.bind.1", ":10: clusters.ctrl.probe.path"] {
        assert!(said.contains(mistake), "no {mistake} in\n{said}");
    }
    assert!(!said.contains("cluster:") && !said.contains("nodes"), "{said}");
}
