//! Seeds that come to a study after it began: its plan with them, what they come to, and what must be told of them.
//!
//! Neither a run's name nor a segment's key knows how many seeds there are, so that what was trained before is not trained again.

use crate::{
    Comparison, DatasetFacts, Estimate, Facts, Machine, Plan, Report, Run, RunId, Segment, SpecError, State, Study,
    answer, check, cost, metrics::run_metrics, numbers, ordered::map,
};
use std::collections::BTreeMap;

/// Seeds that came to a study after it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedAddition {
    pub seeds_before: u32,
    pub seeds_after: u32,
    /// Seconds since 1970-01-01 UTC.
    pub added_at: i64,
    /// Runs of which something could be seen by then ([`runs_seen`]).
    pub runs_seen: u32,
}

/// The study and its plan with `more` seeds of each arm.
///
/// # Errors
/// Field `seeds`: none are added, or more than there may be; a search has rounds for its seeds; another version planned the study, or
/// this one plans it otherwise. Whatever else is wrong with the study by now.
pub fn with_more_seeds(
    study: &Study,
    plan: &Plan,
    dataset: &DatasetFacts,
    more: u32,
) -> Result<(Study, Plan), Vec<SpecError>> {
    let refused = |problem: &str, allowed: &str| {
        let given = numbers::counted(more.into(), "more seed");
        vec![SpecError { field: "seeds".into(), problem: problem.into(), given, allowed: allowed.into() }]
    };
    if study.search.is_some() {
        return Err(refused("cannot be added to a search, whose rounds were made for those it has", ANEW));
    }
    if plan.is_of_another_version() {
        return Err(refused(
            "cannot be added: another version of this program planned the study, which trains with other bits",
            ANEW,
        ));
    }
    match seeds_left(study, plan) {
        0 => return Err(refused("cannot be added: there are as many as there may be", "none")),
        most if !(1..=most).contains(&more) => {
            return Err(refused("cannot be so many", &format!("1 to {most} more")));
        }
        _ => {}
    }
    let grown = Study { seeds: study.seeds + more, ..study.clone() };
    let longer = Plan::new(&grown, dataset, plan.numerics)?;
    let longer = longer.calling_teachers(|teacher| plan.name_of(teacher).map(str::to_owned));
    if !longer.extends(plan) {
        return Err(refused("cannot be added: this program plans the study otherwise than it was planned", ANEW));
    }
    Ok((grown, longer))
}

/// What is left to a person where no seed can be added.
const ANEW: &str = "a new study with more seeds";

/// Most seeds that can be added, by how many a study and how many runs a plan may have.
fn seeds_left(study: &Study, plan: &Plan) -> u32 {
    let by_runs = Plan::RUNS_MAX / (plan.arms.len() as u64).max(1);
    let most = u64::from(*check::SEEDS.end()).min(by_runs);
    most.saturating_sub(study.seeds.into()) as u32
}

impl Plan {
    /// Whether all of `earlier` is here as it was, so that nothing of what was found is lost: its runs, of as many arms, with their
    /// legs, and its segments with their stops and ends. What arms are called, and who looks on, may differ.
    pub fn extends(&self, earlier: &Plan) -> bool {
        let runs: BTreeMap<&RunId, &Run> = map(self.runs.iter().map(|run| (&run.id, run)));
        let segments = self.by_key();
        let has_run = |run: &Run| runs.get(&run.id).is_some_and(|own| **own == *run);
        let has_segment = |segment: &Segment| {
            let own = segments.get(&segment.key);
            own.is_some_and(|own| own.stops.is_superset(&segment.stops) && own.ends.is_superset(&segment.ends))
        };
        self.arms.len() == earlier.arms.len()
            && earlier.runs.iter().all(has_run)
            && earlier.segments.iter().all(has_segment)
    }
}

/// Runs of which an accuracy on images that they are not trained on is known, be it on the way: whoever adds seeds while there is none
/// cannot be led by a result.
pub fn runs_seen(plan: &Plan, facts: &Facts) -> u32 {
    let is_seen = |run: &&Run| run_metrics(run, facts).iter().any(|it| it.validation.or(it.test).is_some());
    plan.runs.iter().filter(is_seen).count() as u32
}

/// What a reader of p-values must know; `None` where nothing could be seen when seeds were added.
pub fn remark(additions: &[SeedAddition]) -> Option<String> {
    let told = additions.iter().filter(|it| it.runs_seen > 0).map(|it| {
        let seen = numbers::counted(it.runs_seen.into(), "run");
        let day = numbers::day(it.added_at);
        format!("on {day} ({} to {}, when {seen} could be seen)", it.seeds_before, it.seeds_after)
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| {
        format!(
            "Seeds were added {}: p-values do not know that. Who adds seeds until a difference is clear finds one where there is none more \
             often than once in twenty.",
            told.join(", ")
        )
    })
}

impl Comparison {
    /// Of a study to which these seeds were added: that stands before all other remarks.
    pub fn with_seed_additions(mut self, additions: &[SeedAddition]) -> Comparison {
        if let Some(remark) = remark(additions) {
            self.remarks.insert(0, remark);
        }
        self
    }
}

impl Report {
    /// As [`Comparison::with_seed_additions`].
    pub fn with_seed_additions(self, additions: &[SeedAddition]) -> Report {
        Report { comparison: self.comparison.with_seed_additions(additions), ..self }
    }
}

/// What more seeds would come to, told before they are added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// How many are proposed; the next three are of these.
    pub proposed: u32,
    pub runs: u64,
    /// Where another study trained some of them, fewer are left.
    pub epochs: u64,
    /// Wall time that they add on this machine; `None` where that is not known.
    pub estimate: Option<Estimate>,
    /// Most that can be added.
    pub most: u32,
}

impl Growth {
    /// Proposed as long as no result says how many would settle it.
    const PROPOSED_DEFAULT: u32 = 2;
    /// A difference that takes more seeds than this may not be worth them.
    const PROPOSED_MAX: u32 = 20;

    /// Of the study of a report, with its plan, and what is known by now. `None` where no seed can be added.
    pub fn of(
        report: &Report,
        plan: &Plan,
        dataset: &DatasetFacts,
        facts: &Facts,
        machine: &Machine,
    ) -> Option<Growth> {
        let most = seeds_left(&report.study, plan);
        let proposed = proposed(report).min(most);
        let (_, longer) = with_more_seeds(&report.study, plan, dataset, proposed).ok()?;
        let seconds = |plan: &Plan| cost::estimate(plan, facts, machine).map(|estimate| estimate.seconds);
        let estimate = seconds(&longer).zip(seconds(plan));
        Some(Growth {
            proposed,
            runs: (longer.runs.len() - plan.runs.len()) as u64,
            epochs: longer.epochs.saturating_sub(plan.epochs),
            estimate: estimate.map(|(with, without)| Estimate { seconds: (with - without).max(0.0) }),
            most,
        })
    }
}

/// As many as the answer says would settle it. While results still come in, they would change the number under a reader's eyes.
fn proposed(report: &Report) -> u32 {
    let told = answer::difference_told(&report.comparison.arms);
    let settling = told.filter(|_| report.progress.state == State::Finished).and_then(|it| it.more_seeds_needed());
    settling.map_or(Growth::PROPOSED_DEFAULT, |more| more.clamp(1, Growth::PROPOSED_MAX))
}
