//! `stillroom plan STUDY.toml`: what a study comes to.

use super::{Leaves, Planned, read_and_plan};
use crate::{command_line, error::CommandError, machine, summary, terminal::tell};
use study::{Outlook, cost::needs_speed_of_candle, teacher_logits::in_words};

pub fn plan(arguments: &command_line::Plan) -> Result<(), CommandError> {
    let Planned { study, plan, machine, .. } =
        read_and_plan(&arguments.study, &arguments.installation, None, Leaves::Nothing)?;
    let needs_candle = needs_speed_of_candle(&plan);
    let machine = machine::as_the_server(machine, &arguments.installation.data.dir);
    // Who only plans leaves nothing behind.
    let machine = machine::measured(machine, needs_candle, None);
    let outlook = Outlook::of(&study, &plan, &machine);
    if arguments.json {
        return tell(&format!("{}\n", summary::in_json(&summary::object(&plan, None, &outlook, None))));
    }
    let counts = summary::counts(&plan, &outlook);
    let mut text = format!("{}\n{counts}\n\n{}\n", study.title, summary::plan_table(&plan));
    let takes = outlook.time().map(|time| format!("On this machine it takes {time}."));
    let teachers = in_words(&outlook.teacher_logits);
    for remark in plan.remarks.iter().chain(&teachers).chain(&outlook.slow).chain(&takes) {
        text += &format!("{remark}\n");
    }
    tell(&text)
}
