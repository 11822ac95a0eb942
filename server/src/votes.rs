//! What networks come to together, of the logits that are kept with their checkpoints.

use crate::{confusion::Confusions, data_folder::segment_folder};
use app::laboratory::{KeptNetworks, Told};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use study::{CheckpointId, Confusion, Ensembles, Facts, Plan};
use tokio::task;
use train::{TrainError, evaluation::kept_ensemble_accuracy};

/// A data folder's networks, one by one and together.
pub struct Votes {
    networks: Arc<Confusions>,
    /// By members, with the digests of their weights: such an accuracy never changes.
    known: Arc<Mutex<BTreeMap<Ensemble, f64>>>,
}

type Ensemble = Vec<(CheckpointId, String)>;

/// Ensembles that are remembered; beyond that all are counted again.
const KNOWN_MAX: usize = 10_000;

impl Votes {
    pub fn new(networks: Arc<Confusions>) -> Votes {
        Votes { networks, known: Arc::default() }
    }
}

impl KeptNetworks for Votes {
    fn confusion<'a>(&'a self, plan: &'a Plan, facts: &'a Facts) -> Told<'a, Confusion> {
        Box::pin(self.networks.clone().of(plan, facts))
    }

    fn ensembles<'a>(&'a self, plan: &'a Plan, facts: &'a Facts) -> Told<'a, Ensembles> {
        // Most studies have none, and are not looked through for them.
        let has_generations =
            plan.arms.iter().any(|arm| arm.distillation.as_ref().is_some_and(|it| it.line.generation > 1));
        if !has_generations {
            return Box::pin(async { None });
        }
        let ends = plan.runs.iter().filter_map(|run| {
            let last = run.legs.last()?;
            let file = facts.get(&last.segment)?.checkpoints.iter().find(|file| file.epoch == last.until)?;
            Some((CheckpointId { segment: last.segment.clone(), epoch: last.until }, file.digest.clone()))
        });
        let ends: BTreeMap<CheckpointId, String> = ends.collect();
        let (plan, networks, known) = (plan.clone(), self.networks.clone(), self.known.clone());
        Box::pin(async move {
            let counted = task::spawn_blocking(move || {
                Ensembles::of(&plan, |members| {
                    let with_digest = |member: &CheckpointId| Some((member.clone(), ends.get(member)?.clone()));
                    let ensemble = members.iter().map(with_digest).collect::<Option<Ensemble>>()?;
                    let accuracy = accuracy(&plan, ensemble, &networks, &known);
                    accuracy.inspect_err(|error| tracing::debug!(%error, "an ensemble cannot be told")).ok()
                })
            });
            counted.await.inspect_err(|error| tracing::error!(%error, "ensembles were not counted")).ok().flatten()
        })
    }
}

fn accuracy(
    plan: &Plan,
    ensemble: Ensemble,
    networks: &Confusions,
    known: &Mutex<BTreeMap<Ensemble, f64>>,
) -> Result<f64, TrainError> {
    let locked = || known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(accuracy) = locked().get(&ensemble) {
        return Ok(*accuracy);
    }
    let labelled = networks.test_labels(&plan.segments[0].dataset)?;
    let members: Vec<_> = ensemble
        .iter()
        .map(|(member, _)| (segment_folder(&networks.data_dir, &member.segment), member.epoch))
        .collect();
    let accuracy = kept_ensemble_accuracy(&members, &labelled.labels, labelled.class_names.len())?;
    let mut known = locked();
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(ensemble, accuracy);
    Ok(accuracy)
}
