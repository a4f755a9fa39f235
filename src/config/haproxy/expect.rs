//! `http-check expect`: which answers make a server the leader.

use std::ops::RangeInclusive;

use super::remarks::Remarks;
use super::sections::Line;
use super::tokens::Word;
use crate::config::check::LOWEST_FINAL;

/// What a status can be.
const STATUSES: RangeInclusive<u16> = 100..=999;
/// What the status of a final answer can be; those below are never seen.
const FINAL: RangeInclusive<u16> = LOWEST_FINAL..=*STATUSES.end();
/// What counts where the file does not say.
pub(super) const BY_DEFAULT: RangeInclusive<u16> = 200..=399;

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// One of these statuses, sorted.
    Statuses(Vec<RangeInclusive<u16>>),
    /// A body that contains this text.
    Text(String),
}

/// Reads the words behind `http-check expect`.
pub(super) fn parse(line: &Line, remarks: &mut Remarks) -> Option<Expect> {
    let mut words = line.arguments.get(1..).unwrap_or_default();
    while let Some((option, rest)) = words.split_first() {
        words = match option.text.as_str() {
            "comment" | "on-success" | "on-error" => rest.get(1..).unwrap_or_default(),
            "min-recv" | "ok-status" | "error-status" | "tout-status" | "status-code" => {
                let why = "it changes what an answer means in a way that Raftgate does not know; remove it";
                return remarks.refused(&option.span, &format!("http-check expect {}", option.text), why);
            }
            _ => break,
        };
    }
    let negated = words.first().is_some_and(|word| word.is("!"));
    let matcher = if negated { &words[1..] } else { words };
    match matcher {
        [what, list] if what.is("status") => {
            let listed = statuses(list, remarks)?;
            Some(Expect::Statuses(if negated { all_but(&listed) } else { final_only(listed) }))
        }
        [what, text] if what.is("string") && !negated => Some(Expect::Text(text.text.clone())),
        _ => {
            let why = "only `status` with a list of statuses is understood, with or without `!` before it; write that, \
                       or a `probe.leader` in TOML, which can look into a JSON body";
            remarks.refused(&line.span_from(1), "http-check expect", why)
        }
    }
}

/// `200,201,300-310`.
fn statuses(list: &Word, remarks: &mut Remarks) -> Option<Vec<RangeInclusive<u16>>> {
    let parsed: Option<Vec<_>> = list.text.split(',').map(range).collect();
    let Some(mut ranges) = parsed else {
        let why =
            format!("found {:?}, expected statuses from 100 to 999, such as 200 or 200,300-310", list.text);
        return remarks.refused(&list.span, "http-check expect status", why);
    };
    if ranges.iter().all(|range| range.end() < FINAL.start()) {
        let why = "a status below 200 only announces an answer, which Raftgate waits for, so that no node could lead; \
                   let the leader answer 200 or more";
        return remarks.refused(&list.span, "http-check expect status", why);
    }
    ranges.sort_by_key(|range| *range.start());
    Some(ranges)
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| STATUSES.contains(status));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// The part of each range that can be seen.
fn final_only(listed: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    let seen = listed.into_iter().map(|range| *range.start().max(FINAL.start())..=*range.end());
    seen.filter(|range| !range.is_empty()).collect()
}

/// Every other status; `listed` is sorted.
fn all_but(listed: &[RangeInclusive<u16>]) -> Vec<RangeInclusive<u16>> {
    let mut next = *FINAL.start();
    let mut others = Vec::new();
    for range in listed {
        if next < *range.start() {
            others.push(next..=*range.start() - 1);
        }
        next = next.max(range.end() + 1);
    }
    if next <= *FINAL.end() {
        others.push(next..=*FINAL.end());
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_lower_status_first() {
        assert_eq!(range("200"), Some(200..=200));
        assert_eq!(range("200-310"), Some(200..=310));
        for text in ["", "-", "99", "1000", "300-200", "2xx", "200-", "200-300-400"] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_listed_is_between_and_around() {
        assert_eq!(all_but(&[200..=200]), [201..=999]);
        assert_eq!(all_but(&[100..=100]), [200..=999]);
        assert_eq!(all_but(&[429..=429]), [200..=428, 430..=999]);
        assert_eq!(all_but(&[100..=200, 150..=160, 300..=999]), [201..=299]);
        assert_eq!(all_but(&[100..=999]), []);
    }
}
