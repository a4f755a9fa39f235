//! Overload: what good clients notice of an attack on the gate, and of the same attack on HAProxy.
//!
//! ```text
//! attacks   what is tried
//! target    what is attacked: Raftgate or HAProxy, as a process
//! cage      a bound on a process's memory
//! rounds    each attack on each target, with good clients before it and beside it
//! report    the table made of that
//! ```

mod attacks;
mod cage;
mod report;
mod rounds;
mod target;

pub(crate) use report::text;
pub(crate) use rounds::run;
