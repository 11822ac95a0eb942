//! Trains one segment: carries out what [`Course`] decides, epoch by epoch, and writes down what came of it.
//!
//! The order in which an epoch reaches the disk: its metrics, then its checkpoint's files, then, once everything that is
//! evaluated at this epoch is told too, the line that promises the checkpoint. Killed in between, a later worker finds metrics
//! without a checkpoint and trains that epoch again to the same bits, or a checkpoint that is not promised yet and promises it.

use crate::TrainError;
use crate::augmentation::{Normalisation, View, order, view};
use crate::checkpoint::{self, KeptLogits};
pub use crate::course::best_epoch;
use crate::course::{Course, LATEST_KEPT, Next, Pruning};
use crate::dataset::{Images, Split};
use crate::engine::{Engine, NetworkShape, Values, Weights, open, resolve};
use crate::evaluation::{self, agreeing};
use crate::folder::{EventLog, sibling};
use crate::frozen::{Frozen, Opening, Shown, shape};
use crate::imported;
use crate::initial::initial_weights;
use crate::objective::{self, Outputs, TermValue, named_classes, scalar, weighted_gradient};
use crate::observers::{Hearing, Measured};
use crate::probe::Probe;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use study::{CheckpointId, Epoch, EpochMetrics, Event, Fidelity, Job, Optimizer, Provenance, Scores, Start, Term};

/// How a training ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All that was asked for is there.
    Finished,
    /// Someone asked to leave; a part of an epoch was given up.
    Left,
}

/// Trains and evaluates what is missing of `job`'s segment. `leave` is asked at every step.
///
/// # Errors
/// A loss that is not finite, a parent's or teacher's checkpoint that is damaged, a disk that is full, ...: what was told before
/// stays, and `course` says how far it is covered.
pub fn train(
    folder: &Path,
    job: &Job,
    course: &mut Course<'_>,
    images: &Images,
    provenance: &Provenance,
    log: &mut EventLog,
    leave: &dyn Fn() -> bool,
) -> Result<Ended, TrainError> {
    let Some(mut training) = Training::open(folder, job, images, leave)? else { return Ok(Ended::Left) };
    training.tell_notes(log)?;
    // Checkpoints that lie there may be news: a worker can be killed between a file and its line.
    for epoch in course.held.keys().copied().collect::<Vec<_>>() {
        announce(course, epoch, log)?;
    }
    let mut at = None;
    loop {
        match course.next(at) {
            Next::Train { after } => {
                if at != Some(after) {
                    training.load(course, after)?;
                }
                let Some(metrics) = training.epoch(after)? else { return Ok(Ended::Left) };
                training.tell_notes(log)?;
                let epoch = metrics.epoch;
                log.append(&Event::Epoch(course.learn(metrics)))?;
                let held = training.save(epoch, provenance)?;
                course.held.insert(epoch, held);
                announce(course, epoch, log)?;
                prune(folder, course, course.to_prune(epoch, LATEST_KEPT), log)?;
                at = Some(epoch);
            }
            Next::Evaluate { epoch } => {
                if at != Some(epoch) {
                    training.network.set_weights(&checkpoint::load_weights(folder, epoch)?.0)?;
                    at = None;
                }
                let Some((metrics, logits)) = training.evaluate(course, epoch)? else { return Ok(Ended::Left) };
                if let Some(logits) = logits {
                    course.held.insert(epoch, checkpoint::save_logits(folder, epoch, &logits)?);
                }
                log.append(&Event::Epoch(course.learn(metrics)))?;
                announce(course, epoch, log)?;
            }
            Next::Finished => break,
        }
    }
    prune(folder, course, course.to_prune(job.segment.until, 0), log)?;
    Ok(Ended::Finished)
}

/// Promises a checkpoint, once there is something to promise.
fn announce(course: &mut Course<'_>, epoch: Epoch, log: &mut EventLog) -> Result<(), TrainError> {
    course.promise(epoch).map_or(Ok(()), |file| log.append(&Event::Checkpoint(file)))
}

