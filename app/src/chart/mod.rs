//! Charts in SVG, complete in the server's HTML.
//!
//! Across, places are percentages of the plot, so that a chart fills any width while its type keeps its size; upwards they
//! are pixels. The plot is the content box of the `svg`: axes and labels stand in its padding, which the style sheet sets.

pub mod curves;
pub mod final_accuracy;
pub mod labels;
pub mod scale;
pub mod swept;

use leptos::prelude::*;

/// The arm under the pointer or the focus: the others fade everywhere on the page.
#[derive(Clone, Copy)]
pub struct Lit(pub RwSignal<Option<usize>>);

impl Lit {
    pub fn new() -> Lit {
        Lit(RwSignal::new(None))
    }

    pub fn fades(self, arm: usize) -> bool {
        self.0.get().is_some_and(|lit| lit != arm)
    }
}

impl Default for Lit {
    fn default() -> Self {
        Lit::new()
    }
}

/// A place across the plot: a share from 0 to 1 as a percentage.
pub(crate) fn across(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A length in pixels with one decimal: more cannot be seen and costs bytes.
pub(crate) fn pixels(length: f64) -> String {
    format!("{length:.1}")
}
