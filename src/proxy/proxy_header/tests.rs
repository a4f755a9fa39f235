//! PROXY headers of trusted proxies over real sockets, in pieces of any size, late, cut short; and what is left unread.

use rustix::io::ioctl_fionread;
use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::super::tests::harness::{bare_newcomer, networks, pair, within};
use super::*;
use crate::wire::proxy_header::Version;

/// What follows each header here.
const WORDS: &[u8] = b"PROXY the client's own words";

fn client() -> Addresses {
    Addresses { source: "192.0.2.7:56324".parse().unwrap(), destination: "203.0.113.9:443".parse().unwrap() }
}

/// A header of version 2 with `count` bytes behind its addresses.
fn with_tlvs(count: u16) -> Vec<u8> {
    let mut header = write(Version::V2, Some(client()));
    header[14..16].copy_from_slice(&(12 + count).to_be_bytes());
    header.resize(header.len() + usize::from(count), 4);
    header
}

fn headers() -> Vec<Vec<u8>> {
    let told = [Version::V1, Version::V2].map(|version| write(version, Some(client())));
    told.into_iter().chain([with_tlvs(5), with_tlvs(200), with_tlvs(16 * 1024 - 28)]).collect()
}

/// All that is there to be read.
async fn rest(peer: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within("the client's words", peer.read_exact(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test]
async fn not_a_byte_behind_the_header_is_taken() {
    for header in headers() {
        let (mut gate, mut proxy) = pair().await;
        proxy.write_all(&[&header[..], WORDS].concat()).await.unwrap();
        assert_eq!(within("the header", read(&mut gate)).await, Ok(Some(client())));
        assert_eq!(rest(&mut gate, WORDS.len()).await, WORDS);
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    for header in headers().into_iter().filter(|header| header.len() < 1000) {
        let (mut gate, mut proxy) = pair().await;
        let eye = socket2::SockRef::from(&gate).try_clone().unwrap();
        let bytes = [&header[..], &WORDS[..1]].concat();
        let feeding = async {
            for byte in bytes.chunks(1) {
                // Whatever has come before has been taken: each comes by itself.
                while ioctl_fionread(&eye).unwrap() > 0 {
                    yield_now().await;
                }
                proxy.write_all(byte).await.unwrap();
            }
        };
        let both = async { tokio::join!(read(&mut gate), feeding).0 };
        assert_eq!(within("the header", both).await, Ok(Some(client())));
        assert_eq!(rest(&mut gate, 1).await, WORDS[..1]);
    }
}

#[tokio::test]
async fn a_header_cut_anywhere_is_truncated() {
    for header in [write(Version::V1, Some(client())), with_tlvs(8)] {
        for arrived in 1..header.len() {
            let (mut gate, mut proxy) = pair().await;
            proxy.write_all(&header[..arrived]).await.unwrap();
            drop(proxy);
            assert_eq!(within("its end", read(&mut gate)).await, Err(Lack::Truncated), "{arrived}");
        }
    }
}

/// What becomes of a peer at 127.0.0.1, which has to introduce itself, and has sent this, where these may not come in.
async fn introduced(bytes: &[u8], deny: &[&str]) -> (Newcomer, Result<(), Ending>) {
    let (gate, mut proxy) = pair().await;
    let (mut newcomer, _slot) = bare_newcomer(gate, |listener| {
        listener.proxies = networks(&["127.0.0.0/8"]);
        listener.access.deny = networks(deny).0;
    });
    proxy.write_all(bytes).await.unwrap();
    let ended = within("the introduction", newcomer.be_introduced()).await;
    drop(proxy);
    (newcomer, ended)
}

#[tokio::test(start_paused = true)]
async fn s8_a_header_that_does_not_come_is_not_waited_for_without_end() {
    for bytes in [&b""[..], b"P", b"PROXY TCP4 192.0.2.7", &with_tlvs(8)[..30]] {
        let before = Instant::now();
        let (_, ended) = introduced(bytes, &[]).await;
        assert_eq!(ended, Err(Refusal::ProxyHeader.into()), "{bytes:?}");
        assert_eq!(before.elapsed().as_secs(), PATIENCE.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn s8_no_byte_gives_a_header_more_time() {
    for header in headers() {
        let (gate, mut proxy) = pair().await;
        let (mut newcomer, _slot) =
            bare_newcomer(gate, |listener| listener.proxies = networks(&["127.0.0.0/8"]));
        let before = Instant::now();
        let feeding = async {
            for byte in header.chunks(1) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                proxy.write_all(byte).await.unwrap();
            }
        };
        let ended = tokio::select! {
            ended = newcomer.be_introduced() => ended,
            () = feeding => panic!("it was waited for"),
        };
        assert_eq!(ended, Err(Refusal::ProxyHeader.into()));
        assert_eq!(before.elapsed().as_secs(), PATIENCE.as_secs());
    }
}

#[tokio::test]
async fn a_header_tells_who_the_client_is_and_the_proxy_is_remembered() {
    let (newcomer, ended) = introduced(&write(Version::V2, Some(client())), &[]).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(newcomer.trace.client(), client().source);
    assert_eq!(newcomer.trace.via(), Some(newcomer.trace.peer()));
    // IPv4 in IPv6's clothes is IPv4: networks and bounds are to see it as such.
    let line = b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.9 56324 443\r\n";
    let (newcomer, ended) = introduced(line, &[]).await;
    assert_eq!((ended, newcomer.trace.client()), (Ok(()), client().source));
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_its_own_client() {
    for header in [&b"PROXY UNKNOWN\r\n"[..], &write(Version::V2, None)] {
        let (newcomer, ended) = introduced(header, &[]).await;
        let own = newcomer.trace.peer();
        assert_eq!((ended, newcomer.trace.client(), newcomer.trace.via()), (Ok(()), own, None));
    }
}

#[tokio::test]
async fn s8_the_client_that_the_header_names_is_the_one_to_be_let_in() {
    let header = write(Version::V1, Some(client()));
    assert_eq!(introduced(&header, &["192.0.2.0/24"]).await.1, Err(Refusal::Denied.into()));
    assert_eq!(introduced(&header, &["127.0.0.0/8"]).await.1, Ok(()), "the proxy itself is no client");
    let own = introduced(b"PROXY UNKNOWN\r\n", &["127.0.0.0/8"]).await.1;
    assert_eq!(own, Err(Refusal::Denied.into()));
}

#[test]
fn proxies_are_known_by_their_networks_in_either_clothes() {
    let proxies = networks(&["10.0.0.0/8", "2001:db8::/32"]);
    for (peer, is_proxy) in [
        ("10.9.9.9", true),
        ("::ffff:10.9.9.9", true),
        ("2001:db8::1", true),
        ("192.0.2.1", false),
        ("::ffff:192.0.2.1", false),
        ("2001:db9::1", false),
    ] {
        let peer: IpAddr = peer.parse().unwrap();
        assert_eq!((proxies.have(peer), proxies.forbid(peer)), (is_proxy, !is_proxy), "{peer}");
    }
    // Where there are none, nobody is told what not to send.
    let nobody = networks(&[]);
    assert!(!nobody.have([10, 0, 0, 1].into()) && !nobody.forbid([10, 0, 0, 1].into()));
}
