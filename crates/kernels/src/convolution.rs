//! A convolution as three sweeps over memory: forward, gradient on the input, gradient on the weights.
//!
//! Memory, per image. A *plain* activation: `[block][row][column][16]`. A *padded* one, which
//! convolutions read: `[block][row + 2][column + 2][16]` with a border of zeros. The image itself, padded:
//! `[row + 2][column + 2][channels]`. Weights: `[output block][input block][tap][input channel][16]`; for
//! the gradient on the input they are transposed: `[input block][output block][tap][output channel][16]`.

use crate::buffer::BLOCK;
use crate::channels::Channels;
use crate::winograd::Winograd;

/// Where one tap of the kernel reads, relative to the output's place, and its weights.
pub(crate) struct Tap {
    pub(crate) input: usize,
    pub(crate) weight: usize,
}

/// What lies at a pixel that is read, and how far apart neighbouring outputs read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// A block of 16 channels, side by side.
    Blocks,
    /// A block of 16 channels, every second pixel.
    EverySecondBlock,
    Grey,
    Colour,
}

/// Outputs `rows × columns` of each output block, each a sum over `taps`.
pub(crate) struct Sweep {
    pub(crate) pixels: Pixels,
    pub(crate) blocks: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) taps: Vec<Tap>,
    pub(crate) input_row: usize,
    pub(crate) output_start: usize,
    pub(crate) output_block: usize,
    pub(crate) output_row: usize,
    pub(crate) output_pixel: usize,
    pub(crate) weight_block: usize,
}

impl Sweep {
    /// A matrix product: at each of `columns` places, `inputs` blocks of channels with weights for `outputs` blocks.
    pub(crate) fn product(columns: usize, inputs: usize, outputs: usize) -> Sweep {
        Sweep {
            pixels: Pixels::Blocks,
            blocks: outputs,
            rows: 1,
            columns,
            taps: (0..inputs)
                .map(|block| Tap { input: block * columns * BLOCK, weight: block * BLOCK * BLOCK })
                .collect(),
            input_row: 0,
            output_start: 0,
            output_block: columns * BLOCK,
            output_row: 0,
            output_pixel: BLOCK,
            weight_block: inputs * BLOCK * BLOCK,
        }
    }
}

/// Weight gradients: for every tap and pair of channels a sum over `size × size` pixels.
pub(crate) struct WeightSweep {
    pub(crate) pixels: Pixels,
    pub(crate) blocks: usize,
    /// Height and width of the output.
    pub(crate) size: usize,
    pub(crate) taps: Vec<Tap>,
    pub(crate) input_row: usize,
    pub(crate) gradient_start: usize,
    pub(crate) gradient_block: usize,
    pub(crate) gradient_row: usize,
    pub(crate) weight_block: usize,
}

/// Geometry of one convolution of square images with "same" padding.
pub(crate) struct Convolution {
    pub(crate) input_channels: usize,
    pub(crate) output_channels: usize,
    pub(crate) input_size: usize,
    pub(crate) stride: usize,
    /// 1 or 3.
    pub(crate) kernel: usize,
    /// Floats from one image's plain input to the next one's, and from output to output: more than they have where they are part of
    /// what has more channels.
    pub(crate) input_stride: usize,
    pub(crate) output_stride: usize,
    pub(crate) forward: Sweep,
    /// One sweep for each parity of the input's row and column that any output reads.
    pub(crate) input_gradient: Vec<Sweep>,
    pub(crate) weight_gradient: WeightSweep,
    /// Where all three sums are had with fewer multiplications: decided by the geometry alone.
    pub(crate) winograd: Option<Winograd>,
}

impl Convolution {
    /// `input_channels` is 1, 3 or a multiple of 16; `input_size` is a multiple of `stride`.
    pub(crate) fn new(
        input_channels: usize,
        output_channels: usize,
        input_size: usize,
        stride: usize,
        kernel: usize,
    ) -> Self {
        let (size, output) = (input_size, input_size / stride);
        let taps = kernel * kernel;
        let pixel = input_channels.min(BLOCK);
        let input_blocks = input_channels / pixel;
        let output_blocks = output_channels / BLOCK;
        let row = (size + 2) * pixel;
        // A 1×1 kernel reads the middle of what a 3×3 kernel reads.
        let middle = if kernel == 1 { row + pixel } else { 0 };
        let pixels = match (input_channels, stride) {
            (1, _) => Pixels::Grey,
            (3, _) => Pixels::Colour,
            (_, 1) => Pixels::Blocks,
            _ => Pixels::EverySecondBlock,
        };
        let reads = || -> Vec<Tap> {
            (0..input_blocks)
                .flat_map(|block| (0..taps).map(move |tap| (block, tap)))
                .map(|(block, tap)| Tap {
                    input: block * (size + 2) * row + middle + (tap / kernel) * row + (tap % kernel) * pixel,
                    weight: (block * taps + tap) * pixel * BLOCK,
                })
                .collect()
        };
        let weight_block = input_blocks * taps * pixel * BLOCK;
        let forward = Sweep {
            pixels,
            blocks: output_blocks,
            rows: output,
            columns: output,
            taps: reads(),
            input_row: stride * row,
            output_start: 0,
            output_block: output * output * BLOCK,
            output_row: output * BLOCK,
            output_pixel: BLOCK,
            weight_block,
        };
        let gradient_row = (output + 2) * BLOCK;
        let weight_gradient = WeightSweep {
            pixels,
            blocks: output_blocks,
            size: output,
            taps: reads(),
            input_row: stride * row,
            gradient_start: gradient_row + BLOCK,
            gradient_block: (output + 2) * gradient_row,
            gradient_row,
            weight_block,
        };
        let mut input_gradient = Vec::new();
        if input_channels >= BLOCK {
            for (row_parity, column_parity) in (0..stride).flat_map(|row| (0..stride).map(move |column| (row, column)))
            {
                let taps = gradient_taps(kernel, stride, output, output_blocks, row_parity, column_parity);
                if taps.is_empty() {
                    continue;
                }
                input_gradient.push(Sweep {
                    pixels: Pixels::Blocks,
                    blocks: input_blocks,
                    rows: output,
                    columns: output,
                    taps,
                    input_row: gradient_row,
                    output_start: (row_parity * size + column_parity) * BLOCK,
                    output_block: size * size * BLOCK,
                    output_row: stride * size * BLOCK,
                    output_pixel: stride * BLOCK,
                    weight_block: output_blocks * kernel * kernel * BLOCK * BLOCK,
                });
            }
        }
        Convolution {
            input_channels,
            output_channels,
            input_size,
            stride,
            kernel,
            input_stride: input_channels * size * size,
            output_stride: output_channels * output * output,
            forward,
            input_gradient,
            weight_gradient,
            winograd: (kernel == 3 && stride == 1 && input_channels >= BLOCK)
                .then(|| Winograd::new(input_channels, output_channels, size))
                .flatten(),
        }
    }

