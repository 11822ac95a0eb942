//! How arms were searched: what was dropped, when and why.

use crate::{chart::swept::tints, numbers};
use leptos::prelude::*;
use study::{
    Report, State,
    search::{RoundReport, Scored},
};

/// Its rounds one after the other, with what was decided after each; `None` where nothing was searched.
pub fn search(report: &Report) -> Option<impl IntoView + use<>> {
    let found = report.search.as_ref()?;
    let of = |count: u32, noun: &str| numbers::counted(u64::from(count), noun);
    let lead = format!(
        "{} of at most {} are spent. After each round those arms go on that are best on validation, by accuracy and then by cross-entropy; \
         arms that were trained alike so far are one training and take one place together. The winner alone is tested, against labels only.",
        numbers::counted(found.spent_epochs, "epoch"),
        numbers::count(u64::from(found.budget_epochs)),
    );
    let rounds = found.rounds.iter().enumerate().map(|(index, round)| {
        let title = format!(
            "Round {}: {} for {} with {}",
            index + 1,
            of(found.arms_in(index), "arm"),
            of(round.round.epochs.0, "epoch"),
            of(round.round.seeds, "seed")
        );
        view! {
            <h3>{title}</h3>
            {table(report, round, index + 1)}
        }
    });
    let rounds = rounds.collect_view();
    Some(view! {
        <section class="panel" aria-labelledby="search-heading">
            <h2 id="search-heading">"The search"</h2>
            <p class="metric-explained">{lead}</p>
            {rounds}
        </section>
    })
}

/// How a round stands that is not through.
fn round_state(state: State) -> String {
    let stands = match state {
        State::Training => "In training",
        State::Waiting => "Not in training now",
        State::Stopped => "Stopped",
        // Nothing else leaves a round unfinished.
        State::Failed | State::Finished => return "Left unfinished by another version of this program.".into(),
    };
    format!("{stands}: what is dropped is decided once all of it is there.")
}

fn table(report: &Report, round: &RoundReport, number: usize) -> AnyView {
    if round.scores.is_empty() {
        return view! { <p class="empty">{round_state(report.progress.state)}</p> }.into_any();
    }
    let tints = tints(&report.arms);
    let rows = round.scores.iter().map(|Scored { arm, accuracy, cross_entropy, promoted }| {
        let said = match (promoted, accuracy) {
            (true, _) => "goes on",
            (false, Some(_)) => "dropped: others were better",
            (false, None) => "dropped: a run failed",
        };
        view! {
            <tr role="row" class=tints[*arm].class() data-arm=*arm>
                <th role="rowheader" scope="row"><span class="swatch"></span>{report.arms[*arm].label.clone()}</th>
                <td role="cell" class="number" data-label="Validation accuracy, %">{accuracy.map(|it| numbers::fixed(it, 2))}</td>
                <td role="cell" class="number" data-label="Cross-entropy">{cross_entropy.map(|it| numbers::fixed(it, 3))}</td>
                <td role="cell" data-label="Decision">{said}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    view! {
        <div class="scrolled" role="region" aria-label=format!("Table of round {number}") tabindex="0">
            <table role="table" class="arms">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Arm"</th>
                        <th role="columnheader" scope="col" class="number">"Validation accuracy, %"</th>
                        <th role="columnheader" scope="col" class="number">"Cross-entropy"</th>
                        <th role="columnheader" scope="col">"Decision"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
