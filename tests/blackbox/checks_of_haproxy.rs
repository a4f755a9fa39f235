//! HAProxy as the judge of how nodes are asked: by the same file, both begin their checks in TLS or without.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::support::gate::Gate;
use crate::support::haproxy::{Haproxy, is_installed, own_addresses};
use crate::support::wait::within_deadline;

/// What `http-check connect` says, if it is there, what the server's line says, and whether that means TLS.
const CHECKS: [(&str, &str, bool); 8] = [
    ("", "", false),
    ("", "check-ssl", true),
    ("http-check connect", "", false),
    ("http-check connect", "check-ssl", false),
    ("http-check connect default", "", false),
    ("http-check connect default", "check-ssl", true),
    ("http-check connect ssl", "", true),
    ("http-check connect ssl", "check-ssl", true),
];

/// The type of a TLS record with a handshake.
const HANDSHAKE: u8 = 22;

fn configuration(bind: SocketAddr, (connect, server): (&str, &str), node: SocketAddr) -> String {
    format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 50s\n  timeout server 50s\n\
         frontend edge\n  bind {bind}\n  default_backend nodes\n\
         backend nodes\n  option httpchk\n  {connect}\n  http-check send meth GET uri /health-checks/controller/raft\n  \
         server node {node} check verify none inter 1s on-marked-down shutdown-sessions {server}\n"
    )
}

async fn asks_in_tls(node: &TcpListener) -> bool {
    let first = async {
        loop {
            let (mut check, _) = node.accept().await.unwrap();
            // On a loaded machine one may be over before it has begun; the next is alike.
            if let Ok(first) = check.read_u8().await {
                return first;
            }
        }
    };
    within_deadline("a check", first).await == HANDSHAKE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_asked_in_tls_where_haproxy_does_so() {
    if !is_installed("whether nodes are asked as by HAProxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    let beside = [("RAFTGATE_ADMIN__BIND", "127.0.0.1:0"), ("RAFTGATE_LOG__FORMAT", "json")];
    for (connect, server, in_tls) in CHECKS {
        let says = (connect, server);
        let [theirs, ours] = [TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0")];
        let (theirs, ours) = (theirs.await.unwrap(), ours.await.unwrap());
        let [address] = own_addresses();
        let text = configuration(address, says, theirs.local_addr().unwrap());
        let _haproxy = Haproxy::run(&text, &[], &[address]).await;
        assert_eq!(asks_in_tls(&theirs).await, in_tls, "HAProxy, by {says:?}");

        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        std::fs::write(&file, configuration(anywhere, says, ours.local_addr().unwrap())).unwrap();
        let gate = Gate::start_with(&file, &beside).await;
        assert_eq!(asks_in_tls(&ours).await, in_tls, "Raftgate, by {says:?}");
        gate.assert_books_balance().await;
    }
}
