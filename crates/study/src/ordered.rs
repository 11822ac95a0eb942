//! Sets and maps that are filled one by one. `collect` sorts what it is given first, by code of its own for each type: in the browser's
//! bundle that would be more than all that plans a study.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn set<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(values);
    set
}

pub(crate) fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}
