//! From a file's bytes to the table that it says, right or wrong.

use crate::{
    SpecError,
    section::{shortened, shortened_to},
};
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

/// Characters of a TOML reader's message that are repeated in an error.
const MESSAGE_MAX: usize = 200;

/// # Errors
/// The file as a whole: its bytes are no text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, SpecError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let whole = error.valid_up_to();
        let line = bytes[..whole].iter().filter(|byte| **byte == b'\n').count() + 1;
        SpecError {
            field: String::new(),
            problem: format!("line {line} is not text in UTF-8"),
            given: bytes.get(whole).map_or(String::new(), |byte| format!("the byte 0x{byte:02x}")),
            allowed: "a study file in TOML, written in UTF-8".into(),
        }
    })
}

/// A number that no table holds stands in it as its text ([`crate::numeral`]), for its field to refuse.
///
/// # Errors
/// The file as a whole: it is not TOML.
pub(crate) fn table(text: &str) -> Result<Table, SpecError> {
    let table = DeTable::parse(text).map_err(|error| syntax_error(text, &error))?;
    Ok(table_of(table.into_inner()))
}

fn table_of(table: DeTable<'_>) -> Table {
    table.into_iter().map(|(key, value)| (key.into_inner().into_owned(), value_of(value))).collect()
}

/// As deep as the reader of TOML lets values be.
fn value_of(value: Spanned<DeValue<'_>>) -> Value {
    match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::String(integer.to_string()),
        },
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() || !float.as_str().contains(|it: char| it.is_ascii_digit()) => {
                Value::Float(number)
            }
            _ => Value::String(float.to_string()),
        },
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Datetime(datetime) => Value::Datetime(datetime),
        DeValue::Array(list) => Value::Array(list.into_iter().map(value_of).collect()),
        DeValue::Table(table) => Value::Table(table_of(table)),
    }
}

/// Which line of the file is not TOML, and why.
fn syntax_error(text: &str, error: &toml::de::Error) -> SpecError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count();
    let given = text.lines().nth(line).unwrap_or_default();
    SpecError {
        field: String::new(),
        problem: format!("line {} is not TOML: {}", line + 1, shortened_to(error.message(), MESSAGE_MAX)),
        given: shortened(given.trim()),
        allowed: "a study file in TOML".into(),
    }
}
