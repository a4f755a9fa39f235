//! Nodes to probe: real TLS servers on the loopback interface that follow a script.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::judge::{Condition, Rules};
use super::{ClientFiles, Roots, TlsSettings, Verify};

/// Longer than anything that a test waits for takes, even on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer that leaves the connection open, and says that the node leads.
pub(super) const LEADER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Rules under which each answer's body is read, and none is a statement.
pub(super) fn rules_on_bodies() -> Arc<Rules> {
    let json = vec![("/leads".to_owned(), true.into())];
    let condition = Condition { status: vec![0..=u16::MAX], json };
    Arc::new(Rules { leader: vec![condition], follower: Vec::new(), health: None })
}

/// Rules by which the status alone says what a node is.
pub(super) fn rules_by_status() -> Arc<Rules> {
    let status = |status| vec![Condition { status: vec![status..=status], json: Vec::new() }];
    Arc::new(Rules { leader: status(200), follower: status(429), health: None })
}

pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A certificate authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
    /// The certificates that its nodes send along.
    above: Vec<CertificateDer<'static>>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        Self::with_params(authority(name))
    }

    /// One whose own certificate expires with the beginning of that year.
    pub(super) fn expiring(name: &str, year: i32) -> Self {
        let mut params = authority(name);
        params.not_after = date_time_ymd(year, 1, 1);
        Self::with_params(params)
    }

    fn with_params(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(params.self_signed(&key).unwrap().pem().as_bytes()).unwrap();
        Authority { issuer: Issuer::new(params, key), file, above: Vec::new() }
    }

    /// One between it and its nodes; they send its certificate along.
    pub(super) fn authority_below(&self, name: &str, year: i32) -> Self {
        let mut params = authority(name);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let above = params.signed_by(&key, &self.issuer).unwrap().into();
        let above = [vec![above], self.above.clone()].concat();
        Authority { issuer: Issuer::new(params, key), file: NamedTempFile::new().unwrap(), above }
    }

    /// The settings of a gate that trusts it.
    pub(super) fn trusted(&self, verify: Verify, server_name: &str) -> TlsSettings {
        TlsSettings::new(verify, Roots::File(self.file.path().to_owned()), server_name)
    }

    /// A valid identity for a DNS name.
    pub(super) fn identity(&self, name: &str) -> Identity {
        self.issue(&CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    pub(super) fn identity_until(&self, name: &str, year: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        self.issue(&params)
    }

    pub(super) fn expired_identity(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(2001, 2, 3);
        self.issue(&params)
    }

    pub(super) fn future_identity(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2999, 2, 3);
        params.not_after = date_time_ymd(3000, 1, 1);
        self.issue(&params)
    }

    /// A valid identity, but issued by an authority in between that has expired.
    pub(super) fn identity_below_expired(&self, name: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "in between");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2001, 2, 3);
        let key = KeyPair::generate().unwrap();
        let between = params.signed_by(&key, &self.issuer).unwrap();
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = leaf.signed_by(&leaf_key, &Issuer::new(params, key)).unwrap();
        Identity {
            certificate: certificate.into(),
            above: vec![between.into()],
            key: leaf_key.serialize_der(),
        }
    }

    /// A valid identity for a DNS name, with these URIs.
    pub(super) fn identity_with_uris(&self, name: &str, uris: &[&str]) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())));
        self.issue(&params)
    }

    /// An identity as OpenZiti's controllers have them: with a URI beside names and addresses.
    pub(super) fn spiffe_identity(&self, name: &str, uri: &str) -> Identity {
        let mut params =
            CertificateParams::new(vec![name.to_owned(), "127.0.0.1".into(), "::1".into()]).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.not_after = date_time_ymd(2100, 1, 1);
        self.issue(&params)
    }

    /// An identity without alternative names.
    pub(super) fn unnamed_identity(&self, common_name: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        self.issue(&params)
    }

    pub(super) fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.into(), above: self.above.clone(), key: key.serialize_der() }
    }
}

/// A certificate and the key that it is presented with.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    /// The certificates that are sent along.
    pub(super) above: Vec<CertificateDer<'static>>,
    pub(super) key: Vec<u8>,
}

impl Identity {
    /// This certificate in the hands of somebody who has not got its key.
    pub(super) fn stolen_by(self, thief: Identity) -> Self {
        Identity { key: thief.key, ..self }
    }

    /// Writes both of its files, in PEM.
    pub(super) fn write(&self, files: &ClientFiles) {
        let pem = |label: &str, der: &[u8]| {
            let base64 = data_encoding::BASE64.encode(der);
            format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
        };
        std::fs::write(&files.certificate, pem("CERTIFICATE", &self.certificate)).unwrap();
        std::fs::write(&files.key, pem("PRIVATE KEY", &self.key)).unwrap();
    }

