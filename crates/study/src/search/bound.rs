//! How far a search can go: the rounds that its budget allows, and what may be asked for yet.
//!
//! Arms that were trained alike so far are one training, and go on together. No more such trainings go on than a round has places, however
//! many arms each of them is, and that bounds what the rounds cost.

use super::{
    Round, Search, baseline, runs_of, searched,
    trainings::{Reached, Trainings},
    with_baseline,
};
use crate::{
    Epoch, Plan, SpecError, Study,
    part::{Wanted, part},
};
use std::cmp::Reverse;

/// Each round has this share of the next one's epochs and seeds, rounded up: the largest is taken whose rounds fit into the budget.
const SHARES: [f64; 12] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.33, 0.25, 0.2, 0.15, 0.1];

/// The longest rounds that a budget allows; one at least.
///
/// # Errors
/// Where it does not do for the shortest.
pub(crate) fn rounds(study: &Study, search: &Search, whole: &Plan) -> Result<Vec<Round>, SpecError> {
    let (rounds, most) = longest(study, search, &Trainings::of(whole));
    match most <= u64::from(search.budget_epochs) {
        true => Ok(rounds),
        false => Err(SpecError {
            field: "search.budget_epochs".into(),
            problem: "is not enough for the shortest rounds".into(),
            given: search.budget_epochs.to_string(),
            allowed: format!("{most} or more"),
        }),
    }
}

/// The rounds of a study that is planned: those that stand in its plan, or found anew where it was planned before they did.
pub(super) fn rounds_of(study: &Study, search: &Search, trainings: &Trainings<'_>) -> Vec<Round> {
    match trainings.whole.rounds.is_empty() {
        true => longest(study, search, trainings).0,
        false => trainings.whole.rounds.clone(),
    }
}

/// The longest rounds that a budget allows, or where it allows none those that come to least, and what they come to at most.
fn longest(study: &Study, search: &Search, trainings: &Trainings<'_>) -> (Vec<Round>, u64) {
    let arms = searched(trainings.whole);
    let mut sizes = vec![(arms.len() as u32).max(1)];
    while let Some(&size) = sizes.last().filter(|size| **size > 1) {
        sizes.push(size.div_ceil(search.promote_one_in.max(2)));
    }
    let before_last = sizes.len() as i32 - 1;
    let length = trainings.whole.arms.first().map_or(1, |arm| arm.epochs.0);
    let of_share = |share: f64| -> Vec<Round> {
        let scaled = |whole: u32, round: usize| {
            (f64::from(whole) * share.powi(before_last - round as i32)).ceil().max(1.0) as u32
        };
        let round = |(round, arms): (usize, &u32)| Round {
            arms: *arms,
            epochs: Epoch(scaled(length, round)),
            seeds: scaled(study.seeds, round),
        };
        let mut rounds: Vec<Round> = sizes.iter().enumerate().map(round).collect();
        // A round of the same length with the same seeds as the one before would decide nothing new.
        rounds.dedup_by_key(|round| (round.epochs, round.seeds));
        rounds
    };
    let ahead = Ahead::of(trainings, arms, Round { arms: 1, epochs: Epoch(length), seeds: study.seeds });
    let mut chosen = (Vec::new(), u64::MAX);
    for share in SHARES {
        let rounds = of_share(share);
        let (_, most) = ahead.course(&rounds, 1, &runs_of(trainings.whole, &ahead.arms, rounds[0]));
        if most < chosen.1 {
            chosen = (rounds, most);
        }
        if most <= u64::from(search.budget_epochs) {
            break;
        }
    }
    chosen
}

/// What a searched study comes to at most, before it begins; `None` of one that is not searched. It is what [`super::asked`] says where
/// nothing is known yet, without the code that scores what was trained, which the browser's bundle has no use for.
pub fn before_it_begins(study: &Study, whole: &Plan) -> Option<Plan> {
    let trainings = Trainings::of(whole);
    let rounds = rounds_of(study, study.search.as_ref()?, &trainings);
    let arms = searched(whole);
    let first = runs_of(whole, &arms, rounds[0]);
    Some(from_here(&trainings, &rounds, 1, arms, first))
}

/// What a search comes to at most of which the first `begun` rounds asked `so_far` and these arms go on: runs and segments of a course in
/// which those go on that cost most, and as many epochs as no course exceeds.
pub(super) fn from_here(
    trainings: &Trainings<'_>,
    rounds: &[Round],
    begun: usize,
    going_on: Vec<usize>,
    so_far: Wanted,
) -> Plan {
    let (whole, last) = (trainings.whole, rounds[rounds.len() - 1]);
    if going_on.is_empty() {
        return part(whole, &so_far, &[]);
    }
    let ahead = Ahead::of(trainings, going_on, last);
    let (course, epochs) = ahead.course(rounds, begun, &so_far);
    let mut wanted = so_far;
    for (pair, arms) in later(rounds, begun).zip(&course) {
        wanted.extend(runs_of(whole, arms, pair[1]));
    }
    let tested = with_baseline(whole, &course.last().unwrap_or(&ahead.arms)[..1]);
    wanted.extend(runs_of(whole, &tested, last));
    Plan { epochs, ..part(whole, &wanted, &tested) }
}

