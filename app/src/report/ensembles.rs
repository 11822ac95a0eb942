//! What networks come to together, where a study has generations.

use crate::chart::ensembles::ensembles as drawn;
use leptos::prelude::*;
use study::{Report, ensembles::Members};

pub fn ensembles(report: &Report) -> Option<impl IntoView + use<>> {
    let found = report.ensembles.as_ref()?;
    let beside = found.lines.iter().any(|line| line.members == Members::Seeds);
    let beside = beside.then_some(
        "From labels alone: networks of as many seeds; they are taken in a circle, so that ensembles have networks in common and no \
         interval. ",
    );
    Some(view! {
        <section class="panel" aria-labelledby="ensembles-heading">
            <h2 id="ensembles-heading">"Ensembles"</h2>
            <p class="metric-explained">
                "Test accuracy of the class that the mean of the members’ probabilities names, at the end of their training: the first \
                 generations of each seed together. "
                {beside}
                "Large dot: the mean."
            </p>
            {found.answer().map(|answer| view! { <p>{answer}</p> })}
            {drawn(found, "ensembles")}
        </section>
    })
}
