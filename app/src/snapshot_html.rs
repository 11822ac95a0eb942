//! A frozen comparison as one HTML file that can be sent by mail: no script, no other file, nothing to fetch.

use crate::{pages::frozen_page, report::Curve};
use leptos::prelude::*;
use study::Snapshot;

/// The whole file. `css` is the program's style sheet, set into it.
pub fn snapshot_html(snapshot: &Snapshot, css: &str) -> String {
    let title = escaped(&snapshot.report.study.title);
    let body = Owner::new().with(|| frozen_page(snapshot, &Curve::Every, None).to_html());
    // A style element ends at the first "</", whatever the style sheet means by it.
    let css = css.replace("</", "<\\/");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title} · Stillroom</title>\n<style>{css}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
}

/// What the file is called: its question in letters that every file system takes.
pub fn snapshot_file_name(snapshot: &Snapshot) -> String {
    let title = snapshot.report.study.title.to_lowercase();
    let words: Vec<&str> =
        title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|it| !it.is_empty()).collect();
    let name: String = words.join("-").chars().take(60).collect();
    if name.is_empty() { "comparison.html".to_owned() } else { format!("{}.html", name.trim_end_matches('-')) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_file_is_called_after_its_question() {
        let mut snapshot = Snapshot { version: Snapshot::VERSION, frozen_at: 0, report: report() };
        assert_eq!(snapshot_file_name(&snapshot), "when-should-distillation-stop.html");
        snapshot.report.study.title = "Наука?".into();
        assert_eq!(snapshot_file_name(&snapshot), "comparison.html");
    }
}
