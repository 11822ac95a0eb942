//! Cosines of gradients as a column holds them: ten bits each, one after the other, of all parameters first, then group by group.

use study::{Cosine, GradientCosine};

const BITS: usize = 10;
/// Stands for a cosine of 0: every step up and down from there fits.
const ZERO: i16 = 1 << (BITS - 1);
/// Where there is none: no cosine is as low.
const NONE: i16 = 0;

pub(crate) fn bytes(cosine: &GradientCosine) -> Vec<u8> {
    let mut bytes = vec![0; ((1 + cosine.groups.len()) * BITS).div_ceil(8)];
    for (place, cosine) in std::iter::once(&cosine.all).chain(&cosine.groups).enumerate() {
        let number = cosine.map_or(NONE, |cosine| ZERO + cosine.steps);
        let bit = place * BITS;
        let shifted = u32::from(number.unsigned_abs()) << (bit % 8);
        // Beyond what the number reaches there is nothing but zeros.
        bytes[bit / 8..].iter_mut().zip(shifted.to_le_bytes()).for_each(|(byte, part)| *byte |= part);
    }
    bytes
}

/// `None` for a column that holds nothing.
pub(crate) fn read(bytes: &[u8]) -> Option<GradientCosine> {
    let byte = |place: usize| u32::from(bytes.get(place).copied().unwrap_or(0));
    let number = |place: usize| {
        let bit = place * BITS;
        let (first, shift) = (bit / 8, bit % 8);
        let both = byte(first) | (byte(first + 1) << 8) | (byte(first + 2) << 16);
        ((both >> shift) & ((1 << BITS) - 1)) as i16
    };
    let cosine = |place| Some(number(place)).filter(|number| *number != NONE).map(|it| Cosine { steps: it - ZERO });
    // What is left over of the last byte is too short for another one.
    let count = bytes.len() * 8 / BITS;
    (count > 0).then(|| GradientCosine { all: cosine(0), groups: (1..count).map(cosine).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cosine_comes_back_from_among_any_number_of_them() {
        for steps in (-500..=500).map(|steps| Some(Cosine { steps })).chain([None]) {
            for groups in 0..10 {
                let others =
                    |place: usize| (place % 3 != 1).then_some(Cosine { steps: 500 - 250 * place as i16 % 1001 });
                let mut cosine = GradientCosine { all: steps, groups: (0..groups).map(others).collect() };
                assert_eq!(read(&bytes(&cosine)).as_ref(), Some(&cosine));
                if let Some(last) = cosine.groups.last_mut() {
                    *last = steps;
                    assert_eq!(read(&bytes(&cosine)).as_ref(), Some(&cosine));
                }
            }
        }
        assert_eq!(read(&[]), None);
    }

    /// Five groups, as most networks have: written down, so that what is stored stays readable.
    #[test]
    fn six_cosines_take_eight_bytes() {
        let of = |steps| Some(Cosine { steps });
        let cosine = GradientCosine { all: of(-500), groups: vec![of(500), None, of(0), of(-1), of(1)] };
        // 12, 1012, 0, 512, 511 and 513, ten bits each.
        let numbers = [12u64, 1012, 0, 512, 511, 513];
        let all = numbers.iter().enumerate().fold(0, |all, (place, number)| all | (number << (10 * place)));
        assert_eq!(bytes(&cosine), all.to_le_bytes());
    }
}
