//! The relay step by step against scripted streams; over in-memory pipes of tiny sizes; and over sockets.

mod piped;
mod scripted;
mod sockets;

use tokio::net::TcpStream;

use super::*;

#[test]
fn d4_a_relay_is_small() {
    let streams = 2 * size_of::<TcpStream>();
    let own = size_of::<Relay<TcpStream, TcpStream>>() - streams;
    assert!(own <= 56, "{own} bytes beside {streams} of its streams");
}

#[test]
fn what_clients_say_is_in_no_debug_output() {
    let relay = Relay::new(tokio::io::empty(), tokio::io::empty(), SharedBuffer::new(8), Rc::default())
        .with_pending_to_node(b"secret".to_vec());
    let secret = format!("{:?}", b"secret");
    let shown = format!("{relay:?}");
    assert!(shown.contains("waiting: 6") && !shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
}
