//! What the form's study would come to: errors, arms, runs and time, as one types. Decided here, shown by [`super::Form`].

use super::{Fields, fields};
use study::{Dataset, Machine, Outlook, Plan, Ready, SpecError};

/// What the form says, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub errors: Vec<SpecError>,
    /// The whole plan, and what it comes to; `None` while anything is wrong but that images are not here whose makers say how many they are.
    pub planned: Option<(Plan, Outlook)>,
}

/// Plans what the form says for `machine`, without anything being started: by the same rules as the server.
pub fn preview(form: &Fields, machine: &Machine) -> Preview {
    match machine.ready(&form.table()) {
        Ok(Ready { study, plan, .. }) => {
            let outlook = Outlook::of(&study, &plan, machine);
            Preview { errors: Vec::new(), planned: Some((plan, outlook)) }
        }
        Err(errors) => {
            let lacks_images = errors.iter().all(|error| error.field == fields::DATASET.path);
            let planned = if lacks_images { as_if_here(form, machine) } else { None };
            Preview { errors, planned }
        }
    }
}

/// What it would come to if its images were here, as their makers publish them.
fn as_if_here(form: &Fields, machine: &Machine) -> Option<(Plan, Outlook)> {
    let images = form.get(fields::DATASET.path).parse::<Dataset>().ok()?.as_published()?;
    let mut machine = machine.clone();
    machine.datasets.push(images);
    let Ready { study, plan, .. } = machine.ready(&form.table()).ok()?;
    let outlook = Outlook::of(&study, &plan, &machine);
    Some((plan, outlook))
}
