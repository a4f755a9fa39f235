//! How the nodes' rafts talk: JSON over loopback TCP, each message behind its length (four bytes, big-endian).

use std::io;
use std::time::Duration;

use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::raft::{Raft, TypeConfig};

/// More than any message of a log that holds only memberships and blank entries.
const LONGEST_MESSAGE: u32 = 1 << 20;
/// How soon a peer that could not be reached is tried again: a node that was restarted is to rejoin at once.
const RETRY: Duration = Duration::from_millis(100);
/// How long to wait after `accept` failed, as it does while the process is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

#[derive(Serialize, Deserialize)]
enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    Snapshot(InstallSnapshotRequest<TypeConfig>),
}

type Failure<E = openraft::error::Infallible> = RPCError<u64, BasicNode, RaftError<u64, E>>;

/// Answers the peers' messages for as long as the node lives.
pub(super) async fn serve(listener: TcpListener, raft: Raft) {
    loop {
        match listener.accept().await {
            // A peer that hangs up, or speaks nonsense, is not worth a word: it will call again.
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, raft.clone()))),
            Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
        }
    }
}

async fn answer(mut stream: TcpStream, raft: Raft) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let reply = match serde_json::from_slice(&read_message(&mut stream).await?)? {
            Request::Append(request) => serde_json::to_vec(&raft.append_entries(request).await)?,
            Request::Vote(request) => serde_json::to_vec(&raft.vote(request).await)?,
            Request::Snapshot(request) => serde_json::to_vec(&raft.install_snapshot(request).await)?,
        };
        write_message(&mut stream, &reply).await?;
    }
}

/// Makes the connections to the peers.
pub(super) struct Peers;

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        Peer { target, address: node.addr.clone(), idle: None }
    }
}

/// One peer, and the connection to it while no message is under way.
pub(super) struct Peer {
    target: u64,
    address: String,
    idle: Option<TcpStream>,
}

impl Peer {
    async fn call<Reply, E>(&mut self, request: Request) -> Result<Reply, Failure<E>>
    where
        Reply: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let reply: Result<Reply, RaftError<u64, E>> =
            self.exchange(&request).await.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))?;
        reply.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }

    /// The connection is out of its place meanwhile: openraft drops a call that takes too long, and its late answer
    /// must not be taken for the next one's.
    async fn exchange<Reply: DeserializeOwned>(&mut self, request: &Request) -> io::Result<Reply> {
        let mut stream = match self.idle.take() {
            Some(stream) => stream,
            None => TcpStream::connect(&self.address).await?,
        };
        stream.set_nodelay(true)?;
        write_message(&mut stream, &serde_json::to_vec(request)?).await?;
        let reply = serde_json::from_slice(&read_message(&mut stream).await?)?;
        self.idle = Some(stream);
        Ok(reply)
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure> {
        self.call(Request::Append(request)).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<InstallSnapshotError>> {
        self.call(Request::Snapshot(request)).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure> {
        self.call(Request::Vote(request)).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY))
    }
}

async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    if length > LONGEST_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(4 + message.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    stream.write_all(&frame).await
}
