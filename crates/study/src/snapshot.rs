//! A comparison, frozen: what a link shows, what an example is, what a downloaded page holds.

use crate::Report;
use serde::{Deserialize, Serialize};

/// Outlives its study. Only what a reader may see is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub version: u32,
    /// Seconds since 1970-01-01 UTC.
    pub frozen_at: i64,
    pub report: Report,
}

impl Snapshot {
    pub const VERSION: u32 = 1;

    /// Freezes a report: hosts are left out, so that a link names no machine.
    pub fn freeze(report: Report, now: i64) -> Snapshot {
        let _ = (&report, now);
        todo!()
    }
}
