//! Those whom a student is measured against: what they say of a segment's images, and how near the student comes to it.

use crate::TrainError;
use crate::augmentation::Normalisation;
use crate::checkpoint::{self, KeptLogits};
use crate::evaluation::{self, kd_loss_and_agreement};
use crate::folder::sibling;
use crate::frozen::{Frozen, Opened, Opening};
use crate::objective::Outputs;
use crate::probe::{Asked, Probe};
use candle_core::Tensor;
use std::collections::BTreeMap;
use study::{CheckpointId, Fidelity, Observer, Term};

/// Someone whom the student is measured against.
pub(crate) struct Measured {
    pub observer: Observer,
    /// Whether the student learns from it, rather than only being looked at.
    pub teaches: bool,
    /// The place of its KD loss among the segment's terms, where that is what is learnt.
    pub kd_term: Option<usize>,
    /// What it asks for where gradients are compared; `None` where its network cannot be opened.
    pub asked: Option<Asked>,
    said: Said,
}

/// What a teacher said of images as they are: logits (n, classes). Asked for once a worker.
#[derive(Clone)]
struct Said {
    /// `None` where nothing is held out.
    validation: Option<Tensor>,
    test: Tensor,
    /// Of the images on which gradients are compared; `None` where its network cannot be opened.
    probe: Option<Outputs>,
}

impl Measured {
    fn of(observer: Observer, terms: &[(f64, Term<CheckpointId>)], mut said: Said) -> Measured {
        let Observer { teacher, temperature } = &observer;
        let of_it =
            |term: &Term<CheckpointId>| (term.teacher(), term.temperature()) == (Some(teacher), Some(*temperature));
        // The values of other losses are no KD loss.
        let is_kd = |term: &Term<CheckpointId>| matches!(term, Term::Kd { .. }) && of_it(term);
        let teaches = terms.iter().any(|(_, term)| of_it(term));
        let asks = if teaches {
            terms.iter().filter(|(_, term)| term.teacher() == Some(teacher)).cloned().collect()
        } else {
            vec![(1.0, Term::Kd { teacher: teacher.clone(), temperature: *temperature })]
        };
        let asked =
            said.probe.take().map(|said| Asked { terms: asks, said: BTreeMap::from([(teacher.clone(), said)]) });
        let kd_term = terms.iter().position(|(_, term)| is_kd(term));
        Measured { teaches, kd_term, asked, said, observer }
    }

    /// Fills in what the student's logits on the validation split, (n, classes), come to.
    pub fn on_validation(&self, student: &Tensor, fidelity: &mut Fidelity) -> Result<(), TrainError> {
        if let Some(teacher) = &self.said.validation {
            let (kd_loss, agreement) = kd_loss_and_agreement(student, teacher, self.observer.temperature)?;
            (fidelity.kd_loss_validation, fidelity.agreement_validation) = (Some(kd_loss), Some(agreement));
        }
        Ok(())
    }

    /// As [`Measured::on_validation`], on the test split.
    pub fn on_test(&self, student: &Tensor, fidelity: &mut Fidelity) -> Result<(), TrainError> {
        let (kd_loss, agreement) = kd_loss_and_agreement(student, &self.said.test, self.observer.temperature)?;
        (fidelity.kd_loss_test, fidelity.agreement_test) = (Some(kd_loss), Some(agreement));
        Ok(())
    }
}

/// Everyone whom a segment is measured against, and what a person should know of them.
type Heard = (Vec<Measured>, Vec<String>);

/// What it takes to hear teachers.
pub(crate) struct Hearing<'a> {
    pub opening: Opening<'a>,
    pub probe: &'a Probe,
    pub leave: &'a dyn Fn() -> bool,
}

impl Hearing<'_> {
    /// Everyone whom the segment is measured against, in that order, and what a person should know of them; `None` where `leave` says
    /// so. `teachers` are those that teach.
    pub fn all(&self, teachers: &mut BTreeMap<CheckpointId, Frozen>) -> Result<Option<Heard>, TrainError> {
        let segment = &self.opening.job.segment;
        let mut notes = Vec::new();
        let mut heard: BTreeMap<CheckpointId, Said> = BTreeMap::new();
        let mut measured = Vec::new();
        for observer in segment.measured_against() {
            let teacher = &observer.teacher;
            if !heard.contains_key(teacher) {
                let said = match teachers.get_mut(teacher) {
                    Some(teaching) => self.teaching(teaching, teacher)?,
                    None => self.looking_on(teacher, &mut notes)?,
                };
                let Some(said) = said else { return Ok(None) };
                heard.insert(teacher.clone(), said);
            }
            let said = heard[teacher].clone();
            measured.push(Measured::of(observer, &segment.terms, said));
        }
        Ok(Some((measured, notes)))
    }

    fn teaching(&self, frozen: &mut Frozen, teacher: &CheckpointId) -> Result<Option<Said>, TrainError> {
        let probe = frozen.say(&self.opening, teacher, &self.probe.shown())?;
        match self.kept(teacher)? {
            Some(kept) => Ok(Some(Said { probe: Some(probe), ..kept })),
            None => self.evaluated(frozen.opened(&self.opening, teacher)?, probe),
        }
    }

    /// What is learnt does not hang on who looks on: where such a network cannot be opened, what it said before is enough.
    fn looking_on(&self, teacher: &CheckpointId, notes: &mut Vec<String>) -> Result<Option<Said>, TrainError> {
        let kept = self.kept(teacher)?;
        let mut opened = match self.opening.open(teacher) {
            Err(error @ TrainError::Checkpoint { .. }) if kept.is_some() => {
                notes.push(format!("The gradients are not compared with those of the teacher that looks on: {error}."));
                return Ok(kept);
            }
            opened => opened?,
        };
        let shown = self.probe.shown();
        let pixels = opened.pixels(self.opening.images, &shown, 0..shown.images.len());
        let probe = Outputs::of_logits(opened.network.evaluate(&pixels)?);
        match kept {
            Some(kept) => Ok(Some(Said { probe: Some(probe), ..kept })),
            None => self.evaluated(&mut opened, probe),
        }
    }

    fn evaluated(&self, opened: &mut Opened, probe: Outputs) -> Result<Option<Said>, TrainError> {
        let images = self.opening.images;
        let usual = Normalisation::of(images);
        let own = opened.normalisation.as_ref().unwrap_or(&usual);
        let network = opened.network.as_mut();
        let mut on = |split| evaluation::logits(network, own, images, split, self.leave);
        let (Some(validation), Some(test)) = (on(&images.validation)?, on(&images.test)?) else { return Ok(None) };
        let validation = Some(validation).filter(|_| !images.validation.is_empty());
        Ok(Some(Said { validation, test, probe: Some(probe) }))
    }

    /// What was kept with its checkpoint, where it is of these splits.
    fn kept(&self, teacher: &CheckpointId) -> Result<Option<Said>, TrainError> {
        let Opening { folder, images, .. } = self.opening;
        let Ok(KeptLogits { validation, test }) = checkpoint::load_logits(&sibling(folder, teacher), teacher.epoch)
        else {
            return Ok(None);
        };
        let of = |split: usize| [split, images.facts.classes as usize];
        if validation.shape != of(images.validation.len()) || test.shape != of(images.test.len()) {
            return Ok(None);
        }
        let held_out = !images.validation.is_empty();
        Ok(Some(Said {
            validation: held_out.then(|| evaluation::from_values(&validation)).transpose()?,
            test: evaluation::from_values(&test)?,
            probe: None,
        }))
    }
}
