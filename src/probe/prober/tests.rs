//! Probers at work.
