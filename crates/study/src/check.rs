//! What can be wrong with a study, as data.

use serde::{Deserialize, Serialize};

/// One thing wrong with a study, said so that it can be put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {problem}; given: {given}; allowed: {allowed}")]
pub struct SpecError {
    /// The field's path in the study file: `treatment.kd_stop_epoch`. Empty for the file as a whole.
    pub field: String,
    /// What is wrong, in words: "is beyond the student's last epoch".
    pub problem: String,
    /// What was given, as it was written; "nothing" where it is missing.
    pub given: String,
    /// What is allowed: "0 to 20".
    pub allowed: String,
}
