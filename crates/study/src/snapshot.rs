//! A comparison, frozen: what a link shows, what an example is, what a downloaded page holds.

use crate::{Happened, Report, numbers};
use serde::{Deserialize, Serialize};

/// Outlives its study. Only what a reader may see is in it. Reading one of another version fails and says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(deserialize_with = "version")]
    pub version: u32,
    /// Seconds since 1970-01-01 UTC.
    pub frozen_at: i64,
    pub report: Report,
}

impl Snapshot {
    pub const VERSION: u32 = 1;

    /// Freezes a report: hosts are left out, and reasons and notes that name a path, so that a link names no machine.
    pub fn freeze(mut report: Report, now: i64) -> Snapshot {
        for provenance in &mut report.provenance {
            provenance.host.clear();
        }
        // Without hosts, machines that are alike are one.
        let all = std::mem::take(&mut report.provenance);
        for provenance in all {
            if !report.provenance.contains(&provenance) {
                report.provenance.push(provenance);
            }
        }
        report.incidents.retain(|incident| !matches!(&incident.happened, Happened::Noted(note) if names_a_path(note)));
        let told = report.incidents.iter_mut().filter_map(|incident| match &mut incident.happened {
            Happened::Failed(failure) => Some(failure),
            Happened::Noted(_) => None,
        });
        for failure in report.progress.failures.iter_mut().chain(told) {
            if names_a_path(&failure.reason) {
                failure.reason =
                    format!("Training failed after {}.", numbers::counted(failure.epoch.0.into(), "epoch"));
            }
        }
        report.progress.left = None;
        Snapshot { version: Snapshot::VERSION, frozen_at: now, report }
    }
}

/// A path may hold spaces, so that its end cannot be told: such a sentence is left out as a whole.
fn names_a_path(sentence: &str) -> bool {
    sentence.contains(['/', '\\'])
}

fn version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        Snapshot::VERSION => Ok(Snapshot::VERSION),
        other => Err(serde::de::Error::custom(format!(
            "this snapshot has version {other}; this program reads version {}",
            Snapshot::VERSION
        ))),
    }
}
