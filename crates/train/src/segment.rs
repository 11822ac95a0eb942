//! One segment, trained: from its start to its furthest stop, or on from wherever an earlier worker got to.
//!
//! *Continue from the furthest checkpoint that is not past the target* is the one way to begin, whether the segment is new,
//! was killed, is asked for more epochs, or for a stop between two that were kept. An epoch depends on the segment and
//! its number alone, so an epoch trained twice leaves the same bits.
//!
//! The best epoch of a run is looked for over its whole path, which may go through several segments and leave each of them at a
//! stop. So at every stop the best epoch *so far* is tested and kept: whichever way a run goes on, its best is among them.

use crate::TrainError;
use crate::augmentation::{Normalisation, order, view};
use crate::checkpoint::{self, Held, Inventory, KeptLogits};
use crate::dataset::{Images, Split};
use crate::engine::{Engine, NetworkShape, Values, Weights, open, open_for_evaluation, resolve};
use crate::folder::{EventLog, read_events, sibling};
use crate::initial::initial_weights;
use crate::objective::{self, named_classes, scalar};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;
use study::{
    CheckpointFile, CheckpointId, Epoch, EpochMetrics, EvaluateTest, Event, Fidelity, Job, Kept, Observer, Provenance,
    Scores, Segment, Start, Term,
};

/// Images evaluated at a time.
const EVALUATION_BATCH: usize = 1_000;
/// The latest checkpoints kept to resume from: should one be damaged, there is another.
const LATEST_KEPT: usize = 2;

/// Whether everything asked for is there, or someone asked to leave before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Finished(Epoch),
    /// With the epochs that a checkpoint covers.
    Left(Epoch),
}

/// Trains what is missing of `job`'s segment in `folder`, telling each thing that happens. `leave` is asked at every step.
///
/// # Errors
/// See [`TrainError`]; what was acknowledged before stays.
pub fn train(
    folder: &Path,
    job: &Job,
    images: &Images,
    provenance: &Provenance,
    log: &mut EventLog,
    leave: &dyn Fn() -> bool,
) -> Result<Ended, TrainError> {
    let segment = &job.segment;
    let (events, _) = read_events(folder, 0)?;
    let mut metrics = BTreeMap::new();
    for event in events {
        if let Event::Epoch(told) = event {
            merge_metrics(&mut metrics, told);
        }
    }
    let Inventory { mut held, damaged } = checkpoint::inventory(folder)?;
    for (epoch, problem) in damaged {
        let message =
            format!("the checkpoint of epoch {epoch} cannot be used ({problem}); training goes on from an earlier one");
        log.append(&Event::Note { message })?;
        checkpoint::remove(folder, epoch)?;
        held.remove(&epoch);
    }
    let mut classroom = Classroom::open(folder, job, images)?;
    let mut notebook = Notebook { folder, job, images, provenance, log, metrics, held };
    notebook.announce_held()?;
    let mut complete = None;
    for &stop in &segment.stops {
        if notebook.is_closed(stop) {
            continue;
        }
        let start = notebook.start_for(stop);
        if complete.is_none_or(|complete| complete < start || complete > stop) {
            classroom.load(&notebook, start)?;
            complete = Some(start);
        }
        for epochs in complete.unwrap_or(start).0..stop.0 {
            let Some(mut told) = classroom.epoch(Epoch(epochs), &notebook, leave)? else {
                return Ok(Ended::Left(notebook.covered()));
            };
            if let Some(known) = notebook.metrics.get(&told.epoch) {
                told.test = told.test.or(known.test);
                told.train_clean = told.train_clean.or(known.train_clean);
            }
            notebook.finish_epoch(told, classroom.network.as_ref())?;
            complete = Some(Epoch(epochs + 1));
        }
        notebook.close(stop, &mut classroom)?;
    }
    Ok(Ended::Finished(segment.until))
}

/// A later line never takes back scores that an earlier one had.
fn merge_metrics(metrics: &mut BTreeMap<Epoch, EpochMetrics>, mut told: EpochMetrics) {
    if let Some(before) = metrics.get(&told.epoch) {
        told.test = told.test.or(before.test);
        told.train_clean = told.train_clean.or(before.train_clean);
    }
    metrics.insert(told.epoch, told);
}

