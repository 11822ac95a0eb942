//! How far two gradients of one network agree.

use crate::engine::{Values, Weights};

/// Cosines of two gradients, from −1 (a step along one undoes the other) to 1 (they ask for the same). `None` where one is zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Cosines {
    /// Of all parameters as one vector.
    pub all: Option<f64>,
    /// Of each group of layers: `conv1`, then the groups by name, then `head`.
    pub by_group: Vec<(String, Option<f64>)>,
}

/// The cosine of two gradients of one network, by parameter, in double precision.
///
/// # Panics
/// Where they are not of the same parameters.
pub fn cosine(one: &Weights, other: &Weights) -> Cosines {
    let mut groups: Vec<&str> = one.keys().map(|name| group(name)).collect();
    groups.sort_by_key(|name| (*name == "head", *name != "conv1", *name));
    groups.dedup();
    let of = |belongs: &dyn Fn(&str) -> bool| {
        let (mut both, mut squares, mut other_squares) = (0.0, 0.0, 0.0);
        for (name, Values { values, .. }) in one.iter().filter(|(name, _)| belongs(name)) {
            for (a, b) in values.iter().zip(&other[name].values) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                both += a * b;
                squares += a * a;
                other_squares += b * b;
            }
        }
        (squares > 0.0 && other_squares > 0.0).then(|| (both / (squares * other_squares).sqrt()).clamp(-1.0, 1.0))
    };
    let by_group = groups.into_iter().map(|its| (its.to_owned(), of(&|name| group(name) == its)));
    Cosines { all: of(&|_| true), by_group: by_group.collect() }
}

/// By the model zoo's names: groups of blocks have layers inside (`block1.layer.0.bn1.weight`), the head has none (`fc.bias`).
fn group(name: &str) -> &str {
    match name.split_once('.') {
        Some(("conv1", _)) => "conv1",
        Some((group, rest)) if rest.contains('.') => group,
        _ => "head",
    }
}
