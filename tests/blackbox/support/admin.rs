//! Asks a gate's admin endpoint.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One sample of `/metrics`: its name with its labels, as written, and its value.
pub(crate) type Metrics = BTreeMap<String, f64>;

/// One request to an admin endpoint: status and body; `None` while it does not answer.
pub(crate) async fn get(admin: SocketAddr, path: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    };
    timeout(Duration::from_secs(5), exchange).await.ok()?
}

/// All of an endpoint's `/metrics`; `None` while it does not answer.
pub(crate) async fn metrics_of(admin: SocketAddr) -> Option<Metrics> {
    let (status, body) = get(admin, "/metrics").await?;
    assert_eq!(status, 200, "/metrics: {body}");
    Some(body.lines().filter(|line| !line.starts_with('#')).filter_map(parse_sample).collect())
}

/// The sum over the series of `name` whose labels contain `label`.
pub(crate) fn sum(metrics: &Metrics, name: &str, label: &str) -> f64 {
    metrics
        .iter()
        .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(label))
        .map(|(_, value)| value)
        .sum()
}

fn parse_sample(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    Some((series.to_owned(), value.parse().ok()?))
}