    /// The same between activations with so many floats from image to image.
    pub(crate) fn within(self, input_stride: usize, output_stride: usize) -> Self {
        Convolution { input_stride, output_stride, ..self }
    }

    /// Where input and output channels lie where all of them are a network's.
    pub(crate) fn channels(&self) -> [Channels; 2] {
        [self.input_channels, self.output_channels].map(Channels::side_by_side)
    }

    pub(crate) fn output_size(&self) -> usize {
        self.input_size / self.stride
    }

    /// Channels that lie side by side in the weights: 16, or the image's own.
    pub(crate) fn input_block(&self) -> usize {
        self.input_channels.min(BLOCK)
    }

    pub(crate) fn weights_len(&self) -> usize {
        self.input_channels * self.output_channels * self.kernel * self.kernel
    }

    /// The weights of one input block as the gradient on the input reads them.
    ///
    /// # Safety
    /// `transposed` covers all weights.
    pub(crate) unsafe fn transpose(&self, weights: &[f32], input: usize, transposed: *mut f32) {
        let taps = self.kernel * self.kernel;
        let (inputs, outputs) = (self.input_channels / BLOCK, self.output_channels / BLOCK);
        for output in 0..outputs {
            for tap in 0..taps {
                let from = ((output * inputs + input) * taps + tap) * BLOCK * BLOCK;
                let to = ((input * outputs + output) * taps + tap) * BLOCK * BLOCK;
                let from = &weights[from..from + BLOCK * BLOCK];
                // SAFETY: the caller's promise.
                let to = unsafe { std::slice::from_raw_parts_mut(transposed.add(to), BLOCK * BLOCK) };
                for (i, row) in from.chunks_exact(BLOCK).enumerate() {
                    for (o, weight) in row.iter().enumerate() {
                        to[o * BLOCK + i] = *weight;
                    }
                }
            }
        }
    }
}

/// Which gradients on the output (padded) reach the input pixels of one parity, and by which weights:
/// output row `o` was read at input row `stride·o + tap − border`.
fn gradient_taps(
    kernel: usize,
    stride: usize,
    output: usize,
    output_blocks: usize,
    row_parity: usize,
    column_parity: usize,
) -> Vec<Tap> {
    let border = kernel / 2;
    let row = (output + 2) * BLOCK;
    // Padded output coordinate (so + 1) of the first input pixel of this parity, where it divides.
    let padded = |parity: usize, tap: usize| {
        let shifted = (parity + border + stride).checked_sub(tap)?;
        shifted.is_multiple_of(stride).then(|| shifted / stride)
    };
    let mut taps = Vec::new();
    for block in 0..output_blocks {
        for tap in 0..kernel * kernel {
            if let (Some(y), Some(x)) = (padded(row_parity, tap / kernel), padded(column_parity, tap % kernel)) {
                taps.push(Tap {
                    input: block * (output + 2) * row + y * row + x * BLOCK,
                    weight: (block * kernel * kernel + tap) * BLOCK * BLOCK,
                });
            }
        }
    }
    taps
}

/// Cuts `length` columns into tiles of the given sizes (falling, ending in 1): equal ones where that is
/// possible, else the largest first.
pub(crate) fn cut(length: usize, tiles: &[usize], mut each: impl FnMut(usize, std::ops::Range<usize>)) {
    let pieces = length.div_ceil(tiles[0]);
    if length.is_multiple_of(pieces) && tiles.contains(&(length / pieces)) {
        return each(length / pieces, 0..length);
    }
    let mut start = 0;
    for &tile in tiles {
        let end = start + (length - start) / tile * tile;
        if end > start {
            each(tile, start..end);
        }
        start = end;
    }
}
