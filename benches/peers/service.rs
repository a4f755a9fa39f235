//! The node that the load ends at: one port, several services. The first bytes of a connection, an [`Opening`], say
//! which one is wanted.
//!
//! Its threads block in plain calls, as that costs least: what it spends is missing to who stands before it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::crowd::Crowd;

/// So many connections are served at once, besides those that are in a crowd.
const THREADS: usize = 96;
/// How much is written at once.
const CHUNK: usize = 256 * 1024;
/// The longest message that is echoed.
const LONGEST: usize = 64 * 1024;
/// The size of what is asked and of what is answered where a connection is all that is wanted.
pub(crate) const SHORT: usize = 100;
/// The bytes of an opening. None looks like the beginning of TLS, which a gate might keep in mind.
pub(crate) const OPENING: usize = 2;

/// What is wanted on a connection.
#[derive(Clone, Copy)]
pub(crate) enum Opening {
    /// Bytes without end.
    Source,
    /// Every message back, by a thread of the connection's own.
    Echo,
    /// Every message back, by one thread for many connections.
    CrowdEcho,
    /// [`SHORT`] bytes back once as many have come, then the end.
    Short,
}

impl Opening {
    const ALL: [Self; 4] = [Self::Source, Self::Echo, Self::CrowdEcho, Self::Short];

    /// As it is sent.
    pub(crate) fn bytes(self) -> [u8; OPENING] {
        let letter = match self {
            Self::Source => b'S',
            Self::Echo => b'E',
            Self::CrowdEcho => b'M',
            Self::Short => b'C',
        };
        [letter, b'\n']
    }

    fn of(bytes: [u8; OPENING]) -> Option<Self> {
        Self::ALL.into_iter().find(|opening| opening.bytes() == bytes)
    }
}

/// What all threads share.
struct Service {
    listener: TcpListener,
    /// One for each core.
    crowds: Vec<Arc<Crowd>>,
}

/// Serves in threads of its own, and says where.
pub(crate) fn live() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    // Many may come at once; the standard library's queue is short.
    socket2::SockRef::from(&listener).listen(4096).expect("it listens already");
    let port = listener.local_addr().expect("it is bound").port();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let crowds: Vec<_> = (0..cores).map(|_| Arc::new(Crowd::new().expect("an epoll descriptor"))).collect();
    for crowd in &crowds {
        let crowd = Arc::clone(crowd);
        thread::spawn(move || {
            let mut message = vec![0; LONGEST];
            crowd.attend(|mut stream| {
                let size = stream.read(&mut message)?;
                stream.write_all(&message[..size])?;
                Ok(size > 0)
            })
        });
    }
    let service = Arc::new(Service { listener, crowds });
    for number in 0..THREADS {
        let service = Arc::clone(&service);
        thread::spawn(move || {
            loop {
                // A connection that fails is its client's matter.
                if let Ok((stream, _)) = service.listener.accept() {
                    drop(service.serve(stream, number));
                }
            }
        });
    }
    println!("ready {port}");
}

impl Service {
    fn serve(&self, mut stream: TcpStream, number: usize) -> io::Result<()> {
        let mut opening = [0; OPENING];
        stream.read_exact(&mut opening)?;
        match Opening::of(opening) {
            None => (),
            Some(Opening::Source) => {
                let chunk = vec![b'.'; CHUNK];
                while stream.write_all(&chunk).is_ok() {}
            }
            Some(Opening::Echo) => {
                stream.set_nodelay(true)?;
                let mut message = vec![0; LONGEST];
                loop {
                    let size = stream.read(&mut message)?;
                    if size == 0 {
                        break;
                    }
                    stream.write_all(&message[..size])?;
                }
            }
            Some(Opening::CrowdEcho) => {
                stream.set_nodelay(true)?;
                self.crowds[number % self.crowds.len()].join(stream)?;
            }
            Some(Opening::Short) => {
                let mut message = [0; SHORT];
                stream.read_exact(&mut message[OPENING..])?;
                stream.write_all(&message)?;
            }
        }
        Ok(())
    }
}
