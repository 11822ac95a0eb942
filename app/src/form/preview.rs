//! What the form's study would come to: errors, arms, runs and time, as one types. Decided here, shown by [`super::Form`].

use super::Fields;
use study::{
    Facts, Machine, Plan, SpecError, search,
    teacher_logits::{in_words, teacher_logits},
};

/// What the form says, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub errors: Vec<SpecError>,
    /// `None` while there are errors.
    pub plan: Option<Plan>,
    /// Of a study that is searched, what it comes to at most; time and teachers' logits are of this.
    pub at_most: Option<Plan>,
    /// Wall time on this machine in seconds, where its speed is known.
    pub seconds: Option<f64>,
    /// What is kept of teachers' logits, or why not; `None` where nobody teaches.
    pub teachers: Option<String>,
}

impl Preview {
    pub fn errors_of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a SpecError> {
        self.errors.iter().filter(move |error| error.field == path)
    }
}

/// Plans what the form says for `machine`, without anything being started: by the same rules as the server.
pub fn preview(fields: &Fields, machine: &Machine) -> Preview {
    match machine.ready(&fields.table()) {
        Ok(ready) => {
            let plan = ready.plan();
            let at_most = search::at_most(&ready.study, &plan);
            let trained = at_most.as_ref().unwrap_or(&plan);
            let estimate = study::cost::estimate(trained, &Facts::new(), machine);
            let teachers = in_words(&teacher_logits(&trained.segments, machine.teacher_logits_limit));
            let seconds = estimate.map(|estimate| estimate.seconds);
            Preview { errors: Vec::new(), seconds, teachers, plan: Some(plan), at_most }
        }
        Err(errors) => Preview { errors, plan: None, at_most: None, seconds: None, teachers: None },
    }
}
