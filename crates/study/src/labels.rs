//! What an arm is called: what tells it from the others of its study, and only that.

use crate::{
    Arm, Distillation, Epoch, Method, Number,
    arms::{differ, distilling},
    ordered::set,
};
use std::collections::BTreeSet;

/// One for each arm, in their order.
pub(crate) fn labels(arms: &[Arm]) -> Vec<String> {
    let varies = Varies {
        student: differ(arms.iter().map(|arm| arm.student)),
        epochs: differ(arms.iter().map(|arm| arm.epochs)),
        stop: differ(arms.iter().map(stop)),
        teacher: differ(distilling(arms).map(|it| it.teacher)),
        teacher_epochs: differ(distilling(arms).map(|it| it.teacher_epochs)),
        teacher_stop: differ(distilling(arms).map(stopped_early)),
        chain: differ(distilling(arms).map(|it| &it.line.chain)),
        generation: differ(distilling(arms).map(|it| it.line.generation)),
        generation_stop: differ(distilling(arms).filter_map(|it| it.line.generation_stop_epoch)),
        numbers: numbers(arms),
        after_stop: differ(distilling(arms).filter_map(|it| it.cross_entropy_weight_after_stop).map(f64::to_bits)),
    };
    arms.iter().map(|arm| label(arm, &varies)).collect()
}

struct Varies {
    student: bool,
    epochs: bool,
    /// The method too.
    stop: bool,
    teacher: bool,
    teacher_epochs: bool,
    teacher_stop: bool,
    chain: bool,
    generation: bool,
    generation_stop: bool,
    /// By method: each has its own defaults, which are no choice.
    numbers: BTreeSet<(Method, Number)>,
    after_stop: bool,
}

fn numbers(arms: &[Arm]) -> BTreeSet<(Method, Number)> {
    let all =
        Method::ALL.into_iter().flat_map(|method| method.numbers().iter().map(move |(number, _)| (method, *number)));
    let values = |method: Method, number: Number| {
        let of_method = distilling(arms).filter(move |it| it.scheme.method() == method);
        of_method.filter_map(move |it| it.scheme.number(number)).map(f64::to_bits)
    };
    set(all.filter(|(method, number)| differ(values(*method, *number))))
}

fn label(arm: &Arm, varies: &Varies) -> String {
    let mut parts = Vec::new();
    let mut say = |says: bool, part: String| parts.extend(says.then_some(part));
    say(varies.student, arm.student.to_string());
    say(varies.epochs, epochs(arm.epochs));
    say(varies.stop, stop(arm));
    if let Some(it) = &arm.distillation {
        say(varies.teacher, format!("{} teaches", it.teacher_label()));
        let trained = it.teacher.imported.is_none();
        say(varies.teacher_epochs && trained, format!("teacher of {}", epochs(it.teacher_epochs)));
        say(varies.teacher_stop && trained, format!("teacher stopped at {}", it.teacher_stop_epoch));
        say(varies.chain, through(it));
        say(varies.generation, format!("generation {}", it.line.generation));
        if let Some(stop) = it.line.generation_stop_epoch {
            say(varies.generation_stop, format!("generations stopped at {stop}"));
        }
        let method = it.scheme.method();
        for (number, value) in it.scheme.numbers() {
            say(varies.numbers.contains(&(method, number)), number.said(value));
        }
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
        Some(it) if it.kd_stop_epoch == arm.epochs => format!("{} to the end", it.scheme.method().label()),
        Some(it) => format!("{} until {}", it.scheme.method().label(), it.kd_stop_epoch),
    }
}

/// With teachers of several lengths, "trained to the end" is one choice and not several stops.
fn stopped_early(distillation: &Distillation) -> Option<Epoch> {
    let stop = distillation.teacher_stop_epoch;
    (stop < distillation.teacher_epochs).then_some(stop)
}

fn through(distillation: &Distillation) -> String {
    match &distillation.line.chain {
        chain if chain.is_empty() => "no chain".into(),
        chain => format!("through {chain}"),
    }
}
