//! JSON bodies, read so that whatever is wrong is told by its field.

use serde_json::{Number, Value};
use study::{SpecError, StudyId, numeral};

/// A study's table, right or wrong. `null` is as good as absent; a number that no table holds stands in it as its text
/// ([`numeral`]), for its field to refuse.
///
/// # Errors
/// The body as a whole: it is not JSON, or not an object.
pub fn table(body: &str) -> Result<toml::Table, Vec<SpecError>> {
    let refused = |problem: String, given: &str| {
        let allowed = "an object with the fields of a study file".into();
        vec![SpecError { field: String::new(), problem, given: given.into(), allowed }]
    };
    let value: Value = serde_json::from_str(&large_numbers_as_text(body))
        .map_err(|error| refused(format!("is not a study in JSON: {error}"), "the request's body"))?;
    match toml_value(value) {
        Some(toml::Value::Table(table)) => Ok(table),
        _ => Err(refused("is no object".into(), "another kind of JSON")),
    }
}

/// The same JSON with quotes around the numbers that no table holds: a reader of JSON knows no such numbers, and would tell nothing
/// else that is wrong.
fn large_numbers_as_text(body: &str) -> String {
    let part_of_a_number = |it: char| it.is_ascii_digit() || matches!(it, '+' | '-' | '.' | 'e' | 'E');
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(start) = rest.find(|it: char| it == '"' || it == '-' || it.is_ascii_digit()) {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = match rest.starts_with('"') {
            true => end_of_string(rest),
            false => rest.find(|it| !part_of_a_number(it)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(end);
        match numeral::is_beyond_all(token) {
            true => text.extend(["\"", token, "\""]),
            false => text.push_str(token),
        }
        rest = behind;
    }
    text + rest
}

/// Behind the quote that ends the string which `text` begins with.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// `None` for `null`. In a list it has a place and no meaning: it stays, for the field to refuse by name.
fn toml_value(value: Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(boolean) => boolean.into(),
        Value::Number(number) => toml_number(&number),
        Value::String(text) => text.into(),
        Value::Array(list) => {
            let null = || toml::Value::String("null".into());
            toml::Value::Array(list.into_iter().map(|value| toml_value(value).unwrap_or_else(null)).collect())
        }
        Value::Object(object) => {
            let fields = object.into_iter().filter_map(|(field, value)| Some((field, toml_value(value)?)));
            toml::Value::Table(fields.collect())
        }
    })
}

fn toml_number(number: &Number) -> toml::Value {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.into(),
        (None, real) => real.unwrap_or(f64::NAN).into(),
    }
}

/// The study that `{"study": ID}` names.
///
/// # Errors
/// Field `study`.
pub fn study_id(body: &str) -> Result<StudyId, Vec<SpecError>> {
    let told = |problem: &str, given: String| {
        let (field, allowed) = ("study".into(), "an object {\"study\": ID} with the number of a study".into());
        vec![SpecError { field, problem: problem.into(), given, allowed }]
    };
    let body: Value = serde_json::from_str(body)
        .map_err(|error| told(&format!("cannot be read: {error}"), "the request's body".into()))?;
    match body.get("study") {
        None | Some(Value::Null) => Err(told("is missing", "nothing".into())),
        Some(value) => {
            let number = value.as_u64().map(StudyId);
            number.ok_or_else(|| told("is not the number of a study", in_place_of_a_number(value)))
        }
    }
}

/// How many seeds `{"more": 5}` asks for. How many there may be is not known here.
///
/// # Errors
/// Field `more`, or whichever else stands there.
pub fn more_seeds(body: &str) -> Result<u32, Vec<SpecError>> {
    let told = |field: &str, problem: &str, given: String| {
        let allowed = "an object {\"more\": NUMBER} with how many seeds to add".into();
        vec![SpecError { field: field.into(), problem: problem.into(), given, allowed }]
    };
    let body: Value = serde_json::from_str(body)
        .map_err(|error| told("more", &format!("cannot be read: {error}"), "the request's body".into()))?;
    let others = body.as_object().and_then(|fields| fields.keys().find(|field| *field != "more"));
    if let Some(field) = others {
        return Err(told(field, "is not known here", format!("\"{field}\"")));
    }
    match body.get("more") {
        None | Some(Value::Null) => Err(told("more", "is missing", "nothing".into())),
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| told("more", "is not a number of seeds", in_place_of_a_number(value)))
        }
    }
}

