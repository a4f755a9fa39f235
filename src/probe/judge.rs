//! From an HTTP answer to a verdict: pure.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::settings::Request;
use crate::leader::Verdict;

#[cfg(test)]
mod tests;

/// What the paths of an OpenZiti controller's health checks begin with; another program would hardly have it.
const OPENZITI_HEALTH: &str = "/health-checks/";

/// What counts as "I lead" and as "I follow"; alternatives are tried in order, leader first.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Any of these: leader.
    pub leader: Vec<Condition>,
    /// Else any of these: follower.
    pub follower: Vec<Condition>,
    /// Where a body tells whether its node is well, as a JSON pointer; `None`: it does not. Never part of the verdict.
    pub health: Option<&'static str>,
}

/// What of an answer's body has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: the status alone says it.
    Nothing,
    /// As much as there is, for it tells whether the node is well.
    ForHealth,
    /// All of it, for the verdict depends on it.
    ForVerdict,
}

/// One alternative: all of its parts must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The status is in one of these ranges.
    pub status: Vec<RangeInclusive<u16>>,
    /// The body is JSON in which each pointer (RFC 6901) has this value.
    pub json: Vec<(String, Value)>,
}

/// What an answer means, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it means.
    pub verdict: Verdict,
    /// Whether the node is well: it has made a statement, and does not say in its body that it is ill.
    pub healthy: bool,
    /// Why, in words; the same words for every answer that says the same.
    pub detail: String,
}

impl Rules {
    /// Judges an answer: leader, follower or unfit (L2).
    pub fn judge(&self, status: u16, body: &[u8]) -> Judgement {
        let answer = Answer::new(self, status, body);
        let misfits = match first_fit(&self.leader, &answer) {
            Ok(()) => return answer.judged(Verdict::Leader, "says that it leads"),
            Err(misfit) => misfit,
        };
        let misfits = match first_fit(&self.follower, &answer) {
            Ok(()) => return answer.judged(Verdict::Follower, "says that it follows"),
            Err(misfit) => misfits.or(misfit),
        };
        let reason = misfits.unwrap_or_else(|| "which means neither leader nor follower".to_owned());
        Judgement {
            verdict: Verdict::Unfit { status },
            healthy: false,
            detail: format!("answered {status}, {reason}: check probe.path, probe.leader and probe.follower"),
        }
    }

    /// What of the body of an answer with this status has to be read.
    pub(super) fn wanted(&self, status: u16) -> Wanted {
        let mut conditions = self.leader.iter().chain(&self.follower);
        if conditions.any(|condition| condition.covers(status) && !condition.json.is_empty()) {
            Wanted::ForVerdict
        } else if self.health.is_some() {
            Wanted::ForHealth
        } else {
            Wanted::Nothing
        }
    }

    /// The pointers that RFC 6901 does not allow, which would never match anything.
    pub(super) fn invalid_pointer(&self) -> Option<&str> {
        let conditions = self.leader.iter().chain(&self.follower);
        conditions
            .flat_map(|condition| &condition.json)
            .map(|(pointer, _)| pointer.as_str())
            .find(|pointer| !pointer.is_empty() && !pointer.starts_with('/'))
    }
}

impl Judgement {
    /// The same; where the request itself tells what a node lacks that does not know its path, with that in its words.
    #[must_use]
    pub(super) fn with_hint(mut self, request: &Request) -> Self {
        if self.verdict == (Verdict::Unfit { status: 404 }) && request.path.starts_with(OPENZITI_HEALTH) {
            self.detail.push_str("; is `- binding: health-checks` in the controller's `web` section?");
        }
        self
    }
}

/// `Ok` if a condition holds; else why the nearest one does not: one whose status fits.
fn first_fit(conditions: &[Condition], answer: &Answer) -> Result<(), Option<String>> {
    let mut nearest = None;
    for condition in conditions.iter().filter(|condition| condition.covers(answer.status)) {
        match answer.misfit(condition) {
            None => return Ok(()),
            Some(misfit) => nearest = nearest.or(Some(misfit)),
        }
    }
    Err(nearest)
}

impl Condition {
    fn covers(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }
}

/// An answer, its body parsed if anything of it is looked at.
struct Answer {
    status: u16,
    json: Option<Value>,
    says_ill: bool,
}

impl Answer {
    fn new(rules: &Rules, status: u16, body: &[u8]) -> Self {
        let is_wanted = rules.wanted(status) != Wanted::Nothing;
        let json: Option<Value> = if is_wanted { serde_json::from_slice(body).ok() } else { None };
        let health = rules.health.and_then(|pointer| json.as_ref()?.pointer(pointer));
        Answer { status, says_ill: health == Some(&Value::Bool(false)), json }
    }

    /// Why the body does not fit a condition, if it does not.
    fn misfit(&self, condition: &Condition) -> Option<String> {
        if condition.json.is_empty() {
            return None;
        }
        let Some(json) = &self.json else {
            return Some("but its body is not JSON".to_owned());
        };
        condition.json.iter().find_map(|(pointer, wanted)| match json.pointer(pointer) {
            None => Some(format!("but its body has no {pointer}")),
            Some(found) if !is_equal(found, wanted) => {
                let place = if pointer.is_empty() { "the whole body" } else { pointer };
                Some(format!("but {place} is {}, not {wanted}", abridged(found)))
            }
            Some(_) => None,
        })
    }

    fn judged(&self, verdict: Verdict, words: &str) -> Judgement {
        Judgement { verdict, healthy: !self.says_ill, detail: format!("{words} ({})", self.status) }
    }
}

/// Whether two values are the same; a number is, however it is written.
fn is_equal(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        _ => found == wanted,
    }
}

/// A value as shown to people: scalars as they are (long ones shortened), the rest by kind.
fn abridged(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > SHOWN => {
            format!("\"{}...\"", text.chars().take(SHOWN).collect::<String>().escape_debug())
        }
        scalar => scalar.to_string(),
    }
}
