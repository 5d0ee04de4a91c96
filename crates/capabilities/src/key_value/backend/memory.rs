//! A store in the process's memory, gone when it ends.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BackendError, Change, Changed, KeyPage, Pairs, number};
use crate::key_value::MAX_CALL_BYTES;

/// How much a store may hold, keys and values and what each costs beside them.
const MAX_BYTES: usize = 256 << 20;

/// What a key and its value cost beside their own bytes.
const OVERHEAD: usize = 128;

/// A store in memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<Values>);

#[derive(Default)]
struct Values {
    values: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().values.get(key).cloned()
    }

    pub(super) fn exists(&self, key: &str) -> bool {
        self.lock().values.contains_key(key)
    }

    pub(super) fn page(&self, after: Option<&str>, most: u32) -> KeyPage {
        let values = self.lock();
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = values.values.range::<str, _>((begin, Bound::Unbounded)).map(|(key, _)| key);
        let page: Vec<String> = keys.by_ref().take(most as usize).cloned().collect();
        let next = keys.next().and_then(|_| page.last().cloned());
        KeyPage { keys: page, next }
    }

    pub(super) fn get_many(&self, keys: Vec<String>) -> Result<Pairs, BackendError> {
        let values = self.lock();
        let mut bytes = 0;
        let pairs = keys.into_iter().map(|key| {
            let value = values.values.get(&key);
            bytes += value.map_or(0, Vec::len);
            if bytes > MAX_CALL_BYTES {
                return Err(BackendError::TooLarge);
            }
            let value = value.cloned();
            Ok((key, value))
        });
        pairs.collect()
    }

    pub(super) fn change(&self, change: Change) -> Result<Changed, BackendError> {
        let mut values = self.lock();
        match change {
            Change::Set(pairs) => values.set(pairs).map(|()| Changed::Done),
            Change::Delete(keys) => {
                keys.iter().for_each(|key| values.delete(key));
                Ok(Changed::Done)
            }
            Change::Increment(key, delta) => {
                let now = number(values.values.get(&key).map(Vec::as_slice))?;
                let sum = now.checked_add(delta).ok_or(BackendError::Overflow)?;
                values.set(vec![(key, sum.to_le_bytes().to_vec())])?;
                Ok(Changed::Number(sum))
            }
            Change::Swap(key, seen, new) if values.values.get(&key) == seen.as_ref() => {
                values.set(vec![(key, new)]).map(|()| Changed::Done)
            }
            Change::Swap(..) => Ok(Changed::Differs),
        }
    }
}

impl Values {
    fn set(&mut self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), BackendError> {
        let cost = |key: &str, value: &[u8]| key.len() + value.len() + OVERHEAD;
        // The last value of a key that is named twice.
        let pairs: BTreeMap<String, Vec<u8>> = pairs.into_iter().collect();
        let more: usize = pairs.iter().map(|(key, value)| cost(key, value)).sum();
        let replaced: usize =
            pairs.keys().filter_map(|key| Some(cost(key, self.values.get(key)?))).sum();
        if (self.bytes + more).saturating_sub(replaced) > MAX_BYTES {
            return Err(BackendError::Full);
        }
        for (key, value) in pairs {
            self.delete(&key);
            self.bytes += cost(&key, &value);
            self.values.insert(key, value);
        }
        Ok(())
    }

    fn delete(&mut self, key: &str) {
        if let Some(value) = self.values.remove(key) {
            self.bytes -= key.len() + value.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(memory: &Memory, key: &str, value: Vec<u8>) -> Result<Changed, BackendError> {
        memory.change(Change::Set(vec![(key.to_owned(), value)]))
    }

    #[test]
    fn what_is_full_takes_nothing_more_but_what_is_smaller() {
        let memory = Memory::default();
        let half = MAX_BYTES / 2 - OVERHEAD - 1;
        set(&memory, "a", vec![0; half]).unwrap();
        set(&memory, "b", vec![0; half]).unwrap();
        assert!(matches!(set(&memory, "c", Vec::new()), Err(BackendError::Full)));
        let twice = vec![("a".to_owned(), vec![0; half]), ("a".to_owned(), vec![0; half + 1])];
        assert!(matches!(memory.change(Change::Set(twice)), Err(BackendError::Full)));
        set(&memory, "a", vec![0; half - OVERHEAD - 1]).unwrap();
        set(&memory, "c", Vec::new()).unwrap();
        memory.change(Change::Delete(["a", "b", "c", "d"].map(str::to_owned).to_vec())).unwrap();
        assert_eq!(memory.lock().bytes, 0);
    }

    #[test]
    fn pages_follow_one_another() {
        let memory = Memory::default();
        for number in 0..5 {
            set(&memory, &format!("k{number}"), Vec::new()).unwrap();
        }
        let first = memory.page(None, 3);
        assert_eq!((first.keys.len(), first.next.as_deref()), (3, Some("k2")));
        let second = memory.page(first.next.as_deref(), 3);
        assert_eq!(second, KeyPage { keys: vec!["k3".into(), "k4".into()], next: None });
        assert_eq!(memory.page(Some("k4"), 3).keys, Vec::<String>::new());
    }
}
