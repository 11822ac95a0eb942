//! The whole training that an arm stands for, with its teachers and theirs, before it is cut into segments.

use crate::{
    Architecture, Arm, Distillation, Epoch, Lesson, Plan, Recipe, Schedule, Seed, Study, Teacher, TeacherNetwork, Term,
    Training, WeightsDigest,
};
use std::sync::Arc;

impl Plan {
    /// The whole training of one arm and seed. The teacher learns from labels alone; each member of the chain, and each generation,
    /// as the student does from the one before it. All teachers are of the student's seed, or of seed 0 where one serves all seeds.
    pub fn training(study: &Study, arm: &Arm, seed: Seed) -> Training {
        let recipe = &study.recipe;
        let Some(it) = &arm.distillation else { return from_labels(arm.student, arm.epochs, recipe) };
        let teachers_seed = if study.teacher_per_seed() { seed } else { Seed(0) };
        let frozen = |training, stop| Frozen::Trained { training: Arc::new(training), seed: teachers_seed, stop };
        let taught = |architecture, teacher: &Frozen, stop: Epoch| Training {
            architecture,
            schedule: Schedule::new(arm.epochs, recipe),
            lessons: lessons(it, teacher, arm.epochs, stop, recipe),
        };

        let mut teacher = match it.teacher {
            TeacherNetwork { architecture, imported: Some(weights) } => Frozen::Imported { architecture, weights },
            TeacherNetwork { architecture, imported: None } => {
                frozen(from_labels(architecture, it.teacher_epochs, recipe), it.teacher_stop_epoch)
            }
        };
        for (architecture, stop) in between(arm, it) {
            teacher = frozen(taught(architecture, &teacher, stop), stop);
        }
        taught(arm.student, &teacher, arm.epochs)
    }
}

/// Those between the teacher and the student, in teaching order, each with the epoch at which it is frozen.
fn between(arm: &Arm, it: &Distillation) -> impl Iterator<Item = (Architecture, Epoch)> {
    let members = it.line.chain.0.iter().map(|member| (member.architecture, member.stop_epoch.unwrap_or(arm.epochs)));
    let stop = it.line.generation_stop_epoch.unwrap_or(arm.epochs);
    members.chain((1..it.line.generation).map(move |_| (arm.student, stop)))
}

enum Frozen {
    /// A training that teaches as it is after `stop` epochs, and on the way there.
    Trained { training: Arc<Training>, seed: Seed, stop: Epoch },
    /// What was trained elsewhere has no way there.
    Imported { architecture: Architecture, weights: WeightsDigest },
}

impl Frozen {
    /// As it is at `stage` of `stages` on the way to where it is frozen.
    fn at(&self, stage: u32, stages: u32) -> Teacher {
        match self {
            Frozen::Trained { training, seed, stop } => {
                Teacher::Trained { training: training.clone(), seed: *seed, stopped_at: part(*stop, stage, stages) }
            }
            Frozen::Imported { architecture, weights } => {
                Teacher::Imported { architecture: *architecture, weights: *weights }
            }
        }
    }
}

/// Epochs that are over after `stage` of `stages` equal parts of `whole`.
fn part(whole: Epoch, stage: u32, stages: u32) -> Epoch {
    Epoch((u64::from(whole.0) * u64::from(stage) / u64::from(stages)) as u32)
}

fn from_labels(architecture: Architecture, epochs: Epoch, recipe: &Recipe) -> Training {
    Training { architecture, schedule: Schedule::new(epochs, recipe), lessons: vec![labels(1.0, epochs, recipe)] }
}

fn labels(weight: f64, until: Epoch, recipe: &Recipe) -> Lesson {
    Lesson { terms: vec![(weight, Term::CrossEntropy)], optimizer: recipe.optimizer(), until }
}

/// What a student of `epochs` epochs learns from `teacher` until distillation stops, and then from labels alone; where it is frozen
/// before, to teach, nothing of what follows.
///
/// A curriculum of `n` anchors (Jin et al. 2019) cuts both ways into `n` equal parts: its lesson `i` ends after `⌊i·k/n⌋` of the `k`
/// epochs that distil, by the teacher as it was after `⌊i·s/n⌋` of the `s` epochs at which it is frozen. There are never more anchors
/// than `k` or `s`, so that no lesson is empty and no teacher untrained; and who is frozen has gone all of the way.
fn lessons(it: &Distillation, teacher: &Frozen, epochs: Epoch, frozen_at: Epoch, recipe: &Recipe) -> Vec<Lesson> {
    let stages = it.scheme.stages();
    let way = it.kd_stop_epoch.min(frozen_at);
    let distils = (1..=stages).map(|stage| Lesson {
        terms: it.scheme.terms(&teacher.at(stage, stages)),
        optimizer: it.scheme.optimizer(recipe),
        until: part(way, stage, stages),
    });
    let after_stop = it
        .cross_entropy_weight_after_stop
        .filter(|_| way == it.kd_stop_epoch)
        .map(|weight| labels(weight, epochs, recipe));
    distils.chain(after_stop).collect()
}
