//! How many arms a study has, counted and not built: lists multiply fast.

use crate::{Chain, Epoch, Method, Number, Treatment, ordered::set};
use std::collections::BTreeSet;

/// What counts for the number of arms: how many values each field has, and which where they decide what counts.
pub(crate) struct Sizes<'a> {
    pub students: usize,
    pub student_epochs: &'a [u32],
    /// Those that are trained here.
    pub teachers: usize,
    /// Those that were trained elsewhere.
    pub imported: usize,
    pub teacher_epochs: &'a [u32],
    pub treatment: &'a Treatment,
}

/// As many arms as the canonical cross product has. No product of lists that can be written is beyond these numbers.
pub(crate) fn arms(sizes: &Sizes<'_>) -> u128 {
    let of_one_student = |epochs: &u32| {
        let (ways, treatment) = (Ways { sizes, epochs: *epochs }, sizes.treatment);
        let distilling: u128 = match treatment.distils() {
            true => plain_schemes(treatment) * ways.beyond(0) + curricula(treatment, &ways),
            false => 0,
        };
        distilling + u128::from(has_labels_only(treatment))
    };
    sizes.student_epochs.iter().map(of_one_student).sum::<u128>() * sizes.students as u128
}

/// Students that learn from labels alone are one arm: where distillation never starts, or where a method's weights are all 0.
fn has_labels_only(treatment: &Treatment) -> bool {
    let never_starts = treatment.kd_stop_epoch.as_ref().is_some_and(|stops| stops.0.contains(&0));
    never_starts || treatment.method.0.iter().any(|method| can_be_zero(treatment, *method))
}

fn can_be_zero(treatment: &Treatment, method: Method) -> bool {
    method.weights().all(|weight| treatment.values(method, weight).contains(&0.0))
}

/// Schemes that differ from each other, apart from curricula and what those come to.
fn plain_schemes(treatment: &Treatment) -> u128 {
    let has = |method: Method| treatment.method.0.contains(&method);
    let of = |method: Method| match method {
        Method::Kd if has_plain_kd(treatment) => different(treatment, Method::Kd),
        // KD + AT without its KD is attention transfer alone.
        Method::At if has(Method::At) || has(Method::KdAt) && zero(treatment, Method::KdAt, Number::KdWeight) => {
            different(treatment, Method::At)
        }
        Method::Kd | Method::At | Method::Rco => 0,
        other if has(other) => different(treatment, other),
        _ => 0,
    };
    Method::ALL.into_iter().map(of).sum()
}

/// Whether KD is there, by its own name or as KD + AT without its AT.
fn has_plain_kd(treatment: &Treatment) -> bool {
    let has = |method| treatment.method.0.contains(&method);
    has(Method::Kd) || has(Method::KdAt) && zero(treatment, Method::KdAt, Number::AttentionWeight)
}

fn zero(treatment: &Treatment, method: Method, number: Number) -> bool {
    treatment.values(method, number).contains(&0.0)
}

/// One method's schemes, without those that are labels alone or another method by another name.
fn different(treatment: &Treatment, method: Method) -> u128 {
    let count = |number: Number| treatment.values(method, number).len() as u128;
    let others: u128 = method.numbers().iter().map(|(it, _)| *it).filter(|it| !it.is_weight()).map(count).product();
    let weights: u128 = match method {
        Method::KdAt => {
            method.weights().map(|weight| count(weight) - u128::from(zero(treatment, method, weight))).product()
        }
        _ => method.weights().map(count).product::<u128>() - u128::from(can_be_zero(treatment, method)),
    };
    others * weights
}

/// Curricula, and the KD that those of one anchor come to where it is not there already. A way gives as many anchors as are asked
/// for, up to its epochs `c`: as many different numbers of them as there are below `c`, and one more where more are asked for.
fn curricula(treatment: &Treatment, ways: &Ways<'_>) -> u128 {
    if !treatment.method.0.contains(&Method::Rco) {
        return 0;
    }
    let anchors = treatment.values(Method::Rco, Number::Anchors);
    let several: Vec<u32> = anchors.iter().map(|it| *it as u32).filter(|it| *it > 1).collect();
    let most = several.iter().copied().max().unwrap_or(1);
    let below: u128 = several.iter().map(|anchors| ways.beyond(*anchors)).sum();
    let limited = ways.beyond(1) - ways.beyond(most);
    let of_one = match anchors.contains(&1.0) {
        true => ways.beyond(0),
        false => ways.beyond(0) - ways.beyond(1),
    };
    let as_kd = if has_plain_kd(treatment) { 0 } else { of_one };
    different(treatment, Method::Kd) * (below + limited + as_kd)
}

/// In how many ways one student of so many epochs is taught, whatever the scheme: networks, stops, chains and generations.
struct Ways<'a> {
    sizes: &'a Sizes<'a>,
    epochs: u32,
}

impl Ways<'_> {
    /// Those in which distillation goes on for more than `least` epochs, and all who teach the student or one of its teachers learnt
    /// for more than that.
    fn beyond(&self, least: u32) -> u128 {
        let Sizes { teachers, imported, teacher_epochs, treatment, .. } = *self.sizes;
        let count = |epochs: &[u32]| epochs.iter().filter(|it| **it > least).count() as u128;
        let stops = match &treatment.kd_stop_epoch {
            None => count(&[self.epochs]),
            Some(stops) => {
                let (inside, others): (Vec<u32>, Vec<u32>) = stops.0.iter().partition(|stop| **stop < self.epochs);
                count(&inside) * treatment.cross_entropy_weight_after_stop.0.len() as u128 + count(&others)
            }
        };
        let trained = teachers as u128
            * match &treatment.teacher_stop_epoch {
                None => count(teacher_epochs),
                Some(stops) => count(&stops.0) * teacher_epochs.len() as u128,
            };
        let generations = 1 + u128::from(treatment.generations() - 1)
            * treatment.generation_stop_epoch.as_ref().map_or(1, |stops| count(&stops.0));
        let teachers = trained + imported as u128 * count(&[1]);
        stops * teachers * self.chains(least) * generations
    }

    fn chains(&self, least: u32) -> u128 {
        let Some(chains) = &self.sizes.treatment.chain else { return 1 };
        let different: BTreeSet<Chain> = set(chains.0.iter().map(|chain| chain.canonical(Epoch(self.epochs))));
        let beyond = |chain: &&Chain| chain.first_stop().is_none_or(|stop| stop.0 > least);
        different.iter().filter(beyond).count() as u128
    }
}