/// The epoch with the highest validation accuracy, the earliest among equals; `None` without validation.
pub fn best_epoch<'a>(metrics: impl IntoIterator<Item = &'a EpochMetrics>) -> Option<Epoch> {
    metrics
        .into_iter()
        .filter_map(|metrics| Some((metrics.epoch, metrics.validation?.accuracy)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(epoch, _)| epoch)
}

/// Which checkpoints are held no longer: all but the stops, the best so far at each stop and now, and the latest ones.
fn checkpoints_to_prune(
    held: &BTreeMap<Epoch, Held>,
    stops: &BTreeSet<Epoch>,
    metrics: &BTreeMap<Epoch, EpochMetrics>,
) -> Vec<Epoch> {
    let best_until = |epoch: Epoch| best_epoch(metrics.range(..=epoch).map(|(_, metrics)| metrics));
    let mut keep: BTreeSet<Epoch> = stops.clone();
    keep.extend(stops.iter().filter_map(|stop| best_until(*stop)));
    keep.extend(best_epoch(metrics.values()));
    keep.extend(held.keys().rev().take(LATEST_KEPT));
    held.keys().filter(|epoch| !keep.contains(epoch)).copied().collect()
}

/// What is written down: the folder's metrics and checkpoints.
struct Notebook<'a> {
    folder: &'a Path,
    job: &'a Job,
    images: &'a Images,
    provenance: &'a Provenance,
    log: &'a mut EventLog,
    metrics: BTreeMap<Epoch, EpochMetrics>,
    held: BTreeMap<Epoch, Held>,
}

