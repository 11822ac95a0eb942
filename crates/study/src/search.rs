//! Finding a good teacher cheaply (Cho & Hariharan 2019 say that the best could be found by grid search, at too great a cost): arms are
//! trained in rounds of rising length and rising numbers of seeds, the better part of them goes on (successive halving, Jamieson &
//! Talwalkar 2016), and the last one is tested, once, against the baseline. Prefixes are shared, so that arms which have not parted yet
//! are trained once.
//!
//! Everything here follows from a study, its whole plan and the facts: nothing is stored.

use crate::{
    Arm, Epoch, Facts, Machine, Plan, Progress, Run, Segment, SegmentKey, SpecError, State, Study,
    arms::distilling,
    numbers,
    ordered::set,
    part::{Wanted, costliest, part},
    progress::{self, RunProgress, epochs_done},
    statistics,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `[search]`: what may be spent, and how many arms go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Epochs that may be trained, of students and teachers, all together.
    pub budget_epochs: u32,
    /// After each round the best one in so many arms goes on; from 2.
    #[serde(default = "Search::promote_one_in_default")]
    pub promote_one_in: u32,
}

impl Search {
    pub const PROMOTE_ONE_IN_DEFAULT: u32 = 3;

    fn promote_one_in_default() -> u32 {
        Self::PROMOTE_ONE_IN_DEFAULT
    }
}

/// A round: how many arms are trained for how many epochs with how many seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// At most; more where several are equal so far.
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
    /// The round, counted from 1, after which an arm was dropped; `None` where it was not.
    pub fn dropped_in(&self, arm: usize) -> Option<usize> {
        let drops = |round: &RoundReport| round.scores.iter().any(|it| it.arm == arm && !it.promoted);
        self.rounds.iter().position(drops).map(|index| index + 1)
    }
}

/// What a searched study asks for. Each plan has the whole one's arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is to be trained now: runs and segments of this round alone.
    pub plan: Plan,
    /// Every run that was ever asked for, as far as it was: those of arms that were dropped too.
    pub so_far: Plan,
    /// With what may be asked for yet, where the arms that cost most go on, and none is equal to another.
    pub at_most: Plan,
    pub report: SearchReport,
}

impl Asked {
    /// How far the study is, of the epochs that it comes to at most. `stopped`: a person asked for it to stop.
    pub fn progress(&self, facts: &Facts, stopped: bool, machine: &Machine) -> Progress {
        let (state, runs) = self.states(facts, stopped);
        let epochs_done = self.report.spent_epochs;
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

    /// The study's state, which is that of its round, and that of every run that was ever asked for. Of a run that was dropped nothing is
    /// left to do.
    pub(crate) fn states(&self, facts: &Facts, stopped: bool) -> (State, Vec<RunProgress>) {
        let in_round = progress::runs(&self.plan, facts, stopped);
        let state = progress::state(&self.plan, facts, stopped, &in_round);
        let place = |run: &RunProgress| (run.arm, run.seed);
        let in_round: BTreeSet<(usize, u32)> = in_round.iter().map(place).collect();
        let mut runs = progress::runs(&self.so_far, facts, stopped);
        let dropped = |run: &&mut RunProgress| !in_round.contains(&place(run)) && run.state != State::Failed;
        runs.iter_mut().filter(dropped).for_each(|run| run.state = State::Finished);
        (state, runs)
    }
}

/// How far a study is, searched or not, of its whole plan.
pub fn progress(study: &Study, whole: &Plan, facts: &Facts, stopped: bool, machine: &Machine) -> Progress {
    match asked(study, whole, facts) {
        Some(asked) => asked.progress(facts, stopped, machine),
        None => progress::progress(whole, facts, stopped, machine),
    }
}

/// What a searched study comes to at most, before it begins; `None` of one that is not searched.
pub fn at_most(study: &Study, whole: &Plan) -> Option<Plan> {
    let rounds = rounds(study, study.search.as_ref()?, whole).unwrap_or_default();
    let all = searched(whole);
    let of_first = rounds.first().map(|first| runs_of(whole, &all, *first)).unwrap_or_default();
    let (most, ends) = most(whole, &rounds, 1, all, of_first);
    Some(part(whole, &most, &ends))
}

/// "at most about 38 runs, 45 segments, 380 epochs, of a grid of 305 runs and 3,320 epochs".
pub fn in_numbers(at_most: &Plan, whole: &Plan) -> String {
    let counted = |plan: &Plan| [plan.runs.len() as u64, plan.segments.len() as u64, plan.epochs];
    let ([runs, segments, epochs], [all, _, grid]) = (counted(at_most), counted(whole));
    format!(
        "at most about {}, {}, {}, of a grid of {} and {}",
        numbers::counted(runs, "run"),
        numbers::counted(segments, "segment"),
        numbers::counted(epochs, "epoch"),
        numbers::counted(all, "run"),
        numbers::counted(grid, "epoch"),
    )
}

/// Shares of the last round's length that an earlier one may be shorter than the next by: the longest whose rounds fit is taken.
const SHARES: [f64; 12] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.33, 0.25, 0.2, 0.15, 0.1];

