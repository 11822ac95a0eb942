//! `stillroom plan STUDY.toml`: what a study comes to.

use super::{Leaves, Planned, read_and_plan};
use crate::{command_line, error::CommandError, machine, summary, terminal::tell};
use study::{
    Facts,
    cost::estimate,
    search,
    teacher_logits::{in_words, teacher_logits},
};

pub fn plan(arguments: &command_line::Plan) -> Result<(), CommandError> {
    let Planned { study, plan, machine, .. } =
        read_and_plan(&arguments.study, &arguments.installation, None, Leaves::Nothing)?;
    // Who only plans leaves nothing behind.
    let machine = machine::measured(machine, None);
    let at_most = search::at_most(&study, &plan);
    let trained = at_most.as_ref().unwrap_or(&plan);
    let estimate = estimate(trained, &Facts::new(), &machine);
    let teachers = teacher_logits(&trained.segments, machine.teacher_logits_limit);
    if arguments.json {
        let object = summary::plan_object(&plan, at_most.as_ref(), &teachers, estimate);
        return tell(&format!("{}\n", summary::in_json(&object)));
    }
    let counts = summary::counts(&plan, at_most.as_ref());
    let mut text = format!("{}\n{counts}\n\n{}\n", study.title, summary::plan_table(&plan));
    let bound = if at_most.is_some() { "at most " } else { "" };
    let takes = estimate.map(|estimate| format!("On this machine it takes {bound}{}.", app::about(estimate.seconds)));
    for remark in plan.remarks.iter().chain(&in_words(&teachers)).chain(&takes) {
        text += &format!("{remark}\n");
    }
    tell(&text)
}
