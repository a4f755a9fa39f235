//! Pure parsers of what clients send first.

mod cursor;
pub mod hello;
