//! libFuzzer's driver of the target `letter`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("letter").run)(bytes));