/// What stands where a number should. Of a longer text, an object or a list, its kind says enough.
fn in_place_of_a_number(value: &Value) -> String {
    if value.is_number() || value.is_boolean() { value.to_string() } else { "no number".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::Study;

    const STUDY: &str = r#""title": "?", "dataset": "mnist", "student": {"architecture": "wrn-10-1", "epochs": 2}"#;

    fn told(fields: &str) -> Vec<(String, String)> {
        let table = table(&format!("{{{STUDY}, {fields}}}")).expect("an object");
        let errors = Study::from_table(&table).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.field, error.given)).collect()
    }

    #[test]
    fn what_is_wrong_in_json_is_told_by_its_field() {
        assert_eq!(told(r#""seeds": null, "teacher": null, "recipe": {"momentum": null}"#), []);
        let numbers = told(
            r#""seeds": 18446744073709551615, "validation": -99999999999999999999, "recipe": {"batch_size": 1.5}"#,
        );
        let expected =
            [("validation", "-99999999999999999999"), ("seeds", "18446744073709551615"), ("recipe.batch_size", "1.5")];
        assert_eq!(numbers, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
        let beyond = told(r#""seeds": 1e400, "recipe": {"momentum": -1E+999, "batch_size": 0}"#);
        let expected = [("seeds", "1e400"), ("recipe.batch_size", "0"), ("recipe.momentum", "-1E+999")];
        assert_eq!(beyond, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
        let listed = told(r#""recipe": {"drop_epochs": [1, null]}, "x": true"#);
        let expected = [("recipe.drop_epochs", "\"null\""), ("x", "true")];
        assert_eq!(listed, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
        for body in ["", "{", "[]", "null", "1", "\"title\""] {
            let errors = table(body).expect_err("no study");
            assert_eq!((errors.len(), errors[0].field.as_str()), (1, ""), "{body}");
        }
    }

    #[test]
    fn what_stands_in_a_text_is_no_number() {
        for body in [
            r#"{"title": "1e999 \" 99999999999999999999 \\", "a": 1e3}"#,
            r#"["\u00e4", "é1e999", -1.5e-3]"#,
            "\"1e999",
        ] {
            assert_eq!(large_numbers_as_text(body), body);
        }
        assert_eq!(
            large_numbers_as_text(r#"{"a":1e999,"b":[-99999999999999999999]}"#),
            r#"{"a":"1e999","b":["-99999999999999999999"]}"#
        );
    }

    #[test]
    fn a_study_is_named_by_a_number() {
        assert_eq!(study_id("{\"study\": 7}"), Ok(StudyId(7)));
        for body in ["", "{}", "{\"study\": null}", "{\"study\": \"7\"}", "{\"study\": -1}", "{\"study\": 1.5}", "[7]"]
        {
            let errors = study_id(body).expect_err("no study");
            assert_eq!((errors.len(), errors[0].field.as_str()), (1, "study"), "{body}");
        }
    }

    #[test]
    fn seeds_are_added_by_a_number_and_nothing_else_is_said() {
        assert_eq!(more_seeds("{\"more\": 5}"), Ok(5));
        assert_eq!(
            more_seeds("{\"more\": 0}"),
            Ok(0),
            "that none are added is refused where it is known how many may be"
        );
        for (body, field) in [
            ("", "more"),
            ("{}", "more"),
            ("[5]", "more"),
            ("{\"more\": null}", "more"),
            ("{\"more\": \"5\"}", "more"),
            ("{\"more\": -1}", "more"),
            ("{\"more\": 1.5}", "more"),
            ("{\"more\": 4294967296}", "more"),
            ("{\"more\": 5, \"seeds\": 8}", "seeds"),
        ] {
            let errors = more_seeds(body).expect_err("no number of seeds");
            assert_eq!((errors.len(), errors[0].field.as_str()), (1, field), "{body}");
        }
    }
}
