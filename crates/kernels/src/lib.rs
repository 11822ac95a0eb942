//! The hand-written CPU engine: Wide ResNets trained and evaluated over plain buffers.
//!
//! [`WideResNet`] is the model zoo's network (`wrn-d-k`): pre-activation basic blocks, batch
//! norm, global average pooling and one linear layer. It knows nothing of losses, data or epochs: its
//! caller hands in images and the gradient on the logits and, where it looks at them, on the attention maps.
//!
//! How it is fast: activations lie in blocks of 16 channels (`simd::Simd` is one such block),
//! 3×3 convolutions of stride 1 need a quarter of the multiplications (`winograd`), an image is worked on while it is in the
//! cache, batch norm and ReLU are the prologue of a convolution and the statistics its epilogue, and what follows a ReLU is
//! recomputed, not stored.
//!
//! How it is deterministic: a batch is cut into parts by its size alone, every part sums in its own
//! accumulators, and these are added in the parts' order. The number of threads decides who computes a
//! part, never what is computed. Instruction sets differ from one another in the last bits.

mod attention;
mod backward;
mod buffer;
mod convolution;
mod descent;
mod elementwise;
mod error;
mod evaluation;
mod forward;
mod head;
mod instances;
mod instruction_set;
#[cfg(test)]
mod kernel_tests;
mod layer;
mod layout;
mod memory;
mod network;
mod norm;
mod product;
mod shape;
mod simd;
mod tensors;
mod threads;
mod tiles;
mod winograd;

pub use attention::GROUPS;
pub use error::KernelError;
pub use instruction_set::InstructionSet;
pub use network::{PARTS_MAX, WideResNet};
pub use product::{Precision, Product};
pub use shape::Shape;
pub use tensors::{TensorKind, TensorSpec};
