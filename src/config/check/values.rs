//! Checks of single values: a word of a few, a number in a range, a duration that is not nothing, a name.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::findings::At;
use crate::config::nearest::nearest;
use crate::config::raw::{Span, SpanOrOff};
use crate::config::words::{Words, meaning};

/// Shorter intervals and deadlines would only burn a core.
const SHORTEST: Duration = Duration::from_millis(1);

/// Names are label values and columns of tables for people.
const LONGEST_NAME: usize = 64;

impl At<'_> {
    pub(super) fn one_of<T: Copy>(&self, word: Option<&str>, words: &Words<T>, default: T) -> Option<T> {
        let Some(word) = word else { return Some(default) };
        meaning(words, word).or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.reject(match nearest(word, known.iter().copied()) {
                Some(near) => {
                    format!("found {word:?}, expected one of {}; did you mean {near:?}?", known.join(", "))
                }
                None => format!("found {word:?}, expected one of {}", known.join(", ")),
            })
        })
    }

    pub(super) fn within<N: Copy + PartialOrd + Display>(
        &self,
        number: N,
        range: RangeInclusive<N>,
    ) -> Option<N> {
        if range.contains(&number) {
            return Some(number);
        }
        self.reject(format!("found {number}, expected a number from {} to {}", range.start(), range.end()))
    }

    /// A duration, or none by `"off"`; 0 is refused.
    #[expect(clippy::option_option, reason = "whether it was right, and whether it is on")]
    pub(super) fn span_or_off(
        &self,
        raw: Option<SpanOrOff>,
        default: Option<Duration>,
    ) -> Option<Option<Duration>> {
        match raw {
            None => Some(default),
            Some(SpanOrOff(Some(Duration::ZERO))) => {
                self.reject("found 0s, expected a duration; write \"off\" for none")
            }
            Some(SpanOrOff(duration)) => Some(duration),
        }
    }

    /// A duration that something is repeated at, or may take.
    pub(super) fn positive(&self, span: Option<Span>, default: Duration) -> Option<Duration> {
        let duration = span.map_or(default, |span| span.0);
        if duration >= SHORTEST {
            return Some(duration);
        }
        self.reject(format!("found {}, expected at least 1ms", humantime::format_duration(duration)))
    }

    /// The name of a listener, cluster or node.
    pub(super) fn name(&self, name: &str) -> Option<Arc<str>> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            return self.reject(format!(
                "{name:?} cannot be a name; use up to {LONGEST_NAME} letters, digits, dashes, dots and underscores"
            ));
        }
        Some(name.into())
    }
}
