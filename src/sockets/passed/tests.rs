//! What was passed is what the configuration means, or it is told. How descriptors get here is seen from outside
//! (tests/blackbox/activation.rs).

use std::net::Ipv6Addr;

use super::*;
use crate::sockets::bind;

fn passing(sockets: impl IntoIterator<Item = (&'static str, Socket)>) -> Passed {
    let sockets = sockets.into_iter().map(|(name, socket)| PassedSocket { name: name.to_owned(), socket });
    Passed { sockets: sockets.collect(), complaints: Vec::new() }
}

fn listening(address: &str) -> (Socket, SocketAddr) {
    let socket = std::net::TcpListener::bind(address).unwrap();
    let address = socket.local_addr().unwrap();
    (socket.into(), address)
}

#[test]
fn o3_a_passed_socket_is_known_by_its_own_address() {
    let ((a, at_a), (b, at_b)) = (listening("127.0.0.1:0"), listening("127.0.0.1:0"));
    let mut passed = passing([("", a), ("", b)]);
    let taken = passed.take_tcp("listeners.b.bind.0", at_b).unwrap();
    assert_eq!(taken.iter().map(|it| it.socket.local_addr().unwrap()).collect::<Vec<_>>(), [at_b]);
    assert!(passed.take_tcp("listeners.b.bind.0", at_b).unwrap().is_empty(), "it was taken twice");
    assert_eq!(passed.take_tcp("listeners.a.bind.0", at_a).unwrap().len(), 1);
    assert!(passed.is_empty());
}

#[test]
fn o3_all_of_a_group_are_taken_and_clients_inherit_what_they_should() {
    let group = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
    let address = group[0].local_addr().unwrap();
    for socket in &group {
        let socket = socket2::SockRef::from(socket);
        socket.set_nonblocking(false).unwrap();
        socket.set_tcp_nodelay(false).unwrap();
        socket.set_keepalive(false).unwrap();
        socket.set_out_of_band_inline(false).unwrap();
    }
    let mut passed = passing(group.into_iter().map(|socket| ("edge", socket.into())));
    let taken = passed.take_tcp("", address).unwrap();
    assert_eq!(taken.len(), 3, "closing one of a group resets who waits there");
    for Adopted { socket, .. } in &taken {
        let socket = socket2::SockRef::from(socket);
        assert!(
            socket.nonblocking().unwrap() && socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap()
        );
        assert!(socket.out_of_band_inline().unwrap());
    }
}

#[test]
fn o3_every_address_is_what_the_configuration_means_by_it() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (bound, wanted, expected) in [
        ("[::]:443", "[::]:443", true),
        ("0.0.0.0:443", "[::]:443", true),
        ("0.0.0.0:443", "0.0.0.0:443", true),
        // Whoever wants IPv4 alone does not want everybody.
        ("[::]:443", "0.0.0.0:443", false),
        ("10.0.0.1:443", "0.0.0.0:443", false),
        ("[::ffff:10.0.0.1]:443", "10.0.0.1:443", true),
        ("[::]:443", "[::]:444", false),
        ("10.0.0.1:7", "10.0.0.1:0", true),
    ] {
        assert_eq!(serves(at(bound), at(wanted)), expected, "{bound} for {wanted}");
    }
}

