//! Upgrades: one process of the gate after another. Each ends when its last session has, and says what became of all.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::gate::fields;
use crate::support::wait::{until, until_after};

use super::gate::{Books, Gate, STOPPING};

/// What the old process logs when the new one serves.
const SERVES: &str = "upgrade: the new process serves, this one takes no clients any more";
/// The last line of a process, with its books.
const STOPPED: &str = "stopped";

impl Gate {
    /// Has a new process take the place of this one, and follows it.
    pub(crate) async fn upgrade(&mut self) {
        let old = self.watcher().pid();
        if let Some(books) = self.watcher().books().await {
            self.held_before += books.held;
        }
        let logged = fs::metadata(&self.log).map_or(0, |file| file.len());
        kill_process(old, Signal::USR2).expect("the gate runs");
        let new = until("another process has taken over", async || {
            let line = lines_saying(SERVES, &self.log_from(logged)).pop()?;
            Pid::from_raw(i32::try_from(line["new_pid"].as_i64()?).ok()?)
        })
        .await;
        self.processes.push(new);
        self.watcher().follow(new);
    }

    /// Asks it to stop, once nothing is left of the load; what is wrong with its end or that of those before it.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        kill_process(self.watcher().pid(), Signal::TERM).map_err(|error| error.to_string())?;
        for process in self.processes.clone() {
            let what = format!("process {} ends", process.as_raw_nonzero());
            until_after(STOPPING, &what, async || has_ended(process).then_some(())).await;
        }
        let status = self.child.wait().await.map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("the first process ended with {status}"));
        }
        let books = self.last_books();
        if books.len() != self.processes.len() {
            return Err(format!(
                "{} of {} processes have told their last books",
                books.len(),
                self.processes.len()
            ));
        }
        books
            .iter()
            .find(|books| !books.balance() || books.active > 0.5)
            .map_or(Ok(()), |books| Err(format!("last books that do not balance: {books:?}")))
    }

    /// What each process that has stopped has said of all its connections.
    pub(crate) fn last_books(&self) -> Vec<Books> {
        let said = lines_saying(STOPPED, &self.log());
        let books = said.iter().map(|line| {
            let of = |name: &str| line[name].as_f64().unwrap_or(f64::NAN);
            Books {
                accepted: of("accepted"),
                refused: of("refused"),
                closed: of("closed"),
                active: of("active"),
                ..Books::default()
            }
        });
        books.collect()
    }

    fn log_from(&self, place: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(place))?;
            file.read_to_end(&mut text)
        });
        drop(read);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // The first is killed as this one's child; the others are children of those before them.
        for &process in self.processes.iter().skip(1).filter(|process| !has_ended(**process)) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn lines_saying(message: &str, log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.contains(message));
    let parsed = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).map(fields);
    parsed.filter(|fields| fields["message"] == message).collect()
}

/// Whether a process is no more, or is only left to be waited for.
fn has_ended(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}
