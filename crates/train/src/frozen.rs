//! A frozen teacher: its network where that is needed, and what it said before where that is kept.

use crate::TrainError;
use crate::augmentation::{Normalisation, View};
use crate::checkpoint;
use crate::dataset::Images;
use crate::engine::{self, Engine, NetworkShape, open_for_evaluation};
use crate::folder::{sibling, teacher_logits_path, weights_path};
use crate::objective::Outputs;
use crate::teacher_logits::TeacherLogits;
use candle_core::{Device, Tensor};
use std::borrow::Cow;
use std::path::Path;
use study::{Architecture, CheckpointId, Job, Numerics, Segment, Term};

/// A network that sees these images.
pub(crate) fn shape(architecture: Architecture, images: &Images) -> NetworkShape {
    NetworkShape {
        architecture,
        channels: images.facts.channels as usize,
        image_size: images.facts.image_size as usize,
        classes: images.facts.classes as usize,
    }
}

/// What it takes to open the teachers of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    /// The segment's, beside which its teachers' lie.
    pub folder: &'a Path,
    pub images: &'a Images,
    pub job: &'a Job,
    pub device: study::Device,
    pub threads: usize,
}

impl Opening<'_> {
    /// A teacher's, which may be of another kind than its student: where one of the two has no other engine than candle, the other keeps
    /// that of the device.
    fn numerics(&self, architecture: Architecture) -> Result<Numerics, TrainError> {
        let Segment { numerics, architecture: student, .. } = self.job.segment;
        let of_device = if student.has_kernels() { numerics } else { engine::numerics(self.device)? };
        Ok(of_device.of(architecture))
    }

    pub fn open(&self, teacher: &CheckpointId) -> Result<Opened, TrainError> {
        let home = sibling(self.folder, teacher);
        let (weights, metadata) = checkpoint::load_weights(&home, teacher.epoch)?;
        let path = weights_path(&home, teacher.epoch);
        let shape = shape(checkpoint::architecture(&path, &metadata)?, self.images);
        let mut network = open_for_evaluation(&shape, self.numerics(shape.architecture)?, self.device, self.threads)?;
        network.set_weights(&weights)?;
        let own = Normalisation::said(&metadata, shape.image_size);
        let usual = Normalisation::of(self.images);
        let normalisation = own.filter(|own| own.statistics() != usual.statistics());
        Ok(Opened { network, normalisation })
    }
}

/// A teacher's network.
pub(crate) struct Opened {
    pub network: Box<dyn Engine>,
    /// How its inputs are normalised, where that is another way than the students': it was trained elsewhere.
    pub normalisation: Option<Normalisation>,
}

impl Opened {
    /// These of the images that students are shown, in the same views, normalised as this network is used to.
    pub fn pixels<'p>(
        &self,
        images: &Images,
        shown: &Shown<'p>,
        rows: impl Iterator<Item = usize> + Clone,
    ) -> Cow<'p, [f32]> {
        let values = images.values_per_image();
        let Some(normalisation) = &self.normalisation else {
            if rows.clone().count() == shown.images.len() {
                return Cow::Borrowed(shown.pixels);
            }
            return rows.flat_map(|row| &shown.pixels[row * values..][..values]).copied().collect();
        };
        let (indices, views): (Vec<u32>, Vec<View>) = rows.map(|row| (shown.images[row], shown.views[row])).unzip();
        let mut pixels = vec![0.0; indices.len() * values];
        normalisation.render_batch(&images.train, &indices, &views, &mut pixels);
        Cow::Owned(pixels)
    }
}

/// A batch as students and teachers are shown it: for each image its place in the training split, its view, and its pixels,
/// normalised and augmented.
pub(crate) struct Shown<'a> {
    pub images: &'a [u32],
    pub views: &'a [View],
    pub pixels: &'a [f32],
}

/// A teacher of a segment. Its network is opened when something is asked of it that is not kept.
pub(crate) struct Frozen {
    opened: Option<Opened>,
    kept: Option<TeacherLogits>,
    /// Why nothing is kept, where that was asked for: to be told once.
    pub note: Option<String>,
}