fn prune(folder: &Path, course: &mut Course<'_>, pruning: Pruning, log: &mut EventLog) -> Result<(), TrainError> {
    if !pruning.checkpoints.is_empty() {
        // Told first: a row without its file would promise what is not there.
        course.take_back(&pruning.checkpoints);
        log.append(&Event::Pruned { epochs: pruning.checkpoints.clone() })?;
    }
    for epoch in pruning.checkpoints {
        checkpoint::remove(folder, epoch)?;
        course.held.remove(&epoch);
    }
    for epoch in pruning.momentum {
        course.held.insert(epoch, checkpoint::remove_momentum(folder, epoch)?);
        announce(course, epoch, log)?;
    }
    Ok(())
}

/// The networks and the images of a segment.
struct Training<'a> {
    folder: &'a Path,
    job: &'a Job,
    images: &'a Images,
    leave: &'a dyn Fn() -> bool,
    normalisation: Normalisation,
    /// The weights that are read instead of trained, where they come from elsewhere.
    imported: Option<Weights>,
    shape: NetworkShape,
    network: Box<dyn Engine>,
    opening: Opening<'a>,
    teachers: BTreeMap<CheckpointId, Frozen>,
    measured: Vec<Measured>,
    probe: Probe,
    /// What a person should know of those who look on.
    notes: Vec<String>,
}

impl<'a> Training<'a> {
    /// Opens the student's network and hears its teachers; `None` where `leave` says so.
    fn open(
        folder: &'a Path,
        job: &'a Job,
        images: &'a Images,
        leave: &'a dyn Fn() -> bool,
    ) -> Result<Option<Self>, TrainError> {
        let segment = &job.segment;
        let (device, _) = resolve(job.device);
        let threads = job.threads.max(1) as usize;
        let batch_size = segment.batch_size as usize;
        let shape = shape(segment.architecture, images);
        // What was trained elsewhere is used to inputs of its own.
        let (normalisation, imported) = match &segment.start {
            Start::Imported(weights) => {
                let shared = job.shared_folder.as_deref().unwrap_or_default();
                let (weights, normalisation) = imported::load(Path::new(shared), *weights, shape.image_size)?;
                (normalisation, Some(weights))
            }
            Start::Initialisation | Start::Checkpoint(_) => (Normalisation::of(images), None),
        };
        let opening = Opening { folder, images, job, device, threads };
        let mut teachers = BTreeMap::new();
        for teacher in segment.terms.iter().filter_map(|(_, term)| term.teacher()) {
            if !teachers.contains_key(teacher) {
                teachers.insert(teacher.clone(), Frozen::new(&opening, teacher)?);
            }
        }
        let probe = Probe::draw(images, &normalisation, batch_size)?;
        let Some((measured, notes)) = (Hearing { opening, probe: &probe, leave }).all(&mut teachers)? else {
            return Ok(None);
        };
        // After those who look on: their networks are closed again, and their memory is there for this one.
        let network = open(&shape, segment.numerics, device, threads, batch_size)?;
        Ok(Some(Training {
            folder,
            job,
            images,
            leave,
            normalisation,
            imported,
            shape,
            network,
            opening,
            teachers,
            measured,
            probe,
            notes,
        }))
    }

    /// Says what a person should know of the teachers.
    fn tell_notes(&mut self, log: &mut EventLog) -> Result<(), TrainError> {
        let of_teachers = self.teachers.values_mut().filter_map(|teacher| teacher.note.take());
        let notes = std::mem::take(&mut self.notes).into_iter().chain(of_teachers);
        notes.map(|message| Event::Note { message }).try_for_each(|note| log.append(&note))
    }

    /// Puts the network and its optimizer where they were after `complete` epochs.
    fn load(&mut self, course: &Course<'_>, complete: Epoch) -> Result<(), TrainError> {
        let segment = &self.job.segment;
        let from = |folder: &Path, epoch| {
            Ok::<_, TrainError>((checkpoint::load_weights(folder, epoch)?.0, checkpoint::load_momentum(folder, epoch)?))
        };
        let own = course.held.get(&complete).is_some_and(|held| held.momentum);
        let (weights, momentum) = match &segment.start {
            _ if own => from(self.folder, complete)?,
            Start::Initialisation | Start::Imported(_) => {
                let weights = match &self.imported {
                    Some(imported) => imported.clone(),
                    None => initial_weights(&self.shape, segment.seed),
                };
                let momentum = self.at_rest(&weights);
                (weights, momentum)
            }
            Start::Checkpoint(parent) => from(&sibling(self.folder, parent), parent.epoch)?,
        };
        self.network.set_weights(&weights)?;
        self.network.set_momentum(&momentum)
    }

