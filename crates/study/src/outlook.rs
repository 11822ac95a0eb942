//! What a study comes to before it begins: the form, the command line and the API say the same.

use crate::{
    Estimate, Facts, Machine, Plan, Study,
    cost::estimate,
    numbers, search, slow,
    teacher_logits::{TeacherLogits, teacher_logits},
};

/// Of a study that is searched all of it is of what it comes to at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// What a study that is searched comes to at most; `None` of another, which comes to its whole plan.
    pub at_most: Option<Plan>,
    /// Every teacher, with what keeping its logits comes to.
    pub teacher_logits: Vec<TeacherLogits>,
    /// Wall time on this machine; `None` where that is not known, as for a GPU.
    pub estimate: Option<Estimate>,
    /// Which networks are slow on this machine, what they cost, and what is lost of a long epoch where they are stopped, in sentences;
    /// `None` where nothing takes long.
    pub slow: Option<String>,
}

impl Outlook {
    /// `plan`: the study's whole one.
    pub fn of(study: &Study, plan: &Plan, machine: &Machine) -> Outlook {
        let at_most = search::before_it_begins(study, plan);
        let trained = at_most.as_ref().unwrap_or(plan);
        Outlook {
            teacher_logits: teacher_logits(&trained.segments, machine.teacher_logits_limit),
            estimate: estimate(trained, &Facts::new(), machine),
            slow: slow::in_words(trained, machine),
            at_most,
        }
    }

    /// "15 runs, 16 segments, 272 epochs instead of 320"; of a search "at most 380 epochs, of a grid of 305 runs and 3,320 epochs".
    /// `plan`: the study's whole one.
    pub fn counts(&self, plan: &Plan) -> String {
        let runs = plan.runs.len() as u64;
        match &self.at_most {
            None => numbers::plan(runs, plan.segments.len() as u64, plan.epochs, plan.epochs_without_sharing),
            Some(at_most) => format!(
                "at most {}, of a grid of {} and {}",
                numbers::counted(at_most.epochs, "epoch"),
                numbers::counted(runs, "run"),
                numbers::counted(plan.epochs, "epoch"),
            ),
        }
    }

    /// "about 15 minutes"; of a search, of the course that trains most epochs.
    pub fn time(&self) -> Option<String> {
        self.estimate.map(|estimate| numbers::about(estimate.seconds))
    }
}
