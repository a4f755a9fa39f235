//! What the kernel really does with sockets bound, tuned and quiesced here; all on loopback.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::time::Instant;

use super::*;

#[cfg(any(not(target_os = "linux"), portable))]
mod elsewhere;
#[cfg(all(target_os = "linux", not(portable)))]
mod linux;

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(30);

fn bind_one() -> (TcpListener, SocketAddr) {
    let listener = bind(ANY_PORT, 1).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts from a non-blocking listener once there is somebody.
fn accept(listener: &TcpListener) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("accept: {error}"),
        }
    }
}

fn assert_tuned(socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.out_of_band_inline().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
}

#[test]
fn o3_all_listeners_of_a_group_share_one_chosen_port_and_no_client_is_lost_among_them() {
    let listeners = bind(ANY_PORT, 3).unwrap();
    let address = listeners[0].local_addr().unwrap();
    assert_ne!(address.port(), 0);
    for listener in &listeners {
        assert_eq!(listener.local_addr().unwrap(), address);
        let idle = listener.accept().unwrap_err();
        assert_eq!(idle.kind(), ErrorKind::WouldBlock);
    }
    let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
    let accepted: usize =
        listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).sum();
    assert_eq!(accepted, clients.len());
}

#[test]
fn o3_a_second_gate_does_not_share_the_port() {
    let listeners = bind(ANY_PORT, 2).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let error = bind(address, 2).unwrap_err();
    assert!(matches!(error, BindError::InUse { address: named } if named == address), "{error:?}");
    assert!(error.to_string().contains(&format!("cannot listen on {address}")), "{error}");
    // As soon as the first gate is gone, the port is free, though its connections linger in TIME_WAIT.
    let client = TcpStream::connect(address).unwrap();
    for listener in &listeners {
        drop(listener.accept());
    }
    drop((listeners, client));
    bind(address, 2).unwrap();
}

#[test]
fn o3_of_gates_that_start_at_once_no_two_listen() {
    let mut rounds_with_a_winner = 0;
    for _ in 0..50 {
        // A port free a moment ago; now and then a client elsewhere on the machine takes it first.
        let address = bind_one().1;
        let start = Barrier::new(2);
        let race = || {
            start.wait();
            bind(address, 1)
        };
        let outcomes =
            thread::scope(|scope| [scope.spawn(race), scope.spawn(race)].map(|rival| rival.join().unwrap()));
        let winners = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(winners <= 1, "{outcomes:?}");
        rounds_with_a_winner += winners;
    }
    assert!(rounds_with_a_winner > 0);
}

#[test]
fn an_unspecified_ipv6_address_takes_ipv4_clients_too() {
    let address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    let listener = match bind(address, 1) {
        Ok(mut listeners) => listeners.remove(0),
        Err(BindError::NoIpv6 { .. }) => return eprintln!("not run: no IPv6 here"),
        Err(error) => panic!("{error}"),
    };
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    accept(&listener);
}

