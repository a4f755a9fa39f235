//! libFuzzer's driver of the target `probe_answer`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("probe_answer").run)(bytes));