/// The rounds that a budget allows.
///
/// # Errors
/// Where even the shortest cost more: how many epochs they need at most.
pub(crate) fn rounds(study: &Study, search: &Search, whole: &Plan) -> Result<Vec<Round>, u64> {
    let arms = distilling(&whole.arms).count() as u32;
    let mut sizes = vec![arms.max(1)];
    while let Some(&size) = sizes.last().filter(|size| **size > 1) {
        sizes.push(size.div_ceil(search.promote_one_in.max(2)));
    }
    let last = sizes.len() as i32 - 1;
    let epochs = whole.arms.first().map_or(1, |arm| arm.epochs.0);
    // A round of the same length with the same seeds as the one before would decide nothing new.
    let of_share = |share: f64| -> Vec<Round> {
        let scaled =
            |whole: u32, round: usize| (f64::from(whole) * share.powi(last - round as i32)).ceil().max(1.0) as u32;
        let round = |(round, arms): (usize, &u32)| Round {
            arms: *arms,
            epochs: Epoch(scaled(epochs, round)),
            seeds: scaled(study.seeds, round),
        };
        let mut rounds: Vec<Round> = sizes.iter().enumerate().map(round).collect();
        rounds.dedup_by_key(|round| (round.epochs, round.seeds));
        rounds
    };
    let mut least = u64::MAX;
    for share in SHARES {
        let rounds = of_share(share);
        let cost = most_epochs(study, whole, &rounds);
        if cost <= u64::from(search.budget_epochs) {
            return Ok(rounds);
        }
        least = least.min(cost);
    }
    Err(least)
}

/// What rounds cost at most: the first is known, in each later one every arm goes on by itself, and at last the baseline is trained.
fn most_epochs(study: &Study, whole: &Plan, rounds: &[Round]) -> u64 {
    let Some(first) = rounds.first() else { return 0 };
    let all = searched(whole);
    let of_first = part(whole, &runs_of(whole, &all, *first), &[]).epochs;
    let length = |round: &Round| u64::from(round.epochs.0) * u64::from(round.seeds);
    let later: u64 =
        rounds.windows(2).map(|pair| u64::from(pair[1].arms) * (length(&pair[1]) - length(&pair[0]))).sum();
    let baseline = rounds.last().map_or(0, length);
    // Each further seed may need teachers of its own.
    let further = u64::from(rounds.last().map_or(0, |last| last.seeds) - first.seeds);
    let of_students = set(whole.runs.iter().flat_map(|run| &run.legs).map(|leg| &leg.segment));
    let teachers = whole.segments.iter().filter(|segment| !of_students.contains(&segment.key));
    let teachers: u64 = teachers.map(|segment| u64::from(segment.until.0 - segment.from().0)).sum();
    let per_seed = if study.teacher_per_seed() { teachers / u64::from(study.seeds.max(1)) } else { 0 };
    of_first + later + baseline + further * per_seed
}

/// Where the budget does not do for the shortest rounds.
pub(crate) fn refuse(study: &Study, whole: &Plan) -> Option<SpecError> {
    let search = study.search.as_ref()?;
    let least = rounds(study, search, whole).err()?;
    Some(SpecError {
        field: "search.budget_epochs".into(),
        problem: "is not enough for the shortest rounds".into(),
        given: search.budget_epochs.to_string(),
        allowed: format!("{least} or more"),
    })
}

