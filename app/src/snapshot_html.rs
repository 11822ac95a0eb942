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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
