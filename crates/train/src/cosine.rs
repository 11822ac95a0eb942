//! How far two gradients of one network agree.

use crate::engine::Weights;
use std::collections::BTreeMap;

/// Cosines of two gradients, from −1 (a step along one undoes the other) to 1 (they ask for the same). `None` where one is zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Cosines {
    /// Of all parameters as one vector.
    pub all: Option<f64>,
    /// Of each group of layers: `stem`, then the groups of blocks by number, each with the transition after it, then `head`.
    pub by_group: Vec<(String, Option<f64>)>,
}

/// The cosine of two gradients of one network, by parameter, in double precision.
///
/// # Panics
/// Where they are not of the same parameters.
pub fn cosine(one: &Weights, other: &Weights) -> Cosines {
    assert!(one.keys().eq(other.keys()), "two gradients of one network");
    let after_each_convolution = one.keys().any(|name| name.starts_with(RESNET_GROUPS));
    let mut by_group: BTreeMap<Group<'_>, Products> = BTreeMap::new();
    for ((name, one), other) in one.iter().zip(other.values()) {
        assert_eq!(one.shape, other.shape, "{name}");
        let products = by_group.entry(group(name, after_each_convolution)).or_default();
        for (a, b) in one.values.iter().zip(&other.values) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            *products = products.with(Products { both: a * b, one: a * a, other: b * b });
        }
    }
    let all = by_group.values().fold(Products::default(), |all, group| all.with(*group)).cosine();
    let named = |(group, products): (&Group<'_>, &Products)| (group.name(), products.cosine());
    Cosines { all, by_group: by_group.iter().map(named).collect() }
}

/// A part of a network, in the order of its layers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group<'a> {
    Stem,
    /// By number, as text.
    Blocks(&'a str),
    Head,
}

/// Begins the names of a ResNet's groups of blocks. It normalises after each convolution, the first one too; networks that normalise
/// before each have a batch norm of the same name behind their last block.
const RESNET_GROUPS: &str = "layer";

/// By the model zoo's names: groups of blocks are what has layers inside (`block1.layer.0.bn1.weight`, `layer1.0.conv1.weight`), and
/// what stands between two of them (`trans1.conv1.weight`) belongs to the first. Of what has no layers inside, the first convolution is
/// the stem, `bn1.weight` belongs to the convolution before it, and the rest is the head.
fn group(name: &str, after_each_convolution: bool) -> Group<'_> {
    match name.split_once('.') {
        Some(("conv1", _)) => Group::Stem,
        Some(("bn1", _)) if after_each_convolution => Group::Stem,
        Some((first, rest)) if rest.contains('.') => {
            Group::Blocks(first.trim_start_matches(|letter: char| !letter.is_ascii_digit()))
        }
        _ => Group::Head,
    }
}

impl Group<'_> {
    fn name(&self) -> String {
        match self {
            Group::Stem => "stem".into(),
            Group::Blocks(number) => format!("group {number}"),
            Group::Head => "head".into(),
        }
    }
}

/// Scalar products of two vectors, with each other and with themselves.
#[derive(Clone, Copy, Default)]
struct Products {
    both: f64,
    one: f64,
    other: f64,
}

impl Products {
    fn with(self, more: Products) -> Products {
        Products { both: self.both + more.both, one: self.one + more.one, other: self.other + more.other }
    }

