//! A study's arms: the cross product of its choices, made canonical, told apart by what varies, each with its baseline.

use crate::{
    Architecture, Arm, Chain, Choices, Distillation, Epoch, Line, Method, Number, Scheme, Study, Treatment,
    labels::labels,
    ordered::{map, set},
};
use std::collections::BTreeSet;

/// The arms in canonical order: the fields in the file's order, the last one fastest, each arm where it first occurs.
pub(crate) fn arms(study: &Study) -> Vec<Arm> {
    let mut arms: Vec<Arm> = Vec::new();
    for student in &study.student.architecture.0 {
        for epochs in &study.student.epochs.0 {
            arms.extend(arms_of_one_student(study, *student, Epoch(*epochs)));
        }
    }
    let labels = labels(&arms);
    // The labels-only arm of the same student, else the study's first arm: also where no arm distils, for a labels-only arm is a
    // baseline of those that learn from a teacher, and students that all learn alone are compared with each other.
    let distils = arms.iter().any(|arm| arm.distillation.is_some());
    let alone = arms.iter().enumerate().filter(|(_, arm)| distils && arm.distillation.is_none());
    let alone = map(alone.map(|(index, arm)| ((arm.student, arm.epochs), index)));
    for (arm, label) in arms.iter_mut().zip(labels) {
        arm.label = label;
        arm.baseline = alone.get(&(arm.student, arm.epochs)).copied().unwrap_or(0);
    }
    arms
}

fn arms_of_one_student(study: &Study, student: Architecture, epochs: Epoch) -> Vec<Arm> {
    let arm = |distillation| Arm { label: String::new(), student, epochs, distillation, baseline: 0 };
    // What comes to the same training is one arm: all that distils nothing, whatever its teacher, and what numbers make of methods.
    let mut seen = BTreeSet::new();
    let mut different = |distillation: &Option<Distillation>| seen.insert(format!("{distillation:?}"));
    distillations(study, epochs).into_iter().filter(|it| different(it)).map(arm).collect()
}

