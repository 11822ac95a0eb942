//! `stillroom plan STUDY.toml`: what a study comes to.

use super::{Planned, read_and_plan};
use crate::{command_line, error::CommandError, summary};

pub fn plan(arguments: &command_line::Plan) -> Result<(), CommandError> {
    let Planned { study, plan, .. } = read_and_plan(&arguments.study, &arguments.installation, None)?;
    if arguments.json {
        println!("{}", summary::in_json(&summary::plan_object(&plan)));
        return Ok(());
    }
    println!("{}\n{}\n\n{}", study.title, summary::counts(&plan), summary::plan_table(&plan));
    for remark in &plan.remarks {
        println!("{remark}");
    }
    Ok(())
}
