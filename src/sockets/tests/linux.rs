//! What Linux alone can do.

use super::*;

#[test]
fn o3_each_listener_of_a_group_gets_clients() {
    let listeners = bind(ANY_PORT, 3).unwrap();
    let address = listeners[0].local_addr().unwrap();
    // The kernel picks by a hash of the addresses: 64 clients that all miss one of three would be a wonder.
    let _clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
    let accepted: Vec<_> =
        listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).collect();
    assert!(accepted.iter().all(|&count| count > 0), "{accepted:?}");
}

#[test]
fn o4_a_quiesced_listener_keeps_its_queue_and_ignores_newcomers() {
    let (listener, address) = bind_one();
    let mut queued = TcpStream::connect(address).unwrap();
    quiesce(&listener).unwrap();

    // A newcomer's SYN is dropped: no refusal, no connection.
    let newcomer = TcpStream::connect_timeout(&address, Duration::from_millis(300));
    assert_eq!(newcomer.unwrap_err().kind(), ErrorKind::TimedOut);

    // Who was in the queue is served, even over a connection with the filter: one whose handshake was under
    // way inherits it, and its packets must pass here as the last one of its handshake must there.
    let mut accepted = accept(&listener);
    quiesce(&accepted).unwrap();
    drop(listener);
    queued.write_all(b"ping").unwrap();
    let mut heard = [0; 4];
    accepted.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping");
    drop(accepted);
    assert_eq!(queued.read(&mut heard).unwrap(), 0, "closed in good order");
}

#[tokio::test]
async fn a_source_has_as_many_connections_to_each_node_as_it_has_ports() {
    use nix::sys::socket::{getsockopt, sockopt::IpBindAddressNoPort};
    let (_listener, address) = bind_one();
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let stream = connect(address, Some(source), FirstWord::Anybodys).await.unwrap();
    assert!(
        getsockopt(&stream, IpBindAddressNoPort).unwrap(),
        "its port was chosen before the node was known"
    );
}

#[test]
fn a_peer_that_keeps_its_window_closed_is_not_given_up() {
    let (listener, address) = bind_one();
    let _client = TcpStream::connect(address).unwrap();
    assert_eq!(SockRef::from(&accept(&listener)).tcp_user_timeout().unwrap(), None);
}

/// The kernel goes through its ports, and comes to the node's own.
#[tokio::test]
async fn s3_a_dead_port_refuses_whatever_port_is_chosen_here() {
    let address: SocketAddr = ([127, 66, 0, 1], 40_000).into();
    for _ in 0..30_000 {
        let refused = connect(address, Some(address.ip()), FirstWord::Anybodys).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
