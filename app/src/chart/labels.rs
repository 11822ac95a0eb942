//! Labels at lines' ends: as near to their lines as they can be without touching each other.

/// Moves `wanted` places apart until each is at least `apart` from the next, within `0..=room`, keeping their order and
/// moving them as little as possible (pools of touching labels sit around the mean of what they wanted). Returns the
/// places in the order given; where they cannot all fit, they are spaced evenly over the room.
pub fn spread(wanted: &[f64], apart: f64, room: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let gaps = wanted.len().saturating_sub(1) as f64;
    let apart = if apart * gaps > room { room / gaps } else { apart };

    // In coordinates from which the k-th label's own shift k·apart is taken, labels that touch are equal.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (rank, index) in order.iter().enumerate() {
        let mut pool = (wanted[*index] - rank as f64 * apart, 1usize);
        while let Some(above) = pools.pop_if(|above| above.0 > pool.0) {
            let size = above.1 + pool.1;
            pool = ((above.0 * above.1 as f64 + pool.0 * pool.1 as f64) / size as f64, size);
        }
        pools.push(pool);
    }

    let shifted = pools.iter().flat_map(|(place, size)| std::iter::repeat_n(*place, *size));
    let last = room - gaps * apart;
    let mut places = vec![0.0; wanted.len()];
    for ((rank, index), place) in order.into_iter().enumerate().zip(shifted) {
        places[index] = place.clamp(0.0, last.max(0.0)) + rank as f64 * apart;
    }
    places
}

/// Characters of the longest label that has room beside a chart, and beside one on a narrow screen.
pub const LONGEST_BESIDE: usize = 34;
pub const LONGEST_BESIDE_NARROW: usize = 24;

/// The class that leaves room for labels of up to `longest` characters beside a chart.
pub fn room(longest: usize) -> &'static str {
    match longest {
        0..=13 => "labels-short",
        14..=LONGEST_BESIDE_NARROW => "labels-middle",
        25..=LONGEST_BESIDE => "labels-long",
        _ => "labels-longest",
    }
}

/// The least width in pixels that the style sheet leaves for a plot beside labels of up to `longest` characters: on a phone,
/// and on what is not narrow.
pub fn plot_widths(longest: usize) -> (f64, f64) {
    match room(longest) {
        "labels-short" => (208.0, 396.0),
        "labels-middle" => (150.0, 326.0),
        _ => (112.0, 266.0),
    }
}

/// Which of the texts under an axis can stand without touching, taken from the left: each with the share of the plot's
/// `width` at which its middle stands and its characters.
pub fn without_touching(texts: &[(f64, usize)], width: f64) -> Vec<bool> {
    const CHARACTER: f64 = 7.0;
    const GAP: f64 = 6.0;
    let mut free_from = f64::MIN;
    let stands = texts.iter().map(|(share, characters)| {
        let half = CHARACTER * *characters as f64 / 2.0;
        let stands = share * width - half >= free_from;
        if stands {
            free_from = share * width + half + GAP;
        }
        stands
    });
    stands.collect()
}

/// A label in lines of at most `longest` characters, parted after commas where it can be and else between words. A longer
/// word keeps a line of its own.
pub fn wrapped(label: &str, longest: usize) -> Vec<String> {
    if label.is_empty() {
        return vec![String::new()];
    }
    let mut lines: Vec<String> = Vec::new();
    let fits = |line: &str, more: &str| line.chars().count() + 1 + more.chars().count() <= longest;
    for part in label.split_inclusive(", ").map(str::trim_end) {
        match lines.last_mut() {
            Some(line) if fits(line, part) => *line = format!("{line} {part}"),
            _ if part.chars().count() <= longest => lines.push(part.to_owned()),
            _ => {
                for word in part.split(' ') {
                    match lines.last_mut() {
                        Some(line) if fits(line, word) => *line = format!("{line} {word}"),
                        _ => lines.push(word.to_owned()),
                    }
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_apart(places: &[f64], apart: f64, room: f64) {
        let mut sorted = places.to_vec();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= apart - 1e-9), "{sorted:?}");
        assert!(sorted.iter().all(|place| (-1e-9..=room + 1e-9).contains(place)), "{sorted:?}");
    }

    #[test]
    fn labels_with_room_stay_where_they_want_to_be() {
        assert_eq!(spread(&[80.0, 10.0, 40.0], 14.0, 100.0), [80.0, 10.0, 40.0]);
    }

    #[test]
    fn touching_labels_part_around_their_middle_and_keep_their_order() {
        let places = spread(&[50.0, 51.0, 49.0], 10.0, 100.0);
        assert_eq!(places, [50.0, 60.0, 40.0]);
        assert_apart(&places, 10.0, 100.0);
    }

    #[test]
    fn labels_stay_inside_at_both_ends() {
        let places = spread(&[0.0, 1.0, 99.0, 100.0, 100.0], 12.0, 100.0);
        assert_apart(&places, 12.0, 100.0);
        assert_eq!(places, [0.0, 12.0, 76.0, 88.0, 100.0]);
    }

    #[test]
    fn too_many_labels_are_spaced_evenly_and_none_is_lost() {
        let wanted: Vec<f64> = (0..50).map(|index| 30.0 + f64::from(index % 7)).collect();
        let places = spread(&wanted, 14.0, 280.0);
        assert_eq!(places.len(), 50);
        assert_apart(&places, 280.0 / 49.0, 280.0);
        assert!(spread(&[], 14.0, 280.0).is_empty());
        assert_eq!(spread(&[500.0], 14.0, 280.0), [280.0]);
    }

    #[test]
    fn texts_under_an_axis_are_thinned_by_their_width() {
        let names = [(0.05, 8), (0.35, 8), (0.65, 8), (0.95, 8)];
        assert_eq!(without_touching(&names, 400.0), [true; 4]);
        assert_eq!(without_touching(&names, 150.0), [true, false, true, false]);
        let epochs = [(0.05, 2), (0.14, 2), (0.22, 2), (0.95, 3)];
        assert_eq!(without_touching(&epochs, 208.0), [true, false, true, true]);
    }

    #[test]
    fn a_long_label_is_parted_after_commas_and_then_between_words() {
        let wrapped = |label| wrapped(label, 20);
        assert_eq!(wrapped("labels only"), ["labels only"]);
        assert_eq!(wrapped("KD until 8, teacher stopped at 8"), ["KD until 8,", "teacher stopped at 8"]);
        assert_eq!(wrapped("KD weight 0.5, T 4, KD"), ["KD weight 0.5, T 4,", "KD"]);
        assert_eq!(wrapped("teacher stopped at 20, T 4"), ["teacher stopped at", "20, T 4"]);
        assert_eq!(wrapped("a-word-without-any-space-in-it"), ["a-word-without-any-space-in-it"]);
        assert_eq!(wrapped(""), [""; 1]);
    }
}
