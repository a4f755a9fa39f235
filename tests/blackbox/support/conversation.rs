//! A conversation: a client and a node send each other bytes that both know by their place, and end it as they have
//! agreed beforehand. Each end checks what it hears; whatever is between them may neither change, lose nor add a byte,
//! nor end a direction otherwise than its sender did.
//!
//! The client's first line is [`OPENING`] and the [`Script`]; the node's is its name. It goes over TLS, or plainly.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client::Stream;
use super::pattern::{Pattern, Way};
use super::urgent::Urgent;

/// What a conversation's first line begins with. No record of TLS begins like that.
pub(crate) const OPENING: &str = "CONVERSE";
/// How long an end waits for the other; a standstill is found before.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(20);
/// Longer, so that it is the client who tells.
const NODES_PATIENCE: Duration = Duration::from_mins(2);
/// The node's last word where the client ends first: it has heard all of it.
const HEARD_ALL: &[u8] = b"heard all\n";
/// Where it is to be reset, the node has so many times the bytes that the client waits for.
const BEYOND: u64 = 4;
/// The longest name of a node.
const NAME: usize = 64;

/// What both ends will do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Script {
    /// What the bytes follow from.
    pub(crate) seed: u64,
    /// From the client to the node.
    pub(crate) up: Flow,
    /// From the node to the client.
    pub(crate) down: Flow,
    /// How it ends.
    pub(crate) ending: Ending,
    /// Whether the last byte of each piece is urgent data, where the stream can have that.
    pub(crate) is_urgent: bool,
}

/// One direction.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Flow {
    /// How many bytes.
    pub(crate) bytes: u64,
    /// How its sender writes.
    pub(crate) written: Pace,
    /// How its receiver reads.
    pub(crate) read: Pace,
}

/// Pieces of a size with pauses after each.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Pace {
    /// The most bytes in one piece.
    pub(crate) piece: u32,
    /// The pause, in milliseconds.
    pub(crate) pause: u32,
}

impl Ending {
    fn is_reset(self) -> bool {
        matches!(self, Ending::ClientResets | Ending::NodeResets)
    }
}

impl Pace {
    /// As fast as it goes.
    pub(crate) const FAST: Self = Pace { piece: 64 * 1024, pause: 0 };

    async fn rest(self) {
        if self.pause > 0 {
            sleep(Duration::from_millis(self.pause.into())).await;
        }
    }
}

/// Who ends it, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Ending {
    /// The client half-closes when it has sent all; the node ends after its last byte.
    ClientFirst,
    /// The node half-closes when it has sent all; the client sends the second half of its bytes after that.
    NodeFirst,
    /// The client resets when it has heard all of `down`, in the midst of more.
    ClientResets,
    /// The client sends its last byte when it has heard all of `down`, and goes on listening; upon that the node resets, in
    /// the midst of more.
    NodeResets,
}

/// How one end has seen it end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As agreed, with all bytes right.
    AsAgreed,
    /// The first wrong byte's place, or what says that there is one.
    Wrong(String),
    /// The direction ended in good order before it should: what came looked complete and was not.
    LooksComplete(String),
    /// It was reset.
    Reset(String),
    /// Nothing has come or gone for too long.
    Stuck(String),
    /// Anything else.
    Failed(String),
}

/// What a client knows of its conversation before it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Which node has begun to answer.
    pub(crate) node: Option<String>,
    /// How many bytes of the pattern were heard and compared.
    pub(crate) bytes: u64,
}

/// What can be given up in the hardest way.
pub(crate) trait Resets {
    /// From now on, dropping it resets the connection.
    fn reset_on_drop(&self);

    /// A way for urgent data; none through TLS.
    fn urgent(&self) -> io::Result<Option<Urgent>> {
        Ok(None)
    }
}

impl Resets for TcpStream {
    fn reset_on_drop(&self) {
        // Where that fails there is no connection any more.
        drop(self.set_zero_linger());
    }

    fn urgent(&self) -> io::Result<Option<Urgent>> {
        Urgent::beside(self).map(Some)
    }
}

impl Resets for Stream {
    fn reset_on_drop(&self) {
        self.get_ref().0.reset_on_drop();
    }
}

impl Resets for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_drop(&self) {
        self.get_ref().0.reset_on_drop();
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        let why = error.to_string();
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset(why),
            // A record that cannot be opened: its bytes are not those that were sent.
            io::ErrorKind::InvalidData => End::Wrong(why),
            io::ErrorKind::UnexpectedEof => End::LooksComplete(why),
            io::ErrorKind::TimedOut => End::Stuck(why),
            _ => End::Failed(why),
        }
    }
}