impl Notebook<'_> {
    fn segment(&self) -> &Segment {
        &self.job.segment
    }

    /// Checkpoints that lie there may be news to the reader: a worker can be killed between a file and its line.
    fn announce_held(&mut self) -> Result<(), TrainError> {
        let held: Vec<Epoch> = self.held.keys().copied().collect();
        held.into_iter().try_for_each(|epoch| self.announce(epoch))
    }

    fn announce(&mut self, epoch: Epoch) -> Result<(), TrainError> {
        let kept = if self.segment().stops.contains(&epoch) {
            Kept::Stop
        } else if best_epoch(self.metrics.values()) == Some(epoch) {
            Kept::Best
        } else {
            Kept::Latest
        };
        let Held { digest, bytes, .. } = &self.held[&epoch];
        let file = CheckpointFile { epoch, kept, digest: digest.clone(), bytes: *bytes };
        self.log.append(&Event::Checkpoint(file))
    }

    /// The last epoch from the segment's start on of which everything before it is known too.
    fn known_until(&self) -> Epoch {
        let mut known = self.segment().from();
        while self.metrics.contains_key(&Epoch(known.0 + 1)) {
            known.0 += 1;
        }
        known
    }

    /// Epochs that a checkpoint covers.
    fn covered(&self) -> Epoch {
        self.furthest(self.known_until())
    }

    /// The furthest checkpoint to go on from that is not past `target`, or the segment's start.
    fn furthest(&self, target: Epoch) -> Epoch {
        let own = self.held.range(..=target.min(self.known_until())).rev().find(|(_, held)| held.momentum);
        own.map_or(self.segment().from(), |(epoch, _)| *epoch)
    }

    fn best_until(&self, epoch: Epoch) -> Option<Epoch> {
        best_epoch(self.metrics.range(..=epoch).map(|(_, metrics)| metrics))
    }

    /// Whether an epoch's test scores and logits can be had without training it again.
    fn is_tested_or_held(&self, epoch: Epoch) -> bool {
        self.held.contains_key(&epoch) || self.metrics.get(&epoch).is_some_and(|metrics| metrics.test.is_some())
    }

    /// Where to go on from for `stop`: far enough back to pass the best epoch so far, should it be neither tested nor held.
    fn start_for(&self, stop: Epoch) -> Epoch {
        let furthest = self.furthest(stop);
        match self.best_until(furthest).filter(|best| !self.is_tested_or_held(*best)) {
            Some(best) => self.furthest(best),
            None => furthest,
        }
    }

    fn is_closed(&self, stop: Epoch) -> bool {
        let closed = |metrics: &EpochMetrics| {
            metrics.test.is_some() && (metrics.train_clean.is_some() || !self.segment().ends.contains(&stop))
        };
        self.known_until() >= stop
            && self.held.get(&stop).is_some_and(|held| held.momentum && held.logits)
            && self.metrics.get(&stop).is_some_and(closed)
            && self.best_until(stop).is_none_or(|best| self.metrics[&best].test.is_some())
    }

    fn finish_epoch(&mut self, told: EpochMetrics, network: &dyn Engine) -> Result<(), TrainError> {
        let epoch = told.epoch;
        self.log.append(&Event::Epoch(told.clone()))?;
        self.metrics.insert(epoch, told);
        let batches = self.images.train.len().div_ceil(self.segment().batch_size as usize) as u64;
        let metadata = checkpoint::metadata(self.segment(), epoch, self.images, self.provenance);
        let steps = batches * u64::from(epoch.0);
        let held = checkpoint::save(self.folder, epoch, &network.weights()?, &network.momentum()?, steps, &metadata)?;
        self.held.insert(epoch, held);
        self.announce(epoch)?;
        self.prune()
    }

    fn prune(&mut self) -> Result<(), TrainError> {
        let epochs = checkpoints_to_prune(&self.held, &self.segment().stops, &self.metrics);
        if epochs.is_empty() {
            return Ok(());
        }
        // Told first: a row without its file would promise what is not there.
        self.log.append(&Event::Pruned { epochs: epochs.clone() })?;
        for epoch in epochs {
            checkpoint::remove(self.folder, epoch)?;
            self.held.remove(&epoch);
        }
        Ok(())
    }

    /// Tests a stop and the best epoch so far, keeps their logits, and closes a run that ends here.
    fn close(&mut self, stop: Epoch, classroom: &mut Classroom<'_>) -> Result<(), TrainError> {
        let best = self.best_until(stop).filter(|best| *best != stop);
        // Tested already, and perhaps not held any more.
        let best = best.filter(|best| self.metrics[best].test.is_none());
        let own = classroom.network.weights()?;
        self.test(stop, self.segment().ends.contains(&stop), classroom)?;
        if let Some(best) = best {
            classroom.network.set_weights(&checkpoint::load_weights(self.folder, best)?.0)?;
            self.test(best, false, classroom)?;
            classroom.network.set_weights(&own)?;
        }
        self.prune()
    }

    /// Evaluates the network as it is at `epoch`.
    fn test(&mut self, epoch: Epoch, clean: bool, classroom: &mut Classroom<'_>) -> Result<(), TrainError> {
        let images = self.images;
        let validation = classroom.evaluate(&images.validation)?;
        let test = classroom.evaluate(&images.test)?;
        let mut told = self.metrics[&epoch].clone();
        told.test = Some(scores(&test, &images.test)?);
        if clean {
            let train = classroom.evaluate(&images.train)?;
            told.train_clean = Some(scores(&train, &images.train)?);
        }
        let logits = KeptLogits { validation: values(&validation)?, test: values(&test)? };
        let held = checkpoint::save_logits(self.folder, epoch, &logits)?;
        self.held.insert(epoch, held);
        self.log.append(&Event::Epoch(told.clone()))?;
        self.metrics.insert(epoch, told);
        self.announce(epoch)
    }
}

/// A frozen teacher, and what it says of the validation split.
struct FrozenTeacher {
    /// Present where it teaches; one that only observes is known by its logits.
    network: Option<Box<dyn Engine>>,
    /// (n, classes).
    validation: Tensor,
}

/// Everyone in the room: the student's network, its teachers and observers, and the images.
struct Classroom<'a> {
    folder: &'a Path,
    job: &'a Job,
    images: &'a Images,
    normalisation: Normalisation,
    shape: NetworkShape,
    network: Box<dyn Engine>,
    teachers: BTreeMap<CheckpointId, FrozenTeacher>,
    observers: Vec<Observer>,
}

/// Sums over an epoch's images, for one teacher.
#[derive(Default)]
struct FidelitySum {
    kd_loss: f64,
    agreeing: usize,
}

