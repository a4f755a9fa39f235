//! What each parser holds for any bytes whatever: one function each, which `cargo test` feeds with seeds and mutations of
//! them (`tests`), and libFuzzer with whatever it finds (`tests/fuzz/`).
//!
//! ```text
//! table     every target: its name, which its seeds' folder has too, and its function, which stands beside the parser
//! mutate    bytes that are not far from given ones, the same for the same number
//! ```
//!
//! Most of the parsers are nobody's business outside of their rooms. So that they need not be public, all of this is
//! compiled for tests, and for a fuzzer: under `cfg(fuzzing)`, which cargo-fuzz sets. The product has nothing of it, and
//! a target can compare what is private, which through a public door it could not.

mod mutate;
mod table;
#[cfg(test)]
mod tests;

pub use table::{TARGETS, Target, target};
