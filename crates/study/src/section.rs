//! One table of a study file: its fields read one by one, each error with its field, what was given and what is allowed.

use crate::{Choices, SpecError, check, kinds::Kind, numeral};
use toml::{Table, Value};

/// Unknown fields told one by one in each table; the rest are only counted.
const UNKNOWN_MAX: usize = 10;
/// Characters of what was given that are repeated in an error.
const GIVEN_MAX: usize = 60;

/// One table of the file.
pub(crate) struct Section<'a> {
    /// Empty for the file itself.
    pub name: &'static str,
    pub fields: &'static [&'static str],
    /// `None` where the file has no such table, which reads like an empty one.
    pub table: Option<&'a Table>,
}

impl<'a> Section<'a> {
    pub fn value(&self, field: &str) -> Option<&'a Value> {
        self.table?.get(field)
    }

    pub fn section(
        &self,
        name: &'static str,
        fields: &'static [&'static str],
        errors: &mut Vec<SpecError>,
    ) -> Section<'a> {
        let value = self.value(name);
        let table = value.and_then(Value::as_table);
        if let (Some(value), None) = (value, table) {
            let allowed = format!("a table [{name}] of {}", fields.join(", "));
            errors.push(self.error(name, "is not a table", value, &allowed));
        }
        Section { name, fields, table }
    }

    pub fn optional<T>(&self, field: &str, kind: &Kind<T>, errors: &mut Vec<SpecError>) -> Option<T> {
        let value = self.value(field)?;
        (kind.read)(value).map_err(|problem| errors.push(self.error(field, &problem, value, &kind.allowed))).ok()
    }

    /// `default` where the field is absent, `None` where it is wrong.
    pub fn or<T>(&self, field: &str, kind: &Kind<T>, default: T, errors: &mut Vec<SpecError>) -> Option<T> {
        if self.value(field).is_none() { Some(default) } else { self.optional(field, kind, errors) }
    }

    pub fn required<T>(&self, field: &str, kind: &Kind<T>, errors: &mut Vec<SpecError>) -> Option<T> {
        self.require(field, &kind.allowed, errors);
        self.optional(field, kind, errors)
    }

    /// One value or a list of them; `None` where the field is absent or wrong.
    pub fn choices<T: Clone + PartialEq>(
        &self,
        field: &str,
        kind: &Kind<T>,
        errors: &mut Vec<SpecError>,
    ) -> Option<Choices<T>> {
        let list = match self.value(field)? {
            Value::Array(list) => list,
            _ => return self.optional(field, kind, errors).map(Choices::from),
        };
        if !(1..=check::CHOICES_MAX).contains(&list.len()) {
            let problem = if list.is_empty() { "is an empty list" } else { "is too long a list" };
            let allowed = format!("one value, or a list of 1 to {}; each {}", check::CHOICES_MAX, kind.allowed);
            let given = match list.len() {
                0 => "[]".into(),
                many => format!("{many} values"),
            };
            errors.push(self.error_given(field, problem, &given, &allowed));
            return None;
        }
        let values = self.elements(field, list, kind, errors)?;
        for (index, value) in values.iter().enumerate() {
            if values[..index].contains(value) {
                let problem = format!("says a value again (number {} of the list)", index + 1);
                errors.push(self.error(field, &problem, &list[index], "each value once"));
            }
        }
        Some(Choices(values))
    }

    /// `default` where the field is absent, `None` where it is wrong.
    pub fn or_choices<T: Clone + PartialEq>(
        &self,
        field: &str,
        kind: &Kind<T>,
        default: Choices<T>,
        errors: &mut Vec<SpecError>,
    ) -> Option<Choices<T>> {
        if self.value(field).is_none() { Some(default) } else { self.choices(field, kind, errors) }
    }

    pub fn required_choices<T: Clone + PartialEq>(
        &self,
        field: &str,
        kind: &Kind<T>,
        errors: &mut Vec<SpecError>,
    ) -> Option<Choices<T>> {
        self.require(field, &kind.allowed, errors);
        self.choices(field, kind, errors)
    }

    /// Every element, or none where one is wrong: each wrong one is told.
    pub fn elements<T>(
        &self,
        field: &str,
        list: &[Value],
        kind: &Kind<T>,
        errors: &mut Vec<SpecError>,
    ) -> Option<Vec<T>> {
        let mut values = Vec::new();
        for (index, element) in list.iter().enumerate() {
            match (kind.read)(element) {
                Ok(value) => values.push(value),
                Err(problem) => {
                    let problem = format!("{problem} (number {} of the list)", index + 1);
                    errors.push(self.error(field, &problem, element, &kind.allowed));
                }
            }
        }
        (values.len() == list.len()).then_some(values)
    }

    /// Those values of a field, or of its list, that can be read: what others lean on where some of them are wrong.
    pub fn readable<T>(&self, field: &str, kind: &Kind<T>) -> Vec<T> {
        let all = match self.value(field) {
            Some(Value::Array(list)) => list.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        all.iter().take(check::CHOICES_MAX).filter_map(|value| (kind.read)(value).ok()).collect()
    }

    fn require(&self, field: &str, allowed: &str, errors: &mut Vec<SpecError>) {
        if self.value(field).is_none() {
            errors.push(self.error_given(field, "is missing", "nothing", allowed));
        }
    }

    /// Refuses the fields that this table does not have, naming those it has, the most alike first.
    pub fn refuse_unknown(&self, errors: &mut Vec<SpecError>) {
        let unknown: Vec<(&String, &Value)> =
            self.table.into_iter().flatten().filter(|(key, _)| !self.fields.contains(&key.as_str())).collect();
        for (name, value) in unknown.iter().take(UNKNOWN_MAX) {
            let name = shortened(name);
            let mut allowed = self.fields.to_vec();
            allowed.sort_by_key(|field| edits(&name, field));
            errors.push(self.error(&name, "is not a field of a study", value, &allowed.join(", ")));
        }
        if unknown.len() > UNKNOWN_MAX {
            let given = format!("{} such fields, of which {UNKNOWN_MAX} are told", unknown.len());
            let field = self.name.to_owned();
            let problem = "has fields that no study has".into();
            errors.push(SpecError { field, problem, given, allowed: self.fields.join(", ") });
        }
    }

    pub fn error(&self, field: &str, problem: &str, given: &Value, allowed: &str) -> SpecError {
        self.error_given(field, problem, &written(given), allowed)
    }

    pub fn error_given(&self, field: &str, problem: &str, given: &str, allowed: &str) -> SpecError {
        let field = if self.name.is_empty() { field.to_owned() } else { format!("{}.{field}", self.name) };
        SpecError { field, problem: problem.into(), given: given.into(), allowed: allowed.into() }
    }
}