impl<'a> Classroom<'a> {
    fn open(folder: &'a Path, job: &'a Job, images: &'a Images) -> Result<Self, TrainError> {
        let segment = &job.segment;
        let shape_of = |architecture| NetworkShape {
            architecture,
            channels: images.facts.channels as usize,
            image_size: images.facts.image_size as usize,
            classes: images.facts.classes as usize,
        };
        let (device, _) = resolve(job.device);
        let (shape, threads) = (shape_of(segment.architecture), job.threads.max(1) as usize);
        let network = open(&shape, segment.numerics, device, threads, segment.batch_size as usize)?;
        let normalisation = Normalisation::of(images);
        let observers = segment.measured_against();
        let teaching: BTreeSet<&CheckpointId> = segment.terms.iter().filter_map(|(_, term)| term.teacher()).collect();
        let mut teachers = BTreeMap::new();
        for Observer { teacher, .. } in &observers {
            if teachers.contains_key(teacher) {
                continue;
            }
            let home = sibling(folder, teacher);
            let kept = checkpoint::load_logits(&home, teacher.epoch).ok();
            let teaches = teaching.contains(teacher);
            let mut frozen = None;
            if teaches || kept.is_none() {
                let (weights, metadata) = checkpoint::load_weights(&home, teacher.epoch)?;
                let path = crate::folder::weights_path(&home, teacher.epoch);
                let shape = shape_of(checkpoint::architecture(&path, &metadata)?);
                let mut network = open_for_evaluation(&shape, segment.numerics, device, threads)?;
                network.set_weights(&weights)?;
                frozen = Some(network);
            }
            let validation = match (kept, &mut frozen) {
                (Some(kept), _) => tensor(&kept.validation)?,
                (None, Some(network)) => evaluate(network.as_mut(), &normalisation, images, &images.validation)?,
                (None, None) => unreachable!("a teacher without kept logits was opened"),
            };
            let network = frozen.filter(|_| teaches);
            teachers.insert(teacher.clone(), FrozenTeacher { network, validation });
        }
        Ok(Classroom { folder, job, images, normalisation, shape, network, teachers, observers })
    }

    /// Puts the network where it was after `complete` epochs.
    fn load(&mut self, notebook: &Notebook<'_>, complete: Epoch) -> Result<(), TrainError> {
        let segment = &self.job.segment;
        let (weights, momentum) = if notebook.held.contains_key(&complete) {
            (checkpoint::load_weights(self.folder, complete)?.0, checkpoint::load_momentum(self.folder, complete)?)
        } else {
            match &segment.start {
                Start::Initialisation => {
                    let weights = initial_weights(&self.shape, segment.seed);
                    let at_rest = |values: &Values| Values { values: vec![0.0; values.values.len()], ..values.clone() };
                    let trained = self.shape.tensors().into_iter().filter(|tensor| tensor.trained);
                    let momentum: Weights =
                        trained.map(|tensor| (tensor.name.clone(), at_rest(&weights[&tensor.name]))).collect();
                    (weights, momentum)
                }
                Start::Checkpoint(parent) => {
                    let home = sibling(self.folder, parent);
                    (checkpoint::load_weights(&home, parent.epoch)?.0, checkpoint::load_momentum(&home, parent.epoch)?)
                }
            }
        };
        self.network.set_weights(&weights)?;
        self.network.set_momentum(&momentum)
    }

