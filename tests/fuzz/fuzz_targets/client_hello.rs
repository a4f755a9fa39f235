//! libFuzzer's driver of the target `client_hello`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("client_hello").run)(bytes));
