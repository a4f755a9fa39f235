//! Pure parsers of what clients send first, and what the gate itself says first.

mod cursor;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hello;
pub mod proxy_header;
