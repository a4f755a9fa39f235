//! Tests of the TLS client.
