//! Bytes by the megabyte: made from a seed, compared by digest.

use std::fmt::Write as _;
use std::io;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much is read or written at once.
const CHUNK: usize = 64 * 1024;

/// How many bytes there were, and their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// The count.
    pub(crate) bytes: u64,
    /// The digest in hexadecimal.
    pub(crate) digest: String,
}

/// Writes `bytes` bytes that follow from `seed`.
pub(crate) async fn send<W: AsyncWrite + Unpin>(to: &mut W, seed: u64, bytes: u64) -> io::Result<Sum> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::default();
    let mut chunk = vec![0; CHUNK];
    while tally.bytes < bytes {
        let size = usize::try_from(bytes - tally.bytes).map_or(CHUNK, |left| left.min(CHUNK));
        random.fill(&mut chunk[..size]);
        to.write_all(&chunk[..size]).await?;
        tally.add(&chunk[..size]);
    }
    to.flush().await?;
    Ok(tally.sum())
}

/// Reads to the end; `begun` was read already. TLS's own farewell is not waited for: where TCP's direction
/// is ended without it, that is the end.
pub(crate) async fn receive<R: AsyncRead + Unpin>(from: &mut R, begun: &[u8]) -> io::Result<Sum> {
    let mut tally = Tally::default();
    tally.add(begun);
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk).await {
            Ok(0) => return Ok(tally.sum()),
            Ok(size) => tally.add(&chunk[..size]),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(tally.sum()),
            Err(error) => return Err(error),
        }
    }
}

/// A sum in the making.
#[derive(Default)]
struct Tally {
    bytes: u64,
    hash: Sha256,
}

impl Tally {
    fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.hash.update(chunk);
    }

    fn sum(self) -> Sum {
        let digest = self.hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Sum { bytes: self.bytes, digest }
    }
}