/// Every treatment of a student of `epochs` epochs, canonical; `None` is labels only. Any may occur many times.
fn distillations(study: &Study, epochs: Epoch) -> Vec<Option<Distillation>> {
    let (Some(teachers), Some(treatment)) = (&study.teacher, study.treatment.as_ref().filter(|it| it.distils())) else {
        return vec![None];
    };
    let kd_stops = or_the_end(&treatment.kd_stop_epoch, epochs);
    let lines = lines(treatment, epochs);
    // Where labels alone are an arm, it stands where it occurs first: that is all that the loops over a teacher add to it.
    let mut all = Vec::new();
    for teacher in &teachers.architecture.0 {
        // What was trained elsewhere is there as it is, whatever epochs and stops the others have.
        let imported = teacher.imported.map(|_| vec![1]);
        for teacher_epochs in imported.as_ref().unwrap_or(&teachers.epochs.0) {
            let teacher_stops = match imported {
                Some(_) => vec![Epoch(1)],
                None => or_the_end(&treatment.teacher_stop_epoch, Epoch(*teacher_epochs)),
            };
            for scheme in treatment.method.0.iter().flat_map(|method| method.schemes(treatment)) {
                for kd_stop_epoch in &kd_stops {
                    if scheme.canonical(u32::MAX).is_none() || *kd_stop_epoch == Epoch(0) {
                        all.push(None);
                        continue;
                    }
                    for teacher_stop_epoch in &teacher_stops {
                        for line in &lines {
                            let anchors_most = (*kd_stop_epoch).min(*teacher_stop_epoch).min(line.first_stop(epochs));
                            let Some(scheme) = scheme.canonical(anchors_most.0) else { continue };
                            for cross_entropy_weight_after_stop in after_stop(treatment, *kd_stop_epoch < epochs) {
                                all.push(Some(Distillation {
                                    scheme,
                                    kd_stop_epoch: *kd_stop_epoch,
                                    cross_entropy_weight_after_stop,
                                    teacher: *teacher,
                                    teacher_name: None,
                                    teacher_epochs: Epoch(*teacher_epochs),
                                    teacher_stop_epoch: *teacher_stop_epoch,
                                    line: line.clone(),
                                }));
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

/// Every line from the teacher to the student: through each chain, each generation, from the second on by each of their stops.
fn lines(treatment: &Treatment, epochs: Epoch) -> Vec<Line> {
    let chains = treatment.chain.as_ref().map_or_else(|| vec![Chain::default()], |chains| chains.0.clone());
    let stops = or_the_end(&treatment.generation_stop_epoch, epochs);
    let mut lines = Vec::new();
    for chain in chains {
        let chain = chain.canonical(epochs);
        for generation in 1..=treatment.generations() {
            let line = |stop| Line { chain: chain.clone(), generation, generation_stop_epoch: stop };
            match generation {
                1 => lines.push(line(None)),
                _ => lines.extend(stops.iter().map(|stop| line(Some(*stop)))),
            }
        }
    }
    lines
}

/// Absent: to the training's end.
fn or_the_end(stops: &Option<Choices<u32>>, end: Epoch) -> Vec<Epoch> {
    stops.as_ref().map_or(vec![end], |stops| stops.0.iter().map(|stop| Epoch(*stop)).collect())
}

/// Where distillation never stops, the weight after the stop makes no arms.
fn after_stop(treatment: &Treatment, stops: bool) -> Vec<Option<f64>> {
    match stops {
        true => treatment.cross_entropy_weight_after_stop.0.iter().copied().map(Some).collect(),
        false => vec![None],
    }
}

/// What a reader must know where arms are not compared with training from labels alone, and what to write so that they are. The
/// lists of a study apply to all its students, so that either each of them has a labels-only arm or none.
pub(crate) fn baseline_remark(arms: &[Arm]) -> Option<String> {
    let first = arms.first()?;
    let all_with_first = format!("every arm is compared with the first ({})", first.label);
    match (arms.iter().all(|arm| arm.distillation.is_some()), arms.len()) {
        (true, 1) => Some(format!("One arm has nothing to be compared with. {}", to_compare(arms))),
        (true, _) => Some(format!("No arm learns from labels alone: {all_with_first}. {}", to_compare(arms))),
        (false, several) if several > 1 && distilling(arms).next().is_none() => {
            Some(format!("No arm distils: {all_with_first}."))
        }
        (false, _) => None,
    }
}

/// What a reader must know of methods that are not in every arm what they are asked for to be.
pub(crate) fn method_remarks(study: &Study, arms: &[Arm]) -> Vec<String> {
    let asks = |method: Method| study.treatment.as_ref().is_some_and(|it| it.method.0.contains(&method));
    let mut remarks = Vec::new();
    let warm_up = |it: &Distillation| match it.scheme {
        Scheme::Dkd { warm_up_epochs, .. } if warm_up_epochs > it.kd_stop_epoch.0 => Some(warm_up_epochs),
        _ => None,
    };
    if let Some(warm_up) = distilling(arms).find_map(warm_up) {
        remarks
            .push(format!("DKD’s weight rises over {warm_up} epochs, and in some arms KD stops before it is there."));
    }
    let has_one_anchor =
        |it: &Distillation| it.teacher.imported.is_some() || it.kd_stop_epoch.min(it.teacher_stop_epoch) < Epoch(2);
    if asks(Method::Rco) && distilling(arms).any(|it| it.scheme.method() == Method::Kd && has_one_anchor(it)) {
        remarks.push("RCO needs several checkpoints of a teacher: of one that has a single one, it is KD.".into());
    }
    let curricula = || distilling(arms).filter(|it| it.scheme.method() == Method::Rco);
    if differ(curricula().map(|it| it.kd_stop_epoch)) {
        remarks.push(
            "RCO’s anchors are spread over the epochs until KD stops: where it stops earlier, they follow faster."
                .into(),
        );
    }
    remarks
}

/// What adds labels-only arms to a study that has none. With students of several lengths "to the end" is no number to be listed
/// beside 0; there a weight of 0 does the same, where one weight decides.
fn to_compare(arms: &[Arm]) -> String {
    let listed = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(", ");
    let add = if !differ(arms.iter().map(|arm| arm.epochs)) {
        let stops: BTreeSet<Epoch> = set(distilling(arms).map(|it| it.kd_stop_epoch));
        let stops: Vec<String> = stops.into_iter().map(|stop| stop.to_string()).collect();
        format!("kd_stop_epoch = [0, {}]", stops.join(", "))
    } else if let Some((weight, values)) = deciding_weight(arms) {
        format!("{} = [0, {}]", weight.field(), listed(values))
    } else {
        return "Students of one length, with 0 among the values of kd_stop_epoch, are also trained from labels alone, to compare \
                with."
            .into();
    };
    format!("With {add} each student is also trained from labels alone, to compare with.")
}

/// The one weight that leaves labels alone where it is 0, and the values that it has.
fn deciding_weight(arms: &[Arm]) -> Option<(Number, BTreeSet<String>)> {
    let first = distilling(arms).next()?.scheme;
    let mut weights = first.method().weights();
    let (weight, others) = (weights.next()?, weights.next());
    let same = distilling(arms).all(|it| it.scheme.method() == first.method());
    let values = distilling(arms).filter_map(|it| it.scheme.number(weight)).map(|value| value.to_string());
    (same && others.is_none()).then(|| (weight, set(values)))
}

pub(crate) fn distilling(arms: &[Arm]) -> impl Iterator<Item = &Distillation> {
    arms.iter().filter_map(|arm| arm.distillation.as_ref())
}

pub(crate) fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    values.next().is_some_and(|first| values.any(|value| value != first))
}
