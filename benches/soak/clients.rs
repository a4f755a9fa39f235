//! One client's session, from its connect to its end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::client::Trust;
use crate::support::clock::Stamp;
use crate::support::conversation::{End, Heard, converse};

use super::judge::Session;
use super::kinds::Kind;

/// How patient a client is until TLS is done, as OpenZiti's C SDK is.
const PATIENCE: Duration = Duration::from_secs(15);
/// So little of what a slow reader has not read waits in its own kernel.
const SMALL_BUFFER: usize = 64 * 1024;

/// A whole session of this kind; one that has no pace of its own takes about so many seconds.
pub(crate) async fn visit(trust: &Trust, gate: SocketAddr, kind: Kind, seed: u64, seconds: u32) -> Session {
    let script = kind.script(seed, seconds);
    let started = Stamp::now();
    let heard = Mutex::new(Heard::default());
    let received = Arc::new(AtomicU64::new(0));
    let mut certified = None;
    let end = if kind.does_tls() {
        match timeout(PATIENCE, trust.connect_counting(gate, &received)).await {
            Ok(Ok((mut stream, node))) => {
                certified = Some(node);
                converse(&mut stream, &script, &heard).await
            }
            Ok(Err(error)) => End::from(error),
            Err(_) => End::Failed(format!("not connected after {PATIENCE:?}")),
        }
    } else {
        match timeout(PATIENCE, connect(gate, kind)).await {
            Ok(Ok(mut stream)) => converse(&mut stream, &script, &heard).await,
            Ok(Err(error)) => End::from(error),
            Err(_) => End::Failed(format!("not connected after {PATIENCE:?}")),
        }
    };
    let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    let end = match (&certified, &heard.node) {
        (Some(node), Some(name)) if node != name => {
            End::Wrong(format!("{name} answered under {node}'s certificate"))
        }
        _ => end,
    };
    Session {
        kind,
        seed,
        started,
        ended: Stamp::now(),
        answered: heard.node.is_some() || received.load(Ordering::Relaxed) > 0,
        node: heard.node.or(certified),
        // What the node has compared is told by it if it was wrong; else the client has its word that it heard all.
        bytes: heard.bytes + if end == End::AsAgreed { script.up.bytes } else { 0 },
        end,
    }
}

async fn connect(gate: SocketAddr, kind: Kind) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(gate).await?;
    stream.set_nodelay(true)?;
    if kind == Kind::SlowReader {
        SockRef::from(&stream).set_recv_buffer_size(SMALL_BUFFER)?;
    }
    Ok(stream)
}
