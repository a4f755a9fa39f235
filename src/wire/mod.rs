//! Pure parsers of what clients send first, and what the gate itself says first.

mod cursor;
pub mod hello;
pub mod proxy_header;
