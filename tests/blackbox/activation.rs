//! O3: sockets that are passed to the gate by systemd's protocol are used for what they are bound to, and stay whole for
//! whoever is started next.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use rustix::process::{Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::activation::{Place, passing};
use crate::support::client::Outcome;
use crate::support::gate::{Gate, raftgate};
use crate::support::require_tool;
use crate::support::wait::{until, within_deadline};

const BINARY: &str = env!("CARGO_BIN_EXE_raftgate");

fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_passed_sockets_are_used_and_stay_whole_for_the_next_gate() {
    let ((edge, at_edge), (admin, at_admin), (other, at_other)) = (listening(), listening(), listening());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = Place::new(&at_edge.to_string(), Some(&at_admin.to_string())).await;
    let control = UnixListener::bind(place.socket()).unwrap();
    fs::set_permissions(place.socket(), Permissions::from_mode(0o666)).unwrap();
    let sockets = || -> Vec<OwnedFd> {
        vec![
            other.try_clone().unwrap().into(),
            admin.try_clone().unwrap().into(),
            datagrams.try_clone().unwrap().into(),
            control.try_clone().unwrap().into(),
            edge.try_clone().unwrap().into(),
        ]
    };
    // One that ends by itself, one that hands over to a third, one that comes after all.
    for upgraded in [false, true, false] {
        let mut gate = Gate::run(passing(sockets(), "$$"), &place.file()).await;
        assert_eq!((gate.address, gate.admin_address()), (at_edge, at_admin));
        let said = gate.log().text();
        assert!(
            said.contains(&format!("the socket {at_other} (unit) was passed to the gate, but no `bind`")),
            "{said}"
        );
        assert!(
            said.contains("descriptor 5 (unit) was passed to the gate and is no stream socket"),
            "{said}"
        );
        let visit = place.trust.visit(at_edge).await;
        assert_eq!(visit.outcome, Outcome::Served { leads: true });
        let mode = fs::metadata(place.socket()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "others may control the gate");
        if upgraded {
            gate.signal(Signal::USR2);
            let done = "upgrade: done, the sessions of this process drain";
            until("the upgrade is done", async || gate.log().lines_saying(done).pop()).await;
            assert_eq!(gate.exits().await.code(), Some(0));
            assert_eq!(place.trust.visit(at_edge).await.outcome, Outcome::Served { leads: true });
        }
        let status = raftgate().args(["status", "--socket"]).arg(place.socket()).output();
        assert!(within_deadline("the status", status).await.unwrap().status.success());
        if let Some(heir) = gate.heirs().first() {
            kill_process(*heir, Signal::TERM).unwrap();
            until("the heir's books", async || gate.log().lines_saying("stopped").get(1).cloned()).await;
        } else {
            gate.signal(Signal::TERM);
            assert_eq!(gate.exits().await.code(), Some(0));
        }
        assert!(place.socket().exists(), "what the service manager has made is not the gate's to remove");
        // Nobody serves, and nobody is turned away: the kernel lets clients wait for the next gate.
        let waiting = within_deadline("a connect", TcpStream::connect(at_edge)).await.unwrap();
        let mut next = Gate::run(passing(sockets(), "$$"), &place.file()).await;
        let (_, node) = within_deadline("a handshake", place.trust.greet(waiting)).await.unwrap();
        assert_eq!(node, "n1");
        next.signal(Signal::TERM);
        assert_eq!(next.exits().await.code(), Some(0));
    }
}

#[tokio::test]
async fn o3_sockets_that_were_passed_to_another_process_are_not_taken() {
    let (edge, at_edge) = listening();
    let place = Place::new(&at_edge.to_string(), None).await;
    let output = passing(vec![edge.into()], "1").args(["run", "-c"]).arg(place.file()).output();
    let output = within_deadline("the gate's end", output).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("cannot listen on {at_edge}: something already does")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_systemd_starts_a_gate_by_its_first_client() {
    if !require_tool("systemd-socket-activate", "activation by systemd's own tool") {
        return;
    }
    let (unused, at_edge) = listening();
    drop(unused);
    let place = Place::new(&at_edge.to_string(), None).await;
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(at_edge.to_string()).args(["--setenv=RUST_BACKTRACE=0", BINARY, "run", "-c"]);
    command.arg(place.file()).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let _gate = command.spawn().unwrap();
    let first = until("the socket is there", async || TcpStream::connect(at_edge).await.ok()).await;
    let (_, node) = within_deadline("a handshake", place.trust.greet(first)).await.unwrap();
    assert_eq!(node, "n1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_what_the_service_manager_keeps_is_there_for_a_later_configuration() {
    let ((edge, at_edge), (more, at_more)) = (listening(), listening());
    let wide = TcpListener::bind("0.0.0.0:0").unwrap();
    let at_wide = wide.local_addr().unwrap();
    let at_edge = at_edge.to_string();
    let place = Place::new(&at_edge, None).await;
    let listener = |name: &str, at: SocketAddr| {
        format!("[listeners.{name}]\nbind = \"{at}\"\ncluster = \"controllers\"\n")
    };
    let with_more = listener("more", at_more);
    let sockets = [&edge, &more, &wide].map(|socket| socket.try_clone().unwrap().into());
    let gate = Gate::run(passing(sockets.into(), "$$"), &place.file()).await;
    let reload = async |text: &str| {
        place.configure(&at_edge, None, text);
        let output = place.command("reload").await;
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for upgraded in [false, true] {
        if upgraded {
            assert!(place.command("upgrade").await.status.success(), "{}", gate.log().text());
        }
        // Nobody serves there yet, or any more: whoever comes waits, and a reload that fails forgets neither.
        let waiting = within_deadline("a connect", TcpStream::connect(at_more)).await.unwrap();
        let narrow = SocketAddr::from(([127, 0, 0, 1], at_wide.port()));
        let (done, said) = reload(&(with_more.clone() + &listener("narrow", narrow))).await;
        let expected = format!("cannot listen on {narrow}: the service manager keeps {at_wide} open");
        assert!(!done && said.contains(&expected), "{said}");
        assert!(reload(&with_more).await.0, "{}", gate.log().text());
        let (_, node) = within_deadline("a handshake", place.trust.greet(waiting)).await.unwrap();
        assert_eq!(node, "n1");
        assert!(place.serves(at_more).await);
        assert!(reload("").await.0);
        let said = format!("the socket {at_more} was passed to the gate, but no `bind`");
        until("it is told that nobody has it", async || gate.log().text().contains(&said).then_some(()))
            .await;
    }
    gate.close_books();
}
