//! The whole plan by numbers: runs and segments by their places in it, so that walks over thousands of arms and rounds of every length
//! compare no keys.

use super::{Round, runs_of_arm};
use crate::{CheckpointId, Epoch, Leg, Plan, SegmentKey, ordered::map};
use std::{collections::BTreeMap, iter};

pub(super) struct Trainings<'a> {
    pub whole: &'a Plan,
    /// Run by run, the segments it passes through, each with the epoch up to which it is in it.
    legs: Vec<Vec<(usize, Epoch)>>,
    /// Segment by segment, as are the next two: epochs complete when it starts.
    from: Vec<Epoch>,
    /// The checkpoints that it learns from.
    teachers: Vec<Vec<(usize, Epoch)>>,
    /// With them that from which it starts.
    needs: Vec<Vec<(usize, Epoch)>>,
}

impl<'a> Trainings<'a> {
    pub fn of(whole: &'a Plan) -> Trainings<'a> {
        let places: BTreeMap<&SegmentKey, usize> =
            map(whole.segments.iter().enumerate().map(|(place, segment)| (&segment.key, place)));
        let checkpoint = |id: &CheckpointId| Some((*places.get(&id.segment)?, id.epoch));
        let leg = |leg: &Leg| Some((*places.get(&leg.segment)?, leg.until));
        let segments = || whole.segments.iter();
        Trainings {
            whole,
            legs: whole.runs.iter().map(|run| run.legs.iter().filter_map(leg).collect()).collect(),
            from: segments().map(|segment| segment.from()).collect(),
            teachers: segments()
                .map(|segment| segment.terms.iter().filter_map(|(_, term)| checkpoint(term.teacher()?)).collect())
                .collect(),
            needs: segments().map(|segment| segment.needs().into_iter().filter_map(checkpoint).collect()).collect(),
        }
    }

    /// Groups of these arms that are one training until a round's end, each arm in one of them, in the order of their first arms.
    pub fn alike(&self, arms: &[usize], round: Round) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        // Of each segment the last group that is in it with the first seed, and of each group the one before it there: mostly there is
        // none, since a segment's key holds all that came before it.
        let mut last_in: Vec<Option<usize>> = vec![None; self.from.len()];
        let mut before: Vec<Option<usize>> = Vec::new();
        for arm in arms {
            let Some(segment) = self.at(*arm, round).next() else { continue };
            let mut there = iter::successors(last_in[segment], |group| before[*group]);
            match there.find(|group| self.at(groups[*group][0], round).eq(self.at(*arm, round))) {
                Some(group) => groups[group].push(*arm),
                None => {
                    before.push(last_in[segment].replace(groups.len()));
                    groups.push(vec![*arm]);
                }
            }
        }
        groups
    }

    /// The runs of these arms in a round, each with the epoch up to which it is trained.
    pub fn runs(&self, arms: &[usize], round: Round) -> impl Iterator<Item = (usize, Epoch)> {
        arms.iter().flat_map(move |arm| runs_of_arm(self.whole, *arm, round.seeds)).map(move |run| (run, round.epochs))
    }

    /// The segment in which an arm's training is at a round's end, seed by seed.
    fn at(&self, arm: usize, round: Round) -> impl Iterator<Item = usize> {
        let last = move |run: usize| self.legs_until(run, round.epochs).last();
        runs_of_arm(self.whole, arm, round.seeds).filter_map(last).map(|(segment, _)| segment)
    }

    /// What of each segment a run asks for, of itself up to an epoch.
    fn legs_until(&self, run: usize, until: Epoch) -> impl Iterator<Item = (usize, Epoch)> {
        let begun = self.legs[run].iter().take_while(move |(segment, _)| self.from[*segment] < until);
        begun.map(move |(segment, end)| (*segment, (*end).min(until)))
    }
}

/// Segments that are trained, each as far as any asked for it.
pub(super) struct Reached<'a> {
    trainings: &'a Trainings<'a>,
    /// Segment by segment; where it starts, of those that nobody asked for.
    until: Vec<Epoch>,
    asked_for: Vec<usize>,
    /// Of all of them together.
    pub epochs: u64,
}

impl<'a> Reached<'a> {
    pub fn nothing(trainings: &'a Trainings<'a>) -> Reached<'a> {
        Reached { trainings, until: trainings.from.clone(), asked_for: Vec::new(), epochs: 0 }
    }

    pub fn clear(&mut self) {
        self.epochs = 0;
        for segment in self.asked_for.drain(..) {
            self.until[segment] = self.trainings.from[segment];
        }
    }

    /// Adds a run up to an epoch, with what teaches it.
    pub fn add(&mut self, run: usize, until: Epoch) {
        self.add_student(run, until);
        self.add_teachers(run, until);
    }

    /// Adds the segments of a run itself, up to an epoch.
    pub fn add_student(&mut self, run: usize, until: Epoch) {
        for (segment, until) in self.trainings.legs_until(run, until) {
            self.reach(segment, until);
        }
    }

    /// Adds what teaches a run up to an epoch, with all that is needed for that.
    pub fn add_teachers(&mut self, run: usize, until: Epoch) {
        let trainings = self.trainings;
        trainings.legs_until(run, until).for_each(|(segment, _)| self.add_all(&trainings.teachers[segment]));
    }

    /// Adds checkpoints with all that they need.
    fn add_all(&mut self, checkpoints: &[(usize, Epoch)]) {
        for (segment, epoch) in checkpoints {
            if self.reach(*segment, *epoch) {
                self.add_all(&self.trainings.needs[*segment]);
            }
        }
    }

    /// Adds all of another.
    pub fn join(&mut self, other: &Reached<'_>) {
        for segment in &other.asked_for {
            self.reach(*segment, other.until[*segment]);
        }
    }

    /// Whether nobody asked for as much of it before.
    fn reach(&mut self, segment: usize, until: Epoch) -> bool {
        let furthest = &mut self.until[segment];
        if *furthest >= until {
            return false;
        }
        if *furthest == self.trainings.from[segment] {
            self.asked_for.push(segment);
        }
        self.epochs += u64::from(until.0 - furthest.0);
        *furthest = until;
        true
    }
}