    /// Trains the epoch that follows `complete` and evaluates; `None` where someone asked to leave.
    fn epoch(
        &mut self,
        complete: Epoch,
        notebook: &Notebook<'_>,
        leave: &dyn Fn() -> bool,
    ) -> Result<Option<EpochMetrics>, TrainError> {
        let begin = Instant::now();
        let segment = &self.job.segment;
        let train = &self.images.train;
        let learning_rate = segment.schedule.learning_rate_after(complete);
        let len = self.images.values_per_image();
        let mut batch = vec![0.0; len * segment.batch_size as usize];
        let order = order(segment.seed, complete, train.len() as u32);
        let (mut cross_entropy, mut correct) = (0.0, 0);
        let mut fidelity: Vec<FidelitySum> = self.observers.iter().map(|_| FidelitySum::default()).collect();
        for (step, indices) in order.chunks(segment.batch_size as usize).enumerate() {
            if leave() {
                return Ok(None);
            }
            let views = &mut batch[..indices.len() * len];
            for (&index, out) in indices.iter().zip(views.chunks_exact_mut(len)) {
                let image = &train.images[index as usize * len..][..len];
                let view = view(segment.augmentation, segment.seed, complete, index);
                self.normalisation.render(image, view, out);
            }
            let labels: Vec<u32> = indices.iter().map(|&index| u32::from(train.labels[index as usize])).collect();
            let label_tensor = Tensor::from_slice(&labels, labels.len(), &Device::Cpu)?;
            let logits = self.network.forward(views)?;
            let mut said = BTreeMap::new();
            for (id, teacher) in &mut self.teachers {
                if let Some(network) = &mut teacher.network {
                    said.insert(id.clone(), network.evaluate(views)?);
                }
            }
            let terms = objective::terms(&segment.terms, &logits, &label_tensor, &said)?;
            if terms.iter().any(|term| !term.value.is_finite()) {
                return Err(TrainError::NonFinite { epoch: complete, step });
            }
            self.network.backward(&objective::weighted_gradient(&segment.terms, &terms)?)?;
            self.network.step(learning_rate, &segment.optimizer)?;

            let own_term = segment.terms.iter().position(|(_, term)| *term == Term::CrossEntropy);
            let batch_cross_entropy = match own_term {
                Some(term) => terms[term].value,
                None => scalar(&objective::cross_entropy(&logits, &label_tensor)?)?,
            };
            let size = indices.len() as f64;
            cross_entropy += batch_cross_entropy * size;
            let named = named_classes(&logits)?;
            correct += agreeing(&named, &labels);
            for (observer, sum) in self.observers.iter().zip(&mut fidelity) {
                if let Some(teacher) = said.get(&observer.teacher) {
                    sum.kd_loss += scalar(&objective::kd(&logits, teacher, observer.temperature)?)? * size;
                    sum.agreeing += agreeing(&named, &named_classes(teacher)?);
                }
            }
        }
        let images = train.len() as f64;
        let images_per_second = images / begin.elapsed().as_secs_f64();

        let validation = self.evaluate(&self.images.validation)?;
        let validation_scores =
            (!self.images.validation.is_empty()).then(|| scores(&validation, &self.images.validation)).transpose()?;
        let epoch = Epoch(complete.0 + 1);
        let every = self.job.evaluate_test == EvaluateTest::EveryEpoch;
        let known = notebook.metrics.get(&epoch).and_then(|metrics| metrics.test);
        let test = match known {
            None if every => Some(scores(&self.evaluate(&self.images.test)?, &self.images.test)?),
            known => known,
        };
        let losses = validation_scores.iter().chain(&test).map(|scores| scores.cross_entropy);
        if losses.chain([cross_entropy]).any(|loss| !loss.is_finite()) {
            return Err(TrainError::NonFinite {
                epoch: complete,
                step: order.len().div_ceil(segment.batch_size as usize),
            });
        }
        let mut told_fidelity = Vec::new();
        for (observer, sum) in self.observers.iter().zip(fidelity) {
            let teacher = &self.teachers[&observer.teacher];
            let teaches = teacher.network.is_some();
            let validated = validation_scores.is_some().then_some(&teacher.validation);
            told_fidelity.push(Fidelity {
                teacher: observer.teacher.clone(),
                temperature: observer.temperature,
                kd_loss_train: teaches.then_some(sum.kd_loss / images),
                kd_loss_validation: validated
                    .map(|teacher| scalar(&objective::kd(&validation, teacher, observer.temperature)?))
                    .transpose()?,
                agreement_train: teaches.then_some(sum.agreeing as f64 / images),
                agreement_validation: validated
                    .map(|teacher| -> Result<f64, TrainError> {
                        let agreeing = agreeing(&named_classes(&validation)?, &named_classes(teacher)?);
                        Ok(agreeing as f64 / self.images.validation.len() as f64)
                    })
                    .transpose()?,
            });
        }
        Ok(Some(EpochMetrics {
            epoch,
            learning_rate,
            train: Scores { cross_entropy: cross_entropy / images, accuracy: correct as f64 / images },
            train_clean: None,
            validation: validation_scores,
            test,
            fidelity: told_fidelity,
            seconds: begin.elapsed().as_secs_f64(),
            images_per_second,
        }))
    }

