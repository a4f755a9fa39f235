//! Wires the roles and owns their threads: start and stop.
