//! libFuzzer's driver of the target `control_request`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("control_request").run)(bytes));
