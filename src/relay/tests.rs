//! The relay over in-memory pipes of tiny sizes, and over real sockets where resets matter.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

#[tokio::test]
async fn bytes_pass_both_ways_until_both_have_closed() {
    let (mut client, gate_client) = duplex(8);
    let (mut node, gate_node) = duplex(8);
    let meter = Rc::new(Meter::default());
    let relay = Relay::new(gate_client, gate_node, SharedBuffer::new(64), Rc::clone(&meter));
    let talk = async {
        client.write_all(b"request").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        node.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"request");
        node.write_all(b"a longer answer").await.unwrap();
        drop(node);
        let mut got = vec![0; 15];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, b"a longer answer");
    };
    // `client` lives on inside `talk` until it has read all.
    let (end, ()) = tokio::join!(relay, talk);
    assert!(matches!(end, End::Closed { first: Side::Client }), "{end:?}");
    assert_eq!((meter.to_node.get(), meter.to_client.get()), (7, 15));
}
