//! Finding a good teacher cheaply (Cho & Hariharan 2019 say that the best could be found by grid search, at too great a cost): arms are
//! trained in rounds of rising length and rising numbers of seeds, the better part of them goes on (successive halving, Jamieson &
//! Talwalkar 2016), and the last one is tested, once, against the baseline. Prefixes are shared, so that arms which have not parted yet
//! are trained once.
//!
//! How long rounds are is found once, when a study is planned, and stands in its plan. All else follows from the study, its whole plan
//! and the facts.

mod bound;
mod trainings;

pub use bound::before_it_begins;
pub(crate) use bound::rounds;

use crate::{
    Arm, Epoch, Facts, Machine, Plan, Progress, Run, Segment, SegmentKey, State, Study,
    arms::distilling,
    numbers,
    ordered::{map, set},
    part::{Wanted, part},
    progress::{self, RunProgress, epochs_done},
    statistics,
};
use bound::{from_here, rounds_of};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use trainings::Trainings;

/// `[search]`: what may be spent, and how many arms go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Epochs that may be trained, of students and teachers, all together: never more are.
    pub budget_epochs: u32,
    /// Each round has a place for one in so many arms of the round before, of which the best go on; from 2.
    #[serde(default = "Search::promote_one_in_default")]
    pub promote_one_in: u32,
}

impl Search {
    pub const PROMOTE_ONE_IN_DEFAULT: u32 = 3;

    fn promote_one_in_default() -> u32 {
        Self::PROMOTE_ONE_IN_DEFAULT
    }
}

/// A round: how many arms have a place in it, and for how many epochs they are trained with how many seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Places: arms that were trained alike so far are one training, which takes one place with all of them. So more arms than this may
    /// be trained, and never more trainings than this go on; the first round has a place for each arm.
    pub arms: u32,
    pub epochs: Epoch,
    pub seeds: u32,
}

/// How an arm did in a round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Index into the plan's arms.
    pub arm: usize,
    /// On validation after the round's epochs, mean over its seeds, in percent; `None` where a run failed.
    pub accuracy: Option<f64>,
    pub cross_entropy: Option<f64>,
    /// Whether it went on.
    pub promoted: bool,
}

/// A round that began; without scores until it is through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    pub round: Round,
    /// The best first.
    pub scores: Vec<Scored>,
}

/// How a search went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// Arms that were searched.
    pub arms: u32,
    pub budget_epochs: u32,
    pub spent_epochs: u64,
    pub rounds: Vec<RoundReport>,
}

impl SearchReport {
    /// How many arms a round is about that began, by its place.
    pub fn arms_in(&self, round: usize) -> u32 {
        match round.checked_sub(1).and_then(|before| self.rounds.get(before)) {
            Some(before) => before.scores.iter().filter(|it| it.promoted).count() as u32,
            None => self.arms,
        }
    }

    /// The round, counted from 1, after which an arm was dropped; `None` where it was not.
    pub fn dropped_in(&self, arm: usize) -> Option<usize> {
        let drops = |round: &RoundReport| round.scores.iter().any(|it| it.arm == arm && !it.promoted);
        self.rounds.iter().position(drops).map(|index| index + 1)
    }
}

/// What a study asks for. Each plan has the whole one's arms; of a study that is not searched all three are the whole one.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked<'a> {
    /// What is to be trained now: of a search, runs and segments of this round alone.
    pub now: Cow<'a, Plan>,
    /// Every run that was ever asked for, as far as it was: those of arms that were dropped too.
    pub so_far: Cow<'a, Plan>,
    /// With what may be asked for yet: of a search that goes on, runs and segments of the course in which the arms go on that cost most,
    /// and as many epochs as no course exceeds.
    pub at_most: Cow<'a, Plan>,
    /// How the search goes; `None` where all of it is trained.
    pub report: Option<SearchReport>,
}

impl Asked<'_> {
    /// How far the study is, of the epochs that it comes to at most. `stopped`: a person asked for it to stop.
    pub fn progress(&self, facts: &Facts, stopped: bool, machine: &Machine) -> Progress {
        let (state, runs) = self.states(facts, stopped);
        let epochs_done = spent(&self.so_far, facts);
        let failed = self.so_far.segments.iter().filter_map(|segment| facts.get(&segment.key)?.failure.clone());
        Progress {
            state,
            epochs_done,
            epochs_total: if state == State::Finished { epochs_done } else { self.at_most.epochs },
            left: progress::left(&self.at_most, state, facts, machine),
            failures: failed.collect(),
            runs,
        }
    }

    /// The study's state, which is that of what is asked for now, and that of every run that was ever asked for. Of a run that was
    /// dropped nothing is left to do.
    pub(crate) fn states(&self, facts: &Facts, stopped: bool) -> (State, Vec<RunProgress>) {
        let mut runs = progress::runs(&self.so_far, facts, stopped);
        let now = set(self.now.runs.iter().map(|run| (run.arm, run.seed.0)));
        let is_asked_for = |run: &RunProgress| now.contains(&(run.arm, run.seed));
        let state = progress::state(&self.now, facts, stopped, runs.iter().filter(|run| is_asked_for(run)));
        let dropped = |run: &&mut RunProgress| !is_asked_for(run) && run.state != State::Failed;
        runs.iter_mut().filter(dropped).for_each(|run| run.state = State::Finished);
        (state, runs)
    }
}

