//! How far a search can go: the rounds that its budget allows, and what may be asked for yet.
//!
//! Arms that were trained alike so far are one training, and go on together. So no more trainings go on than a round has arms, however
//! many arms are promoted, and that bounds what the rounds cost.

use super::{Round, Search, baseline, runs_of, searched, with_baseline};
use crate::{
    Epoch, Plan, SpecError, Study,
    arms::distilling,
    part::{Reached, Wanted, add, costliest, epochs, join, part, runs_in, taught_by},
};
use std::collections::BTreeMap;

/// Shares of the last round's length that an earlier one may be shorter than the next by: the longest whose rounds fit is taken.
const SHARES: [f64; 12] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.33, 0.25, 0.2, 0.15, 0.1];

/// The longest rounds that a budget allows, or where it allows none those that come to least, and what they come to at most.
pub(super) fn rounds(study: &Study, search: &Search, whole: &Plan) -> (Vec<Round>, u64) {
    let arms = distilling(&whole.arms).count() as u32;
    let mut sizes = vec![arms.max(1)];
    while let Some(&size) = sizes.last().filter(|size| **size > 1) {
        sizes.push(size.div_ceil(search.promote_one_in.max(2)));
    }
    let last = sizes.len() as i32 - 1;
    let length = whole.arms.first().map_or(1, |arm| arm.epochs.0);
    // A round of the same length with the same seeds as the one before would decide nothing new.
    let of_share = |share: f64| -> Vec<Round> {
        let scaled =
            |whole: u32, round: usize| (f64::from(whole) * share.powi(last - round as i32)).ceil().max(1.0) as u32;
        let round = |(round, arms): (usize, &u32)| Round {
            arms: *arms,
            epochs: Epoch(scaled(length, round)),
            seeds: scaled(study.seeds, round),
        };
        let mut rounds: Vec<Round> = sizes.iter().enumerate().map(round).collect();
        rounds.dedup_by_key(|round| (round.epochs, round.seeds));
        rounds
    };
    let all = searched(whole);
    let mut chosen = (Vec::new(), u64::MAX);
    for share in SHARES {
        let rounds = of_share(share);
        let epochs = most_epochs(whole, &rounds, 1, &all, &first(whole, &rounds));
        if epochs < chosen.1 {
            chosen = (rounds, epochs);
        }
        if epochs <= u64::from(search.budget_epochs) {
            break;
        }
    }
    chosen
}

/// Where the budget does not do for the shortest rounds.
pub(crate) fn refuse(study: &Study, whole: &Plan) -> Option<SpecError> {
    let search = study.search.as_ref()?;
    let (_, least) = rounds(study, search, whole);
    (least > u64::from(search.budget_epochs)).then(|| SpecError {
        field: "search.budget_epochs".into(),
        problem: "is not enough for the shortest rounds".into(),
        given: search.budget_epochs.to_string(),
        allowed: format!("{least} or more"),
    })
}

/// What a searched study comes to at most, before it begins; `None` of one that is not searched. It is what [`super::asked`] says where
/// nothing is known yet, without the code that scores what was trained, which the browser's bundle has no use for.
pub fn at_most(study: &Study, whole: &Plan) -> Option<Plan> {
    let (rounds, _) = rounds(study, study.search.as_ref()?, whole);
    Some(from_here(whole, &rounds, 1, searched(whole), first(whole, &rounds)))
}

/// What the first round asks for.
fn first(whole: &Plan, rounds: &[Round]) -> Wanted {
    rounds.first().map(|first| runs_of(whole, &searched(whole), *first)).unwrap_or_default()
}

