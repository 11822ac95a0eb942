//! What is missing of a segment and what to do next about it: decisions from what is known, carried out in [`crate::segment`].
//!
//! *Continue from the furthest checkpoint that is not past the target* is the one way on, whether a segment is new, was killed, is
//! asked for more epochs, or for a stop between two that were kept. An epoch depends on the segment and its number alone, so an
//! epoch trained twice leaves the same bits, and whatever cannot be had otherwise can be had by training it again.
//!
//! **The best epoch.** The best epoch of a run is that with the highest validation accuracy on its whole path, the earliest
//! among equals. A path may go through several segments and leaves each of them at a stop. So the best epoch *so far* is tested at
//! every stop: among a path's segments, each tested at its best until the path leaves it, is the best of all. A segment that
//! starts from another's checkpoint looks at its own epochs only.

use crate::checkpoint::Held;
use std::collections::{BTreeMap, BTreeSet};
use study::{CheckpointFile, Epoch, EpochMetrics, EvaluateTest, Event, Fidelity, Job, Kept, Observer, Segment};

/// Checkpoints kept to resume from while training: should one be damaged, there is another.
pub const LATEST_KEPT: usize = 2;

/// What was asked for, and what there is of it.
pub struct Course<'a> {
    segment: &'a Segment,
    evaluate_test: EvaluateTest,
    measured_against: Vec<Observer>,
    /// Of every epoch told so far; an epoch without is not trained.
    pub metrics: BTreeMap<Epoch, EpochMetrics>,
    /// Checkpoints that lie there whole.
    pub held: BTreeMap<Epoch, Held>,
    /// Checkpoints that were promised and not taken back, as they were promised last.
    promised: BTreeMap<Epoch, CheckpointFile>,
    /// Stops of this and of earlier jobs: others were promised that these stay.
    stops: BTreeSet<Epoch>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Train the epoch that follows `after` complete ones, from the network as it was then.
    Train { after: Epoch },
    /// Evaluate what [`Course::lacking`] says of a checkpoint.
    Evaluate { epoch: Epoch },
    /// All that was asked for is there.
    Finished,
}

/// What an epoch still has to be evaluated on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    pub test: bool,
    /// The clean pass over the training split.
    pub train_clean: bool,
    pub logits: bool,
    /// On the validation and the test split, against a teacher: one that observes since, or any where test is new.
    pub fidelity: bool,
}

impl Lacking {
    pub fn anything(self) -> bool {
        self != Lacking::default()
    }
}

/// Files that nobody needs any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    pub checkpoints: Vec<Epoch>,
    /// Checkpoints that stay, without their optimizer state.
    pub momentum: Vec<Epoch>,
}

/// The epoch with the highest validation accuracy, the earliest among equals; `None` without validation. `metrics` in rising
/// order.
pub fn best_epoch<'a>(metrics: impl IntoIterator<Item = &'a EpochMetrics>) -> Option<Epoch> {
    let accuracies = metrics.into_iter().filter_map(|metrics| Some((metrics.epoch, metrics.validation?.accuracy)));
    accuracies.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(epoch, _)| epoch)
}