/// What a study asks for as of these facts, which are those of its whole plan.
pub fn asked<'a>(study: &Study, whole: &'a Plan, facts: &Facts) -> Asked<'a> {
    let Some(search) = &study.search else {
        let all = Cow::Borrowed(whole);
        return Asked { now: all.clone(), so_far: all.clone(), at_most: all, report: None };
    };
    let trainings = Trainings::of(whole);
    let rounds = rounds_of(study, search, &trainings);
    let mut going_on = searched(whole);
    let mut reports = Vec::new();
    let (mut now, mut so_far, mut tested) = (Wanted::new(), Wanted::new(), Vec::new());
    for (index, round) in rounds.iter().enumerate() {
        let is_last = index + 1 == rounds.len();
        // Of several that were trained alike until the last round none is tested before one is chosen.
        tested = if is_last && going_on.len() == 1 { with_baseline(whole, &going_on) } else { Vec::new() };
        now = runs_of(whole, if tested.is_empty() { &going_on } else { &tested }, *round);
        so_far.extend(&now);
        let Some(scores) = scores(whole, &going_on, *round, facts) else {
            reports.push(RoundReport { round: *round, scores: Vec::new() });
            break;
        };
        let scores = match rounds.get(index + 1) {
            Some(next) => promote(scores, next.arms as usize, &trainings.alike(&going_on, *round)),
            None => the_best(scores),
        };
        going_on = scores.iter().filter(|it| it.promoted).map(|it| it.arm).collect();
        going_on.sort_unstable();
        reports.push(RoundReport { round: *round, scores });
        // Where every one failed there is no winner to go on with.
        if going_on.is_empty() {
            break;
        }
        if is_last {
            tested = with_baseline(whole, &going_on);
            now = runs_of(whole, &tested, *round);
            so_far.extend(&now);
        }
    }
    let at_most = match tested.is_empty() {
        true => from_here(&trainings, &rounds, reports.len(), going_on, so_far.clone()),
        false => part(whole, &so_far, &tested),
    };
    let so_far = part(whole, &so_far, &tested);
    let report = SearchReport {
        arms: searched(whole).len() as u32,
        budget_epochs: search.budget_epochs,
        spent_epochs: spent(&so_far, facts),
        rounds: reports,
    };
    Asked {
        now: Cow::Owned(part(whole, &now, &tested)),
        at_most: Cow::Owned(at_most),
        so_far: Cow::Owned(so_far),
        report: Some(report),
    }
}

/// Epochs that are trained of a plan.
fn spent(plan: &Plan, facts: &Facts) -> u64 {
    plan.segments.iter().map(|segment| u64::from(epochs_done(segment, facts))).sum()
}

fn searched(whole: &Plan) -> Vec<usize> {
    (0..whole.arms.len()).filter(|arm| whole.arms[*arm].distillation.is_some()).collect()
}

fn with_baseline(whole: &Plan, winner: &[usize]) -> Vec<usize> {
    [winner, &baseline(whole)[..]].concat()
}

/// The arms of labels alone.
fn baseline(whole: &Plan) -> Vec<usize> {
    (0..whole.arms.len()).filter(|arm| whole.arms[*arm].distillation.is_none()).collect()
}

/// The runs of a round, each with the epoch to which it is trained.
fn runs_of(whole: &Plan, arms: &[usize], round: Round) -> Wanted {
    let runs = arms.iter().flat_map(|arm| runs_of_arm(whole, *arm, round.seeds));
    map(runs.map(|run| (run, round.epochs)))
}

/// The runs of an arm with the first so many seeds, by their places: runs stand arm by arm, seed by seed.
fn runs_of_arm(whole: &Plan, arm: usize, seeds: u32) -> Range<usize> {
    let each = whole.runs.len() / whole.arms.len().max(1);
    let first = arm * each;
    first..first + each.min(seeds as usize)
}

