//! From PyTorch's layout to the kernels' and back.

use crate::buffer::BLOCK;
use crate::channels::Channels;
use crate::convolution::Convolution;

/// Place of weight `(output, input, tap)` in the kernels' layout.
fn place(convolution: &Convolution, output: usize, input: usize, tap: usize) -> usize {
    let pixel = convolution.input_block();
    let blocks = convolution.input_channels / pixel;
    let taps = convolution.kernel * convolution.kernel;
    (((output / BLOCK) * blocks + input / pixel) * taps + tap) * pixel * BLOCK
        + (input % pixel) * BLOCK
        + output % BLOCK
}

/// Calls `each(place in PyTorch's OIHW, place here)` for every weight; `[inputs, outputs]` say where channels lie.
fn each_weight(convolution: &Convolution, [inputs, outputs]: [Channels; 2], mut each: impl FnMut(usize, usize)) {
    let taps = convolution.kernel * convolution.kernel;
    for (output, at) in outputs.places().enumerate() {
        for (input, from) in inputs.places().enumerate() {
            for tap in 0..taps {
                let pytorch = (output * inputs.count + input) * taps + tap;
                each(pytorch, place(convolution, at, from, tap));
            }
        }
    }
}

/// Weights from PyTorch's (outputs, inputs, height, width) to the blocks that kernels read; `[inputs, outputs]` say where channels lie.
pub(crate) fn weights_from_pytorch(convolution: &Convolution, channels: [Channels; 2], from: &[f32], to: &mut [f32]) {
    each_weight(convolution, channels, |pytorch, here| to[here] = from[pytorch]);
}

/// As [`weights_from_pytorch`], the other way.
pub(crate) fn weights_to_pytorch(convolution: &Convolution, channels: [Channels; 2], from: &[f32]) -> Vec<f32> {
    let [inputs, outputs] = channels;
    let mut to = vec![0.0; inputs.count * outputs.count * convolution.kernel * convolution.kernel];
    each_weight(convolution, channels, |pytorch, here| to[pytorch] = from[here]);
    to
}

/// One image from `[channel][row][column]` into `[row + 2][column + 2][channel]`; the border is left as it is.
pub(crate) fn pad_image(image: &[f32], channels: usize, size: usize, padded: &mut [f32]) {
    for (channel, plane) in image.chunks_exact(size * size).enumerate() {
        for (row, line) in plane.chunks_exact(size).enumerate() {
            let start = ((row + 1) * (size + 2) + 1) * channels + channel;
            for (column, value) in line.iter().enumerate() {
                padded[start + column * channels] = *value;
            }
        }
    }
}
