//! Looks names up: one look-up of a name at a time, each under a deadline.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Host;

/// When a look-up counts as failed. One that is still under way then is waited for, and not begun again: a name
/// service that hangs costs a thread a name, not one more each time.
const DEADLINE: Duration = Duration::from_secs(5);

/// Keeps a name's addresses true: looks it up at once, and again `refresh` after each answer. Never returns.
pub async fn keep<F>(host: Host, refresh: Duration, look_up: impl Fn(Arc<str>) -> F)
where
    F: Future<Output = io::Result<Vec<IpAddr>>>,
{
    loop {
        take_answer(&host, look_up(Arc::clone(&host.name))).await;
        sleep(refresh).await;
    }
}

/// Looks a name up once; returns with its answer or when the deadline has passed.
pub async fn look_up_once<F>(host: Host, look_up: impl FnOnce(Arc<str>) -> F)
where
    F: Future<Output = io::Result<Vec<IpAddr>>>,
{
    let answer = timeout(DEADLINE, look_up(Arc::clone(&host.name))).await;
    host.take(answer.unwrap_or_else(|_| Err(too_late())));
}

/// Asks the system's name service, on a thread of its own: its call cannot be cancelled, and what hangs in it must
/// not occupy a place that others need, nor keep the gate from stopping.
///
/// # Errors
/// If the name service knows no such name, cannot be asked, or there is no thread to be had.
pub async fn system(host: Arc<str>) -> io::Result<Vec<IpAddr>> {
    let (tell, told) = oneshot::channel();
    thread::Builder::new().name("look-up".to_owned()).spawn(move || {
        let found = (&*host, 0).to_socket_addrs();
        // Nobody listens any more when the gate stops.
        let _ = tell.send(found.map(|addresses| addresses.map(|address| address.ip()).collect()));
    })?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the look-up broke off")))
}

/// Waits for one answer, however late; meanwhile, the name counts as failed from the deadline on.
async fn take_answer(host: &Host, answer: impl Future<Output = io::Result<Vec<IpAddr>>>) {
    tokio::pin!(answer);
    loop {
        if let Ok(answer) = timeout(DEADLINE, &mut answer).await {
            return host.take(answer);
        }
        host.take(Err(too_late()));
    }
}

fn too_late() -> io::Error {
    let deadline = humantime::format_duration(DEADLINE);
    io::Error::other(format!("the name service has not answered for {deadline}"))
}
