//! JPEG and PNG pictures of any size, made squares of one size: the shorter side is scaled to it, the middle is kept.
//!
//! As torchvision's `Resize` and `CenterCrop` do it: bilinear, with the filter widened where a picture shrinks (antialiased); the
//! longer side is rounded down, the first row or column to the nearest whole number, of two the even one. A camera's note of how it
//! was held is not looked at, nor is transparency.

use super::{
    room::{Budget, Room, Taken},
    tree::Tree,
};
use crate::TrainError;
use image::{
    DynamicImage, GenericImageView, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel,
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
/// What all pictures of an archive may have together, so that a small one cannot keep a machine busy for hours: at the largest size
/// an archive can have, a picture's usual byte holds fewer than ten pixels.
const ARCHIVE_PIXELS_MAX: u64 = 32 << 30;
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
/// # Errors
/// Where any of them cannot be read, which are named; where all of them take more memory than there is room for.
pub(super) fn squares(tree: &Tree, paths: &[&Path], size: u32) -> Result<Squares, TrainError> {
    let wrong = |problem| TrainError::Dataset { path: tree.root.clone(), problem };
    let pixels = (size * size) as usize;
    let room = Room::here();
    if (paths.len() * 3 * pixels) as u64 > room.squares {
        let most = room.squares / (3 * pixels) as u64;
        return Err(wrong(format!("holds {} images of {size} × {size} pixels; up to {most} can be used", paths.len())));
    }
    let left = tree.is_in_memory().then(|| AtomicU64::new(ARCHIVE_PIXELS_MAX));
    let at_once = Budget::new(room.at_once);
    let read = |path: &&Path| match tree.read(path) {
        Ok(bytes) => Ok(square_of(&bytes, size, left.as_ref(), room.picture, &at_once)),
        // Its disk's trouble, or a right that is missing, is not the picture's.
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    };
    let mut unreadable = Vec::new();
    let mut found = Vec::with_capacity(paths.len());
    for (path, read) in paths.iter().zip(side_by_side(paths, read)) {
        match read {
            Ok(Ok(square)) => found.push(square),
            Ok(Err(problem)) => unreadable.push(format!("{} ({problem})", path.display())),
            Err(source) => return Err(TrainError::Io { doing: "read", path: tree.on_disk(path), source }),
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

/// A packed picture's square. It takes part of `at_once` meanwhile.
fn square_of(
    bytes: &[u8],
    size: u32,
    left: Option<&AtomicU64>,
    bytes_max: u64,
    at_once: &Budget,
) -> Result<Square, String> {
    let (picture, _taken) = decode(bytes, left, bytes_max, at_once)?;
    Ok(square(picture, size))
}

/// `left`: how many pixels may still be unpacked. `bytes_max`: what this one may take. What it takes of `at_once`, it and one copy of
/// it, is the caller's to give back.
fn decode<'a>(
    bytes: &[u8],
    left: Option<&AtomicU64>,
    bytes_max: u64,
    at_once: &'a Budget,
) -> Result<(DynamicImage, Taken<'a>), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(bytes_max);
    reader.limits(limits);
    if reader.format() == Some(ImageFormat::Jpeg) && !is_whole(bytes) {
        return Err("it was cut: it does not come to its end".into());
    }
    let decoder = reader.into_decoder().map_err(|error| match error {
        ImageError::Limits(_) => format!("its sides may have up to {SIDE_MAX} pixels"),
        other => other.to_string(),
    })?;
    if decoder.total_bytes() > bytes_max {
        let mebibytes = bytes_max >> 20;
        return Err(format!("it takes {} MiB unpacked; up to {mebibytes} can be used", decoder.total_bytes() >> 20));
    }
    let (width, height) = decoder.dimensions();
    if width.min(height) == 0 {
        return Err("it has no pixels".into());
    }
    if u64::from(width.max(height)) > u64::from(SIDES_RATIO_MAX) * u64::from(width.min(height)) {
        return Err(format!("{width} × {height} pixels: one side may be {SIDES_RATIO_MAX} times the other"));
    }
    let pixels = u64::from(width) * u64::from(height);
    let take = |left: u64| left.checked_sub(pixels);
    if left.is_some_and(|left| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err()) {
        return Err(format!(
            "with it there are more than {ARCHIVE_PIXELS_MAX} pixels, the most that an archive may have"
        ));
    }
    let taken = at_once.take(2 * decoder.total_bytes());
    DynamicImage::from_decoder(decoder).map(|picture| (picture, taken)).map_err(|error| error.to_string())
}

/// Whether a JPEG's picture comes to its end; others may stand behind it, as cameras put them there. Of one that was cut, the decoder
/// makes grey what is missing.
fn is_whole(jpeg: &[u8]) -> bool {
    // Within a scan 0xff is followed by zero or by a mark to begin again at.
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0x01 | 0xd0..=0xd8 | 0xff);
    let mut from = 2;
    loop {
        let Some(found) = jpeg.get(from..).and_then(|rest| rest.windows(2).position(is_marker)) else { return false };
        let marker = from + found;
        let length = match (jpeg[marker + 1], jpeg.get(marker + 2..marker + 4)) {
            (0xd9, _) => return true,
            (_, Some(&[high, low])) => usize::from(u16::from_be_bytes([high, low])),
            (_, _) => return false,
        };
        from = marker + 2 + length;
    }
}

/// Grey pictures give one plane, all others red, green and blue.
fn square(picture: DynamicImage, size: u32) -> Square {
    match picture.color().has_color() {
        true => planes(&picture.into_rgb8(), size),
        false => planes(&picture.into_luma8(), size),
    }
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