/// The round's scores, the best first; `None` while it is not through.
fn scores(whole: &Plan, arms: &[usize], round: Round, facts: &Facts) -> Option<Vec<Scored>> {
    let segments = whole.by_key();
    let mut scored = Vec::new();
    for arm in arms {
        let (mut accuracies, mut entropies) = (Vec::new(), Vec::new());
        let mut failed = false;
        for run in &whole.runs[runs_of_arm(whole, *arm, round.seeds)] {
            let until = round.epochs;
            let metrics = crate::metrics::run_metrics(run, facts);
            match metrics.iter().find(|metrics| metrics.epoch == until).and_then(|metrics| metrics.validation) {
                Some(scores) => {
                    accuracies.push(100.0 * scores.accuracy);
                    entropies.push(scores.cross_entropy);
                }
                None if cannot_come(run, until, &segments, facts) => failed = true,
                None => return None,
            }
        }
        let mean = |values: &[f64]| (!failed && !values.is_empty()).then(|| statistics::mean(values));
        let (accuracy, cross_entropy) = (mean(&accuracies), mean(&entropies));
        scored.push(Scored { arm: *arm, accuracy, cross_entropy, promoted: false });
    }
    let of = |it: &Scored| (it.accuracy.unwrap_or(f64::MIN), -it.cross_entropy.unwrap_or(f64::MAX));
    scored.sort_by(|a, b| {
        let ((accuracy_a, entropy_a), (accuracy_b, entropy_b)) = (of(a), of(b));
        accuracy_b.total_cmp(&accuracy_a).then(entropy_b.total_cmp(&entropy_a)).then(a.arm.cmp(&b.arm))
    });
    Some(scored)
}

/// Whether a run is kept from its epoch by a failure: its own or of what it needs.
fn cannot_come(run: &Run, until: Epoch, segments: &BTreeMap<&SegmentKey, &Segment>, facts: &Facts) -> bool {
    let mut looked_at = BTreeSet::new();
    let mut open: Vec<&SegmentKey> = run.legs.iter().filter(|leg| leg.from < until).map(|leg| &leg.segment).collect();
    while let Some(key) = open.pop() {
        if !looked_at.insert(key) {
            continue;
        }
        if facts.get(key).is_some_and(|facts| facts.failure.is_some() && !facts.working) {
            return true;
        }
        let needs = segments.get(key).into_iter().flat_map(|segment| segment.needs());
        open.extend(needs.map(|need| &need.segment));
    }
    false
}

/// Marks those that go on, of scores that begin with the best: as many trainings as the next round has places, each with all its arms,
/// which are one of the groups that were trained `alike` so far; none that failed.
fn promote(mut scores: Vec<Scored>, places: usize, alike: &[Vec<usize>]) -> Vec<Scored> {
    let numbered = alike.iter().enumerate().flat_map(|(training, arms)| arms.iter().map(move |arm| (*arm, training)));
    let training_of: BTreeMap<usize, usize> = map(numbered);
    let mut going_on = BTreeSet::new();
    for it in scores.iter_mut().filter(|it| it.accuracy.is_some()) {
        let training = training_of[&it.arm];
        it.promoted = going_on.contains(&training) || (going_on.len() < places && going_on.insert(training));
    }
    scores
}

/// The winner: the first of those that are equally good, of those that did not fail.
fn the_best(mut scores: Vec<Scored>) -> Vec<Scored> {
    if let Some(best) = scores.first_mut() {
        best.promoted = best.accuracy.is_some();
    }
    scores
}

/// What a person should know of a searched study before it begins.
pub(crate) fn plan_remark(search: &Search, rounds: &[Round]) -> String {
    let told = rounds.iter().map(|Round { arms, epochs, seeds }| {
        let of = |count: u32, noun: &str| numbers::counted(count.into(), noun);
        format!("{} for {} with {}", of(*arms, "arm"), of(epochs.0, "epoch"), of(*seeds, "seed"))
    });
    format!(
        "A search in {}: {}; arms that were trained alike so far go on as one. Then the winner is tested against labels only. Of the whole \
         grid only these are trained; the budget is {}.",
        numbers::counted(rounds.len() as u64, "round"),
        told.collect::<Vec<_>>().join(", "),
        numbers::counted(search.budget_epochs.into(), "epoch"),
    )
}

/// Said wherever an interval is shown; before there is one, what will come to have it. `both_tested`: there are results of the winner and
/// of its baseline, whatever became of the rest.
pub(crate) fn remark(study: &Study, arms: &[Arm], both_tested: bool, state: State) -> Option<String> {
    study.search.as_ref()?;
    let searched = numbers::counted(distilling(arms).count() as u64, "arm");
    Some(match (both_tested, state) {
        (true, _) => format!(
            "The arm was found by a search: {searched} were compared on validation in rounds, and only the winner and its baseline were \
             tested. The interval speaks of that arm; another search may find another."
        ),
        (false, State::Failed | State::Finished) => format!(
            "A search for an arm: {searched} were compared on validation in rounds; it ended before both the winner and its baseline were \
             tested."
        ),
        (false, State::Waiting | State::Training | State::Stopped) => format!(
            "A search for an arm: {searched} are compared on validation in rounds, and only the winner and its baseline will be tested."
        ),
    })
}
