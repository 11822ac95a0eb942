//! `stillroom plan STUDY.toml`: what a study comes to.

use super::{Planned, read_and_plan};
use crate::{command_line, error::CommandError, machine, summary, terminal::tell};
use study::{
    Facts,
    cost::estimate,
    teacher_logits::{in_words, teacher_logits},
};

pub fn plan(arguments: &command_line::Plan) -> Result<(), CommandError> {
    let Planned { study, plan, machine, .. } = read_and_plan(&arguments.study, &arguments.installation, None)?;
    // Who only plans leaves nothing behind.
    let machine = machine::measured(machine, None);
    let estimate = estimate(&plan, &Facts::new(), &machine);
    let teachers = teacher_logits(&plan.segments, machine.teacher_logits_limit);
    if arguments.json {
        return tell(&format!("{}\n", summary::in_json(&summary::plan_object(&plan, &teachers, estimate))));
    }
    let mut text = format!("{}\n{}\n\n{}\n", study.title, summary::counts(&plan), summary::plan_table(&plan));
    let takes = estimate.map(|estimate| format!("On this machine it takes {}.", app::about(estimate.seconds)));
    for remark in plan.remarks.iter().chain(&in_words(&teachers)).chain(&takes) {
        text += &format!("{remark}\n");
    }
    tell(&text)
}
