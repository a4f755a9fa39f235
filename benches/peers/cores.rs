//! The core that a process is kept to: on Linux, as all of this bench.

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{last_core, stay_on};
#[cfg(target_os = "linux")]
pub(crate) use linux::{last_core, stay_on};

#[cfg(target_os = "linux")]
mod linux {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Keeps this process to one core.
    pub(crate) fn stay_on(core: usize) -> Result<(), String> {
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores).map_err(|error| error.to_string())
    }

    /// The last core that this process may have: the first one gets most of the machine's interrupts.
    pub(crate) fn last_core() -> Result<usize, String> {
        let cores = sched_getaffinity(None).map_err(|error| error.to_string())?;
        (0..CpuSet::MAX_CPU).rev().find(|&core| cores.is_set(core)).ok_or_else(|| "no core".to_owned())
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    const WHY: &str = "the bench of peers takes Linux";

    pub(crate) fn stay_on(_: usize) -> Result<(), String> {
        Err(WHY.to_owned())
    }

    pub(crate) fn last_core() -> Result<usize, String> {
        Err(WHY.to_owned())
    }
}