    /// The optimizer's state before its first step.
    fn at_rest(&self, weights: &Weights) -> Weights {
        let trained = self.shape.tensors().into_iter().filter(|tensor| tensor.trained);
        let zeros = |values: &Values| Values { shape: values.shape.clone(), values: vec![0.0; values.values.len()] };
        trained.map(|tensor| (tensor.name.clone(), zeros(&weights[&tensor.name]))).collect()
    }

    /// Training steps of one epoch; the last batch may be smaller.
    fn steps(&self) -> usize {
        self.images.train.len().div_ceil(self.job.segment.batch_size as usize)
    }

    /// Trains the epoch that follows `complete` and validates it; `None` where someone asked to leave.
    fn epoch(&mut self, complete: Epoch) -> Result<Option<EpochMetrics>, TrainError> {
        if self.imported.is_some() {
            return self.read_epoch(complete);
        }
        let begin = Instant::now();
        let segment = &self.job.segment;
        let train = &self.images.train;
        let learning_rate = segment.schedule.learning_rate_after(complete);
        let warmed_up = |(weight, term): &(f64, Term<CheckpointId>)| (weight * term.ramp(complete), term.clone());
        let terms: Vec<_> = segment.terms.iter().map(warmed_up).collect();
        let batch_size = segment.batch_size as usize;
        let values_per_image = self.images.values_per_image();
        let order = order(segment.seed, complete, train.len() as u32);
        let mut pixels = vec![0.0; values_per_image * batch_size.min(train.len())];
        let (mut cross_entropy, mut correct) = (0.0, 0);
        // Of each whom the student is measured against: the KD loss, and images on which both name the same class.
        let mut of_teachers = vec![(0.0, 0); self.measured.len()];
        let looks = segment.needs_attention_maps();
        for (step, indices) in order.chunks(batch_size).enumerate() {
            if (self.leave)() {
                return Ok(None);
            }
            let pixels = &mut pixels[..indices.len() * values_per_image];
            let drawn = |&index: &u32| view(segment.augmentation, segment.views_seed(), complete, index);
            let views: Vec<View> = indices.iter().map(drawn).collect();
            self.normalisation.render_batch(train, indices, &views, pixels);
            let labels: Vec<u32> = indices.iter().map(|&index| u32::from(train.labels[index as usize])).collect();
            let label_tensor = Tensor::from_slice(&labels, labels.len(), &Device::Cpu)?;
            let shown = Shown { images: indices, views: &views, pixels };
            let mut said = BTreeMap::new();
            for (id, teacher) in &mut self.teachers {
                said.insert(id.clone(), teacher.say(&self.opening, id, &shown)?);
            }
            let logits = self.network.forward(pixels)?;
            let attention = if looks { self.network.attention()? } else { Vec::new() };
            let student = Outputs { logits, attention };
            let values = objective::terms(&terms, &student, &label_tensor, &said)?;
            let logits = &student.logits;
            let unweighted = scalar(&objective::cross_entropy(logits, &label_tensor)?)?;
            if values.iter().any(|term| !term.value.is_finite()) || !unweighted.is_finite() {
                return Err(TrainError::NonFinite { epoch: complete, step: step + 1 });
            }
            self.learn(&terms, &values)?;
            self.network.step(learning_rate, &segment.optimizer)?;

            let named = named_classes(logits)?;
            cross_entropy += unweighted * indices.len() as f64;
            correct += agreeing(&named, &labels);
            for (measured, sum) in self.measured.iter().zip(&mut of_teachers) {
                // Who only looks on is not asked.
                let Some(said) = said.get(&measured.observer.teacher).filter(|_| measured.teaches) else { continue };
                let kd_loss = match measured.kd_term {
                    Some(term) => values[term].value,
                    None => scalar(&objective::kd(logits, &said.logits, measured.observer.temperature)?)?,
                };
                sum.0 += kd_loss * indices.len() as f64;
                sum.1 += agreeing(&named, &named_classes(&said.logits)?);
            }
        }
        let count = train.len() as f64;
        let images_per_second = count / begin.elapsed().as_secs_f64();
        self.refuse_infinite_weights(complete)?;

        let Some(logits) = self.evaluate_split(&self.images.validation)? else { return Ok(None) };
        let validation = self.validation_scores(complete, &logits)?;
        let mut fidelity = self.fidelity_on_validation(&logits)?;
        for ((fidelity, measured), (kd_loss, agreeing)) in fidelity.iter_mut().zip(&self.measured).zip(of_teachers) {
            if measured.teaches {
                fidelity.kd_loss_train = Some(kd_loss / count);
                fidelity.agreement_train = Some(agreeing as f64 / count);
            }
        }
        if !self.compare_gradients(&mut fidelity)? {
            return Ok(None);
        }
        fidelity
            .retain(|it| it.kd_loss_train.is_some() || it.kd_loss_validation.is_some() || it.gradient_cosine.is_some());
        Ok(Some(EpochMetrics {
            epoch: Epoch(complete.0 + 1),
            learning_rate,
            train: Scores {
                cross_entropy: cross_entropy / count,
                accuracy: correct as f64 / count,
                calibration_error: None,
            },
            train_clean: None,
            validation,
            test: None,
            fidelity,
            seconds: begin.elapsed().as_secs_f64(),
            images_per_second,
        }))
    }

