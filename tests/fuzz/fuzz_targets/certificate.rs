//! libFuzzer's driver of the target `certificate`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("certificate").run)(bytes));
