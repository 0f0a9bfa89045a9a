//! Figures as people read them: durations in a fitting unit, counts with separators, text without control characters.
//!
//! Takes plain numbers with their unit and gives short texts. Must not know where they are shown.

/// What stands where a figure is not known.
pub const UNKNOWN: &str = "-";

/// A duration of milliseconds: `0.42 ms`, `8.3 ms`, `412 ms`, `3.02 s`, `5m 07s`, `4h 02m`.
pub fn ms(value_ms: f64) -> String {
    if value_ms < 0.0 {
        return format!("-{}", ms(-value_ms));
    }
    match value_ms {
        0.0 => "0 ms".to_owned(),
        v if v < 0.995 => format!("{v:.2} ms"),
        v if v < 9.95 => format!("{v:.1} ms"),
        v if v < 999.5 => format!("{v:.0} ms"),
        v if v < 119_995.0 => format!("{:.2} s", v / 1e3),
        v => {
            let seconds = (v / 1e3).round() as u64;
            match seconds / 3600 {
                0 => format!("{}m {:02}s", seconds / 60, seconds % 60),
                hours => format!("{hours}h {:02}m", seconds % 3600 / 60),
            }
        }
    }
}

/// As [`ms`], with a dash for what is not known.
pub fn maybe_ms(value_ms: Option<f64>) -> String {
    value_ms.map_or_else(|| UNKNOWN.to_owned(), ms)
}

/// A duration of microseconds, written as [`ms`] writes it.
pub fn maybe_us(value_us: Option<u64>) -> String {
    maybe_ms(value_us.map(|us| us as f64 / 1e3))
}

/// A count with separators: `12,345`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, in the singular where it is one: `1 tenant`, `26 tenants`.
pub fn things(value: u64, singular: &str) -> String {
    match value {
        1 => format!("1 {singular}"),
        _ => format!("{} {singular}s", count(value)),
    }
}

/// A share of one as a percentage. What is short of everything never rounds up to `100%`.
pub fn percent(share: f64) -> String {
    match share {
        s if s >= 1.0 => format!("{:.0}%", s * 100.0),
        s if s > 0.999 => "99.9%".to_owned(),
        s => format!("{:.1}%", s * 100.0),
    }
}

/// A value in the unit that an objective names.
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "ms" => ms(value),
        "us" => ms(value / 1e3),
        "share" => percent(value),
        "ratio" => format!("{value:.2}x"),
        _ if value.fract() == 0.0 && value.abs() < 1e15 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", count(value.abs() as u64))
        }
        _ => format!("{value:.2}"),
    }
}

/// `text` on one line and without control characters, so that a name or a server's message cannot steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// `text` as [`plain`] gives it, with single spaces and cut to `chars_max` characters with an ellipsis for what is left out.
pub fn shortened(text: &str, chars_max: usize) -> String {
    let text = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match text.chars().count() {
        length if length <= chars_max => text,
        _ => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_unit_that_fits() {
        let texts = [0.0, 0.42, 8.26, 99.6, 412.4, 999.6, 3_021.0, 119_990.0, 307_000.0, 14_520_000.0].map(ms);
        let expected =
            ["0 ms", "0.42 ms", "8.3 ms", "100 ms", "412 ms", "1.00 s", "3.02 s", "119.99 s", "5m 07s", "4h 02m"];
        assert_eq!(texts, expected);
        assert_eq!(ms(-3_021.0), "-3.02 s");
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_never_a_nought() {
        assert_eq!(maybe_ms(None), "-");
        assert_eq!(maybe_us(None), "-");
    }

    #[test]
    fn counts_have_separators() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(|n| things(n, "tenant")), ["1 tenant", "2 tenants"]);
    }

    #[test]
    fn a_share_short_of_everything_does_not_round_up() {
        assert_eq!([1.0, 0.999_99, 0.5, 0.0].map(percent), ["100%", "99.9%", "50.0%", "0.0%"]);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a [31mb c");
        assert_eq!(shortened("a  long\nname", 6), "a lon…");
    }
}
