//! Puts what was measured into docs/performance.md.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::Machine;
use super::{Group, Measured, table};

const DOCUMENT: &str = "docs/performance.md";

/// Replaces what an earlier bench recorded of `group`.
pub fn record(root: &Path, group: Group, machine: &Machine, measured: &Measured) -> Result<()> {
    let path = root.join(DOCUMENT);
    let before = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let warning = machine.warning().into_iter();
    let notes: String = measured.notes.iter().cloned().chain(warning).map(|note| format!("\n{note}\n")).collect();
    let recorded = format!("{machine}\n\n{}{notes}", table::markdown(&measured.rows));
    let after = replaced(&before, &group.name(), &recorded)
        .with_context(|| format!("{DOCUMENT} has no place for what was measured of {}", group.name()))?;
    fs::write(&path, after).with_context(|| format!("cannot write {DOCUMENT}"))
}

/// The document with another text between the marks of `group`; `None` where they are missing.
fn replaced(document: &str, group: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- recorded: {group} -->\n"), format!("<!-- end of {group} -->\n"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{text}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::workspace::root;

    #[test]
    fn a_group_is_recorded_between_its_marks_and_nothing_else_moves() {
        let document = "# It\n<!-- recorded: steps -->\nold\n<!-- end of steps -->\nmore\n<!-- recorded: page -->\n";
        let after = replaced(document, "steps", "new\n").expect("the marks are there");
        let expected =
            "# It\n<!-- recorded: steps -->\n\nnew\n\n<!-- end of steps -->\nmore\n<!-- recorded: page -->\n";
        assert_eq!(after, expected);
        assert_eq!(replaced(&after, "steps", "new\n"), Some(expected.to_owned()));
        assert_eq!(replaced(document, "page", "new"), None);
    }

    #[test]
    fn the_document_has_a_place_for_every_group() {
        let document = fs::read_to_string(root().expect("the workspace").join(DOCUMENT)).expect("the document");
        for group in Group::value_variants() {
            assert!(replaced(&document, &group.name(), "").is_some(), "{}", group.name());
        }
    }
}