    pub(super) fn server(self) -> Arc<ServerConfig> {
        self.server_with(rustls::DEFAULT_VERSIONS, &["h2", "http/1.1"])
    }

    pub(super) fn server_with(
        self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(self.resolver());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A server that wants a client's certificate of this authority.
    pub(super) fn server_for_clients_of(self, authority: &Authority) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file.path()).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_cert_resolver(self.resolver());
        Arc::new(config)
    }

    fn resolver(self) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::try_from(self.key).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(
            [vec![self.certificate], self.above].concat(),
            key,
        )))
    }
}

/// What a node does on a connection, one after the other.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Reads a request's head.
    Read,
    /// Writes this.
    Say(&'static str),
    /// Writes this again and again, until the gate has enough.
    Flood(&'static str),
    /// Reads requests and answers each with this, until the gate closes the connection.
    AnswerAll(&'static str),
    /// Ends the connection without TLS's own goodbye.
    Vanish,
    /// Reads, and says nothing, until the gate closes the connection.
    Listen,
    /// Waits for one permit.
    Await(Arc<Semaphore>),
}

/// What happened to a node; numbers are those of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Accepted(usize),
    Shaken(usize),
    Asked(usize),
    /// The gate closed the connection, with TLS's own goodbye where there is TLS.
    Farewell(usize),
    /// The connection broke.
    Broke(usize),
}

pub(super) type Log = Vec<Happened>;

/// A node. Its connections end with it.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    log: watch::Receiver<Log>,
    server: JoinHandle<()>,
}

/// How a node treats its nth connection: with which TLS, if any, and by which script. When the script is over,
/// the node closes the connection.
pub(super) type Manner = (Option<Arc<ServerConfig>>, Vec<Step>);

impl Node {
    pub(super) async fn start(manner: impl Fn(usize) -> Manner + Send + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), manner).await
    }

    pub(super) async fn start_at(
        address: SocketAddr,
        manner: impl Fn(usize) -> Manner + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (happened, log) = watch::channel(Log::new());
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let book = Book { number, happened: happened.clone() };
                connections.spawn(serve(stream, manner(number), book));
            }
        });
        Node { address, log, server }
    }

    pub(super) fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    pub(super) fn count(&self, is_counted: impl Fn(&Happened) -> bool) -> usize {
        self.log.borrow().iter().filter(|happened| is_counted(happened)).count()
    }

    pub(super) fn shaken(&self) -> usize {
        self.count(|happened| matches!(happened, Happened::Shaken(_)))
    }

    pub(super) fn asked(&self) -> usize {
        self.count(|happened| matches!(happened, Happened::Asked(_)))
    }

    pub(super) async fn until(&self, wanted: Happened) {
        let mut log = self.log.clone();
        let seen = log.wait_for(|log| log.contains(&wanted));
        patiently(&format!("{wanted:?} in {:?}", self.log()), seen).await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Book {
    number: usize,
    happened: watch::Sender<Log>,
}

impl Book {
    fn note(&self, happened: impl Fn(usize) -> Happened) {
        self.happened.send_modify(|log| log.push(happened(self.number)));
    }
}

async fn serve(stream: TcpStream, (tls, script): Manner, book: Book) {
    book.note(Happened::Accepted);
    let Some(config) = tls else {
        return follow(stream, script, &book).await;
    };
    match TlsAcceptor::from(config).accept(stream).await {
        Ok(stream) => {
            book.note(Happened::Shaken);
            follow(stream, script, &book).await;
        }
        Err(_) => book.note(Happened::Broke),
    }
}

async fn follow<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: Vec<Step>, book: &Book) {
    for step in script {
        let went_on = match step {
            Step::Read => read_head(&mut stream, book).await,
            Step::Say(text) => say(&mut stream, text).await,
            Step::Flood(text) => loop {
                if !say(&mut stream, text).await {
                    break false;
                }
            },
            Step::AnswerAll(text) => loop {
                if !(read_head(&mut stream, book).await && say(&mut stream, text).await) {
                    break false;
                }
            },
            Step::Vanish => false,
            Step::Listen => loop {
                if !read_head(&mut stream, book).await {
                    break false;
                }
            },
            Step::Await(gate) => {
                gate.acquire().await.unwrap().forget();
                true
            }
        };
        if !went_on {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> bool {
    stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}

/// Reads up to an empty line; notes how the connection ended if it did before one.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, book: &Book) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            // `read_u8` makes its own error of an orderly end, without an inner one.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && error.get_ref().is_none() => {
                book.note(Happened::Farewell);
                return false;
            }
            Err(_) => {
                book.note(Happened::Broke);
                return false;
            }
        }
    }
    book.note(Happened::Asked);
    true
}