#[test]
fn bind_errors_say_what_to_do() {
    // 192.0.2.0/24 is for documentation: no machine has it.
    let elsewhere: SocketAddr = "192.0.2.1:4433".parse().unwrap();
    let error = bind(elsewhere, 1).unwrap_err();
    assert!(matches!(error, BindError::NotAvailable { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("192.0.2.1:4433") && message.contains("0.0.0.0"), "{message}");

    let denied = BindError::PermissionDenied { address: "0.0.0.0:443".parse().unwrap() }.to_string();
    assert!(denied.contains("CAP_NET_BIND_SERVICE") && denied.contains("port 443"), "{denied}");
}

#[test]
fn connections_inherit_the_options_of_their_listener() {
    let (listener, address) = bind_one();
    let _client = TcpStream::connect(address).unwrap();
    assert_tuned(&accept(&listener));
}

#[tokio::test]
async fn outgoing_connections_are_tuned_the_same_once_they_last() {
    let (_listener, address) = bind_one();
    let stream = connect(address, None, FirstWord::Anybodys).await.unwrap();
    assert!(stream.nodelay().unwrap());
    keep_alive(&stream).unwrap();
    assert_tuned(&stream);
}

#[tokio::test]
async fn a_refused_connect_says_so() {
    let (listener, address) = bind_one();
    drop(listener);
    assert_eq!(
        connect(address, None, FirstWord::Anybodys).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn a_connection_is_there_once_it_is_made() {
    let (listener, address) = bind_one();
    let stream = connect(address, None, FirstWord::Anybodys).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    let mut accepted = accept(&listener);
    accepted.write_all(b"ping").unwrap();
    let mut heard = [0; 4];
    tokio::io::AsyncReadExt::read_exact(&mut { stream }, &mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
}

#[test]
fn listeners_are_closed_on_exec() {
    for listener in bind(ANY_PORT, 2).unwrap() {
        assert!(rustix::io::fcntl_getfd(&listener).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn s6_a_socket_set_to_reset_does_so_when_it_is_dropped() {
    let (listener, address) = bind_one();
    let client = TcpStream::connect(address).unwrap();
    let mut accepted = accept(&listener);
    reset_on_close(&client).unwrap();
    drop(client);
    assert_eq!(accepted.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn l5_local_exhaustion_is_told_from_a_node_that_refuses() {
    let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN] {
        assert!(is_local_exhaustion(&error(errno)) && !is_source_exhausted(&error(errno)), "{errno:?}");
    }
    for errno in [Errno::ADDRNOTAVAIL, Errno::ADDRINUSE] {
        assert!(is_local_exhaustion(&error(errno)) && is_source_exhausted(&error(errno)), "{errno:?}");
    }
    for errno in
        [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::TIMEDOUT, Errno::CONNRESET]
    {
        assert!(!is_local_exhaustion(&error(errno)), "{errno:?}");
    }
    assert!(!is_local_exhaustion(&ErrorKind::TimedOut.into()));
}

#[test]
fn accepting_goes_on_after_a_lost_client_and_pauses_when_it_would_spin() {
    let judged = |errno: Errno| classify_accept_error(&io::Error::from_raw_os_error(errno.raw_os_error()));
    for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::INTR, Errno::PERM, Errno::NETDOWN, Errno::TIMEDOUT]
    {
        assert_eq!(judged(errno), AcceptError::Retry, "{errno:?}");
    }
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF, Errno::INVAL] {
        assert_eq!(judged(errno), AcceptError::Pause, "{errno:?}");
    }
    assert_eq!(classify_accept_error(&ErrorKind::Other.into()), AcceptError::Pause);
}

#[tokio::test]
async fn a_node_learns_of_a_connection_even_if_its_first_word_does_not_come() {
    let (listener, address) = bind_one();
    let _stream = connect(address, None, FirstWord::Ours).await.unwrap();
    // Without it, the end of the handshake would be lost instead of late.
    accept(&listener);
}

#[tokio::test]
async fn a_connection_comes_from_the_source_that_is_asked_for() {
    let (listener, address) = bind_one();
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let stream = connect(address, Some(source), FirstWord::Anybodys).await.unwrap();
    assert_eq!(accept(&listener).peer_addr().unwrap(), stream.local_addr().unwrap());
    assert_eq!(stream.local_addr().unwrap().ip(), source);
}

#[tokio::test]
async fn a_source_that_is_not_this_machines_is_told_apart_from_a_node_that_refuses() {
    let (listener, address) = bind_one();
    let nobodys = Some(IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)));
    let error = connect(address, nobodys, FirstWord::Anybodys).await.unwrap_err();
    assert!(is_source_exhausted(&error) && is_local_exhaustion(&error), "{error}");
    drop(listener);
    let error = connect(address, None, FirstWord::Anybodys).await.unwrap_err();
    assert!(!is_source_exhausted(&error), "{error}");
}