impl<'a> Course<'a> {
    /// From what earlier workers told, and the checkpoints that lie there.
    pub fn new(job: &'a Job, told: &[Event], held: BTreeMap<Epoch, Held>) -> Course<'a> {
        let segment = &job.segment;
        let mut course = Course {
            segment,
            evaluate_test: job.evaluate_test,
            measured_against: segment.measured_against(),
            metrics: BTreeMap::new(),
            held,
            promised: BTreeMap::new(),
            stops: segment.stops.clone(),
        };
        for event in told {
            match event {
                Event::Epoch(metrics) => drop(course.learn(metrics.clone())),
                Event::Checkpoint(file) => {
                    if file.kept == Kept::Stop {
                        course.stops.insert(file.epoch);
                    }
                    course.promised.insert(file.epoch, file.clone());
                }
                Event::Pruned { epochs } => course.take_back(epochs),
                _ => {}
            }
        }
        course
    }

    /// Epochs whose checkpoints were promised and not taken back.
    pub fn promised(&self) -> impl Iterator<Item = Epoch> {
        self.promised.keys().copied()
    }

    /// The promise to make of a checkpoint; `None` while something is still to be evaluated at its epoch, and where the same
    /// was promised before: a worker that starts again and again says nothing new.
    pub fn promise(&mut self, epoch: Epoch) -> Option<CheckpointFile> {
        if self.lacking(epoch).anything() {
            return None;
        }
        let held = self.held.get(&epoch)?;
        let file = CheckpointFile { epoch, kept: self.kept(epoch), digest: held.digest.clone(), bytes: held.bytes };
        let before = self.promised.insert(epoch, file.clone());
        (before.as_ref() != Some(&file)).then_some(file)
    }

    /// Promises that hold no more: these checkpoints go, or are gone.
    pub fn take_back(&mut self, epochs: &[Epoch]) {
        self.promised.retain(|epoch, _| !epochs.contains(epoch));
    }

    /// Takes in metrics of an epoch and gives all that is known of it: a later line takes nothing back that an earlier one had.
    pub fn learn(&mut self, mut metrics: EpochMetrics) -> EpochMetrics {
        if let Some(before) = self.metrics.get(&metrics.epoch) {
            metrics.test = metrics.test.or(before.test);
            metrics.train_clean = metrics.train_clean.or(before.train_clean);
            for old in &before.fidelity {
                let same = |new: &&mut Fidelity| (&new.teacher, new.temperature) == (&old.teacher, old.temperature);
                match metrics.fidelity.iter_mut().find(same) {
                    Some(new) => *new = new.clone().or(old),
                    None => metrics.fidelity.push(old.clone()),
                }
            }
        }
        self.metrics.insert(metrics.epoch, metrics.clone());
        metrics
    }

    /// Epochs complete that a checkpoint covers with everything before it: what a worker that leaves now loses nothing of.
    pub fn covered(&self) -> Epoch {
        let mut known = self.segment.from();
        while self.metrics.contains_key(&Epoch(known.0 + 1)) {
            known.0 += 1;
        }
        self.furthest_to_go_on_from(known)
    }

    /// Where training would go on, had it to go no further than `target`: the furthest checkpoint with optimizer state, or the
    /// segment's start.
    fn furthest_to_go_on_from(&self, target: Epoch) -> Epoch {
        let start = self.segment.from();
        let own = self.held.iter().rev().find(|(epoch, held)| (start..=target).contains(epoch) && held.momentum);
        own.map_or(start, |(epoch, _)| *epoch)
    }

    /// The best epoch until `until`, see [`best_epoch`].
    pub fn best(&self, until: Epoch) -> Option<Epoch> {
        best_epoch(self.metrics.range(..=until).map(|(_, metrics)| metrics))
    }

    /// The best epoch so far at each of `stops` that was reached.
    fn best_at(&self, stops: &BTreeSet<Epoch>) -> BTreeSet<Epoch> {
        let mut known = self.segment.from();
        while self.metrics.contains_key(&Epoch(known.0 + 1)) {
            known.0 += 1;
        }
        stops.iter().filter(|stop| **stop <= known).filter_map(|stop| self.best(*stop)).collect()
    }

    /// Epochs that are or were the best when `at` epochs are complete, at any stop, and of all that was ever trained.
    fn kept_as_best(&self, at: Epoch) -> BTreeSet<Epoch> {
        let now = [at, Epoch(u32::MAX)].into_iter().filter_map(|until| self.best(until));
        self.best_at(&self.stops).into_iter().chain(now).collect()
    }

    /// What a trained epoch still has to be evaluated on.
    pub fn lacking(&self, epoch: Epoch) -> Lacking {
        self.lacking_given(epoch, &self.best_at(&self.segment.stops))
    }

    fn lacking_given(&self, epoch: Epoch, best_at_stops: &BTreeSet<Epoch>) -> Lacking {
        let Some(metrics) = self.metrics.get(&epoch) else { return Lacking::default() };
        if self.evaluate_test == EvaluateTest::Never {
            // What is told of teachers is told on test too.
            return Lacking::default();
        }
        let (stop, best) = (self.segment.stops.contains(&epoch), best_at_stops.contains(&epoch));
        let held = self.held.get(&epoch);
        let held_out = self.segment.dataset.validation > 0;
        let measured = |observer: &Observer| {
            let on_both = |it: &Fidelity| it.kd_loss_test.is_some() && (it.kd_loss_validation.is_some() || !held_out);
            metrics.fidelity_to(observer).is_some_and(on_both)
        };
        Lacking {
            test: metrics.test.is_none() && (stop || best || self.evaluate_test == EvaluateTest::EveryEpoch),
            train_clean: metrics.train_clean.is_none() && self.segment.ends.contains(&epoch),
            logits: held.is_some_and(|held| !held.logits) && (stop || best),
            fidelity: held.is_some() && (stop || best) && !self.measured_against.iter().all(measured),
        }
    }

    /// What to do next. `at`: epochs complete of the network in memory, if it can be trained on.
    pub fn next(&self, at: Option<Epoch>) -> Next {
        let best = self.best_at(&self.segment.stops);
        let start = self.segment.from();
        let asked = |epoch: Epoch| start < epoch && epoch <= self.segment.until;
        // In rising order: a stop comes after the best before it, so that all is known once the stop is told.
        let evaluated = self.held.keys().find(|epoch| asked(**epoch) && self.lacking_given(**epoch, &best).anything());
        if let Some(epoch) = evaluated {
            return Next::Evaluate { epoch: *epoch };
        }
        let is_missing = |epoch: &Epoch| {
            let held = self.held.get(epoch);
            !self.metrics.contains_key(epoch)
                || self.segment.stops.contains(epoch) && !held.is_some_and(|held| held.momentum)
                || held.is_none() && self.lacking_given(*epoch, &best).test
                || held.is_none() && best.contains(epoch)
        };
        let Some(missing) = (start.0 + 1..=self.segment.until.0).map(Epoch).find(is_missing) else {
            return Next::Finished;
        };
        let before = Epoch(missing.0 - 1);
        let in_memory = at.filter(|at| *at <= before).unwrap_or(start);
        Next::Train { after: in_memory.max(self.furthest_to_go_on_from(before)) }
    }

    /// Why a checkpoint is kept.
    pub fn kept(&self, epoch: Epoch) -> Kept {
        if self.stops.contains(&epoch) {
            Kept::Stop
        } else if self.kept_as_best(self.segment.until).contains(&epoch) {
            Kept::Best
        } else {
            Kept::Latest
        }
    }

    /// What is needed no more once `at` epochs are complete, when the latest `latest` checkpoints are to stay. What lies beyond
    /// `at` is not looked at: it was trained for a longer job and may be asked for again.
    pub fn to_prune(&self, at: Epoch, latest: usize) -> Pruning {
        let done = || self.held.range(..=at);
        let best = self.kept_as_best(at);
        let latest: BTreeSet<Epoch> = done().rev().take(latest).map(|(epoch, _)| *epoch).collect();
        let resumable = |epoch: &Epoch| self.stops.contains(epoch) || latest.contains(epoch);
        let mut pruning = Pruning::default();
        for (epoch, held) in done().filter(|(epoch, _)| !resumable(epoch)) {
            if !best.contains(epoch) {
                pruning.checkpoints.push(*epoch);
            } else if held.momentum {
                pruning.momentum.push(*epoch);
            }
        }
        pruning
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::{
        Architecture, Augmentation, CheckpointId, Dataset, DatasetFacts, Device, Numerics, Optimizer, Schedule, Scores,
        Seed, SegmentKey, Start, Term,
    };

    fn job(until: u32, stops: &[u32], observers: &[f64]) -> Job {
        let teacher = CheckpointId { segment: SegmentKey("t".into()), epoch: Epoch(20) };
        Job {
            version: Job::VERSION,
            segment: Segment {
                key: SegmentKey("s".into()),
                seed: Seed(0),
                start: Start::Initialisation,
                architecture: Architecture::WideResNet { depth: 10, width: 1 },
                schedule: Schedule { horizon: Epoch(20), drops: vec![], learning_rate: 0.1, decay: 0.2 },
                terms: vec![(1.0, Term::CrossEntropy)],
                optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 },
                batch_size: 128,
                augmentation: Augmentation::None,
                augmentation_seed: None,
                dataset: DatasetFacts {
                    dataset: Dataset::FashionMnist12k,
                    checksum: String::new(),
                    classes: 10,
                    channels: 1,
                    image_size: 28,
                    train: 100,
                    validation: 10,
                    test: 10,
                },
                numerics: Numerics::CpuF32,
                until: Epoch(until),
                stops: stops.iter().copied().chain([until]).map(Epoch).collect(),
                ends: [Epoch(until)].into(),
                observers: observers
                    .iter()
                    .map(|temperature| Observer { teacher: teacher.clone(), temperature: *temperature })
                    .collect(),
            },
            dataset_path: None,
            device: Device::Cpu,
            threads: 1,
            evaluate_test: EvaluateTest::Checkpoints,
            shared_folder: None,
            teacher_logits: Vec::new(),
        }
    }

    /// Validation accuracies of epochs 1, 2, ...: the best is 2 until 4, 5 until 8, 9 from then on.
    const ACCURACIES: [f64; 12] = [0.1, 0.5, 0.5, 0.3, 0.6, 0.2, 0.6, 0.4, 0.7, 0.1, 0.7, 0.2];

    /// What lies in a folder after a worker, and how many epochs it trained.
    #[derive(Clone, Default)]
    struct Folder {
        told: Vec<Event>,
        held: BTreeMap<Epoch, Held>,
        trained: u32,
    }

    impl Folder {
        /// What [`crate::segment::train`] does, without the training; killed after `steps` decisions.
        fn work(&mut self, job: &Job, steps: usize) -> Next {
            let mut course = Course::new(job, &self.told, self.held.clone());
            let mut at = None;
            for _ in 0..steps {
                match course.next(at) {
                    Next::Train { after } => {
                        let own = course.held.get(&after).is_some_and(|held| held.momentum);
                        assert!(at == Some(after) || own || after == Epoch(0), "nothing to go on from at {after}");
                        let epoch = Epoch(after.0 + 1);
                        let (told, held) = trained(job, epoch);
                        self.told.push(Event::Epoch(course.learn(told)));
                        course.held.insert(epoch, held);
                        self.told.extend(course.promise(epoch).map(Event::Checkpoint));
                        let pruning = course.to_prune(epoch, LATEST_KEPT);
                        self.prune(&mut course, pruning);
                        self.trained += 1;
                        at = Some(epoch);
                    }
                    Next::Evaluate { epoch } => {
                        let lacking = course.lacking(epoch);
                        let mut told = course.metrics[&epoch].clone();
                        told.test = told.test.or(lacking.test.then_some(told.train));
                        told.train_clean = told.train_clean.or(lacking.train_clean.then_some(told.train));
                        told.fidelity = trained(job, epoch).0.fidelity;
                        told.fidelity.iter_mut().for_each(|fidelity| fidelity.kd_loss_test = Some(0.2));
                        course.held.get_mut(&epoch).unwrap().logits |= lacking.logits;
                        self.told.push(Event::Epoch(course.learn(told)));
                        self.told.extend(course.promise(epoch).map(Event::Checkpoint));
                        at = at.filter(|at| *at == epoch);
                    }
                    Next::Finished => {
                        let pruning = course.to_prune(job.segment.until, 0);
                        self.prune(&mut course, pruning);
                        self.held = course.held;
                        return Next::Finished;
                    }
                }
                self.held = course.held.clone();
            }
            course.next(at)
        }

        fn prune(&mut self, course: &mut Course<'_>, pruning: Pruning) {
            if !pruning.checkpoints.is_empty() {
                course.take_back(&pruning.checkpoints);
                self.told.push(Event::Pruned { epochs: pruning.checkpoints.clone() });
            }
            pruning.checkpoints.iter().for_each(|epoch| drop(course.held.remove(epoch)));
            pruning.momentum.iter().for_each(|epoch| course.held.get_mut(epoch).unwrap().momentum = false);
        }

        fn metrics(&self, job: &Job) -> BTreeMap<Epoch, EpochMetrics> {
            Course::new(job, &self.told, self.held.clone()).metrics
        }

        /// Epochs with test scores.
        fn tested(&self, job: &Job) -> Vec<u32> {
            self.metrics(job).values().filter(|it| it.test.is_some()).map(|it| it.epoch.0).collect()
        }
    }

    fn trained(job: &Job, epoch: Epoch) -> (EpochMetrics, Held) {
        let scores = Scores { cross_entropy: 1.0, accuracy: ACCURACIES[epoch.0 as usize - 1], calibration_error: None };
        let fidelity = |observer: Observer| Fidelity {
            kd_loss_validation: Some(0.1),
            agreement_validation: Some(0.9),
            ..Fidelity::to(observer)
        };
        let metrics = EpochMetrics {
            epoch,
            learning_rate: 0.1,
            train: scores,
            train_clean: None,
            validation: (job.segment.dataset.validation > 0).then_some(scores),
            test: None,
            fidelity: job.segment.measured_against().into_iter().map(fidelity).collect(),
            seconds: 1.0,
            images_per_second: 1.0,
        };
        (metrics, Held { digest: String::new(), bytes: 0, momentum: true, logits: false })
    }

    fn epochs(folder: &Folder) -> Vec<u32> {
        folder.held.keys().map(|epoch| epoch.0).collect()
    }

    const ALL: usize = 1_000;

    #[test]
    fn each_epoch_is_trained_once_and_stops_and_their_best_are_tested() {
        let job = job(12, &[4, 8], &[]);
        let mut folder = Folder::default();
        assert_eq!(folder.work(&job, ALL), Next::Finished);
        assert_eq!(folder.trained, 12);
        // On ties the earliest is the best: 2 before 3, 5 before 7, 9 before 11.
        assert_eq!(folder.tested(&job), [2, 4, 5, 8, 9, 12]);
        assert_eq!(epochs(&folder), [2, 4, 5, 8, 9, 12]);
        let resumable: Vec<u32> = folder.held.iter().filter(|(_, it)| it.momentum).map(|(epoch, _)| epoch.0).collect();
        assert_eq!(resumable, [4, 8, 12]);
        assert!(folder.held.values().all(|held| held.logits));
        let clean: Vec<_> = folder.metrics(&job).into_values().filter(|it| it.train_clean.is_some()).collect();
        assert!(matches!(&clean[..], [only] if only.epoch == Epoch(12)));
        assert_eq!(folder.work(&job, ALL), Next::Finished);
        assert_eq!(folder.trained, 12);
    }

    #[test]
    fn a_worker_killed_after_any_decision_is_followed_by_one_that_ends_the_same() {
        let job = job(12, &[4, 8], &[4.0]);
        let mut whole = Folder::default();
        whole.work(&job, ALL);
        for first in 0..25 {
            for second in 0..4 {
                let mut folder = Folder::default();
                folder.work(&job, first);
                folder.work(&job, second);
                assert_eq!(folder.work(&job, ALL), Next::Finished);
                assert_eq!(folder.metrics(&job), whole.metrics(&job));
                assert_eq!(folder.held, whole.held);
                assert_eq!(folder.trained, 12, "killed after {first} and {second}");
            }
        }
    }

    #[test]
    fn lost_lines_and_lost_checkpoints_are_made_again() {
        let job = job(12, &[4, 8], &[]);
        for steps in 1..22 {
            let mut reached = Folder::default();
            reached.work(&job, steps);
            for lost in reached.held.keys().copied().chain([Epoch(99)]).collect::<Vec<_>>() {
                for lines in 0..=reached.told.len() {
                    let mut folder = reached.clone();
                    folder.held.remove(&lost);
                    folder.told.truncate(lines);
                    assert_eq!(folder.work(&job, ALL), Next::Finished);
                    assert_eq!(folder.tested(&job), [2, 4, 5, 8, 9, 12]);
                    assert_eq!(epochs(&folder), [2, 4, 5, 8, 9, 12]);
                }
            }
        }
    }

    #[test]
    fn an_earlier_stop_asked_for_later_is_trained_from_the_furthest_checkpoint_before_it() {
        let mut folder = Folder::default();
        folder.work(&job(12, &[4], &[]), ALL);
        assert_eq!(folder.tested(&job(12, &[4], &[])), [2, 4, 9, 12]);
        // Epochs 5 to 8: from the checkpoint at 4. On the way lies 5, the best until 8.
        let asked = job(12, &[8], &[]);
        assert_eq!(folder.work(&asked, ALL), Next::Finished);
        assert_eq!(folder.trained, 12 + 4);
        assert_eq!(folder.tested(&asked), [2, 4, 5, 8, 9, 12]);
        // The stop at 4 was promised for good, and its best with it, though this job does not ask for them.
        assert_eq!(epochs(&folder), [2, 4, 5, 8, 9, 12]);
        // An earlier end alone: 5 is its best, and nothing beyond it is touched.
        let shorter = job(6, &[], &[]);
        assert_eq!(folder.work(&shorter, ALL), Next::Finished);
        assert_eq!(folder.trained, 12 + 4 + 2);
        assert_eq!(epochs(&folder), [2, 4, 5, 6, 8, 9, 12]);
    }

    #[test]
    fn more_epochs_go_on_from_the_end() {
        let mut folder = Folder::default();
        folder.work(&job(4, &[], &[]), ALL);
        assert_eq!(folder.work(&job(12, &[], &[]), ALL), Next::Finished);
        assert_eq!(folder.trained, 12);
    }

    #[test]
    fn who_observes_later_is_measured_where_checkpoints_are_kept() {
        let mut folder = Folder::default();
        folder.work(&job(12, &[4, 8], &[4.0]), ALL);
        let asked = job(12, &[4, 8], &[4.0, 16.0]);
        assert_eq!(folder.work(&asked, ALL), Next::Finished);
        assert_eq!(folder.trained, 12);
        let both = folder.metrics(&asked).into_values().filter(|it| it.fidelity.len() == 2);
        assert_eq!(both.map(|it| it.epoch.0).collect::<Vec<_>>(), [2, 4, 5, 8, 9, 12]);
    }

    #[test]
    fn a_promise_is_made_once_and_again_where_it_changed_or_was_taken_back() {
        let job = job(12, &[4, 8], &[]);
        let mut folder = Folder::default();
        folder.work(&job, ALL);
        let mut course = Course::new(&job, &folder.told, folder.held.clone());
        assert!(course.promised().eq([2, 4, 5, 8, 9, 12].map(Epoch)));
        assert!(folder.held.keys().all(|epoch| course.promise(*epoch).is_none()));
        course.held.get_mut(&Epoch(9)).unwrap().bytes = 7;
        course.take_back(&[Epoch(4)]);
        let promised = folder.held.keys().filter_map(|epoch| course.promise(*epoch));
        let promised: Vec<_> = promised.map(|file| (file.epoch.0, file.kept, file.bytes)).collect();
        assert_eq!(promised, [(4, Kept::Stop, 0), (9, Kept::Best, 7)]);
    }

    #[test]
    fn without_validation_there_is_no_best() {
        let mut job = job(12, &[4], &[4.0]);
        job.segment.dataset.validation = 0;
        let mut folder = Folder::default();
        assert_eq!(folder.work(&job, ALL), Next::Finished);
        assert_eq!((folder.tested(&job), epochs(&folder)), (vec![4, 12], vec![4, 12]));
    }

    #[test]
    fn test_can_be_asked_for_at_every_epoch() {
        let mut job = job(12, &[4], &[]);
        job.evaluate_test = EvaluateTest::EveryEpoch;
        let mut folder = Folder::default();
        assert_eq!(folder.work(&job, ALL), Next::Finished);
        assert_eq!(folder.trained, 12);
        assert_eq!(folder.tested(&job), (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn while_training_the_two_latest_can_be_resumed_from() {
        let job = job(12, &[4], &[]);
        let mut folder = Folder::default();
        while folder.trained < 7 {
            folder.work(&job, 1);
        }
        // 4 is a stop and 2 was its best, 5 is the best, 6 and 7 the latest.
        assert_eq!(epochs(&folder), [2, 4, 5, 6, 7]);
        let course = Course::new(&job, &folder.told, folder.held.clone());
        assert_eq!(course.covered(), Epoch(7));
        folder.held.remove(&Epoch(7));
        assert_eq!(Course::new(&job, &folder.told, folder.held).next(None), Next::Train { after: Epoch(6) });
    }
}
