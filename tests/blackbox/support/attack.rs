//! Clients that mean harm, many at once, from addresses of their own; they come again when they are turned away.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::client::Trust;
use super::conversation::{Ending, Flow, OPENING, Pace, Script};

/// Where they come from: 127.66.0.0/16.
pub(crate) const NETWORK: &str = "127.66.0.0/16";
/// How long each waits before it comes again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long slow ones wait before each byte.
const BYTE: Duration = Duration::from_millis(200);
/// How long those of a flood wait from one connect to the next.
const FLOOD: Duration = Duration::from_millis(20);
/// So little waits at a client that never reads: what counts is what waits at the gate.
const SMALL_BUFFER: u32 = 4096;
/// More than anybody reads.
const ENDLESS: u64 = 1 << 40;

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Connect, and say nothing.
    Silence,
    /// The same, all of them from one address.
    SilenceOfOne,
    /// Connect and reset at once, again and again, each time from another address.
    Flood,
    /// A ClientHello, byte by byte.
    SlowHello,
    /// A PROXY header, byte by byte.
    SlowProxyHeader,
    /// Ask for all that there is, and read nothing of it.
    NeverReads,
}

/// So many of them, until this is dropped.
pub(crate) fn begin(attack: Attack, trust: &Trust, gate: SocketAddr, count: u16) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for number in 0..count {
        let trust = trust.clone();
        attackers.spawn(async move {
            loop {
                drop(strike(attack, &trust, gate, number).await);
                sleep(if attack == Attack::Flood { FLOOD } else { AGAIN }).await;
            }
        });
    }
    attackers
}

async fn strike(attack: Attack, trust: &Trust, gate: SocketAddr, number: u16) -> std::io::Result<()> {
    let from = match attack {
        Attack::Flood => fastrand::u16(..),
        Attack::SilenceOfOne => 1,
        _ => number,
    };
    let mut stream = connect(attack, from, gate).await?;
    match attack {
        Attack::Silence | Attack::SilenceOfOne => drop(stream.read(&mut [0]).await?),
        Attack::Flood => {}
        Attack::SlowHello => trickle(&mut stream, &hello(trust)).await?,
        Attack::SlowProxyHeader => {
            trickle(&mut stream, b"PROXY TCP4 192.0.2.1 192.0.2.2 1024 443\r\n".repeat(100).as_slice())
                .await?;
        }
        Attack::NeverReads => {
            let nothing = Flow { bytes: 0, written: Pace::FAST, read: Pace::FAST };
            let (up, down) = (nothing, Flow { bytes: ENDLESS, ..nothing });
            let script =
                Script { seed: number.into(), up, down, ending: Ending::ClientResets, is_urgent: false };
            let script = serde_json::to_string(&script).expect("it is plain data");
            stream.write_all(format!("{OPENING} {script}\n").as_bytes()).await?;
            // What comes is left where it is; only the end is noticed.
            stream.ready(tokio::io::Interest::ERROR).await?;
        }
    }
    Ok(())
}

/// Connects from one of the addresses. Else the ports of this machine would be used up by connections that linger.
async fn connect(attack: Attack, number: u16, gate: SocketAddr) -> std::io::Result<TcpStream> {
    let [high, low] = number.to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    if attack == Attack::NeverReads {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    socket.bind((Ipv4Addr::new(127, 66, high, low), 0).into())?;
    let stream = timeout(AGAIN * 50, socket.connect(gate)).await??;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Says it byte by byte until it is said or the connection has ended.
async fn trickle(stream: &mut TcpStream, words: &[u8]) -> std::io::Result<()> {
    for byte in words {
        stream.write_all(&[*byte]).await?;
        let heard = timeout(BYTE, stream.read(&mut [0; 512])).await;
        if matches!(heard, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    Ok(())
}

/// What a client of the scene would begin with.
fn hello(trust: &Trust) -> Vec<u8> {
    let name = ServerName::try_from(trust.name).expect("a host name");
    let mut client = ClientConnection::new(Arc::clone(&trust.config), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory takes everything");
    hello
}
