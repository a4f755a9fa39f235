//! A client of `/events`, as plain as curl: one request, and all that comes.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::within_deadline;

/// An answer that is still coming.
pub(crate) struct Stream {
    connection: TcpStream,
    /// What has come and has not been looked at.
    text: String,
    /// Its status line and headers.
    pub(crate) head: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Stream {
    /// Asks for the events after `last`, if any, and waits for the answer's head.
    pub(crate) async fn open(admin: SocketAddr, last: Option<&str>) -> Self {
        let mut connection = TcpStream::connect(admin).await.unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /events HTTP/1.1\r\nHost: gate\r\n{last}\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut opened = Stream { connection, text: String::new(), head: String::new() };
        opened.head = opened.until("\r\n\r\n").await.expect("an answer has a head");
        opened
    }

    /// Whether it was let in.
    pub(crate) fn is_open(&self) -> bool {
        self.head.starts_with("HTTP/1.1 200 ")
    }

    /// The next event; `None` if there will be none.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            // Each piece of the stream is a chunk of its own: what is before its lines is the chunk's length.
            let piece = self.until("\n\n").await?;
            let field =
                |name: &str| piece.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                let data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
                return Some(Event { name, id: field("id: "), data });
            }
        }
    }

    /// Waits for an event of this name that is as wanted.
    pub(crate) async fn hears(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Event {
        let heard = async {
            loop {
                let event = self.next().await.expect("the stream goes on");
                if event.name == name && wanted(&event.data) {
                    return event;
                }
            }
        };
        within_deadline(&format!("a wanted `{name}`"), heard).await
    }

    /// All up to `end`, and that; `None` if it never comes.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.text, rest));
            }
            let mut piece = vec![0; 16 * 1024];
            match within_deadline("a piece of the stream", self.connection.read(&mut piece)).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.text.push_str(std::str::from_utf8(&piece[..length]).expect("it is ASCII")),
            }
        }
    }
}