#[test]
fn o3_any_port_is_known_by_its_name() {
    let ((a, _), (b, at_b)) = (listening("127.0.0.1:0"), listening("127.0.0.1:0"));
    let mut passed = passing([("admin.bind", a), ("listeners.e.bind.0", b)]);
    let taken = passed.take_tcp("listeners.e.bind.0", "127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(taken[0].socket.local_addr().unwrap(), at_b);
    assert_eq!(taken.len(), 1);
}

#[test]
fn o3_what_nobody_wants_is_told_with_its_address() {
    let (socket, address) = listening("127.0.0.1:0");
    let (old, _) = listening("127.0.0.1:0");
    let (connection, _other) = UnixStream::pair().unwrap();
    let number = connection.as_raw_fd();
    let mut passed = passing([("web", socket), ("", OwnedFd::from(connection).into()), ("old", old)]);
    let complaints = passed.settle(|name| name == "web");
    assert_eq!(complaints.len(), 3);
    let begins = format!("the socket {address} (web) was passed to the gate, but no `bind`");
    assert!(complaints[0].starts_with(&begins), "{complaints:?}");
    let said = format!("descriptor {number} was passed to the gate and does not listen: it is closed");
    assert_eq!(complaints[1], said);
    assert!(complaints[2].ends_with("is no address of the configuration: it is closed"), "{complaints:?}");
    // Who else keeps one keeps its clients waiting: another configuration may have it.
    assert_eq!(passed.left().collect::<Vec<_>>(), [("web", address)]);
}

#[test]
fn o2_what_a_reload_has_taken_in_vain_is_still_there() {
    let (socket, address) = listening("127.0.0.1:0");
    let mut passed = passing([("web", socket)]);
    let mut tried = passed.try_clone().unwrap();
    let taken = tried.take_tcp("", address).unwrap().remove(0);
    assert!(tried.is_empty() && !passed.is_empty());
    tried.put(taken.socket.into());
    assert_eq!(passed.take_tcp("", address).unwrap().len(), 1);
    assert_eq!(tried.take_tcp("", address).unwrap().len(), 1);
}

#[test]
fn o3_more_than_are_taken_are_told() {
    assert_eq!(beyond(MOST_PASSED), None);
    let said = beyond(MOST_PASSED + 1).unwrap();
    assert!(said.starts_with("4097 descriptors were passed to the gate, which takes 4096"), "{said}");
}

#[test]
fn o3_who_would_lose_a_kind_of_clients_is_told() {
    let six = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    six.set_only_v6(true).unwrap();
    six.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    six.listen(1).unwrap();
    let six = TcpListener::from(six);
    let address = six.local_addr().unwrap();
    let (four, only_ipv4) = listening("0.0.0.0:0");
    let four = TcpListener::from(four);
    let told = |sockets: &[&TcpListener], whom: &str| {
        let said = who_is_lost(address, sockets).expect("somebody is lost");
        assert!(said.contains(whom), "{said}");
    };
    told(&[&six], "takes IPv6 alone, so that IPv4 clients find nobody");
    told(&[&four], "takes IPv4 alone, so that IPv6 clients find nobody");
    // As the complaint has it, a second one mends that.
    assert_eq!(who_is_lost(address, &[&six, &four]), None);
    assert_eq!(who_is_lost(only_ipv4, &[&four]), None, "nobody else is meant");
    let whole = bind((Ipv6Addr::UNSPECIFIED, 0).into(), 1).unwrap();
    assert_eq!(who_is_lost(whole[0].local_addr().unwrap(), &[&whole[0]]), None);
}

#[cfg(all(target_os = "linux", not(portable)))]
#[test]
fn o4_a_socket_whose_former_gate_died_while_it_stopped_takes_clients_again() {
    let (socket, address) = listening("127.0.0.1:0");
    crate::sockets::quiesce(&socket).unwrap();
    let _taken = passing([("", socket)]).take_tcp("", address).unwrap();
    std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(500)).unwrap();
}

#[test]
fn o6_a_passed_socket_is_made_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let socket = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let mut passed = passing([("", OwnedFd::from(socket).into())]);
    assert!(passed.take_local(&folder.path().join("other.sock")).unwrap().is_none());
    assert!(passed.take_local(&path).unwrap().is_some());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn o6_a_passed_socket_whose_file_is_gone_is_closed_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let socket = UnixListener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut passed = passing([("", OwnedFd::from(socket).into())]);
    assert!(passed.take_local(&path).unwrap().is_none());
    assert!(passed.is_empty());
    let complaints = passed.settle(|_| true);
    assert!(complaints.len() == 1 && complaints[0].contains("is made anew"), "{complaints:?}");
}

#[test]
fn a_connection_is_known_by_its_name_and_a_listener_is_none() {
    let (connection, _other) = UnixStream::pair().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let mut passed =
        passing([("it", OwnedFd::from(listener).into()), ("it", OwnedFd::from(connection).into())]);
    assert!(passed.take_connection("another").is_none());
    assert!(passed.take_connection("it").is_some());
    assert!(passed.take_connection("it").is_none());
}
