//! A map and a set in sorted vectors.
//!
//! What it does: the part of `BTreeMap` and `BTreeSet` that this program needs. Each pair of types costs the standard
//! ones 3 KB of code, and there are sixty pairs here, few of which ever hold more than a hundred entries; these cost a
//! tenth of that. What it leaves to others: large collections that grow entry by entry in no order, for each entry
//! added moves those behind it. Who calls it: everybody.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Values by keys, in the order of the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    /// Sorted, no key twice.
    entries: Vec<(K, V)>,
}

/// Values in their order, none twice.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedSet<T>(SortedMap<T, ()>);

impl<K, V> SortedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        SortedMap {
            entries: Vec::new(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The entries in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// The values in the order of their keys, and the map is gone.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.entries.into_iter().map(|(_, value)| value)
    }

    /// Keeps the entries that `is_kept` wants.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| is_kept(key, value));
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.entries.last().map(|(key, value)| (key, value))
    }

    /// Removes the first entries until `limit` are left.
    pub fn keep_last(&mut self, limit: usize) {
        let extra = self.entries.len().saturating_sub(limit);
        self.entries.drain(..extra);
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// The place of a key, or the place where it would stand.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.entries
            .binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        self.entries.get(place).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// Whether there is an entry with this key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of a key and gives the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        // What comes in order is not searched for.
        let place = match self.entries.last() {
            Some((last, _)) if *last >= key => self.find(&key),
            _ => Err(self.entries.len()),
        };
        match place {
            Ok(place) => {
                let known = self.entries.get_mut(place)?;
                Some(std::mem::replace(&mut known.1, value))
            }
            Err(place) => {
                self.entries.insert(place, (key, value));
                None
            }
        }
    }

    /// Removes a key and gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        Some(self.entries.remove(place).1)
    }

    /// The value of a key, made by `make` where there is none yet.
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.find(&key) {
            Ok(place) => place,
            Err(place) => {
                self.entries.insert(place, (key, make()));
                place
            }
        };
        // The place of an entry that is there.
        #[allow(clippy::indexing_slicing)]
        &mut self.entries[place].1
    }

    /// The value of a key, the default one where there is none yet.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.or_insert_with(key, V::default)
    }
}

impl<T> SortedSet<T> {
    /// An empty set.
    pub const fn new() -> Self {
        SortedSet(SortedMap::new())
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The values in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator + Clone {
        self.0.keys()
    }

    /// The least value.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// Keeps the values that `is_kept` wants.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        self.0.retain(|value, ()| is_kept(value));
    }
}

impl<T: Ord> SortedSet<T> {
    /// Adds a value; answers whether it is new.
    pub fn insert(&mut self, value: T) -> bool {
        self.0.insert(value, ()).is_none()
    }

    /// Whether a value is there.
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(value)
    }

    /// Removes a value; answers whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.remove(value).is_some()
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        SortedMap::new()
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        SortedSet::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Of a key that comes twice the last value counts.
impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = SortedMap::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let mut entries: Vec<Option<(K, V)>> = entries.into_iter().map(Some).collect();
        let order = sorted_order(entries.len(), &mut |a, b| {
            let key = |place: usize| entries.get(place)?.as_ref().map(|(key, _)| key);
            key(a).cmp(&key(b))
        });
        for place in order {
            if let Some((key, value)) = entries.get_mut(place).and_then(Option::take) {
                self.insert(key, value);
            }
        }
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        SortedSet(values.into_iter().map(|value| (value, ())).collect())
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.0.extend(values.into_iter().map(|value| (value, ())));
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SortedSet<T> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(key, value)| (key, value))
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.entries.into_iter().map(|(value, ())| value)
    }
}

impl<'a, T> IntoIterator for &'a SortedSet<T> {
    type Item = &'a T;
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (T, ())>, fn(&'a (T, ())) -> &'a T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.entries.iter().map(|(value, ())| value)
    }
}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<T: Serialize> Serialize for SortedSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
            type Value = SortedMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = SortedMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    entries.insert(key, value);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Ord> Deserialize<'de> for SortedSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Ord> Visitor<'de> for Values<T> {
            type Value = SortedSet<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = SortedSet::new();
                while let Some(value) = list.next_element()? {
                    values.insert(value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(Values(PhantomData))
    }
}

/// Sorts a vector, stable, as `sort_by` does, which costs 4 KB of code for each type.
pub fn sort_by<T>(values: &mut Vec<T>, mut compare: impl FnMut(&T, &T) -> Ordering) {
    if values.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
        return;
    }
    let order = sorted_order(
        values.len(),
        &mut |a, b| match (values.get(a), values.get(b)) {
            (Some(a), Some(b)) => compare(a, b),
            _ => Ordering::Equal,
        },
    );
    let mut unsorted: Vec<Option<T>> = values.drain(..).map(Some).collect();
    let sorted = order
        .into_iter()
        .filter_map(|place| unsorted.get_mut(place)?.take());
    values.extend(sorted);
}