/// The client's part, from its first line on.
pub(crate) async fn converse<S>(stream: &mut S, script: &Script, heard: &Mutex<Heard>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Resets,
{
    let urgent = match urgent_way(&*stream, script) {
        Ok(urgent) => urgent,
        Err(error) => return End::from(error),
    };
    let (mut from, mut to) = tokio::io::split(&mut *stream);
    let mut to = Writer { to: &mut to, urgent: urgent.as_ref(), patience: CLIENTS_PATIENCE };
    let (up, down, ending) = (script.up, script.down, script.ending);
    let last_part_is_due = Notify::new();
    let speak = async {
        let line = format!("{OPENING} {}\n", serde_json::to_string(script).expect("it is plain data"));
        to.write(line.as_bytes()).await?;
        let mut pattern = Pattern::new(script.seed, Way::Up);
        let first_part = match ending {
            Ending::ClientFirst | Ending::ClientResets => up.bytes,
            Ending::NodeFirst => up.bytes / 2,
            Ending::NodeResets => up.bytes - 1,
        };
        to.send(&mut pattern, first_part, up.written).await?;
        if first_part < up.bytes {
            last_part_is_due.notified().await;
            to.send(&mut pattern, up.bytes, up.written).await?;
        }
        if !ending.is_reset() {
            to.shutdown().await?;
        }
        Ok(())
    };
    let listen = async {
        let name = read_name(&mut from).await?;
        heard.lock().unwrap().node = Some(name);
        let mut pattern = Pattern::new(script.seed, Way::Down);
        while pattern.at() < down.bytes {
            receive(&mut from, &mut pattern, down.bytes, down.read, CLIENTS_PATIENCE).await?;
            heard.lock().unwrap().bytes = pattern.at();
        }
        match ending {
            Ending::ClientFirst => read_all_heard(&mut from).await?,
            Ending::NodeFirst => {}
            Ending::ClientResets => return Err(End::AsAgreed),
            Ending::NodeResets => {
                last_part_is_due.notify_one();
                return Err(until_reset(&mut from, &mut pattern, down).await);
            }
        }
        expect_end(&mut from, CLIENTS_PATIENCE).await?;
        last_part_is_due.notify_one();
        Ok(())
    };
    // Whichever hears of a reset first, the kernel tells it only once.
    let end = match tokio::try_join!(speak, listen) {
        Ok(((), ())) => End::AsAgreed,
        Err(end) => end,
    };
    if end != End::AsAgreed || ending.is_reset() {
        stream.reset_on_drop();
    }
    end
}

/// The node's part, after the first line, of which `begun` was read beyond. A client that is gone is no concern of the
/// node's; what it tells is what a client cannot know.
pub(crate) async fn answer<S>(mut stream: S, script: &str, begun: &[u8], name: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Resets,
{
    let script: Script = serde_json::from_str(script).map_err(|error| format!("no script: {error}"))?;
    let end = play(&mut stream, &script, begun, name).await;
    if script.ending == Ending::NodeResets || end.is_err() {
        stream.reset_on_drop();
    }
    match end {
        Ok(()) if script.ending == Ending::ClientResets => {
            Err(format!("{} LooksComplete an end instead of a reset", script.seed))
        }
        Ok(()) | Err(End::AsAgreed | End::Reset(_)) => Ok(()),
        Err(End::Wrong(why)) => Err(format!("{} Wrong {why}", script.seed)),
        Err(End::LooksComplete(why)) => Err(format!("{} LooksComplete {why}", script.seed)),
        Err(End::Stuck(why)) => Err(format!("{} Stuck {why}", script.seed)),
        Err(End::Failed(why)) => Err(format!("{} Failed {why}", script.seed)),
    }
}

async fn play<S>(stream: &mut S, script: &Script, begun: &[u8], name: &str) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin + Resets,
{
    let urgent = urgent_way(&*stream, script)?;
    let (mut from, mut to) = tokio::io::split(stream);
    let mut to = Writer { to: &mut to, urgent: urgent.as_ref(), patience: NODES_PATIENCE };
    let speak = async {
        to.write(format!("{name}\n").as_bytes()).await?;
        let mut pattern = Pattern::new(script.seed, Way::Down);
        let bytes = script.down.bytes * if script.ending.is_reset() { BEYOND } else { 1 };
        to.send(&mut pattern, bytes, script.down.written).await?;
        if script.ending == Ending::NodeFirst {
            to.shutdown().await?;
        }
        Ok(())
    };
    let listen = async {
        let mut pattern = Pattern::new(script.seed, Way::Up);
        pattern.check(begun).map_err(|at| End::Wrong(format!("byte {at} up")))?;
        while pattern.at() < script.up.bytes {
            receive(&mut from, &mut pattern, script.up.bytes, script.up.read, NODES_PATIENCE).await?;
        }
        if script.ending == Ending::NodeResets {
            return Err(End::AsAgreed);
        }
        expect_end(&mut from, NODES_PATIENCE).await
    };
    tokio::try_join!(speak, listen)?;
    if script.ending == Ending::ClientFirst {
        to.write(HEARD_ALL).await?;
        to.shutdown().await?;
    }
    Ok(())
}

/// What one end writes to.
struct Writer<'a, W> {
    to: &'a mut W,
    /// Where the last byte of each piece of the pattern goes, if that is to be urgent.
    urgent: Option<&'a Urgent>,
    /// How long the other end may take nothing.
    patience: Duration,
}

impl<W: AsyncWrite + Unpin> Writer<'_, W> {
    /// Sends the pattern up to its byte `until`.
    async fn send(&mut self, pattern: &mut Pattern, until: u64, pace: Pace) -> Result<(), End> {
        while pattern.at() < until {
            let most = until - pattern.at();
            let piece = pattern.next(most.min(pace.piece.into()));
            match (self.urgent, piece) {
                (Some(urgent), [piece @ .., last]) => {
                    self.write(piece).await?;
                    within(self.patience, urgent.send(*last)).await?;
                }
                _ => self.write(piece).await?,
            }
            pace.rest().await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let all = async {
            self.to.write_all(bytes).await?;
            self.to.flush().await
        };
        Ok(within(self.patience, all).await?)
    }

    async fn shutdown(&mut self) -> Result<(), End> {
        Ok(within(self.patience, self.to.shutdown()).await?)
    }
}

fn urgent_way(stream: &impl Resets, script: &Script) -> io::Result<Option<Urgent>> {
    if script.is_urgent { stream.urgent() } else { Ok(None) }
}

/// Reads one piece, not beyond the pattern's byte `until`, and compares it.
async fn receive<R: AsyncRead + Unpin>(
    from: &mut R,
    pattern: &mut Pattern,
    until: u64,
    pace: Pace,
    patience: Duration,
) -> Result<(), End> {
    let left = usize::try_from(until - pattern.at()).unwrap_or(usize::MAX);
    let mut piece = vec![0; left.min(pace.piece as usize)];
    let count = within(patience, from.read(&mut piece)).await?;
    if count == 0 {
        return Err(End::LooksComplete(format!("after {} of {} bytes", pattern.at(), until)));
    }
    pattern.check(&piece[..count]).map_err(|at| End::Wrong(format!("byte {at}")))?;
    pace.rest().await;
    Ok(())
}

/// How a conversation ends whose node is to reset it.
async fn until_reset<R: AsyncRead + Unpin>(from: &mut R, pattern: &mut Pattern, down: Flow) -> End {
    while pattern.at() < down.bytes * BEYOND {
        match receive(from, pattern, down.bytes * BEYOND, down.read, CLIENTS_PATIENCE).await {
            Ok(()) => {}
            Err(End::Reset(_)) => return End::AsAgreed,
            Err(end) => return end,
        }
    }
    match expect_end(from, CLIENTS_PATIENCE).await {
        Err(End::Reset(_)) => End::AsAgreed,
        Err(end) => end,
        Ok(()) => End::LooksComplete("an end instead of a reset".to_owned()),
    }
}

async fn read_name<R: AsyncRead + Unpin>(from: &mut R) -> Result<String, End> {
    let mut name = Vec::new();
    while name.last() != Some(&b'\n') {
        if name.len() > NAME {
            return Err(End::Wrong("no node's name".to_owned()));
        }
        match within(CLIENTS_PATIENCE, from.read_u8()).await {
            Ok(byte) => name.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(End::LooksComplete("before the node's first word".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    name.pop();
    String::from_utf8(name).map_err(|_| End::Wrong("no node's name".to_owned()))
}

async fn read_all_heard<R: AsyncRead + Unpin>(from: &mut R) -> Result<(), End> {
    let mut word = [0; HEARD_ALL.len()];
    match within(CLIENTS_PATIENCE, from.read_exact(&mut word)).await {
        Ok(_) if word == *HEARD_ALL => Ok(()),
        Ok(_) => Err(End::Wrong("the node's last word".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(End::LooksComplete("before the node's last word".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn expect_end<R: AsyncRead + Unpin>(from: &mut R, patience: Duration) -> Result<(), End> {
    match within(patience, from.read(&mut [0; 1])).await? {
        0 => Ok(()),
        _ => Err(End::Wrong("more than was sent".to_owned())),
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing for {patience:?}"))),
    }
}
