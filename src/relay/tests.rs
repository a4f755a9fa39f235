//! The relay step by step against scripted streams and against a model; over in-memory pipes of tiny sizes; over sockets, little
//! and much, urgent or not; by turns with others; and, where the kernel can splice, across the switch from copying to that and back.

mod bulk;
mod conversations;
mod model;
mod piped;
mod scripted;
#[cfg(all(target_os = "linux", not(portable)))]
mod slow;
mod sockets;
#[cfg(all(target_os = "linux", not(portable)))]
mod spliced;
mod turns;
mod urgent;

use tokio::net::TcpStream;

use super::*;

const CAN_SPLICE: bool = cfg!(all(target_os = "linux", not(portable)));

impl Stream for tokio::io::Empty {}
impl Stream for tokio::io::DuplexStream {}

#[test]
fn d4_a_relay_is_small() {
    let streams = 2 * size_of::<TcpStream>();
    let own = size_of::<Relay<TcpStream, TcpStream>>() - streams;
    assert!(own <= 56, "{own} bytes beside {streams} of its streams");
}

#[test]
fn what_clients_say_is_in_no_debug_output() {
    let relay = Relay::new(tokio::io::empty(), tokio::io::empty(), Gear::new(8, 0), Rc::default())
        .with_pending_to_node(b"secret".to_vec());
    let secret = format!("{:?}", b"secret");
    let shown = format!("{relay:?}");
    assert!(shown.contains("waiting: 6") && !shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
}
