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
    /// 4 floats at a time, on 32 registers (`neon`, which every 64-bit ARM processor has).
    Neon,
    /// Plain Rust, multiplication and addition rounded apart, the same on every processor.
    Portable,
}

impl InstructionSet {
    /// From the fastest to the slowest; no processor has all of them.
    pub const ALL: [InstructionSet; 4] =
        [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Neon, InstructionSet::Portable];

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
            InstructionSet::Neon => cfg!(target_arch = "aarch64"),
            InstructionSet::Portable => true,
        }
    }

    /// # Errors
    /// Where this processor does not have it.
    pub(crate) fn check(self) -> Result<(), KernelError> {
        if self.available() {
            return Ok(());
        }
        let here: Vec<String> =
            Self::ALL.into_iter().filter(|set| set.available()).map(|set| set.to_string()).collect();
        Err(KernelError::Field {
            field: "instruction_set",
            given: self.to_string(),
            allowed: format!("{} on this processor", here.join(" or ")),
        })
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Neon => "neon",
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
            allowed: "avx512, avx2, neon or portable".to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_by_the_name_it_is_told_by_and_an_unknown_name_is_told_all() {
        for set in InstructionSet::ALL {
            assert_eq!(set.to_string().parse().ok(), Some(set));
            let error = "sse9".parse::<InstructionSet>().expect_err("there is none").to_string();
            assert!(error.contains(&set.to_string()), "{error}");
        }
    }

    #[test]
    fn the_best_is_here_and_what_is_not_here_is_refused_with_what_is() {
        let best = InstructionSet::best();
        assert!(best.available() && InstructionSet::Portable.available());
        #[cfg(target_arch = "aarch64")]
        assert_eq!(best, InstructionSet::Neon);
        for set in InstructionSet::ALL {
            match set.check() {
                Ok(()) => assert!(set.available()),
                Err(error) => assert!(!set.available() && error.to_string().contains(&best.to_string()), "{error}"),
            }
        }
    }
}
