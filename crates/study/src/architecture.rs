//! Which network: its name, its size and what one image costs.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A network that can be a teacher or a student. Written as people write it: `wrn-16-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Architecture {
    /// Wide ResNet (Zagoruyko & Komodakis 2016) for small images: `depth = 6n + 4`, three groups of `n`
    /// basic blocks with 16, 32 and 64 times `width` channels.
    WideResNet { depth: u32, width: u32 },
}

impl Architecture {
    /// Deepest network accepted, above the paper's deepest teacher (WRN-250-1).
    pub const DEPTH_MAX: u32 = 604;
    /// Widest network accepted, above the paper's widest teacher (WRN-16-8).
    pub const WIDTH_MAX: u32 = 20;
    /// What a network's name may be, for messages.
    pub const ALLOWED: &str =
        "wrn-DEPTH-WIDTH with DEPTH = 6n + 4 from 10 to 604 and WIDTH from 1 to 20, such as wrn-16-2";

    /// Number of trained numbers (weights, batch-norm scales and shifts, the last layer's bias).
    pub fn parameters(self, channels: u32, classes: u32) -> u64 {
        let _ = (channels, classes);
        todo!()
    }

    /// Multiply-accumulates of one forward pass of one image (convolutions and the last layer).
    pub fn multiply_accumulates(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        let _ = (channels, image_size, classes);
        todo!()
    }
}

impl FromStr for Architecture {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let _ = name;
        todo!()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WideResNet { depth, width } => write!(f, "wrn-{depth}-{width}"),
        }
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> String {
        architecture.to_string()
    }
}
