//! `stillroom plan STUDY.toml`: what a study comes to.

use super::{Planned, read_and_plan};
use crate::{command_line, error::CommandError, summary, terminal::tell};
use study::teacher_logits::{in_words, teacher_logits};

pub fn plan(arguments: &command_line::Plan) -> Result<(), CommandError> {
    let Planned { study, plan, machine, .. } = read_and_plan(&arguments.study, &arguments.installation, None)?;
    let teachers = teacher_logits(&plan.segments, machine.teacher_logits_limit);
    if arguments.json {
        return tell(&format!("{}\n", summary::in_json(&summary::plan_object(&plan, &teachers))));
    }
    let mut text = format!("{}\n{}\n\n{}\n", study.title, summary::counts(&plan), summary::plan_table(&plan));
    for remark in plan.remarks.iter().chain(&in_words(&teachers)) {
        text += &format!("{remark}\n");
    }
    tell(&text)
}
