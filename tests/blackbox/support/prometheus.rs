//! Debian's Prometheus, scraping one target, asked by queries.

use std::net::SocketAddr;
use std::process::Stdio;

use raftgate::board::wall_clock;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::wait::{until, within_deadline};

/// A running Prometheus; it is killed when this is dropped.
pub(crate) struct Prometheus {
    _child: Child,
    _folder: TempDir,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts one with a database of its own, on a port of the kernel's choice, that scrapes `target` all the time.
    pub(crate) async fn scraping(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
             scrape_configs: [{{ job_name: raftgate, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let bound = async {
            while let Some(line) = log.next_line().await.unwrap() {
                if let Some(address) = bound_address(&line) {
                    return address;
                }
            }
            panic!("prometheus ended before it listened");
        };
        let address = within_deadline("prometheus to listen", bound).await;
        // Whoever does not read its log stops it in the end.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Prometheus { _child: child, _folder: folder, address }
    }

    /// Waits until the answer to an instant query is one sample for each of these values of the label `node`.
    pub(crate) async fn answers(&self, query: &str, nodes: &[&str]) {
        until(&format!("`{query}` is {nodes:?}"), async || {
            let answer = self.query(query).await?;
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            let samples = answer["data"]["result"].as_array()?;
            let mut found: Vec<&str> =
                samples.iter().map(|sample| sample["metric"]["node"].as_str().unwrap_or_default()).collect();
            found.sort_unstable();
            (found == nodes).then_some(())
        })
        .await;
    }

    /// The samples that an instant query has, with their labels; `None` while there is no answer.
    pub(crate) async fn samples(&self, query: &str) -> Option<Vec<Value>> {
        let answer = self.query(query).await?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }

    /// Whether a query has, at any moment of the last minute, a number that is not 0; `None` while there is no answer.
    pub(crate) async fn has_shown_something(&self, query: &str) -> Option<bool> {
        let now = wall_clock();
        let body = format!("query={}&start={}&end={now}&step=0.5", escaped(query), now - 60.0);
        let answer = self.ask("query_range", &body).await?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array()?.iter();
        let values = series.filter_map(|series| series["values"].as_array()).flatten();
        let mut numbers = values.filter_map(|value| value[1].as_str()?.parse::<f64>().ok());
        Some(numbers.any(|number| number.is_finite() && number != 0.0))
    }

    /// `None` while it does not answer.
    async fn query(&self, query: &str) -> Option<Value> {
        self.ask("query", &format!("query={}", escaped(query))).await
    }

    async fn ask(&self, path: &str, body: &str) -> Option<Value> {
        let request = format!(
            "POST /api/v1/{path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.ok()?;
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
        };
        within_deadline("an answer of prometheus", exchange).await
    }
}

/// What the log says of where it listens, if the line is about that.
fn bound_address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let listens = line["msg"] == "Listening on";
    if listens { line["address"].as_str()?.parse().ok() } else { None }
}

/// As a form's value has to be written.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
