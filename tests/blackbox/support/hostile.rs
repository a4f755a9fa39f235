//! Nodes that mean harm, or are something else altogether. They live in the test's own process: nobody has to kill them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::certs::{Authority, own_name};

/// What a hostile node does to each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malice {
    /// Says something that is no TLS.
    Garbage,
    /// Begins nothing, answers nothing.
    StalledHandshake,
    /// Presents a chain of hundreds of certificates.
    HugeChain,
    /// Sends header lines without end.
    EndlessHead,
    /// Sends a body without end.
    EndlessBody,
    /// Answers right, but byte by byte.
    Trickle,
}

/// How long a trickling node waits before each byte.
const TRICKLE: Duration = Duration::from_millis(50);

/// A hostile node; it ends with this.
pub(crate) struct Hostile {
    name: &'static str,
    port: u16,
    server: JoinHandle<()>,
}

impl Hostile {
    /// Starts a node whose certificate is in order.
    pub(crate) async fn start(authority: &Authority, name: &'static str, malice: Malice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = acceptor(authority, name, malice);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // It ends when the gate has had enough.
                tokio::spawn(async move { drop(mistreat(stream, &acceptor, malice).await) });
            }
        });
        Hostile { name, port, server }
    }

    /// Its line in `[clusters.controllers]`.
    pub(crate) fn configuration(&self) -> String {
        let (name, port, server_name) = (self.name, self.port, own_name(self.name));
        format!("nodes.{name} = {{ address = \"127.0.0.1:{port}\", server_name = \"{server_name}\" }}\n")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn acceptor(authority: &Authority, name: &str, malice: Malice) -> TlsAcceptor {
    let identity = authority.issue(name);
    let length = if malice == Malice::HugeChain { 400 } else { 1 };
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate; length], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn mistreat(mut stream: TcpStream, acceptor: &TlsAcceptor, malice: Malice) -> io::Result<()> {
    match malice {
        Malice::Garbage => {
            stream.write_all(b"220 mail.nodes.test ESMTP, and quite sure of it\r\n").await?;
            return listen(stream).await;
        }
        Malice::StalledHandshake => return listen(stream).await,
        Malice::HugeChain | Malice::EndlessHead | Malice::EndlessBody | Malice::Trickle => {}
    }
    let mut tls = acceptor.accept(stream).await?;
    let _ = tls.read(&mut [0; 4096]).await?;
    match malice {
        Malice::EndlessHead => flood(tls, "HTTP/1.1 200 OK\r\n", "x-more: and more\r\n").await,
        Malice::EndlessBody => flood(tls, "HTTP/1.1 200 OK\r\n\r\n", "and more").await,
        _ => trickle(tls, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await,
    }
}

/// Reads until the gate ends the connection.
async fn listen(mut stream: TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

async fn flood(mut stream: impl AsyncWrite + Unpin, first: &str, more: &str) -> io::Result<()> {
    stream.write_all(first.as_bytes()).await?;
    let more = more.repeat(512);
    loop {
        stream.write_all(more.as_bytes()).await?;
    }
}

async fn trickle(mut stream: impl AsyncWrite + Unpin, answer: &str) -> io::Result<()> {
    for byte in answer.bytes() {
        sleep(TRICKLE).await;
        stream.write_all(&[byte]).await?;
        stream.flush().await?;
    }
    Ok(())
}
