use std::fmt;
use std::str::FromStr;

use crate::error::KernelError;

/// The processor's vector instructions that the kernels use, chosen at run time.
///
/// The same network gives the same bits on one instruction set, and other last bits on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// 16 floats at a time (`avx512f`).
    Avx512,
    /// 8 floats at a time (`avx2` and `fma`).
    Avx2,
    /// Plain Rust, multiplication and addition rounded apart, the same on every processor.
    Portable,
}

impl InstructionSet {
    /// From the fastest to the slowest.
    pub const ALL: [InstructionSet; 3] = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable];

    /// The fastest one that this processor has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|set| set.available()).unwrap_or(InstructionSet::Portable)
    }

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => std::is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx512 | InstructionSet::Avx2 => false,
            InstructionSet::Portable => true,
        }
    }

    /// # Errors
    /// Where this processor does not have it.
    pub(crate) fn check(self) -> Result<(), KernelError> {
        if self.available() {
            return Ok(());
        }
        Err(KernelError::Field {
            field: "instruction_set",
            given: self.to_string(),
            allowed: format!("{} or a slower one on this processor", Self::best()),
        })
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Portable => "portable",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = KernelError;

    fn from_str(text: &str) -> Result<Self, KernelError> {
        Self::ALL.into_iter().find(|set| set.to_string() == text).ok_or_else(|| KernelError::Field {
            field: "instruction_set",
            given: text.to_string(),
            allowed: "avx512, avx2 or portable".to_string(),
        })
    }
}
