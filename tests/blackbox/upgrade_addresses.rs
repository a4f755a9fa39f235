//! O3: an upgrade goes over to addresses that are more than those of before, or less, and nobody notices.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};

use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::gate::get;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_an_upgrade_takes_addresses_that_overlap_those_of_before() {
    let scene = Scene::start(&["lead"]).await;
    let (port, admin_port) = (scene.gate.address.port(), scene.gate.admin_address().port());
    let crowd = scene.crowd();
    for ip in ["127.0.0.1", "", "0.0.0.0", "127.0.0.1"] {
        let text = scene.text(Settings::default());
        let text =
            text.replacen("admin.bind = \"127.0.0.1:0\"", &format!("admin.bind = \"{ip}:{admin_port}\""), 1);
        let text = text.replacen("\nbind = \"127.0.0.1:0\"", &format!("\nbind = \"{ip}:{port}\""), 1);
        fs::write(scene.file(), text).unwrap();
        let output = scene.command(&["upgrade"]).await;
        assert!(output.status.success(), "{ip}: {output:?}\n{}", scene.gate.log().text());
        crowd.served_by("n1", 10, Stamp::now()).await;
        let code =
            async |address: SocketAddr| Some(within_deadline("a probe", get(address, "/livez")).await?.0);
        assert_eq!(code(([127, 0, 0, 1], admin_port).into()).await, Some(200), "{ip}");
        let everywhere = ip.is_empty();
        let six = Ipv6Addr::LOCALHOST;
        assert_eq!(code((six, admin_port).into()).await, everywhere.then_some(200), "{ip}");
        assert_eq!(scene.trust.visit((six, port).into()).await.is_served_by("n1"), everywhere, "{ip}");
    }
    assert_nobody_failed(&crowd.leave().await, None);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_an_upgrade_shares_no_port_with_somebody_else() {
    let scene = Scene::start(&["lead"]).await;
    // He has it with an address that overlaps none of the gate's, and would share it.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    other.listen(1).unwrap();
    let address = other.local_addr().unwrap().as_socket().unwrap();
    let text = scene.text(Settings::default());
    let more = format!("\n[listeners.more]\nbind = \":{}\"\ncluster = \"controllers\"\n", address.port());
    fs::write(scene.file(), text + &more).unwrap();
    let output = scene.command(&["upgrade"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("something already does"), "{said}");
    scene.gate.assert_books_balance().await;
}
