//! Many connections attended by one thread: it sleeps until any of them has something to read.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// So many are looked at between two sleeps.
const AT_ONCE: usize = 64;

/// The connections of one thread.
pub(crate) struct Crowd {
    epoll: OwnedFd,
    members: Mutex<HashMap<u64, Arc<TcpStream>>>,
    next: AtomicU64,
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Crowd { epoll, members: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Takes in one more. Its calls block, which they do not for what there is to read.
    pub(crate) fn join(&self, stream: TcpStream) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(stream);
        self.members().insert(number, Arc::clone(&stream));
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Lets `attend` have everyone who has something to read, again and again; who fails, or for whom it says so, goes.
    /// Ends when nobody can come any more, which is never.
    pub(crate) fn attend(&self, mut attend: impl FnMut(&TcpStream) -> io::Result<bool>) -> io::Error {
        let mut events = Vec::with_capacity(AT_ONCE);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => (),
                Err(error) => return error.into(),
            }
            for event in events.drain(..) {
                let number = event.data.u64();
                let member = self.members().get(&number).cloned();
                let stays = member.is_some_and(|member| attend(&member).is_ok_and(|stays| stays));
                if !stays {
                    // Closing takes it out of the epoll descriptor, too.
                    self.members().remove(&number);
                }
            }
        }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<TcpStream>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
