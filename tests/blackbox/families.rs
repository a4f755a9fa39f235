//! O3: `:443` means IPv4 and IPv6. Whoever has the sockets opened, and however many they are, both kinds of clients are
//! served, at first and after every reload and upgrade; or it is said who is not.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::activation::{Place, pair, passing};
use crate::support::gate::{Gate, get};
use crate::support::wait::within_deadline;

/// A port of this machine, as either kind of client sees it.
fn both(port: u16) -> [SocketAddr; 2] {
    [([127, 0, 0, 1], port).into(), (std::net::Ipv6Addr::LOCALHOST, port).into()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_port_of_two_sockets_is_served_at_both_and_both_stay_whole() {
    let ((edge, port), (admin, admin_port)) = (pair(), pair());
    let sockets = || -> Vec<OwnedFd> {
        edge.iter().chain(&admin).map(|socket| socket.try_clone().unwrap().into()).collect()
    };
    let (at_edge, at_admin) = (format!(":{port}"), format!(":{admin_port}"));
    let place = Place::new(&at_edge, Some(&at_admin)).await;
    for upgraded in [false, true] {
        place.configure(&at_edge, Some(&at_admin), "");
        let mut gate = Gate::run(passing(sockets(), "$$"), &place.file()).await;
        for more in ["", "hold.timeout = \"3s\"\n"] {
            place.configure(&at_edge, Some(&at_admin), more);
            assert!(place.command("reload").await.status.success());
            for address in both(port) {
                assert!(place.serves(address).await, "{address}\n{}", gate.log().text());
            }
            for address in both(admin_port) {
                let (code, status) = within_deadline("the status", get(address, "/status")).await.unwrap();
                let listed = |kind: &str| status.contains(&format!("{kind}:{port}\""));
                assert!(code == 200 && listed("0.0.0.0") && listed("[::]"), "{address}: {status}");
            }
            if upgraded && more.is_empty() {
                assert!(place.command("upgrade").await.status.success());
            }
        }
        assert!(!gate.log().text().contains("find nobody"), "{}", gate.log().text());
        gate.signal(Signal::TERM);
        assert_eq!(gate.exits().await.code(), Some(0));
        drop(gate);
        // Nobody serves, and nobody is kept out: the kernel lets clients wait for the next gate.
        for address in both(port) {
            let waiting = within_deadline("a connect", TcpStream::connect(address)).await.unwrap();
            drop(waiting);
        }
    }
}
