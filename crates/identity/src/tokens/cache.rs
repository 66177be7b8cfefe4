use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// A bounded map in two generations. What is used moves to the young one; when that has half of the
/// capacity it becomes the old one, and what was old and not used since is forgotten.
pub(super) struct Cache<K, V> {
    generation_max: usize,
    generations: Mutex<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            generation_max: capacity.div_euclid(2).max(1),
            generations: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = generations.old.remove_entry(key)?;
        generations.add(self.generation_max, key, value.clone());
        Some(value)
    }

    pub(super) fn insert(&self, key: K, value: V) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.add(self.generation_max, key, value);
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn add(&mut self, generation_max: usize, key: K, value: V) {
        if self.young.len() >= generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(cache: &Cache<u32, u32>) -> usize {
        let generations = cache.generations.lock().unwrap();
        generations.young.len().saturating_add(generations.old.len())
    }

    #[test]
    fn it_never_outgrows_its_capacity() {
        let cache = Cache::with_capacity(10);
        for key in 0..1_000 {
            cache.insert(key, key);
            assert!(size(&cache) <= 10);
        }
        assert_eq!(cache.get(&999), Some(999));
        assert_eq!(cache.get(&0), None);
    }

    #[test]
    fn what_is_used_stays() {
        let cache = Cache::with_capacity(10);
        cache.insert(0, 0);
        for key in 1..1_000 {
            cache.insert(key, key);
            assert_eq!(cache.get(&0), Some(0), "after {key}");
            assert!(size(&cache) <= 10);
        }
    }
}
