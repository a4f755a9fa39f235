//! An embedded raft cluster with TLS, and a gate in front of it that is put to the test.