    fn evaluate(&mut self, split: &Split) -> Result<Tensor, TrainError> {
        evaluate(self.network.as_mut(), &self.normalisation, self.images, split)
    }
}

/// Logits (n, classes) of a split, in its order, without augmentation, in double precision.
fn evaluate(
    network: &mut dyn Engine,
    normalisation: &Normalisation,
    images: &Images,
    split: &Split,
) -> Result<Tensor, TrainError> {
    let len = images.values_per_image();
    let mut plain = vec![0.0; len * EVALUATION_BATCH.min(split.len())];
    let mut logits = Vec::new();
    for bytes in split.images.chunks(len * EVALUATION_BATCH) {
        let plain = &mut plain[..bytes.len()];
        normalisation.plain(bytes, plain);
        logits.push(network.evaluate(plain)?.to_dtype(DType::F64)?);
    }
    if logits.is_empty() {
        return Ok(Tensor::zeros((0, images.facts.classes as usize), DType::F64, &Device::Cpu)?);
    }
    Ok(Tensor::cat(&logits, 0)?)
}

fn scores(logits: &Tensor, split: &Split) -> Result<Scores, TrainError> {
    let labels: Vec<u32> = split.labels.iter().map(|label| u32::from(*label)).collect();
    let correct = agreeing(&named_classes(logits)?, &labels);
    let count = labels.len();
    let labels = Tensor::from_vec(labels, count, &Device::Cpu)?;
    let cross_entropy = scalar(&objective::cross_entropy(logits, &labels)?)?;
    Ok(Scores { cross_entropy, accuracy: correct as f64 / count as f64 })
}

fn agreeing(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

fn values(logits: &Tensor) -> Result<Values, TrainError> {
    let values = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(Values { shape: logits.dims().to_vec(), values })
}

fn tensor(values: &Values) -> Result<Tensor, TrainError> {
    Ok(Tensor::from_slice(&values.values, values.shape.as_slice(), &Device::Cpu)?.to_dtype(DType::F64)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(epoch: u32, accuracy: f64) -> (Epoch, EpochMetrics) {
        let scores = Scores { cross_entropy: 1.0, accuracy };
        let metrics = EpochMetrics {
            epoch: Epoch(epoch),
            learning_rate: 0.1,
            train: scores,
            train_clean: None,
            validation: Some(scores),
            test: None,
            fidelity: vec![],
            seconds: 1.0,
            images_per_second: 1.0,
        };
        (Epoch(epoch), metrics)
    }

    fn held(epochs: impl IntoIterator<Item = u32>) -> BTreeMap<Epoch, Held> {
        let held = Held { digest: String::new(), bytes: 0, momentum: true, logits: false };
        epochs.into_iter().map(|epoch| (Epoch(epoch), held.clone())).collect()
    }

    #[test]
    fn the_best_epoch_is_the_earliest_of_the_highest() {
        let all: BTreeMap<_, _> = [metrics(1, 0.5), metrics(2, 0.7), metrics(3, 0.7), metrics(4, 0.6)].into();
        assert_eq!(best_epoch(all.values()), Some(Epoch(2)));
        assert_eq!(best_epoch([]), None);
    }

    #[test]
    fn stops_their_best_and_the_latest_are_kept() {
        let accuracies = [0.1, 0.5, 0.4, 0.3, 0.6, 0.2, 0.2, 0.2];
        let all: BTreeMap<_, _> = (1..).zip(accuracies).map(|(epoch, accuracy)| metrics(epoch, accuracy)).collect();
        let stops = BTreeSet::from([Epoch(4), Epoch(12)]);
        // 2 is the best until the stop at 4, 5 the best of all, 7 and 8 the latest.
        assert_eq!(checkpoints_to_prune(&held(1..=8), &stops, &all), [Epoch(1), Epoch(3), Epoch(6)]);
    }
}
