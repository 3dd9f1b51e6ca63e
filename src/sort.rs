//! Sorting, and making maps, in few bytes of code.
//!
//! The standard library's sort is made anew for each type of items and each way to compare them, and takes 3 to 5 KiB
//! of the binary each time. Here one sort orders the places of items, whatever they are.

use std::cmp::Ordering;

/// Sorts a list. Equal items keep their order.
pub fn by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let order = order(items.len(), &|one, other| match (items.get(one), items.get(other)) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Ordering::Equal,
    });
    arrange(items, order);
}

/// [`by`] a key of each item, which is asked for once.
pub fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    let keys: Vec<K> = items.iter().map(key).collect();
    let order = order(items.len(), &|one, other| keys.get(one).cmp(&keys.get(other)));
    arrange(items, order);
}

/// [`by`] the items' own order.
pub fn all<T: Ord>(items: &mut [T]) {
    by(items, T::cmp);
}

/// A map or set of these items. `collect` would sort them first, by a sort of its own for each iterator.
pub fn into<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}

/// Where each of so many items is to come from: a merge sort from the bottom up, which keeps the order of equals.
fn order(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    let mut merged = order.clone();
    let mut width = 1;
    while width < length {
        for (runs, merged) in order.chunks(2 * width).zip(merged.chunks_mut(2 * width)) {
            let (mut left, mut right) = runs.split_at(width.min(runs.len()));
            for place in merged {
                let side = match (left.first(), right.first()) {
                    (Some(one), Some(other)) if compare(*one, *other) == Ordering::Greater => &mut right,
                    (Some(_), _) => &mut left,
                    _ => &mut right,
                };
                if let [first, rest @ ..] = *side {
                    (*place, *side) = (*first, rest);
                }
            }
        }
        std::mem::swap(&mut order, &mut merged);
        width *= 2;
    }
    order
}

fn arrange<T>(items: &mut [T], mut order: Vec<usize>) {
    for at in 0..items.len() {
        // What belongs here may have been swapped away, to where an item came from that has its place already.
        let mut from = order[at];
        while from < at {
            from = order[from];
        }
        order[at] = from;
        items.swap(at, from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn equal_items_keep_their_order() {
        let mut items = vec![(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e')];
        by_key(&mut items, |(number, _)| *number);
        assert_eq!(items, [(1, 'b'), (1, 'e'), (2, 'd'), (3, 'a'), (3, 'c')]);
        by(&mut items, |one, other| other.0.cmp(&one.0));
        assert_eq!(items, [(3, 'a'), (3, 'c'), (2, 'd'), (1, 'b'), (1, 'e')]);
        by_key(&mut Vec::<u8>::new(), |item| *item);
    }

    #[test]
    fn long_lists_are_sorted_as_the_standard_library_does() {
        let mut number = 1u32;
        let mut next = || {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            number >> 16
        };
        for length in [1, 2, 3, 21, 1000, 20_000] {
            let mut items: Vec<(u32, usize)> = (0..length).map(|at| (next() % 500, at)).collect();
            let mut wanted = items.clone();
            wanted.sort_by_key(|item| item.0);
            by_key(&mut items, |item| item.0);
            assert_eq!(items, wanted);
            items.reverse();
            all(&mut items);
            assert_eq!(items, wanted);
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let map: BTreeMap<u8, char> = into([(2, 'a'), (1, 'b'), (2, 'c')]);
        assert_eq!(map, BTreeMap::from([(1, 'b'), (2, 'c')]));
    }
}
