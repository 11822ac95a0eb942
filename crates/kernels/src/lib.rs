//! The hand-written CPU engine: networks for small images, trained and evaluated over plain buffers.
//!
//! [`Network`] is one of the model zoo's: basic blocks with batch norm before their convolutions (`wrn-d-k`) or after them
//! (`resnet20`), or blocks that append channels (`densenet-40-12`, `densenet-bc-40-12`), global average pooling and one linear layer. It knows nothing of losses, data or epochs: its
//! caller hands in images and the gradient on the logits and, where it looks at them, on the attention maps.
//!
//! Where to look: `network` has what every kind of network is made of, `forward`, `backward` and `evaluation` what all have in
//! common, `pre_activation`, `post_activation` and `dense` the passes through blocks of one kind.
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
mod channels;
mod convolution;
mod dense;
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
mod padded;
mod parts;
mod pass;
mod post_activation;
mod pre_activation;
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
pub use network::{Network, PARTS_MAX};
pub use product::{Precision, Product};
pub use shape::{Blocks, Shape};
pub use tensors::{TensorKind, TensorSpec};
