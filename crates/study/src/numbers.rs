//! How numbers are written: rounded to what their interval supports, the same everywhere and in every locale.

/// Between a number and its unit, so that no line breaks there.
const NARROW: char = '\u{202f}';
/// Behind a number.
pub const PERCENT: &str = "\u{202f}%";
const MINUS: char = '\u{2212}';

/// Decimals that leave two figures of a half width: 0.031 supports three, 1.4 one.
fn decimals_for(half_width: f64) -> usize {
    if !half_width.is_finite() || half_width <= 0.0 {
        return 2;
    }
    let first_figure = -half_width.log10().floor();
    (first_figure + 1.0).clamp(0.0, 3.0) as usize
}

/// A number with a true minus sign. What rounds to zero has none.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|digit| matches!(digit, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("{MINUS}{rest}"),
        None => text,
    }
}

/// A difference: always with its sign, unless it rounds to zero.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    if value > 0.0 && text.chars().any(|digit| matches!(digit, '1'..='9')) { format!("+{text}") } else { text }
}

pub fn half_width((low, high): (f64, f64)) -> f64 {
    (high - low) / 2.0
}

/// "91.32 ± 0.28", or without an interval "91.32".
pub fn with_interval(mean: f64, interval: Option<(f64, f64)>) -> String {
    beside_its_interval(fixed, mean, interval)
}

/// As [`with_interval`], for a difference.
pub fn signed_with_interval(mean: f64, interval: Option<(f64, f64)>) -> String {
    beside_its_interval(signed, mean, interval)
}

fn beside_its_interval(write: fn(f64, usize) -> String, mean: f64, interval: Option<(f64, f64)>) -> String {
    let Some(half) = interval.map(half_width) else { return write(mean, 2) };
    let decimals = decimals_for(half);
    format!("{} ±{NARROW}{}", write(mean, decimals), fixed(half, decimals))
}

/// How many seeds stand behind a mean: "n = 3".
pub fn behind(n: u32) -> String {
    format!("n = {n}")
}

pub fn percent(value: f64, decimals: usize) -> String {
    format!("{}{PERCENT}", fixed(value, decimals))
}

pub fn p_value(p: f64) -> String {
    match p {
        _ if p < 0.001 => "< 0.001".into(),
        _ if p < 0.1 => format!("{p:.3}"),
        _ => format!("{p:.2}"),
    }
}

/// "12,000".
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// "1 run", "15 runs".
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// "15 runs, 16 segments, 272 epochs instead of 320".
pub fn plan(runs: u64, segments: u64, epochs: u64, epochs_without_sharing: u64) -> String {
    let head = format!("{}, {}, {}", counted(runs, "run"), counted(segments, "segment"), counted(epochs, "epoch"));
    if epochs_without_sharing > epochs { format!("{head} instead of {}", count(epochs_without_sharing)) } else { head }
}

/// A time that is an estimate: rounded as one would say it.
pub fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, 1e12) } else { 0.0 };
    let minutes = (seconds / 60.0).round() as u64;
    match seconds {
        _ if seconds < 10.0 => "a few seconds".into(),
        _ if seconds < 90.0 => format!("{} seconds", ((seconds / 5.0).round() as u64) * 5),
        _ if minutes < 60 => counted(minutes, "minute"),
        _ if minutes < 10 * 60 => match minutes % 60 {
            0 => counted(minutes / 60, "hour"),
            rest => format!("{} h {rest} min", minutes / 60),
        },
        _ if minutes < 48 * 60 => counted((minutes + 30) / 60, "hour"),
        _ => counted((minutes + 12 * 60) / (24 * 60), "day"),
    }
}

/// A time that is an estimate, before what it is of: "about 15 minutes", "a few seconds".
pub fn about(seconds: f64) -> String {
    let said = duration(seconds);
    if said.starts_with("a ") { said } else { format!("about {said}") }
}

/// Before a number which nothing that may come exceeds: what a search comes to.
pub fn at_most(is_bound: bool) -> &'static str {
    if is_bound { "at most " } else { "" }
}

/// The same words on one line: a number must not lose its unit to the next.
pub fn kept_together(words: &str) -> String {
    words.replace(' ', "\u{a0}")
}

/// A day in UTC, as 2026-11-24, from seconds since 1970-01-01. By Howard Hinnant's `civil_from_days`.
pub fn day(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A day with its hour: "2026-11-24 09:37 UTC".
pub fn moment(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(86_400);
    format!("{} {:02}:{:02} UTC", day(seconds), of_day / 3_600, of_day / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rounded_to_what_its_interval_supports() {
        assert_eq!(with_interval(91.3249, Some((91.04, 91.61))), "91.32 ±\u{202f}0.28");
        assert_eq!(with_interval(88.25, Some((86.0, 90.5))), "88.2 ±\u{202f}2.2");
        assert_eq!(with_interval(60.0, Some((45.0, 75.0))), "60 ±\u{202f}15");
        assert_eq!(with_interval(91.326, None), "91.33");
        assert_eq!(signed_with_interval(-0.3, Some((-0.72, 0.12))), "−0.30 ±\u{202f}0.42");
        assert_eq!(signed_with_interval(0.424, None), "+0.42");
    }

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(signed(0.001, 2), "0.00");
        assert_eq!(signed(-0.006, 2), "−0.01");
    }

    #[test]
    fn counts_days_and_durations_read_as_one_says_them() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(320), "320");
        assert_eq!(counted(1, "run"), "1 run");
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(-86_400), "1969-12-31");
        assert_eq!(moment(1_795_512_345), "2026-11-24 09:25 UTC");
        let said: Vec<String> = [4.0, 47.0, 130.0, 3_600.0, 12_000.0, 60_000.0, 400_000.0].map(duration).into();
        assert_eq!(said, ["a few seconds", "45 seconds", "2 minutes", "1 hour", "3 h 20 min", "17 hours", "5 days"]);
        assert_eq!(p_value(0.00004), "< 0.001");
        assert_eq!(p_value(0.0123), "0.012");
        assert_eq!(p_value(0.4567), "0.46");
    }
}
