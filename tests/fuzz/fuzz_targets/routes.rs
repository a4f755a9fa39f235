//! libFuzzer's driver of the target `routes`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("routes").run)(bytes));
