//! A study's arms: the cross product of its choices, made canonical, told apart by what varies, each with its baseline.

use crate::{Architecture, Arm, Choices, Distillation, Epoch, Study};
use std::collections::{BTreeMap, BTreeSet};

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
    let alone: BTreeMap<_, _> = arms
        .iter()
        .enumerate()
        .filter(|(_, arm)| distils && arm.distillation.is_none())
        .map(|(index, arm)| ((arm.student, arm.epochs), index))
        .collect();
    for (arm, label) in arms.iter_mut().zip(labels) {
        arm.label = label;
        arm.baseline = alone.get(&(arm.student, arm.epochs)).copied().unwrap_or(0);
    }
    arms
}

fn arms_of_one_student(study: &Study, student: Architecture, epochs: Epoch) -> Vec<Arm> {
    let arm = |distillation| Arm { label: String::new(), student, epochs, distillation, baseline: 0 };
    let mut arms = Vec::new();
    let mut labels_only = false;
    for distillation in distillations(study, epochs) {
        // All that distils nothing is one arm, whatever its teacher. The others differ from each other: their lists hold
        // no value twice, and fields that do not count make no arms.
        if distillation.is_some() || !labels_only {
            labels_only |= distillation.is_none();
            arms.push(arm(distillation));
        }
    }
    arms
}

/// Every treatment of a student of `epochs` epochs; `None` is labels only, and may occur many times.
fn distillations(study: &Study, epochs: Epoch) -> Vec<Option<Distillation>> {
    let (Some(teacher), Some(treatment)) = (&study.teacher, study.treatment.as_ref().filter(|it| it.distils())) else {
        return vec![None];
    };
    let stops = or_the_end(&treatment.kd_stop_epoch, epochs);
    // Where labels alone are an arm, it stands where it occurs first: that is all that the loops over a teacher add to it.
    let mut all = Vec::new();
    for architecture in &teacher.architecture.0 {
        for teacher_epochs in &teacher.epochs.0 {
            let teacher_stops = or_the_end(&treatment.teacher_stop_epoch, Epoch(*teacher_epochs));
            for method in &treatment.method.0 {
                for temperature in &treatment.temperature.0 {
                    for kd_weight in &treatment.kd_weight.0 {
                        for kd_stop_epoch in &stops {
                            if *kd_weight == 0.0 || *kd_stop_epoch == Epoch(0) {
                                all.push(None);
                                continue;
                            }
                            for teacher_stop_epoch in &teacher_stops {
                                for after_stop in after_stop(treatment, *kd_stop_epoch < epochs) {
                                    all.push(Some(Distillation {
                                        method: *method,
                                        temperature: *temperature,
                                        kd_weight: *kd_weight,
                                        kd_stop_epoch: *kd_stop_epoch,
                                        cross_entropy_weight_after_stop: after_stop,
                                        teacher: *architecture,
                                        teacher_epochs: Epoch(*teacher_epochs),
                                        teacher_stop_epoch: *teacher_stop_epoch,
                                    }));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

/// Absent: to the training's end.
fn or_the_end(stops: &Option<Choices<u32>>, end: Epoch) -> Vec<Epoch> {
    stops.as_ref().map_or(vec![end], |stops| stops.0.iter().map(|stop| Epoch(*stop)).collect())
}

/// Where distillation never stops, the weight after the stop makes no arms.
fn after_stop(treatment: &crate::Treatment, stops: bool) -> Vec<Option<f64>> {
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

/// What adds labels-only arms to a study that has none. With students of several lengths "to the end" is no number to be listed
/// beside 0; there a weight of 0 does the same.
fn to_compare(arms: &[Arm]) -> String {
    let listed = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(", ");
    let add = if differ(arms.iter().map(|arm| arm.epochs)) {
        let weights = distilling(arms).map(|it| it.kd_weight.to_string());
        format!("kd_weight = [0, {}]", listed(weights.collect()))
    } else {
        let stops: BTreeSet<Epoch> = distilling(arms).map(|it| it.kd_stop_epoch).collect();
        let stops: Vec<String> = stops.into_iter().map(|stop| stop.to_string()).collect();
        format!("kd_stop_epoch = [0, {}]", stops.join(", "))
    };
    format!("With {add} each student is also trained from labels alone, to compare with.")
}

/// Labels that say what varies among the arms, and only that.
fn labels(arms: &[Arm]) -> Vec<String> {
    let varies = Varies {
        student: differ(arms.iter().map(|arm| arm.student.to_string())),
        epochs: differ(arms.iter().map(|arm| arm.epochs)),
        stop: differ(arms.iter().map(stop)),
        teacher: differ(distilling(arms).map(|it| it.teacher.to_string())),
        teacher_epochs: differ(distilling(arms).map(|it| it.teacher_epochs)),
        teacher_stop: differ(distilling(arms).map(stopped_early)),
        temperature: differ(distilling(arms).map(|it| it.temperature.to_bits())),
        kd_weight: differ(distilling(arms).map(|it| it.kd_weight.to_bits())),
        after_stop: differ(distilling(arms).filter_map(|it| it.cross_entropy_weight_after_stop).map(f64::to_bits)),
    };
    arms.iter().map(|arm| label(arm, &varies)).collect()
}

struct Varies {
    student: bool,
    epochs: bool,
    stop: bool,
    teacher: bool,
    teacher_epochs: bool,
    teacher_stop: bool,
    temperature: bool,
    kd_weight: bool,
    after_stop: bool,
}

fn label(arm: &Arm, varies: &Varies) -> String {
    let mut parts = Vec::new();
    let mut say = |says: bool, part: String| parts.extend(says.then_some(part));
    say(varies.student, arm.student.to_string());
    say(varies.epochs, epochs(arm.epochs));
    say(varies.stop, stop(arm));
    if let Some(it) = &arm.distillation {
        say(varies.teacher, format!("{} teaches", it.teacher));
        say(varies.teacher_epochs, format!("teacher of {}", epochs(it.teacher_epochs)));
        say(varies.teacher_stop, format!("teacher stopped at {}", it.teacher_stop_epoch));
        say(varies.temperature, format!("T {}", it.temperature));
        say(varies.kd_weight, format!("KD weight {}", it.kd_weight));
        if let Some(weight) = it.cross_entropy_weight_after_stop {
            say(varies.after_stop, format!("CE weight {weight} after"));
        }
    }
    if parts.is_empty() { stop(arm) } else { parts.join(", ") }
}

fn epochs(epochs: Epoch) -> String {
    if epochs == Epoch(1) { "1 epoch".into() } else { format!("{epochs} epochs") }
}

fn stop(arm: &Arm) -> String {
    match &arm.distillation {
        None => "labels only".into(),
        Some(it) if it.kd_stop_epoch == arm.epochs => "KD to the end".into(),
        Some(it) => format!("KD until {}", it.kd_stop_epoch),
    }
}

/// With teachers of several lengths, "trained to the end" is one choice and not several stops.
fn stopped_early(distillation: &Distillation) -> Option<Epoch> {
    let stop = distillation.teacher_stop_epoch;
    (stop < distillation.teacher_epochs).then_some(stop)
}

fn distilling(arms: &[Arm]) -> impl Iterator<Item = &Distillation> {
    arms.iter().filter_map(|arm| arm.distillation.as_ref())
}

fn differ<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    values.collect::<BTreeSet<T>>().len() > 1
}