    fn cosine(self) -> Option<f64> {
        // Rounding may leave parallel vectors a little beyond 1.
        (self.one > 0.0 && self.other > 0.0).then(|| (self.both / (self.one * self.other).sqrt()).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NetworkShape, TensorSpec, Values};

    fn weights(tensors: &[(&str, &[f32])]) -> Weights {
        let values = |values: &[f32]| Values { shape: vec![values.len()], values: values.to_vec() };
        tensors.iter().map(|(name, numbers)| ((*name).to_owned(), values(numbers))).collect()
    }

    fn by_group(cosines: &Cosines) -> Vec<(&str, Option<f64>)> {
        cosines.by_group.iter().map(|(name, cosine)| (name.as_str(), *cosine)).collect()
    }

    /// Counted by hand: triangles of 3-4-5 and 5-12-13. The batch norm of the first convolution belongs to it.
    #[test]
    fn gradients_are_compared_as_a_whole_and_by_group() {
        let one = weights(&[
            ("conv1.weight", &[3.0, 4.0]),
            ("layer1.0.conv1.weight", &[1.0, 0.0]),
            ("layer1.0.bn1.weight", &[0.0]),
            ("layer2.0.conv1.weight", &[0.0, 0.0]),
            ("bn1.bias", &[12.0]),
            ("fc.weight", &[3.0, 0.0]),
        ]);
        let other = weights(&[
            ("conv1.weight", &[4.0, 3.0]),
            ("layer1.0.conv1.weight", &[0.0, 5.0]),
            ("layer1.0.bn1.weight", &[1.0]),
            ("layer2.0.conv1.weight", &[1.0, 2.0]),
            ("bn1.bias", &[0.0]),
            ("fc.weight", &[-4.0, 0.0]),
        ]);
        let cosines = cosine(&one, &other);
        let expected = [("stem", Some(24.0 / 65.0)), ("group 1", Some(0.0)), ("group 2", None), ("head", Some(-1.0))];
        assert_eq!(by_group(&cosines), expected);
        // (24 − 12) / √((25 + 144 + 1 + 9)·(25 + 25 + 1 + 5 + 16))
        let all = cosines.all.expect("neither is zero");
        assert!((all - 12.0 / 12888f64.sqrt()).abs() < 1e-15, "{all}");
        assert_eq!(cosine(&one, &one).all, Some(1.0));
    }

    #[test]
    fn every_networks_parameters_fall_into_groups() {
        for (name, groups) in [
            ("wrn-10-1", 3),
            ("resnet8", 3),
            ("resnet8x4", 3),
            ("densenet-40-12", 3),
            ("densenet-bc-40-12", 3),
            ("resnet18", 4),
            ("resnet50", 4),
        ] {
            let architecture = name.parse().expect("a network");
            let shape = NetworkShape { architecture, channels: 3, image_size: 8, classes: 10 };
            let trained = || shape.tensors().into_iter().filter(|tensor| tensor.trained);
            let all_of = |value: f32| -> Weights {
                trained()
                    .map(|TensorSpec { name, shape, .. }| {
                        let values = vec![value; shape.iter().product()];
                        (name, Values { shape, values })
                    })
                    .collect()
            };
            let cosines = cosine(&all_of(0.1), &all_of(-0.1));
            assert_eq!(cosines.all, Some(-1.0), "{name}");
            let of_blocks = ["group 1", "group 2", "group 3", "group 4"].into_iter().take(groups);
            let all = std::iter::once("stem").chain(of_blocks).chain(["head"]);
            let expected: Vec<_> = all.map(|group| (group, Some(-1.0))).collect();
            assert_eq!(by_group(&cosines), expected, "{name}");
        }
    }

    /// A transition has the number of the group before it, whose channels it takes together.
    #[test]
    fn a_densenets_transition_belongs_to_the_blocks_before_it() {
        let of = |transition: &[f32]| {
            weights(&[
                ("block1.layer.0.conv1.weight", &[3.0]),
                ("block2.layer.0.conv1.weight", &[1.0]),
                ("bn1.weight", &[1.0]),
                ("conv1.weight", &[1.0]),
                ("trans1.conv1.weight", transition),
            ])
        };
        let cosines = cosine(&of(&[4.0, 0.0]), &of(&[0.0, 4.0]));
        let expected = [("stem", 1.0), ("group 1", 9.0 / 25.0), ("group 2", 1.0), ("head", 1.0)];
        assert_eq!(by_group(&cosines), expected.map(|(group, cosine)| (group, Some(cosine))));
    }

    #[test]
    fn a_gradient_of_zeros_points_nowhere() {
        let one = weights(&[("fc.bias", &[0.0, 0.0])]);
        let other = weights(&[("fc.bias", &[1.0, 0.0])]);
        let nowhere = Cosines { all: None, by_group: vec![("head".into(), None)] };
        assert_eq!(cosine(&one, &other), nowhere);
        assert_eq!(cosine(&other, &one), nowhere);
    }

    #[test]
    fn small_gradients_have_a_direction_too() {
        let tiny = weights(&[("fc.bias", &[1e-40, -1e-40])]);
        let huge = weights(&[("fc.bias", &[1e38, -1e38])]);
        assert_eq!(cosine(&tiny, &huge).all, Some(1.0));
    }
}
