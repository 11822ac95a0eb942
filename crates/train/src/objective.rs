//! What is learnt: the losses' equations, written once, for both engines, and their weighted sum.

mod equations;

pub use equations::{attention, cross_entropy, dist, dkd, kd, standardised_kd};

use crate::engine::OutputGradient;
use candle_core::{DType, Tensor, Var};
use std::collections::BTreeMap;
use study::{CheckpointId, Term};

type Result<T> = std::result::Result<T, candle_core::Error>;

/// What a network gives for a batch, as losses look at it.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// (batch, classes).
    pub logits: Tensor,
    /// Each group's attention map, (batch, pixels); empty where no loss looks at them.
    pub attention: Vec<Tensor>,
}

impl Outputs {
    /// For losses that look at the logits alone.
    pub fn of_logits(logits: Tensor) -> Self {
        Outputs { logits, attention: Vec::new() }
    }
}

/// One term of a loss, unweighted: its value and its gradient on what the student gave, apart from all others.
pub struct TermValue {
    pub value: f64,
    pub gradient: OutputGradient,
}

/// Each term apart, in the order given. `teachers` holds what each teacher gave for the same images.
///
/// # Panics
/// Where a term's teacher is not among `teachers`.
pub fn terms(
    terms: &[(f64, Term<CheckpointId>)],
    student: &Outputs,
    labels: &Tensor,
    teachers: &BTreeMap<CheckpointId, Outputs>,
) -> Result<Vec<TermValue>> {
    terms.iter().map(|(_, term)| term_value(term, student, labels, teachers)).collect()
}

fn term_value(
    term: &Term<CheckpointId>,
    student: &Outputs,
    labels: &Tensor,
    teachers: &BTreeMap<CheckpointId, Outputs>,
) -> Result<TermValue> {
    let followed = |tensor: &Tensor| Var::from_tensor(&tensor.detach()).map(|followed| followed.as_tensor().clone());
    let logits = followed(&student.logits)?;
    let maps = student.attention.iter().filter(|_| term.needs_attention_maps());
    let attention = maps.map(followed).collect::<Result<Vec<Tensor>>>()?;
    let said = |teacher: &CheckpointId| &teachers[teacher].logits;
    let value = match term {
        Term::CrossEntropy => cross_entropy(&logits, labels)?,
        Term::Kd { teacher, temperature } => kd(&logits, said(teacher), *temperature)?,
        Term::StandardisedKd { teacher, temperature } => standardised_kd(&logits, said(teacher), *temperature)?,
        Term::Attention { teacher } => equations::attention(&attention, &teachers[teacher].attention)?,
        Term::Dkd { teacher, temperature, target_weight, non_target_weight, .. } => {
            dkd(&logits, said(teacher), labels, *temperature, *target_weight, *non_target_weight)?
        }
        Term::Dist { teacher, temperature, between_weight, within_weight } => {
            dist(&logits, said(teacher), *temperature, *between_weight, *within_weight)?
        }
    };
    let gradients = value.backward()?;
    let on =
        |tensor: &Tensor| gradients.get(tensor).map_or_else(|| tensor.zeros_like(), |gradient| Ok(gradient.clone()));
    let gradient = OutputGradient { logits: on(&logits)?, attention: attention.iter().map(on).collect::<Result<_>>()? };
    Ok(TermValue { value: scalar(&value)?, gradient })
}

/// The gradient of the weighted sum of those terms that are `chosen`; zeros where none is.
///
/// # Panics
/// Where there is no term at all.
pub fn weighted_gradient(
    terms: &[(f64, Term<CheckpointId>)],
    values: &[TermValue],
    chosen: impl Fn(&Term<CheckpointId>) -> bool,
) -> Result<OutputGradient> {
    let chosen = || {
        let chosen = terms.iter().zip(values).filter(|((_, term), _)| chosen(term));
        chosen.map(|((weight, _), value)| (*weight, &value.gradient))
    };
    let logits = match sum(chosen().map(|(weight, gradient)| &gradient.logits * weight))? {
        Some(logits) => logits,
        None => values.first().expect("a loss has a term").gradient.logits.zeros_like()?,
    };
    // Terms that look at attention maps look at all of them.
    let groups = chosen().map(|(_, gradient)| gradient.attention.len()).max().unwrap_or(0);
    let of_group = |group| {
        let weighted = chosen().filter_map(|(weight, gradient)| Some(gradient.attention.get(group)? * weight));
        sum(weighted).transpose()
    };
    let attention = (0..groups).filter_map(of_group).collect::<Result<_>>()?;
    Ok(OutputGradient { logits, attention })
}

/// `None` of none.
fn sum(mut tensors: impl Iterator<Item = Result<Tensor>>) -> Result<Option<Tensor>> {
    let Some(first) = tensors.next() else { return Ok(None) };
    tensors.try_fold(first?, |sum, tensor| sum + tensor?).map(Some)
}

pub fn scalar(tensor: &Tensor) -> Result<f64> {
    tensor.to_dtype(DType::F64)?.to_scalar()
}

/// The class each row of `logits` names: the largest logit, the first among equals.
pub fn named_classes(logits: &Tensor) -> Result<Vec<u32>> {
    let rows: Vec<Vec<f64>> = logits.to_dtype(DType::F64)?.to_vec2()?;
    Ok(rows
        .iter()
        .map(|row| {
            let first = (0..row.len()).reduce(|best, class| if row[class] > row[best] { class } else { best });
            first.unwrap_or(0) as u32
        })
        .collect())
}
