//! What lasted how long, side by side on one line of time: an SVG as wide as its place.
//!
//! States are told apart by colour, and by shape: the leader fills the line's whole height, a follower its lower part,
//! an unfit node is dotted, an unreachable one hatched, an unknown one a thin line.

use super::html::Html;
use super::time::{clock, span};

/// How far back a strip reaches, in seconds.
pub(super) const REACH: f64 = 600.0;
/// The least width that can be seen, in per cent: so is what was over in an instant.
const LEAST_WIDTH: f64 = 0.35;
/// How many of the newest changes are told to whoever cannot see the strip.
const TOLD: usize = 6;

/// Something that lasted for some time.
#[derive(Debug)]
pub(super) struct Period {
    /// The class that gives it its look.
    pub(super) look: &'static str,
    /// What it was, in words.
    pub(super) what: String,
    /// What is written on it, if there is room.
    pub(super) label: String,
    pub(super) from: f64,
    pub(super) until: f64,
}

/// Where something stands on the line, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    width: f64,
}

/// Draws periods that end at `now` or before, the oldest first.
pub(super) fn draw(html: &mut Html, now: f64, periods: &[Period]) {
    let begin = now - REACH;
    let seen: Vec<&Period> =
        periods.iter().filter(|period| period.until >= begin && period.from <= now).collect();
    html.add("<svg class=\"strip\" role=\"img\" aria-label=\"{}\">", &[&in_words(&seen, now)]);
    // What is too short to be seen at its own width is drawn wider, and over its neighbours.
    let (broad, narrow): (Vec<_>, Vec<_>) = seen
        .into_iter()
        .map(|period| (period, place(period, begin, now)))
        .partition(|(_, place)| place.width >= LEAST_WIDTH);
    for (period, place) in broad.into_iter().chain(narrow) {
        draw_one(html, now, period, place);
    }
    html.add("</svg>", &[]);
}

fn place(period: &Period, begin: f64, now: f64) -> Place {
    let (from, until) = (period.from.clamp(begin, now), period.until.clamp(begin, now));
    Place { x: (from - begin) / REACH * 100.0, width: (until - from).max(0.0) / REACH * 100.0 }
}

fn draw_one(html: &mut Html, now: f64, period: &Period, Place { x, width }: Place) {
    let width = width.max(LEAST_WIDTH);
    let x = x.min(100.0 - width);
    let (x, width) = (format!("{x:.3}%"), format!("{width:.3}%"));
    html.add("<svg class=\"{}\" x=\"{}\" width=\"{}\" height=\"100%\">", &[&period.look, &x, &width]);
    html.add(
        "<title>{}, {} for {}</title>",
        &[&period.what, &clock(period.from, now), &span(period.until - period.from)],
    );
    html.add("<rect width=\"100%\" height=\"100%\"/>", &[]);
    if let Some(pattern) = pattern(period.look) {
        html.add("<rect class=\"pattern\" width=\"100%\" height=\"100%\" fill=\"url(#{})\"/>", &[&pattern]);
    }
    if !period.label.is_empty() {
        html.add("<text x=\"5\" y=\"50%\">{}</text>", &[&period.label]);
    }
    html.add("</svg>", &[]);
}

/// What a look is told by besides its colour, if not by its height; the frame has these patterns.
fn pattern(look: &str) -> Option<&'static str> {
    match look {
        "unfit" => Some("dots"),
        "unreachable" | "none" => Some("hatch"),
        _ => None,
    }
}

/// The newest of what is seen, for those who have it read to them.
fn in_words(seen: &[&Period], now: f64) -> String {
    let newest = &seen[seen.len().saturating_sub(TOLD)..];
    let words: Vec<String> =
        newest.iter().map(|period| format!("{} since {}", period.what, clock(period.from, now))).collect();
    if words.is_empty() { "nothing known".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(look: &'static str, from: f64, until: f64) -> Period {
        Period { look, what: look.to_owned(), label: String::new(), from, until }
    }

    fn drawn(now: f64, periods: &[Period]) -> String {
        let mut html = Html::default();
        draw(&mut html, now, periods);
        html.into_text()
    }

    #[test]
    fn a_strip_ends_now_and_what_is_older_is_cut_off() {
        let svg = drawn(
            1600.0,
            &[period("older", 0.0, 900.0), period("old", 900.0, 1300.0), period("new", 1300.0, 1600.0)],
        );
        assert!(!svg.contains("class=\"older\""), "{svg}");
        assert!(svg.contains("class=\"old\" x=\"0.000%\" width=\"50.000%\""), "{svg}");
        assert!(svg.contains("class=\"new\" x=\"50.000%\" width=\"50.000%\""), "{svg}");
    }

    #[test]
    fn what_was_over_in_an_instant_is_seen_and_drawn_over_its_neighbours() {
        let svg = drawn(
            600.0,
            &[period("a", 0.0, 599.95), period("gap", 599.95, 600.0), period("b", 600.0, 600.0)],
        );
        assert!(svg.contains("class=\"gap\" x=\"99.650%\" width=\"0.350%\""), "{svg}");
        assert!(svg.find("class=\"a\"") < svg.find("class=\"gap\""), "{svg}");
    }

    #[test]
    fn a_strip_is_told_to_those_who_cannot_see_it() {
        let periods: Vec<Period> = (0..9_u32).map(|n| period("x", f64::from(n), f64::from(n + 1))).collect();
        let svg = drawn(9.0, &periods);
        assert!(svg.contains("aria-label=\"x since 00:00:03, x since 00:00:04"), "{svg}");
        assert!(drawn(9.0, &[]).contains("aria-label=\"nothing known\""));
    }

    #[test]
    fn a_clock_that_was_set_back_breaks_nothing() {
        let svg = drawn(600.0, &[period("a", 700.0, 650.0), period("b", 500.0, 400.0)]);
        assert!(svg.contains("class=\"b\"") && !svg.contains("NaN") && !svg.contains("\"-"), "{svg}");
    }
}
