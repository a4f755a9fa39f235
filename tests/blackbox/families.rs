//! O3: `:443` means IPv4 and IPv6. Whoever has the sockets opened, and however many they are, both kinds of clients are
//! served, at first and after every reload and upgrade; or it is said who is not.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::activation::{Place, pair, passing};
use crate::support::gate::{Gate, get};
use crate::support::reload::free_port;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_an_upgrade_from_ipv4_alone_serves_ipv6_too() {
    let (port, admin_port) = (free_port().port(), free_port().port());
    let (narrow, narrow_admin) = (format!("0.0.0.0:{port}"), format!("0.0.0.0:{admin_port}"));
    let (wide, wide_admin) = (format!(":{port}"), format!(":{admin_port}"));
    let place = Place::new(&narrow, Some(&narrow_admin)).await;
    let gate = Gate::start(&place.file()).await;
    place.configure(&wide, Some(&wide_admin), "");
    // What was bound first is passed on and on.
    for _ in 0..2 {
        assert!(place.command("upgrade").await.status.success(), "{}", gate.log().text());
        for address in both(port) {
            assert!(place.serves(address).await, "{address}");
        }
        for address in both(admin_port) {
            assert_eq!(within_deadline("a probe", get(address, "/livez")).await.unwrap().0, 200, "{address}");
        }
    }
    assert!(place.command("reload").await.status.success());
    for address in both(port) {
        assert!(place.serves(address).await, "{address}");
    }
    assert!(!gate.log().text().contains("find nobody"), "{}", gate.log().text());
    gate.close_books();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_who_is_not_served_by_what_was_passed_is_told() {
    let ([four, six], port) = pair();
    drop(six);
    let place = Place::new(&format!(":{port}"), None).await;
    let mut gate = Gate::run(passing(vec![four.into()], "$$"), &place.file()).await;
    let said = "takes IPv4 alone, so that IPv6 clients find nobody";
    assert!(gate.log().text().contains(said), "{}", gate.log().text());
    assert!(place.serves(both(port)[0]).await);
    gate.signal(Signal::TERM);
    assert_eq!(gate.exits().await.code(), Some(0));
}
