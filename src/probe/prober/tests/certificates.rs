//! The certificates that probes depend on, and when the first of them expires.

use super::*;
use crate::probe::ClientFiles;

/// The lines of the metrics about certificates.
fn expiries(probed: &Probed) -> Vec<String> {
    let metrics = String::from_utf8(crate::metrics::render(&probed.registry).unwrap()).unwrap();
    let lines = metrics.lines().filter(|line| line.contains("certificate_expiry") && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn each_certificate_that_a_probe_needs_has_its_expiry() {
    let root = Authority::expiring("root", 2070);
    let between = root.authority_below("between", 2050);
    let clients = Authority::new("clients");
    let gate = clients.identity_until("gate", 2060);
    let impostor = Authority::new("other").identity_until("n1", 2030);
    let servers = [between.identity_until("n1", 2100), impostor];
    let servers = servers.map(|identity| identity.server_for_clients_of(&clients));
    let close = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let node = Node::start(move |number| {
        (Some(Arc::clone(&servers[number.min(1)])), vec![Step::Read, Step::Say(close)])
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let files =
        ClientFiles { certificate: folder.path().join("gate.pem"), key: folder.path().join("gate.key") };
    gate.write(&files);
    let tls = TlsSettings { client: Some(files), ..root.trusted(Verify::Full, "n1") };
    let mut probed = Probed::start(Settings { tls: Some(tls), ..settings(node.address) });

    assert_eq!(probed.verdict().await, Verdict::Leader);
    let accepted = expiries(&probed);
    assert_eq!(
        accepted,
        [
            "raftgate_certificate_expiry_timestamp_seconds{certificate=\"client\",cluster=\"c\",node=\"n1\"} 2840140800",
            "raftgate_certificate_expiry_timestamp_seconds{certificate=\"intermediate\",cluster=\"c\",node=\"n1\"} 2524608000",
            "raftgate_certificate_expiry_timestamp_seconds{certificate=\"leaf\",cluster=\"c\",node=\"n1\"} 4102444800",
            "raftgate_certificate_expiry_timestamp_seconds{certificate=\"root\",cluster=\"c\",node=\"n1\"} 3155760000",
            "raftgate_node_certificate_expiry_timestamp_seconds{cluster=\"c\",node=\"n1\"} 2524608000",
        ]
    );
    probed.order_round(6);
    let rejected = probed.report().await;
    let failure = ProbeFailure::Certificate;
    assert_eq!(rejected.observation.verdict, Verdict::Unreachable { failure }, "{}", rejected.detail);
    assert_eq!(rejected.certificate.unwrap().not_after, 1_893_456_000, "what was presented is shown");
    assert_eq!(expiries(&probed), accepted, "what was not accepted sets nothing");
}
