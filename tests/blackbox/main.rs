//! Black-box tests of the binary, one crate so that the tree is linked once.
//!
//! Each test starts real TLS nodes as processes of their own, puts the real binary in front of them and
//! watches what clients live through. [`support`] is the stage; every other module is one subject.

#![expect(clippy::unwrap_used, reason = "a test ends by a panic, wherever in its support that happens")]

mod activation;
mod admin_crowd;
mod bytes;
mod certificates;
mod check_probe;
mod checks_of_haproxy;
mod claims;
mod cold_start;
mod commands;
mod connection_log;
mod control;
mod control_socket;
mod deployment;
mod descriptor_limit;
mod descriptors;
mod expiry;
mod failover;
mod failover_bench;
mod families;
mod flapping;
mod guardian;
mod haproxy;
mod herd;
mod hold;
mod hostile;
mod house;
mod idle;
mod invalid;
mod keepalived;
mod leaks;
mod lossy;
mod manual;
mod max_age;
mod metrics;
mod monitoring;
mod moving;
mod names;
mod notify;
mod openziti;
mod operator;
mod overload;
mod package;
mod page;
mod parity;
mod peers_bench;
mod ports;
mod presets;
mod proxy_protocol;
mod readers;
mod readme;
mod reload;
mod reload_changes;
mod reload_edges;
mod reload_load;
mod routes;
mod routes_of_haproxy;
mod sessions;
mod signals;
mod soak_bench;
mod stage;
mod standstill;
mod start;
mod stop;
mod storms;
mod support;
mod telling;
mod unread;
mod upgrade;
mod upgrade_addresses;
mod upgrade_edges;

/// Whether the gate has what Linux alone can do. Without, it is as on other Unix systems (`tests/portable/run`).
const AS_ON_LINUX: bool = cfg!(all(target_os = "linux", not(portable)));