    /// The epoch of a network that was trained elsewhere: it is looked at as it is.
    fn read_epoch(&mut self, complete: Epoch) -> Result<Option<EpochMetrics>, TrainError> {
        let begin = Instant::now();
        let epoch = Epoch(complete.0 + 1);
        let Some(train) = self.scores_in_training()? else { return Ok(None) };
        let images_per_second = self.images.train.len() as f64 / begin.elapsed().as_secs_f64();
        let train = self.finite(epoch, train)?;
        let Some(logits) = self.evaluate_split(&self.images.validation)? else { return Ok(None) };
        Ok(Some(EpochMetrics {
            epoch,
            learning_rate: 0.0,
            train,
            train_clean: None,
            validation: self.validation_scores(complete, &logits)?,
            test: None,
            fidelity: Vec::new(),
            seconds: begin.elapsed().as_secs_f64(),
            images_per_second,
        }))
    }

    /// One for each whom the student is measured against, in their order; empty of numbers where nothing is held out.
    fn fidelity_on_validation(&self, logits: &Tensor) -> Result<Vec<Fidelity>, TrainError> {
        let measure = |measured: &Measured| {
            let mut fidelity = Fidelity::to(measured.observer.clone());
            measured.on_validation(logits, &mut fidelity)?;
            Ok(fidelity)
        };
        self.measured.iter().map(measure).collect()
    }

    /// Fills in how far the gradients of cross-entropy and of what each teacher asks for agree; `false` where someone asked to leave.
    /// No bit of the network that an epoch or an evaluation reads is another after it.
    fn compare_gradients(&mut self, fidelity: &mut [Fidelity]) -> Result<bool, TrainError> {
        let (places, asked): (Vec<usize>, Vec<_>) =
            self.measured.iter().enumerate().filter_map(|(place, it)| Some((place, it.asked.as_ref()?))).unzip();
        if asked.is_empty() {
            return Ok(true);
        }
        let Some(cosines) = self.probe.cosines(self.network.as_mut(), &asked, self.leave)? else { return Ok(false) };
        for (place, cosine) in places.into_iter().zip(cosines) {
            fidelity[place].gradient_cosine = Some(cosine);
        }
        Ok(true)
    }

    /// The gradients of what was just looked at: of the whole loss, or, where the optimizer keeps them apart, of the labels' share
    /// of it and of the teachers'.
    fn learn(&mut self, terms: &[(f64, Term<CheckpointId>)], values: &[TermValue]) -> Result<(), TrainError> {
        let network = &mut self.network;
        match self.job.segment.optimizer {
            Optimizer::Sgd { .. } => network.backward(&weighted_gradient(terms, values, |_| true)?),
            Optimizer::Dot { .. } => {
                network.backward(&weighted_gradient(terms, values, |term| term.teacher().is_none())?)?;
                network.set_gradient_aside()?;
                network.backward(&weighted_gradient(terms, values, |term| term.teacher().is_some())?)
            }
        }
    }

    /// The last step of an epoch has no loss after it that would tell: a checkpoint is finite or is not written.
    fn refuse_infinite_weights(&self, complete: Epoch) -> Result<(), TrainError> {
        let finite =
            |weights: &Weights| weights.values().flat_map(|tensor| &tensor.values).all(|value| value.is_finite());
        if finite(&self.network.weights()?) && finite(&self.network.momentum()?) {
            return Ok(());
        }
        Err(TrainError::NonFinite { epoch: complete, step: self.steps() })
    }

