//! Cosines of gradients as a column holds them: their steps in little-endian numbers of two bytes, of all parameters first, then
//! group by group.

use study::{Cosine, GradientCosine};

/// Where there is none: no cosine is as low.
const NONE: i16 = i16::MIN;

pub(crate) fn bytes(cosine: &GradientCosine) -> Vec<u8> {
    let cosines = std::iter::once(&cosine.all).chain(&cosine.groups);
    cosines.flat_map(|cosine| cosine.map_or(NONE, |cosine| cosine.steps).to_le_bytes()).collect()
}

/// `None` for a column that holds nothing.
pub(crate) fn read(bytes: &[u8]) -> Option<GradientCosine> {
    let cosine = |bytes: &[u8; 2]| Some(i16::from_le_bytes(*bytes)).filter(|steps| *steps != NONE);
    let cosine = |bytes| cosine(bytes).map(|steps| Cosine { steps });
    let (cosines, _) = bytes.as_chunks();
    let (all, groups) = cosines.split_first()?;
    Some(GradientCosine { all: cosine(all), groups: groups.iter().map(cosine).collect() })
}
