//! What the form's study would come to: errors, arms, runs and time, as one types. Decided here, shown by [`super::Form`].

use super::Fields;
use study::{Machine, Outlook, Plan, Ready, SpecError};

/// What the form says, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub errors: Vec<SpecError>,
    /// The whole plan, and what it comes to; `None` while there are errors.
    pub planned: Option<(Plan, Outlook)>,
}

/// Plans what the form says for `machine`, without anything being started: by the same rules as the server.
pub fn preview(fields: &Fields, machine: &Machine) -> Preview {
    match machine.ready(&fields.table()) {
        Ok(Ready { study, plan, .. }) => {
            let outlook = Outlook::of(&study, &plan, machine);
            Preview { errors: Vec::new(), planned: Some((plan, outlook)) }
        }
        Err(errors) => Preview { errors, planned: None },
    }
}
