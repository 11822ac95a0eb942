//! Charts in SVG, complete in the server's HTML.
//!
//! Across, places are percentages of the plot, so that a chart fills any width while its type keeps its size; upwards they
//! are pixels. The plot is the content box of the `svg`: axes and labels stand in its padding, which the style sheet sets.
//!
//! What belongs to an arm says so (`data-arm`), so that the others can fade ([`crate::pointer`]).

pub mod at_the_end;
pub mod curves;
pub mod ensembles;
pub mod labels;
pub mod scale;
pub mod swept;

/// A place across the plot: a share from 0 to 1 as a percentage.
pub(crate) fn across(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A length in pixels with one decimal: more cannot be seen and costs bytes.
pub(crate) fn pixels(length: f64) -> String {
    format!("{length:.1}")
}
