//! Numbers as they are written, also those that no table can hold.

/// Whether a text is a number beyond those that a table holds: a whole one beyond 64 bits, or one so large that it would be
/// infinite. Whoever reads a file or a form puts it into the table as its text, so that its field refuses it as it was written, and
/// everything else that is wrong is told with it.
pub fn is_beyond_all(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<i64>().is_err(),
        false => digits.parse::<f64>().is_ok_and(f64::is_infinite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_no_table_holds_is_beyond_all() {
        for text in ["99999999999999999999999", "-9223372036854775809", "9223372036854775808", "1e400", "-1.5E+999"] {
            assert!(is_beyond_all(text), "{text}");
        }
        let others = [
            "9223372036854775807",
            "0",
            "1e308",
            "1e-400",
            "inf",
            "nan",
            "",
            "-",
            "+",
            "wrn-10-1",
            "1 2",
            "1e",
            "infinity",
        ];
        assert!(others.iter().all(|text| !is_beyond_all(text)));
    }
}