/// What a search comes to at most of which the first `begun` rounds asked `so_far` and these arms go on: runs and segments of the course
/// in which the arms go on that cost most, and as many epochs as no course exceeds.
pub(super) fn from_here(whole: &Plan, rounds: &[Round], begun: usize, going_on: Vec<usize>, so_far: Wanted) -> Plan {
    let Some(last) = rounds.last().filter(|_| !going_on.is_empty()) else { return part(whole, &so_far, &[]) };
    let epochs = most_epochs(whole, rounds, begun, &going_on, &so_far);
    let (mut wanted, mut arms) = (so_far, going_on);
    for pair in later(rounds, begun) {
        let groups = trained_alike(whole, &arms, pair[0]);
        let runs: Vec<Wanted> = groups.iter().map(|group| runs_of(whole, group, pair[1])).collect();
        let dearest = costliest(whole, &runs, pair[1].arms as usize, &wanted);
        dearest.iter().for_each(|group| wanted.extend(&runs[*group]));
        arms = dearest.iter().flat_map(|group| groups[*group].iter().copied()).collect();
    }
    let tested = with_baseline(whole, &arms[..1]);
    wanted.extend(runs_of(whole, &tested, *last));
    Plan { epochs, ..part(whole, &wanted, &tested) }
}

/// Each round that is not begun yet, behind the one before it.
fn later(rounds: &[Round], begun: usize) -> impl Iterator<Item = &[Round]> {
    rounds.windows(2).skip(begun.saturating_sub(1))
}

/// Epochs that no course of a search exceeds of which the first `begun` rounds asked `so_far` and these arms go on. Teachers take all that
/// they may ever be asked for. Of students what was asked is known; each later round is asked by as many groups of arms as it has arms, at
/// most by those that it adds most to, each as if it shared nothing with another; and at last the baseline is trained.
fn most_epochs(whole: &Plan, rounds: &[Round], begun: usize, going_on: &[usize], so_far: &Wanted) -> u64 {
    let Some(last) = rounds.last() else { return 0 };
    let segments = whole.by_key();
    let length = |students: &[Reached<'_>], arms: &[usize]| epochs(&segments, &together(students, arms));
    let at_last = students(whole, *last);
    let mut known = Reached::new();
    runs_in(whole, so_far).for_each(|(run, until)| add(&mut known, run, until));
    for students in [known.clone(), together(&at_last, going_on)] {
        join(&mut known, &taught_by(&segments, &students));
    }
    let added = |pair: &[Round]| -> u64 {
        let (before, then) = (students(whole, pair[0]), students(whole, pair[1]));
        let groups = trained_alike(whole, going_on, pair[0]);
        let mut added: Vec<u64> = groups.iter().map(|arms| length(&then, arms) - length(&before, arms)).collect();
        let largest = std::iter::from_fn(|| {
            let place = (0..added.len()).max_by_key(|place| added[*place])?;
            Some(added.swap_remove(place))
        });
        largest.take(pair[1].arms as usize).sum()
    };
    epochs(&segments, &known) + later(rounds, begun).map(added).sum::<u64>() + length(&at_last, &baseline(whole))
}

/// The trainings of each arm's students as far as a round asks for them.
fn students(whole: &Plan, round: Round) -> Vec<Reached<'_>> {
    let mut students = vec![Reached::new(); whole.arms.len()];
    for run in whole.runs.iter().filter(|run| run.seed.0 < round.seeds) {
        add(&mut students[run.arm], run, round.epochs);
    }
    students
}

fn together<'a>(students: &[Reached<'a>], arms: &[usize]) -> Reached<'a> {
    let mut together = Reached::new();
    arms.iter().for_each(|arm| join(&mut together, &students[*arm]));
    together
}

/// Groups of these arms that are one training until a round's end, each arm in one of them.
pub(super) fn trained_alike(whole: &Plan, arms: &[usize], round: Round) -> Vec<Vec<usize>> {
    let students = students(whole, round);
    let mut places: BTreeMap<&Reached<'_>, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for arm in arms {
        let place = *places.entry(&students[*arm]).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(*arm),
            None => groups.push(vec![*arm]),
        }
    }
    groups
}
