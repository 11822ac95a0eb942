//! JPEG and PNG pictures of any size, made squares of one size: the shorter side is scaled to it, the middle is kept.
//!
//! As torchvision's `Resize` and `CenterCrop` do it: bilinear, with the filter widened where a picture shrinks (antialiased); the
//! longer side is rounded down, the first row or column to the nearest whole number, of two the even one. A camera's note of how it
//! was held is not looked at, nor is transparency.

use super::tree::Tree;
use crate::TrainError;
use image::{
    DynamicImage, GenericImageView, ImageBuffer, ImageDecoder, ImageError, ImageReader, Limits, Pixel,
    imageops::{self, FilterType},
};
use std::{
    io::Cursor,
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

/// A picture with a longer side is refused before room is made for it.
const SIDE_MAX: u32 = 16_384;
/// So is one whose longer side is so many times its shorter one: scaled, it would be far larger than what is kept of it.
const SIDES_RATIO_MAX: u32 = 64;
/// So is one that takes more bytes unpacked.
const PICTURE_BYTES_MAX: u64 = 256 << 20;
/// What all pictures of an archive may have together, so that a small one cannot keep a machine busy for hours: at the largest size
/// an archive can have, a picture's usual byte holds fewer than ten pixels.
const ARCHIVE_PIXELS_MAX: u64 = 32 << 30;
/// What all squares of a data set may take: Tiny-ImageNet's take 1.4 GB.
const SQUARES_BYTES_MAX: u64 = 4 << 30;
/// Of the pictures that cannot be read so many are named.
const NAMED_MAX: usize = 10;

/// (n, channels, size, size), row by row.
pub(super) struct Squares {
    pub bytes: Vec<u8>,
    /// 1 where all pictures are grey, else 3.
    pub channels: u32,
}

/// One picture: (channels, size, size).
type Square = Vec<u8>;

/// Reads the pictures in the order of `paths`.
///
/// Fails where any of them cannot be read, and names them.
pub(super) fn squares(tree: &Tree, paths: &[&Path], size: u32) -> Result<Squares, TrainError> {
    let wrong = |problem| TrainError::Dataset { path: tree.root.clone(), problem };
    let pixels = (size * size) as usize;
    if (paths.len() * 3 * pixels) as u64 > SQUARES_BYTES_MAX {
        let most = SQUARES_BYTES_MAX / (3 * pixels) as u64;
        return Err(wrong(format!("holds {} images of {size} × {size} pixels; up to {most} can be used", paths.len())));
    }
    let left = tree.is_in_memory().then(|| AtomicU64::new(ARCHIVE_PIXELS_MAX));
    let read = |path: &&Path| {
        let bytes = tree.read(path).map_err(|error| error.to_string())?;
        square(&decode(&bytes, left.as_ref())?, size)
    };
    let mut unreadable = Vec::new();
    let mut found = Vec::with_capacity(paths.len());
    for (path, read) in paths.iter().zip(side_by_side(paths, read)) {
        match read {
            Ok(square) => found.push(square),
            Err(problem) => unreadable.push(format!("{} ({problem})", path.display())),
        }
    }
    if !unreadable.is_empty() {
        let more = unreadable.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        unreadable.truncate(NAMED_MAX);
        return Err(wrong(format!(
            "holds images that cannot be read, as JPEG and PNG can: {}{more}",
            unreadable.join("; ")
        )));
    }
    let channels = if found.iter().all(|square| square.len() == pixels) { 1 } else { 3 };
    let mut bytes = Vec::with_capacity(found.len() * channels * pixels);
    // Each goes as soon as it is taken over.
    for square in found {
        let copies = channels * pixels / square.len();
        (0..copies).for_each(|_| bytes.extend_from_slice(&square));
    }
    Ok(Squares { bytes, channels: channels as u32 })
}

/// What `of` says of each, in their order, asked for by all of this machine's threads.
fn side_by_side<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut own = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return own };
            own.push((index, of(item)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut all = worker();
        for other in others {
            match other.join() {
                Ok(own) => all.extend(own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, said)| said).collect()
}

/// `left`: how many pixels may still be unpacked.
fn decode(bytes: &[u8], left: Option<&AtomicU64>) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(PICTURE_BYTES_MAX);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| match error {
        ImageError::Limits(_) => format!("its sides may have up to {SIDE_MAX} pixels"),
        other => other.to_string(),
    })?;
    if decoder.total_bytes() > PICTURE_BYTES_MAX {
        let mebibytes = PICTURE_BYTES_MAX >> 20;
        return Err(format!("it takes {} MiB unpacked; up to {mebibytes} can be used", decoder.total_bytes() >> 20));
    }
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let take = |left: u64| left.checked_sub(pixels);
    if left.is_some_and(|left| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err()) {
        return Err(format!(
            "with it there are more than {ARCHIVE_PIXELS_MAX} pixels, the most that an archive may have"
        ));
    }
    DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())
}

/// Grey pictures give one plane, all others red, green and blue.
fn square(picture: &DynamicImage, size: u32) -> Result<Square, String> {
    let (width, height) = (picture.width(), picture.height());
    if width.min(height) == 0 {
        return Err("it has no pixels".into());
    }
    if u64::from(width.max(height)) > u64::from(SIDES_RATIO_MAX) * u64::from(width.min(height)) {
        return Err(format!("{width} × {height} pixels: one side may be {SIDES_RATIO_MAX} times the other"));
    }
    Ok(match picture.color().has_color() {
        true => planes(&picture.to_rgb8(), size),
        false => planes(&picture.to_luma8(), size),
    })
}

fn planes<P: Pixel<Subpixel = u8> + 'static>(picture: &ImageBuffer<P, Vec<u8>>, size: u32) -> Square {
    let (width, height) = picture.dimensions();
    let shorter = u64::from(width.min(height));
    let scaled = |side: u32| (u64::from(size) * u64::from(side) / shorter) as u32;
    let (width, height) = (scaled(width), scaled(height));
    let resized = imageops::resize(picture, width, height, FilterType::Triangle);
    let before = |side: u32| (f64::from(side - size) / 2.0).round_ties_even() as u32;
    let middle = resized.view(before(width), before(height), size, size).to_image();
    let channels = usize::from(P::CHANNEL_COUNT);
    let values = middle.into_raw();
    (0..channels).flat_map(|channel| values.iter().copied().skip(channel).step_by(channels)).collect()
}

/// A PNG of squares below each other, each (channels, size, size).
pub(super) fn png(squares: &[&[u8]], channels: u32, size: u32) -> Result<Vec<u8>, image::ImageError> {
    let pixels = (size * size) as usize;
    let interleaved = squares.iter().flat_map(|square| {
        (0..pixels).flat_map(move |pixel| (0..channels as usize).map(move |channel| square[channel * pixels + pixel]))
    });
    let bytes: Vec<u8> = interleaved.collect();
    let color = if channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    image::ImageEncoder::write_image(encoder, &bytes, size, size * squares.len() as u32, color)?;
    Ok(png)
}