/// A value as it was written, kept short.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) if numeral::is_beyond_all(text) => shortened(text),
        Value::String(text) => format!("\"{}\"", shortened(text)),
        _ => {
            let mut text = String::new();
            write(value, &mut text);
            shortened(&text)
        }
    }
}

/// As in a file, on one line; what goes beyond what is repeated of it is not written at all.
fn write(value: &Value, text: &mut String) {
    let enough = |text: &str| text.len() > 4 * GIVEN_MAX;
    match value {
        Value::String(words) => text.push_str(&written(&Value::String(words.chars().take(2 * GIVEN_MAX).collect()))),
        Value::Array(list) => {
            text.push('[');
            for (index, element) in list.iter().enumerate() {
                if enough(text) {
                    return;
                }
                text.push_str(if index > 0 { ", " } else { "" });
                write(element, text);
            }
            text.push(']');
        }
        Value::Table(table) => {
            text.push('{');
            for (index, (key, element)) in table.iter().enumerate() {
                if enough(text) {
                    return;
                }
                text.push_str(if index > 0 { ", " } else { " " });
                text.push_str(&format!("{key} = "));
                write(element, text);
            }
            text.push_str(" }");
        }
        _ => text.push_str(&value.to_string()),
    }
}

/// What was given, kept short.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(text, GIVEN_MAX)
}

/// The beginning of a text, on one line: what could break it, move a terminal's cursor or turn its writing around is escaped.
pub(crate) fn shortened_to(text: &str, most: usize) -> String {
    let mut characters = text.chars().flat_map(escaped);
    let mut short: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escapes = character.is_control() || turns;
    let plain = (!escapes).then_some(character);
    plain.into_iter().chain(character.escape_default().filter(move |_| escapes))
}

/// Levenshtein's distance: insertions, deletions and replacements from one name to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, character) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
