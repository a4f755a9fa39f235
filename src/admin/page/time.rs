//! Moments and durations in the words of the page. Moments are in UTC, as in the log.

use std::time::{Duration, UNIX_EPOCH};

/// The last second that has a name of four digits for its year.
const LAST_SECOND: f64 = 253_402_300_799.0;
const DAY: f64 = 86_400.0;

/// A moment in full: `2026-11-25T21:40:02Z`.
pub(super) fn in_full(at: f64) -> String {
    let at = Duration::from_secs_f64(if at.is_nan() { 0.0 } else { at.clamp(0.0, LAST_SECOND) });
    humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string()
}

/// A moment as read at `now`: `21:40:02`, and with its day if that is another.
pub(super) fn clock(at: f64, now: f64) -> String {
    let (at, now) = (in_full(at), in_full(now));
    match (at.split_once('T'), now.split_once('T')) {
        (Some((day, time)), Some((today, _))) => {
            let time = time.trim_end_matches('Z');
            if day == today { time.to_owned() } else { format!("{day} {time}") }
        }
        _ => at,
    }
}

/// A duration in seconds, in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::from_secs_f64(seconds.min(LAST_SECOND)).as_secs();
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", whole % 60),
        (0, ..) => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

/// Milliseconds, in a word.
pub(super) fn span_ms(ms: u64) -> String {
    span(Duration::from_millis(ms).as_secs_f64())
}

/// How many whole days are left until a moment; negative once it has passed.
pub(super) fn days_left(until: i64, now: f64) -> f64 {
    // Beyond 2^53 seconds it is no matter by how many.
    #[expect(clippy::cast_precision_loss, reason = "days of the next millennia are exact")]
    let until = until as f64;
    ((until - now) / DAY).floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_short_today_and_long_on_other_days() {
        let now = 1_764_106_802.0;
        assert_eq!(in_full(now), "2025-11-25T21:40:02Z");
        assert_eq!(
            (clock(now - 3.5, now), clock(now - DAY, now)),
            ("21:39:58".into(), "2025-11-24 21:40:02".into())
        );
    }

    #[test]
    fn no_moment_is_too_far_away_to_be_named() {
        assert_eq!(in_full(f64::MAX), "9999-12-31T23:59:59Z");
        for at in [-5.0, f64::NAN] {
            assert_eq!(in_full(at), "1970-01-01T00:00:00Z");
        }
        assert!(days_left(i64::MAX, 0.0) > 1e9);
        assert!(span(f64::MAX).ends_with('h'));
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        let spans = [-1.0, 0.042, 0.9996, 9.94, 59.9, 61.0, 3600.0, 90_061.0].map(span);
        assert_eq!(
            spans,
            ["0 ms", "42 ms", "1.0 s", "9.9 s", "59 s", "1 min 01 s", "1 h 00 min", "1 d 01 h"]
        );
    }

    #[test]
    fn a_certificate_is_good_for_whole_days() {
        let days = [86_400, 86_399, -1].map(|until| days_left(until, 0.0).to_string());
        assert_eq!(days, ["1", "0", "-1"]);
    }
}
