//! A frozen teacher: its network where that is needed, and what it said before where that is kept.

use crate::TrainError;
use crate::augmentation::View;
use crate::checkpoint;
use crate::dataset::Images;
use crate::engine::{Engine, NetworkShape, open_for_evaluation};
use crate::folder::{sibling, teacher_logits_path, weights_path};
use crate::objective::Outputs;
use crate::teacher_logits::TeacherLogits;
use candle_core::{Device, Tensor};
use std::path::Path;
use study::{Architecture, CheckpointId, Job, Numerics, Term};

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
    pub fn open(&self, teacher: &CheckpointId) -> Result<Box<dyn Engine>, TrainError> {
        let home = sibling(self.folder, teacher);
        let (weights, metadata) = checkpoint::load_weights(&home, teacher.epoch)?;
        let path = weights_path(&home, teacher.epoch);
        let shape = shape(checkpoint::architecture(&path, &metadata)?, self.images);
        let mut network = open_for_evaluation(&shape, self.job.segment.numerics, self.device, self.threads)?;
        network.set_weights(&weights)?;
        Ok(network)
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
    network: Option<Box<dyn Engine>>,
    kept: Option<TeacherLogits>,
    /// Why nothing is kept, where that was asked for: to be told once.
    pub note: Option<String>,
}

impl Frozen {
    /// What it says is kept for all who ask the same where the job says so, and where an image's logits are the same bits whatever
    /// stands beside it, as they are of the hand-written engine. Where it cannot be kept it goes without.
    pub fn new(opening: &Opening<'_>, teacher: &CheckpointId) -> Result<Frozen, TrainError> {
        let Job { segment, shared_folder, teacher_logits, .. } = opening.job;
        let mut frozen = Frozen { network: None, kept: None, note: None };
        let keep = segment.numerics == Numerics::CpuF32 && teacher_logits.contains(teacher);
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

    pub fn network(
        &mut self,
        opening: &Opening<'_>,
        teacher: &CheckpointId,
    ) -> Result<&mut (dyn Engine + 'static), TrainError> {
        if self.network.is_none() {
            self.network = Some(opening.open(teacher)?);
        }
        Ok(self.network.as_mut().expect("it was opened above").as_mut())
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
            let (logits, attention) = self.network(opening, teacher)?.evaluate_with_attention(shown.pixels)?;
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
        let Some(kept) = &self.kept else { return self.network(opening, teacher)?.evaluate(shown.pixels) };
        let (batch, classes) = (shown.images.len(), opening.images.facts.classes as usize);
        let views: Vec<u32> = shown.views.iter().map(|view| view.index(opening.job.segment.augmentation)).collect();
        let mut logits = vec![0.0; batch * classes];
        let missing: Vec<usize> = (0..batch)
            .filter(|&row| !kept.get(shown.images[row], views[row], &mut logits[row * classes..][..classes]))
            .collect();
        if !missing.is_empty() {
            let values_per_image = opening.images.values_per_image();
            let pixels: Vec<f32> = missing
                .iter()
                .flat_map(|row| &shown.pixels[row * values_per_image..][..values_per_image])
                .copied()
                .collect();
            let said: Vec<f32> = self.network(opening, teacher)?.evaluate(&pixels)?.flatten_all()?.to_vec1()?;
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
