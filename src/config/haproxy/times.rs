//! Times as HAProxy writes them: a whole number with a unit, or of milliseconds without one.

use std::time::Duration;

/// HAProxy's own bound: timers are counted in milliseconds, in 31 bits.
const LONGEST_MS: u64 = 2_147_483_647;

/// A duration in whole milliseconds; what is left of one counts for one, as HAProxy rounds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with(['.', ',']) {
        return Err(format!(
            "found {text:?}, expected a whole number with a unit (us, ms, s, m, h, d), such as 5s"
        ));
    }
    let too_long =
        || format!("found {text:?}, which is longer than HAProxy's own bound of 24.8 days; write less");
    let number: u64 = number.parse().map_err(|_| too_long())?;
    let milliseconds = match unit {
        "us" => Some(number.div_ceil(1000)),
        "" | "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => {
            return Err(format!(
                "found {text:?}, whose unit is none of us, ms, s, m, h, d; write one number with one"
            ));
        }
    };
    milliseconds.filter(|ms| *ms <= LONGEST_MS).map(Duration::from_millis).ok_or_else(too_long)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_a_whole_number_with_a_unit() {
        for (text, ms) in [
            ("5000", 5000),
            ("0", 0),
            ("1us", 1),
            ("1500us", 2),
            ("250ms", 250),
            ("5s", 5000),
            ("30m", 1_800_000),
            ("1h", 3_600_000),
            ("24d", 2_073_600_000),
            ("2147483647", 2_147_483_647),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_why() {
        for (text, why) in [
            ("", "whole number"),
            ("s", "whole number"),
            ("-1", "whole number"),
            ("1.5s", "whole number"),
            ("1m30s", "unit"),
            ("5 s", "unit"),
            ("5S", "unit"),
            ("25d", "24.8 days"),
            ("99999999999999999999s", "24.8 days"),
            ("18446744073709551615d", "24.8 days"),
        ] {
            assert!(parse(text).is_err_and(|error| error.contains(why)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
