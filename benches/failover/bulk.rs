//! Bulk that goes through a gate while a fault strikes: what keeps its workers busy must not keep it from following.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::client::{Trust, say};

/// More than any run takes.
const ENDLESS: &str = "SOURCE 1000000000000";
/// How long a stream that could not begin waits before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// So many streams from whoever leads, made anew when they break off; they end when this is dropped.
pub(crate) fn flow(trust: &Trust, gate: SocketAddr, streams: usize) -> JoinSet<()> {
    let mut flowing = JoinSet::new();
    for _ in 0..streams {
        let trust = trust.clone();
        flowing.spawn(async move {
            let mut chunk = vec![0; 256 * 1024];
            loop {
                if let Ok((mut stream, _)) = trust.connect(gate).await
                    && say(&mut stream, ENDLESS).await.is_ok()
                {
                    while stream.read(&mut chunk).await.is_ok_and(|count| count > 0) {}
                }
                sleep(PAUSE).await;
            }
        });
    }
    flowing
}
