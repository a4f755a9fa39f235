//! libFuzzer's driver of the target `proxy_header`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use raftgate::fuzzing::target;

fuzz_target!(|bytes: &[u8]| (target("proxy_header").run)(bytes));
