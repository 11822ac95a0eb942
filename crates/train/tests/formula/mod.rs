//! Weights and images by a formula, so that another program can be asked what a network says of them.

use train::engine::{NetworkShape, Values, Weights};

/// Of each tensor by its place in the network and each number by its place in the tensor; those that scale lie around 1.
pub fn filled(shape: &NetworkShape) -> Weights {
    let tensors = shape.tensors().into_iter().enumerate();
    tensors
        .map(|(nth, tensor)| {
            let len: usize = tensor.shape.iter().product();
            let fan: usize = tensor.shape.iter().skip(1).product();
            let value = |place: usize| {
                let u = ((place * 7919 + nth * 104_729) % 1009) as f64 / 1009.0 - 0.5;
                match tensor.shape.len() {
                    4 => u * (24.0 / fan as f64).sqrt(),
                    2 => u * 0.5,
                    _ if tensor.name.ends_with("weight") || tensor.name.ends_with("var") => 1.0 + u / 2.0,
                    _ => u / 2.0,
                }
            };
            let values = (0..len).map(|place| value(place) as f32).collect();
            (tensor.name, Values { shape: tensor.shape, values })
        })
        .collect()
}

/// (count, channels, size, size), from −2 to 2.
pub fn images(shape: &NetworkShape, count: usize) -> Vec<f32> {
    let len = count * shape.channels * shape.image_size * shape.image_size;
    (0..len).map(|place| (((place * 31 % 257) as f64 / 257.0 - 0.5) * 4.0) as f32).collect()
}
