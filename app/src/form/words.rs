//! What a form says of errors and remarks: in its own words, where a study file's would puzzle.

use super::fields::{self, Entry, Field};
use study::SpecError;

/// "Is beyond the student’s last epoch: 30. Allowed: 0 to 20." `typed` stands in the field.
pub fn said(error: &SpecError, field: &Field, typed: &str) -> String {
    let given = match field.entry {
        // A number may be read as another one; what a person typed is what they know.
        Entry::Value(_) if !typed.trim().is_empty() => typed.trim(),
        _ => error.given.as_str(),
    };
    let problem = capitalised(&error.problem);
    let said_already = given == "nothing" || problem.split([' ', ':']).any(|word| word == given);
    let given = if said_already { String::new() } else { format!(": {given}") };
    let several = matches!(field.entry, Entry::Values(_) | Entry::List);
    let parted = typed.split(',').any(|part| part.trim().contains([' ', ';']));
    let commas = if several && parted { " Commas separate several values." } else { "" };
    in_the_forms_words(&format!("{problem}{given}. Allowed: {}.{commas}", error.allowed))
}

/// The same for a field that the form does not have.
pub fn said_of_the_rest(error: &SpecError) -> String {
    in_the_forms_words(&capitalised(&error.to_string()))
}

/// Names fields as the form does, writes quotation as it is printed, and tells how a list is written in a field.
pub fn in_the_forms_words(text: &str) -> String {
    let mut text =
        text.replace("kd_stop_epoch = 0", "0 to “KD stop epoch”, as in “0, 20”,").replace('`', "").replace('\'', "’");
    let mut named: Vec<(&str, &str)> =
        fields::all().filter_map(|field| Some((field.path.rsplit('.').next()?, field.label))).collect();
    // The longest first: one key may begin as another.
    named.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    for (key, label) in named.into_iter().filter(|(key, _)| key.contains('_')) {
        text = text.replace(key, &format!("“{label}”"));
    }
    // A field takes a list without brackets.
    match text.split_once("” = [").and_then(|(before, rest)| Some((before, rest.split_once(']')?))) {
        Some((before, (list, after))) => format!("{before}” set to {list}{after}"),
        None => text,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(problem: &str, given: &str, allowed: &str) -> SpecError {
        SpecError { field: String::new(), problem: problem.into(), given: given.into(), allowed: allowed.into() }
    }

    #[test]
    fn an_error_is_said_without_repetition_and_as_it_was_typed() {
        let of = |field: &Field, typed: &str, error: SpecError| said(&error, field, typed);
        let missing = of(&fields::TITLE, "", error("is missing", "nothing", "a question"));
        assert_eq!(missing, "Is missing. Allowed: a question.");
        let seeds = of(&fields::SEEDS, "1e3", error("is not a whole number", "1000.0", "1 to 1000"));
        assert_eq!(seeds, "Is not a whole number: 1e3. Allowed: 1 to 1000.");
        let images = of(&fields::RECIPE[0], "17000", error("leaves none: the file has 17000", "17000", "0 to 16999"));
        assert_eq!(images, "Leaves none: the file has 17000. Allowed: 0 to 16999.");
    }

    #[test]
    fn whoever_parts_values_otherwise_is_told_of_commas() {
        let stops = &fields::TREATMENT[0];
        let said = |typed: &str| said(&error("is not a whole number", "\"0 5\"", "0 to 20"), stops, typed);
        for typed in ["0 5 10", "4; 8", "0, 5 10"] {
            assert!(said(typed).ends_with("Commas separate several values."), "{typed}");
        }
        assert!(!said("0, five").contains("Commas"));
    }

    #[test]
    fn the_form_names_its_own_fields() {
        assert_eq!(
            in_the_forms_words("Stands beside drop_every; learning_rate_decay is the student's"),
            "Stands beside “Drop every (epochs)”; “Learning-rate factor” is the student’s"
        );
        assert_eq!(
            in_the_forms_words("With kd_stop_epoch = [0, 8, 20] each student is also trained from labels alone."),
            "With “KD stop epoch” set to 0, 8, 20 each student is also trained from labels alone."
        );
        assert_eq!(
            in_the_forms_words("Add kd_stop_epoch = 0 to compare with labels alone (feature `cuda`)."),
            "Add 0 to “KD stop epoch”, as in “0, 20”, to compare with labels alone (feature cuda)."
        );
    }
}
