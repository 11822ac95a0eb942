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

/// The class that leaves room for labels of up to `longest` characters beside a chart.
pub fn room(longest: usize) -> &'static str {
    match longest {
        0..=13 => "labels-short",
        14..=24 => "labels-middle",
        25..=34 => "labels-long",
        _ => "labels-longest",
    }
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
}