/// The places `0..length` in the order of what stands there; equal ones stay as they are.
fn sorted_order(length: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|a, b| compare(*a, *b));
    order
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Numbers that look like chance and are the same every time.
    fn numbers(count: usize) -> impl Iterator<Item = u8> {
        let mut seed = 1_u64;
        std::iter::repeat_with(move || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        })
        .take(count)
    }

    #[test]
    fn a_map_does_what_the_standard_one_does() {
        let (mut ours, mut standard) = (SortedMap::new(), BTreeMap::new());
        for (turn, number) in numbers(4_000).enumerate() {
            let key = number % 60;
            match number % 7 {
                0 => assert_eq!(ours.remove(&key), standard.remove(&key)),
                1 => assert_eq!(ours.get(&key), standard.get(&key)),
                2 => {
                    *ours.or_default(key) += turn;
                    *standard.entry(key).or_default() += turn;
                }
                3 => assert_eq!(ours.contains_key(&key), standard.contains_key(&key)),
                _ => assert_eq!(ours.insert(key, turn), standard.insert(key, turn)),
            }
            assert!(ours.iter().eq(standard.iter()));
            assert_eq!(ours.len(), standard.len());
            assert_eq!(ours.last(), standard.last_key_value());
        }
        ours.retain(|key, _| key % 2 == 0);
        standard.retain(|key, _| key % 2 == 0);
        assert!(ours.into_iter().eq(standard));
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_value_counts() {
        let entries = || numbers(500).enumerate().map(|(turn, key)| (key, turn));
        let ours: SortedMap<u8, usize> = entries().collect();
        let standard: BTreeMap<u8, usize> = entries().collect();
        assert!(ours.iter().eq(standard.iter()));
    }

    #[test]
    fn a_set_does_what_the_standard_one_does() {
        let ours: SortedSet<u8> = numbers(300).collect();
        let standard: BTreeSet<u8> = numbers(300).collect();
        assert!(ours.iter().eq(standard.iter()));
        assert!(numbers(300).all(|number| ours.contains(&number)));
        let text = serde_json::to_string(&ours).expect("it serializes");
        assert_eq!(
            text,
            serde_json::to_string(&standard).expect("it serializes")
        );
        assert_eq!(
            serde_json::from_str::<SortedSet<u8>>(&text).expect("it parses"),
            ours
        );
    }

    #[test]
    fn a_map_is_kept_as_the_standard_one_is() {
        let ours: SortedMap<String, u8> = numbers(99).map(|n| (n.to_string(), n)).collect();
        let standard: BTreeMap<String, u8> = numbers(99).map(|n| (n.to_string(), n)).collect();
        let text = serde_json::to_string(&ours).expect("it serializes");
        assert_eq!(
            text,
            serde_json::to_string(&standard).expect("it serializes")
        );
        assert_eq!(
            serde_json::from_str::<SortedMap<_, _>>(&text).expect("it parses"),
            ours
        );
    }

    #[test]
    fn sorting_leaves_equal_values_as_they_are() {
        let mut ours: Vec<(u8, usize)> = numbers(1_000)
            .enumerate()
            .map(|(i, n)| (n % 9, i))
            .collect();
        let mut standard = ours.clone();
        sort_by(&mut ours, |a, b| a.0.cmp(&b.0));
        standard.sort_by_key(|pair| pair.0);
        assert_eq!(ours, standard);
    }

    #[test]
    fn only_the_last_entries_are_kept() {
        let mut map: SortedMap<u8, ()> = (0..10).map(|key| (key, ())).collect();
        map.keep_last(20);
        assert_eq!(map.len(), 10);
        map.keep_last(3);
        assert!(map.keys().eq([7, 8, 9].iter()));
    }
}
