//! Pure parsers of what clients send first.

pub mod hello;