/// What a searched study asks for as of these facts, which are those of its whole plan; `None` of a study that is not searched.
pub fn asked(study: &Study, whole: &Plan, facts: &Facts) -> Option<Asked> {
    let search = study.search.as_ref()?;
    let rounds = rounds(study, search, whole).unwrap_or_default();
    let mut going_on = searched(whole);
    let mut reports = Vec::new();
    let (mut now, mut so_far, mut tested) = (Wanted::new(), Wanted::new(), Vec::new());
    for (index, round) in rounds.iter().enumerate() {
        let is_last = index + 1 == rounds.len();
        // Of several that are equal until the last round none is tested before one is chosen.
        tested = if is_last && going_on.len() == 1 { with_baseline(whole, &going_on) } else { Vec::new() };
        now = runs_of(whole, if tested.is_empty() { &going_on } else { &tested }, *round);
        so_far.extend(&now);
        let Some(scores) = scores(whole, &going_on, *round, facts) else {
            reports.push(RoundReport { round: *round, scores: Vec::new() });
            break;
        };
        let scores = match rounds.get(index + 1) {
            Some(next) => promote(scores, next.arms as usize),
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
    let (at_most, ends) = match tested.is_empty() {
        true => most(whole, &rounds, reports.len(), going_on, so_far.clone()),
        false => (so_far.clone(), tested.clone()),
    };
    let so_far = part(whole, &so_far, &tested);
    let report = SearchReport {
        arms: searched(whole).len() as u32,
        budget_epochs: search.budget_epochs,
        spent_epochs: spent(&so_far, facts),
        rounds: reports,
    };
    Some(Asked { plan: part(whole, &now, &tested), at_most: part(whole, &at_most, &ends), so_far, report })
}

/// Adds to what is wanted by the `begun` rounds what the others ask for, where the arms that cost most go on, and says which are tested
/// then. Nothing is left to be asked for where no arm goes on.
fn most(whole: &Plan, rounds: &[Round], begun: usize, going_on: Vec<usize>, so_far: Wanted) -> (Wanted, Vec<usize>) {
    let Some(last) = rounds.last().filter(|_| !going_on.is_empty()) else { return (so_far, Vec::new()) };
    let (mut most, mut arms) = (so_far, going_on);
    for round in rounds.iter().skip(begun) {
        let by_arm: Vec<_> = arms.iter().map(|arm| (*arm, runs_of(whole, &[*arm], *round))).collect();
        arms = costliest(whole, &by_arm, round.arms as usize, &most);
        most.extend(runs_of(whole, &arms, *round));
    }
    let ends = with_baseline(whole, &arms[..1]);
    most.extend(runs_of(whole, &ends, *last));
    (most, ends)
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
    let is_in = |(_, run): &(usize, &Run)| arms.contains(&run.arm) && run.seed.0 < round.seeds;
    whole.runs.iter().enumerate().filter(is_in).map(|(place, _)| (place, round.epochs)).collect()
}

/// The round's scores, the best first; `None` while it is not through.
fn scores(whole: &Plan, arms: &[usize], round: Round, facts: &Facts) -> Option<Vec<Scored>> {
    let segments = whole.by_key();
    let mut scored = Vec::new();
    for arm in arms {
        let (mut accuracies, mut entropies) = (Vec::new(), Vec::new());
        let mut failed = false;
        for (run, until) in runs_of(whole, &[*arm], round) {
            let run = &whole.runs[run];
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

/// Marks those that go on: the best `next`, and who is equal to the last of them, which most often means: trained alike so far. None
/// that failed.
fn promote(mut scores: Vec<Scored>, next: usize) -> Vec<Scored> {
    let last = scores.get(next.saturating_sub(1)).or(scores.last()).map(|it| (it.accuracy, it.cross_entropy));
    for (place, it) in scores.iter_mut().enumerate() {
        let equal = Some((it.accuracy, it.cross_entropy)) == last;
        it.promoted = it.accuracy.is_some() && (place < next || equal);
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
pub(crate) fn plan_remark(study: &Study, whole: &Plan) -> Option<String> {
    let search = study.search.as_ref()?;
    let rounds = rounds(study, search, whole).ok()?;
    let told = rounds.iter().map(|Round { arms, epochs, seeds }| {
        let of = |count: u32, noun: &str| numbers::counted(count.into(), noun);
        format!("{} for {} with {}", of(*arms, "arm"), of(epochs.0, "epoch"), of(*seeds, "seed"))
    });
    Some(format!(
        "A search in {}: {}; then the winner is tested against labels only. Of the whole grid only these are trained; the budget is {}.",
        numbers::counted(rounds.len() as u64, "round"),
        told.collect::<Vec<_>>().join(", "),
        numbers::counted(search.budget_epochs.into(), "epoch"),
    ))
}

/// Said wherever an interval is shown; before there is one, what will come to have it.
pub(crate) fn remark(study: &Study, arms: &[Arm], state: State) -> Option<String> {
    study.search.as_ref()?;
    let searched = numbers::counted(distilling(arms).count() as u64, "arm");
    Some(match state {
        State::Finished => format!(
            "The arm was found by a search: {searched} were compared on validation in rounds, and only the winner and its baseline were \
             tested. The interval speaks of that arm; another search may find another."
        ),
        _ => format!(
            "A search for an arm: {searched} are compared on validation in rounds, and only the winner and its baseline will be tested."
        ),
    })
}
