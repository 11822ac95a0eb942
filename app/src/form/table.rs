//! From what stands in the form to the table of a study file, and back.

use super::fields::{self, Entry, Field};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use study::{Method, SpecError, Study, numeral};
use toml::{Table, Value};

/// What stands in the form, by the field's path; a field that is not there is empty. Of a form that was sent, each box of several has
/// a path of its own ([`Fields::choice`]), and the field has what they say together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Fields(pub BTreeMap<String, String>);

impl From<BTreeMap<String, String>> for Fields {
    fn from(sent: BTreeMap<String, String>) -> Fields {
        let mut fields = Fields(sent);
        for field in fields::all() {
            let Entry::AnyOf(choices) = field.entry else { continue };
            let paths = choices.iter().map(|(choice, _)| (*choice, Fields::choice(field.path, choice)));
            let ticked: Vec<&str> = paths.filter_map(|(choice, path)| fields.0.remove(&path).map(|_| choice)).collect();
            if !ticked.is_empty() {
                fields.set(field.path, ticked.join(", "));
            }
        }
        fields
    }
}

impl From<Fields> for BTreeMap<String, String> {
    fn from(fields: Fields) -> BTreeMap<String, String> {
        fields.0
    }
}

impl Fields {
    /// A new study's form.
    pub fn first() -> Fields {
        Fields(fields::all().map(|field| (field.path.to_owned(), field.first.to_owned())).collect())
    }

    /// The form of a study file. Values that are wrong are taken over too, so that the form can say so.
    pub fn of_table(table: &Table) -> Fields {
        let text = |field: &Field| {
            let value =
                field.path.split('.').try_fold(Value::Table(table.clone()), |value, key| value.get(key).cloned());
            value.map(|value| as_typed(field, &value)).unwrap_or_default()
        };
        let mut filled = Fields(fields::all().map(|field| (field.path.to_owned(), text(field))).collect());
        if table.contains_key("treatment") && filled.get("treatment.method").is_empty() {
            filled.set("treatment.method", "kd".into());
        }
        filled
    }

    pub fn of_study(study: &Study) -> Fields {
        study.to_toml().parse().map(|table| Fields::of_table(&table)).unwrap_or_default()
    }

    /// What a plain form sent along an address: `Some` if it names any field.
    pub fn of_query<'a>(query: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Fields> {
        let named: BTreeMap<String, String> = query
            .filter(|(path, _)| fields::all().any(|field| field.path == *path))
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .collect();
        (!named.is_empty()).then_some(Fields(named))
    }

    /// `page` with what stands in the form behind it. What is not there is empty; the question always is.
    pub fn address(&self, page: &str) -> String {
        let filled = self.0.iter().filter(|(path, text)| !text.is_empty() || path.as_str() == fields::TITLE.path);
        let pairs: Vec<String> = filled.map(|(path, text)| format!("{path}={}", percent_encoded(text))).collect();
        format!("{page}?{}", pairs.join("&"))
    }

    pub fn get(&self, path: &str) -> &str {
        self.0.get(path).map(String::as_str).unwrap_or_default()
    }

    pub fn set(&mut self, path: &str, text: String) {
        self.0.insert(path.to_owned(), text);
    }

    /// The path under which a form sends one choice of a field of several.
    pub fn choice(path: &str, choice: &str) -> String {
        format!("{path}.{choice}")
    }

    /// Whether a choice of several is taken.
    pub fn has(&self, path: &str, choice: &str) -> bool {
        self.get(path).split(',').any(|part| part.trim() == choice)
    }

    /// Takes a choice of several, or leaves it: those that are taken stand in the order of `choices`.
    pub fn choose(&mut self, path: &str, choices: &[(&str, &str)], choice: &str, take: bool) {
        let taken = |it: &str| if it == choice { take } else { self.has(path, it) };
        let taken: Vec<&str> = choices.iter().map(|(it, _)| *it).filter(|it| taken(it)).collect();
        self.set(path, taken.join(", "));
    }

    /// The study, or everything that is wrong with it: read by the same rules as a file.
    pub fn study(&self) -> Result<Study, Vec<SpecError>> {
        Study::from_table(&self.table())
    }

    /// The study file's table. Whether its values make sense is the study's to say. From labels alone there is neither a
    /// teacher nor a treatment, whatever stands in their fields; nor are there numbers that none of the chosen methods has.
    pub fn table(&self) -> Table {
        let labels_alone = self.get(fields::METHOD.path).is_empty();
        let mut table = Table::new();
        for field in fields::all() {
            let text = self.get(field.path).trim();
            let left_out = labels_alone && (field.path.starts_with("teacher.") || field.path.starts_with("treatment."));
            if text.is_empty() || left_out || !self.counts(field) {
                continue;
            }
            put(&mut table, field.path, value_of(field, text));
        }
        table
    }

    /// Whether a chosen method has the number that a field is; all other fields count. Which numbers a method has that is none of those
    /// known is not known either: then all are told.
    fn counts(&self, field: &Field) -> bool {
        let chosen = |method: Method| self.has(fields::METHOD.path, method.name());
        let is_unknown = !self.get(fields::METHOD.path).is_empty() && !Method::ALL.into_iter().any(chosen);
        is_unknown || fields::methods(field).is_none_or(|mut methods| methods.any(chosen))
    }

    /// As a study file, right or wrong.
    pub fn toml(&self) -> String {
        match self.study() {
            Ok(study) => study.to_toml(),
            Err(_) => toml::to_string(&self.table()).unwrap_or_default(),
        }
    }
}

fn put(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(key.to_owned(), value);
            }
        }
    }
}

fn value_of(field: &Field, text: &str) -> Value {
    match field.entry {
        Entry::Words | Entry::OneOf(_) => Value::String(text.to_owned()),
        Entry::Check => Value::Boolean(text == "true"),
        Entry::Value(_) => one_value(text),
        Entry::List => Value::Array(parts(text)),
        Entry::Values(_) | Entry::AnyOf(_) => one_or_several(parts(text)),
        Entry::Chains(_) => {
            let chain = |part: Value| if part.as_str() == Some(NO_CHAIN) { Value::String(String::new()) } else { part };
            one_or_several(parts(text).into_iter().map(chain).collect())
        }
    }
}

/// How the empty chain is typed.
const NO_CHAIN: &str = "none";

fn one_or_several(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

/// The values between commas; a comma at the end is a value still to be typed.
fn parts(text: &str) -> Vec<Value> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one_value).collect()
}

/// A number where it reads as one, else the words as they are, for the study to refuse by name.
fn one_value(text: &str) -> Value {
    let text = text.trim().trim_matches('"');
    if let Ok(integer) = text.parse::<i64>() {
        return Value::Integer(integer);
    }
    match text.parse::<f64>() {
        _ if numeral::is_beyond_all(text) => Value::String(text.to_owned()),
        // "1e3" is a way of writing a whole number.
        Ok(number) if text.contains(['e', 'E']) && number.fract() == 0.0 && number.abs() < 1e15 => {
            Value::Integer(number as i64)
        }
        Ok(number) => Value::Float(number),
        Err(_) => Value::String(text.to_owned()),
    }
}

fn as_typed(field: &Field, value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() && matches!(field.entry, Entry::Chains(_)) => NO_CHAIN.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(|value| as_typed(field, value)).collect::<Vec<_>>().join(", "),
        Value::Boolean(false) => String::new(),
        other => other.to_string().trim_end_matches(".0").to_owned(),
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
