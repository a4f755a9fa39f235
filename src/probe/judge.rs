//! From an HTTP answer to a verdict: pure.

use std::ops::RangeInclusive;

/// What counts as "I lead" and as "I follow"; alternatives are tried in order, leader first.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Any of these: leader.
    pub leader: Vec<Condition>,
    /// Else any of these: follower.
    pub follower: Vec<Condition>,
}

/// One alternative: all of its parts must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The status is in one of these ranges.
    pub status: Vec<RangeInclusive<u16>>,
    /// The body is JSON in which each pointer (RFC 6901) has this value.
    pub json: Vec<(String, serde_json::Value)>,
}