/// Each round that is not begun yet, behind the one before it.
fn later(rounds: &[Round], begun: usize) -> impl Iterator<Item = &[Round]> {
    rounds.windows(2).skip(begun.saturating_sub(1))
}

/// What may be asked for yet where these arms go on, as far as it does not hang on how long the rounds before the last one are.
struct Ahead<'a> {
    trainings: &'a Trainings<'a>,
    arms: Vec<usize>,
    /// All that may ever be asked for.
    teachers: Reached<'a>,
    /// Epochs of the baseline, which is trained at last.
    baseline: u64,
}

/// Arms that are one training so far, and what a round adds to it.
struct Group {
    arms: Vec<usize>,
    /// Epochs of students.
    students: u64,
    /// Epochs of students and of what teaches them.
    with_teachers: u64,
}

impl<'a> Ahead<'a> {
    /// `last`: the search's last round.
    fn of(trainings: &'a Trainings<'a>, arms: Vec<usize>, last: Round) -> Ahead<'a> {
        let (mut teachers, mut alone) = (Reached::nothing(trainings), Reached::nothing(trainings));
        trainings.runs(&arms, last).for_each(|(run, until)| teachers.add_teachers(run, until));
        trainings.runs(&baseline(trainings.whole), last).for_each(|(run, until)| alone.add_student(run, until));
        Ahead { trainings, arms, teachers, baseline: alone.epochs }
    }

    /// Which arms go on into each later round in a course that costs most, and epochs that no course exceeds. `begun` rounds asked for
    /// `so_far`.
    ///
    /// What was asked for is known, and the baseline comes at last. Each later round is asked for by as many groups as it has places, at
    /// most by those that it adds most to, each as if it shared nothing with another. Teachers are counted in two ways, of which the
    /// smaller holds: all that any arm may ever ask for, or what each group asks for anew. The first is loose where each seed has its own
    /// teachers and few arms come to have all seeds, the second where groups have teachers in common; where both is so, both are.
    fn course(&self, rounds: &[Round], begun: usize, so_far: &Wanted) -> (Vec<Vec<usize>>, u64) {
        let trainings = self.trainings;
        let mut known = Reached::nothing(trainings);
        so_far.iter().for_each(|(run, until)| known.add(*run, *until));
        let mut with_new_teachers = known.epochs;
        known.join(&self.teachers);
        let mut with_all_teachers = known.epochs;
        let mut in_course = vec![true; trainings.whole.arms.len()];
        let mut course: Vec<Vec<usize>> = Vec::new();
        for pair in later(rounds, begun) {
            let places = pair[1].arms as usize;
            let mut groups = self.groups(pair[0], pair[1]);
            with_new_teachers += dearest(&mut groups, places, |group| group.with_teachers);
            // Groups only part as rounds go on: all of one is in the course, or nothing.
            let going_on = groups.iter().filter(|group| in_course[group.arms[0]]).take(places);
            let going_on: Vec<usize> = going_on.flat_map(|group| &group.arms).copied().collect();
            in_course.fill(false);
            going_on.iter().for_each(|arm| in_course[*arm] = true);
            course.push(going_on);
            with_all_teachers += dearest(&mut groups, places, |group| group.students);
        }
        (course, with_all_teachers.min(with_new_teachers) + self.baseline)
    }

    /// The arms in groups of one training until a round's end, with what the next one adds to each.
    fn groups(&self, before: Round, next: Round) -> Vec<Group> {
        let trainings = self.trainings;
        let mut reached = Reached::nothing(trainings);
        let group = |arms: Vec<usize>| {
            let mut added = |add: fn(&mut Reached<'a>, usize, Epoch)| {
                reached.clear();
                trainings.runs(&arms[..1], before).for_each(|(run, until)| add(&mut reached, run, until));
                let so_far = reached.epochs;
                trainings.runs(&arms, next).for_each(|(run, until)| add(&mut reached, run, until));
                reached.epochs - so_far
            };
            Group { students: added(Reached::add_student), with_teachers: added(Reached::add), arms }
        };
        trainings.alike(&self.arms, before).into_iter().map(group).collect()
    }
}

/// Puts the groups that cost most first, and says what so many of them cost together. Of several that cost as much the one of the most arms
/// comes first, which may still part; of those the first.
fn dearest(groups: &mut [Group], count: usize, cost: fn(&Group) -> u64) -> u64 {
    groups.sort_by_key(|group| Reverse((cost(group), group.arms.len())));
    groups.iter().take(count).map(cost).sum()
}