    fn save(&self, epoch: Epoch, provenance: &Provenance) -> Result<checkpoint::Held, TrainError> {
        let metadata = checkpoint::metadata(&self.job.segment, epoch, self.images, &self.normalisation, provenance);
        let steps = u64::from(epoch.0) * self.steps() as u64;
        let (weights, momentum) = (self.network.weights()?, self.network.momentum()?);
        checkpoint::save(self.folder, epoch, &weights, &momentum, steps, &metadata)
    }

    /// Fills in what the epoch lacks; the network's weights are those of its checkpoint. `None` where someone asked to leave.
    fn evaluate(
        &mut self,
        course: &Course<'_>,
        epoch: Epoch,
    ) -> Result<Option<(EpochMetrics, Option<KeptLogits>)>, TrainError> {
        let lacking = course.lacking(epoch);
        let mut metrics = course.metrics[&epoch].clone();
        // Kept logits are what an observer who comes later is measured by.
        let kept = course.held[&epoch].logits.then(|| checkpoint::load_logits(self.folder, epoch)).transpose()?;
        let (mut test, mut validation) = (None, None);
        if lacking.test || lacking.logits || lacking.fidelity {
            let kept = kept.as_ref().map(|kept| &kept.test);
            let Some(logits) = self.kept_or_evaluated(kept, &self.images.test)? else { return Ok(None) };
            metrics.test = Some(self.finite(epoch, evaluation::scores(&logits, &self.images.test)?)?);
            test = Some(logits);
        }
        if lacking.train_clean {
            let Some(train) = self.scores_in_training()? else { return Ok(None) };
            metrics.train_clean = Some(self.finite(epoch, train)?);
        }
        if lacking.logits || lacking.fidelity {
            let kept = kept.as_ref().map(|kept| &kept.validation);
            let Some(logits) = self.kept_or_evaluated(kept, &self.images.validation)? else { return Ok(None) };
            validation = Some(logits);
        }
        for measured in &self.measured {
            let (Some(test), observer) = (&test, &measured.observer) else { break };
            let known = metrics.fidelity.iter().position(|it| it.is_to(observer));
            let place = known.unwrap_or_else(|| {
                metrics.fidelity.push(Fidelity::to(observer.clone()));
                metrics.fidelity.len() - 1
            });
            measured.on_test(test, &mut metrics.fidelity[place])?;
            validation.iter().try_for_each(|it| measured.on_validation(it, &mut metrics.fidelity[place]))?;
        }
        let logits = match (validation, test) {
            (Some(validation), Some(test)) if lacking.logits => {
                let (validation, test) = (evaluation::to_values(&validation)?, evaluation::to_values(&test)?);
                Some(KeptLogits { validation, test })
            }
            _ => None,
        };
        Ok(Some((metrics, logits)))
    }

    fn kept_or_evaluated(&mut self, kept: Option<&Values>, split: &Split) -> Result<Option<Tensor>, TrainError> {
        kept.map_or_else(|| self.evaluate_split(split), |kept| evaluation::from_values(kept).map(Some))
    }

    fn evaluate_split(&mut self, split: &Split) -> Result<Option<Tensor>, TrainError> {
        evaluation::logits(self.network.as_mut(), &self.normalisation, self.images, split, self.leave)
    }

    fn scores_in_training(&mut self) -> Result<Option<Scores>, TrainError> {
        let network = self.network.as_mut();
        evaluation::scores_in_training(network, &self.normalisation, self.images, &self.images.train, self.leave)
    }

    fn validation_scores(&self, complete: Epoch, logits: &Tensor) -> Result<Option<Scores>, TrainError> {
        if self.images.validation.is_empty() {
            return Ok(None);
        }
        let scores = evaluation::scores(logits, &self.images.validation)?;
        self.finite(Epoch(complete.0 + 1), scores).map(Some)
    }

    /// Scores of a network after `epoch` epochs; a loss that is not finite here failed in its last step.
    fn finite(&self, epoch: Epoch, scores: Scores) -> Result<Scores, TrainError> {
        if scores.cross_entropy.is_finite() {
            return Ok(scores);
        }
        Err(TrainError::NonFinite { epoch: Epoch(epoch.0.saturating_sub(1)), step: self.steps() })
    }
}
