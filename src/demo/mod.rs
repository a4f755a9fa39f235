//! An embedded raft cluster with TLS, and a gate in front of it that is put to the test.

mod certs;
mod client;
mod cluster;
mod https;
mod network;
mod node;
mod raft;
mod standing;
mod store;
