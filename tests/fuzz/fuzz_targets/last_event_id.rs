//! libFuzzer's driver of the target `last_event_id`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("last_event_id").run)(bytes));
