//! A door at which nobody can be let in, for want of descriptors.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::BorrowedFd;

use super::*;

/// How often it is looked for somebody.
const TURNS: u32 = 50;

/// Counts how often somebody was looked for.
struct Stuck<'t> {
    any: File,
    looks: &'t Cell<u32>,
}

impl AsFd for Stuck<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.any.as_fd()
    }
}

impl Door for Stuck<'_> {
    type Stream = ();

    async fn next(&self) -> io::Result<()> {
        const EMFILE: i32 = 24;
        self.looks.set(self.looks.get() + 1);
        assert!(self.looks.get() <= 2 * (TURNS + 1), "it spins");
        Err(io::Error::from_raw_os_error(EMFILE))
    }
}

#[tokio::test(start_paused = true)]
async fn s8_nothing_spins_while_nobody_can_be_let_in() {
    let looks = Cell::new(0);
    let door = Stuck { any: File::open("/dev/null").unwrap(), looks: &looks };
    let open = keep_open(door, 1, async |(), _| panic!("nobody was let in"));
    timeout(ACCEPT_PAUSE * TURNS, open).await.expect_err("a door is open for ever");
    // Each time twice: once more with what was kept back.
    assert!(looks.get() >= 2 * (TURNS - 1), "{} times", looks.get());
}
