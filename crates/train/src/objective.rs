//! What is learnt: the losses' equations, written once, for both engines, and their weighted sum.

mod equations;

pub use equations::{attention, cross_entropy, dist, dkd, kd, standardised_kd};

use candle_core::{DType, Tensor, Var};
use std::collections::BTreeMap;
use study::{CheckpointId, Term};

type Result<T> = std::result::Result<T, candle_core::Error>;

/// One term of a loss, unweighted: its value and its gradient on the logits, apart from all others.
pub struct TermValue {
    pub value: f64,
    /// (batch, classes).
    pub logits_gradient: Tensor,
}

/// Each term apart, in the order given. `teachers` holds the logits that each teacher gave the same images.
///
/// # Panics
/// Where a term's teacher is not among `teachers`.
pub fn terms(
    terms: &[(f64, Term<CheckpointId>)],
    logits: &Tensor,
    labels: &Tensor,
    teachers: &BTreeMap<CheckpointId, Tensor>,
) -> Result<Vec<TermValue>> {
    terms
        .iter()
        .map(|(_, term)| {
            let logits = Var::from_tensor(&logits.detach())?;
            let value = match term {
                Term::CrossEntropy => cross_entropy(logits.as_tensor(), labels)?,
                Term::Kd { teacher, temperature } => kd(logits.as_tensor(), &teachers[teacher], *temperature)?,
                // wired at the merge
                Term::StandardisedKd { .. } | Term::Attention { .. } | Term::Dkd { .. } | Term::Dist { .. } => {
                    unimplemented!("the losses of other methods")
                }
            };
            let gradients = value.backward()?;
            let logits_gradient = match gradients.get(logits.as_tensor()) {
                Some(gradient) => gradient.clone(),
                None => logits.as_tensor().zeros_like()?,
            };
            Ok(TermValue { value: scalar(&value)?, logits_gradient })
        })
        .collect()
}

/// The gradient of the weighted sum on the logits.
///
/// # Panics
/// Where there is no term.
pub fn weighted_gradient(terms: &[(f64, Term<CheckpointId>)], values: &[TermValue]) -> Result<Tensor> {
    let mut weighted = terms.iter().zip(values).map(|((weight, _), value)| &value.logits_gradient * *weight);
    let first = weighted.next().expect("a loss has a term")?;
    weighted.try_fold(first, |sum, gradient| sum + gradient?)
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