impl Frozen {
    /// What it says is kept for all who ask the same where the job says so: it does where an image's logits are the same bits whatever
    /// stands beside it, as they are of the hand-written engine. Where it cannot be kept it goes without.
    pub fn new(opening: &Opening<'_>, teacher: &CheckpointId) -> Result<Frozen, TrainError> {
        let Job { segment, shared_folder, teacher_logits, .. } = opening.job;
        let mut frozen = Frozen { opened: None, kept: None, note: None };
        let keep = teacher_logits.contains(teacher);
        if let Some(shared) = shared_folder.as_ref().filter(|_| keep) {
            let digest = checkpoint::weights_digest(&sibling(opening.folder, teacher), teacher.epoch)?;
            match TeacherLogits::open(&teacher_logits_path(Path::new(shared)), segment, teacher, &digest) {
                Ok(kept) => frozen.kept = Some(kept),
                Err(error) => frozen.go_without(&error),
            }
        }
        Ok(frozen)
    }

    fn go_without(&mut self, error: &TrainError) {
        self.kept = None;
        self.note = Some(format!("What the teacher says is not kept, and computed each time: {error}."));
    }

    pub fn opened(&mut self, opening: &Opening<'_>, teacher: &CheckpointId) -> Result<&mut Opened, TrainError> {
        if self.opened.is_none() {
            self.opened = Some(opening.open(teacher)?);
        }
        Ok(self.opened.as_mut().expect("it was opened above"))
    }

    /// What it gives for a batch. Of logits, what is kept is looked up, and the network is asked for the rest alone; attention maps
    /// are not kept.
    pub fn say(
        &mut self,
        opening: &Opening<'_>,
        teacher: &CheckpointId,
        shown: &Shown<'_>,
    ) -> Result<Outputs, TrainError> {
        let looks =
            |(_, term): &(f64, Term<CheckpointId>)| term.needs_attention_maps() && term.teacher() == Some(teacher);
        if opening.job.segment.terms.iter().any(looks) {
            let opened = self.opened(opening, teacher)?;
            let pixels = opened.pixels(opening.images, shown, 0..shown.images.len());
            let (logits, attention) = opened.network.evaluate_with_attention(&pixels)?;
            return Ok(Outputs { logits, attention });
        }
        self.logits(opening, teacher, shown).map(Outputs::of_logits)
    }

    fn logits(
        &mut self,
        opening: &Opening<'_>,
        teacher: &CheckpointId,
        shown: &Shown<'_>,
    ) -> Result<Tensor, TrainError> {
        let Some(kept) = &self.kept else {
            let opened = self.opened(opening, teacher)?;
            let pixels = opened.pixels(opening.images, shown, 0..shown.images.len());
            return opened.network.evaluate(&pixels);
        };
        let (batch, classes) = (shown.images.len(), opening.images.facts.classes as usize);
        let views: Vec<u32> = shown.views.iter().map(|view| view.index(opening.job.segment.augmentation)).collect();
        let mut logits = vec![0.0; batch * classes];
        let missing: Vec<usize> = (0..batch)
            .filter(|&row| !kept.get(shown.images[row], views[row], &mut logits[row * classes..][..classes]))
            .collect();
        if !missing.is_empty() {
            let opened = self.opened(opening, teacher)?;
            let pixels = opened.pixels(opening.images, shown, missing.iter().copied());
            let said: Vec<f32> = opened.network.evaluate(&pixels)?.flatten_all()?.to_vec1()?;
            for (row, said) in missing.into_iter().zip(said.chunks_exact(classes)) {
                logits[row * classes..][..classes].copy_from_slice(said);
                let put = self.kept.as_ref().map_or(Ok(()), |kept| kept.put(shown.images[row], views[row], said));
                if let Err(error) = put {
                    self.go_without(&error);
                }
            }
        }
        Ok(Tensor::from_vec(logits, (batch, classes), &Device::Cpu)?)
    }
}
