//! What the service manager is told: systemd's protocol, `sd_notify(3)`. Each message is one function, and without
//! `NOTIFY_SOCKET` none does anything. A message that cannot be sent is no reason to do anything else.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::debug;

/// Whether there is a service manager to be told.
pub(super) fn has_manager() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// The process serves; after [`reloading`], the reload is over, well or badly.
pub(super) fn ready() {
    send("READY=1");
}

/// It takes no new clients any more, and will end.
pub(super) fn stopping() {
    send("STOPPING=1");
}

/// It takes a new configuration; [`ready`] is to follow.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
    send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// What `systemctl status` shows, in one line.
pub(super) fn status(text: &str) {
    send(&format!("STATUS={}", text.replace('\n', " ")));
}

/// Another process is the service's from now on.
pub(super) fn main_pid(pid: u32) {
    send(&format!("MAINPID={pid}"));
}

/// It is alive.
pub(super) fn watchdog() {
    send("WATCHDOG=1");
}

/// How often the service manager wants to hear that this process is alive, if at all.
pub(super) fn watchdog_interval() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let meant = env::var_os("WATCHDOG_PID").is_none_or(|pid| pid == *std::process::id().to_string());
    number("WATCHDOG_USEC").filter(|microseconds| meant && *microseconds > 0).map(Duration::from_micros)
}

fn send(message: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send_to(&socket, message) {
        debug!(%error, message, "the service manager cannot be told");
    }
}

fn send_to(socket: &OsString, message: &str) -> io::Result<()> {
    let address = address_of(socket)?;
    let sender = UnixDatagram::unbound()?;
    // A manager that does not read must not keep a gate from its work (O5).
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(target_os = "linux")]
fn address_of(socket: &OsString) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}

#[cfg(not(target_os = "linux"))]
fn address_of(socket: &OsString) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_message_arrives_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        send_to(&path.into_os_string(), "READY=1").unwrap();
        assert_eq!(heard(&by_path), "READY=1");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_message_arrives_by_abstract_name() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("raftgate-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        send_to(&format!("@{name}").into(), "STOPPING=1").unwrap();
        assert_eq!(heard(&by_name), "STOPPING=1");
    }

    #[test]
    fn o5_a_manager_that_is_not_there_or_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        assert!(send_to(&folder.path().join("nobody").into_os_string(), "READY=1").is_err());
        let path = folder.path().join("deaf");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let full = (0..100_000).find_map(|_| send_to(&path.clone().into_os_string(), "WATCHDOG=1").err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    }
}
