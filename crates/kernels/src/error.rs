use std::fmt;

/// What kept a network from being built, or a tensor from being set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// A number or choice out of its range.
    Field { field: &'static str, given: String, allowed: String },
    /// No tensor of this name is in the network.
    UnknownTensor { name: String },
    /// A tensor was given too few or too many values.
    Length { name: String, given: usize, expected: usize },
    /// Momentum belongs to parameters of networks that train: not to running statistics, nor to a
    /// network made for evaluation.
    NoMomentum { name: String },
    /// The system would not start another thread.
    Spawn { problem: String },
}

impl fmt::Display for KernelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelError::Field { field, given, allowed } => {
                write!(formatter, "{field} is {given}, but what is allowed is {allowed}")
            }
            KernelError::UnknownTensor { name } => {
                write!(formatter, "the network has no tensor `{name}`")
            }
            KernelError::Length { name, given, expected } => {
                write!(formatter, "tensor `{name}` was given {given} values, but it has {expected}")
            }
            KernelError::NoMomentum { name } => {
                write!(formatter, "tensor `{name}` has no momentum here")
            }
            KernelError::Spawn { problem } => {
                write!(formatter, "a thread could not be started: {problem}")
            }
        }
    }
}

impl std::error::Error for KernelError {}
