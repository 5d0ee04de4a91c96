//! What is behind a label: an embedded file, the process's memory, or a Redis server. Every
//! operation is bounded here, whatever the backend.

mod database;
mod memory;
mod redis;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dayfly_model::runtime_config::{KeyValueStore, RuntimeConfig};

use super::error::{check_batch, check_key, check_value, too_large};
use super::{Error, MAX_CALL_BYTES};
use crate::calls::Call;
use database::Database;
use memory::Memory;
use redis::Redis;

/// How many keys one page holds at most.
const PAGE: u32 = 1000;

/// The label of the store that needs no configuration.
const DEFAULT: &str = "default";

/// The stores of an app, by label; components that are granted the same label share one.
pub struct Stores {
    configured: BTreeMap<String, KeyValueStore>,
    /// Where embedded files are that the configuration gives no path.
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    stores: BTreeMap<String, Arc<Store>>,
    /// By path: stores that share a file share its writer.
    databases: BTreeMap<PathBuf, Arc<Database>>,
}

impl Stores {
    /// The stores that `config` describes, with embedded files in the folder `key-value` of the
    /// app's state.
    pub fn new(config: &RuntimeConfig, state: &Path) -> Self {
        Self {
            configured: config.key_value_stores.clone(),
            folder: state.join("key-value"),
            known: Mutex::default(),
        }
    }

    /// The store of a label, if there is one. Nothing is opened.
    pub(super) fn find(&self, label: &str) -> Option<Arc<Store>> {
        let configured = match self.configured.get(label) {
            Some(configured) => configured,
            None if label == DEFAULT => &KeyValueStore::Sqlite(None),
            None => return None,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = known.stores.get(label) {
            return Some(store.clone());
        }
        let backend = match configured {
            KeyValueStore::Sqlite(path) => {
                let path = path.clone().unwrap_or_else(|| self.folder.join(format!("{label}.db")));
                let new = || Arc::new(Database::new(path.clone()));
                Backend::Database(known.databases.entry(path.clone()).or_insert_with(new).clone())
            }
            KeyValueStore::Memory => Backend::Memory(Memory::default()),
            KeyValueStore::Redis(address) => Backend::Redis(Redis::new(&address.0)?),
        };
        let store = Arc::new(Store { label: label.to_owned(), backend });
        known.stores.insert(label.to_owned(), store.clone());
        Some(store)
    }
}

/// One store.
pub struct Store {
    label: String,
    backend: Backend,
}

enum Backend {
    Database(Arc<Database>),
    Memory(Memory),
    Redis(Redis),
}

/// Keys with their values, as far as they have one.
pub(super) type Pairs = Vec<(String, Option<Vec<u8>>)>;

/// Some of the keys, and where the others begin, if there are any; the backend knows how to read it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyPage {
    pub(super) keys: Vec<String>,
    pub(super) next: Option<String>,
}

/// A change of a store, the whole of which takes effect or nothing.
#[derive(Debug)]
enum Change {
    Set(Vec<(String, Vec<u8>)>),
    Delete(Vec<String>),
    /// Adds to a number, none counting as 0.
    Increment(String, i64),
    /// Sets a value if the one that is there (or none) is still the first.
    Swap(String, Option<Vec<u8>>, Vec<u8>),
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    Done,
    /// The number after an increment.
    Number(i64),
    /// A swap found another value.
    Differs,
}

/// Why a backend did not do as it was asked.
#[derive(Debug, thiserror::Error)]
enum BackendError {
    #[error("the value is no number")]
    NotANumber,
    #[error("the number would be too large")]
    Overflow,
    #[error("the store is full")]
    Full,
    #[error("the answer is too large")]
    TooLarge,
    #[error("failed to open the store's file")]
    Open(#[source] std::io::Error),
    #[error("the store's file failed")]
    Database(#[from] rusqlite::Error),
    #[error("the store's server failed")]
    Redis(#[source] crate::redis::client::Error),
    #[error("the store's thread ended")]
    Ended,
}

impl Change {
    /// What it takes of memory while it waits.
    fn bytes(&self) -> usize {
        match self {
            Self::Set(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
            Self::Delete(keys) => keys.iter().map(String::len).sum(),
            Self::Increment(key, _) => key.len(),
            Self::Swap(key, old, new) => key.len() + old.as_ref().map_or(0, Vec::len) + new.len(),
        }
    }
}

/// The number that a value is, as Spin's embedded store writes it: 8 bytes, the least first.
fn number(value: Option<&[u8]>) -> Result<i64, BackendError> {
    let Some(value) = value else { return Ok(0) };
    let bytes = value.try_into().map_err(|_| BackendError::NotANumber)?;
    Ok(i64::from_le_bytes(bytes))
}

impl Store {
    /// Whether what is stored is kept on this machine's disk.
    pub(super) const fn is_kept_here(&self) -> bool {
        matches!(self.backend, Backend::Database(_))
    }

    /// Says of a call which store it is.
    pub(super) fn described(&self, call: Call) -> Call {
        let system = match &self.backend {
            Backend::Database(_) => "sqlite",
            Backend::Memory(_) => "memory",
            Backend::Redis(_) => "redis",
        };
        call.of_system(system).of_database(&self.label)
    }

    /// The value of a key.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        check_key(key)?;
        let value = match &self.backend {
            Backend::Database(database) => database.get(&self.label, key).await,
            Backend::Memory(memory) => Ok(memory.get(key)),
            Backend::Redis(redis) => redis.get(key).await,
        };
        value.map_err(|error| self.explain(&error))
    }

    /// Whether there is a value.
    pub(super) async fn exists(&self, key: &str) -> Result<bool, Error> {
        check_key(key)?;
        let exists = match &self.backend {
            Backend::Database(database) => database.exists(&self.label, key),
            Backend::Memory(memory) => Ok(memory.exists(key)),
            Backend::Redis(redis) => redis.exists(key).await,
        };
        exists.map_err(|error| self.explain(&error))
    }

    /// As many keys as one page holds, from the place that an earlier page named as next.
    pub(super) async fn page(&self, from: Option<&str>) -> Result<KeyPage, Error> {
        let page = match &self.backend {
            Backend::Database(database) => database.page(&self.label, from, PAGE).await,
            Backend::Memory(memory) => Ok(memory.page(from, PAGE)),
            Backend::Redis(redis) => redis.page(from, PAGE).await,
        };
        page.map_err(|error| self.explain(&error))
    }

    /// All keys, as far as one call may bring them.
    pub(super) async fn all_keys(&self) -> Result<Vec<String>, Error> {
        let (mut keys, mut bytes, mut next) = (Vec::new(), 0, None);
        loop {
            let page = self.page(next.as_deref()).await?;
            bytes += page.keys.iter().map(|key| key.len() + size_of::<String>()).sum::<usize>();
            if bytes > MAX_CALL_BYTES {
                return Err(too_large());
            }
            keys.extend(page.keys);
            next = page.next;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    /// The values of several keys, in the order of the keys.
    pub(super) async fn get_many(&self, keys: Vec<String>) -> Result<Pairs, Error> {
        check_batch(keys.iter().map(String::as_str))?;
        let values = match &self.backend {
            Backend::Database(database) => database.get_many(&self.label, keys).await,
            Backend::Memory(memory) => memory.get_many(keys),
            Backend::Redis(redis) => redis.get_many(keys).await,
        };
        values.map_err(|error| self.explain(&error))
    }

    /// Stores a value; it is on disk when this returns, where the backend has one.
    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        check_key(&key)?;
        check_value(&value)?;
        self.change(Change::Set(vec![(key, value)])).await.map(drop)
    }

    /// Stores several values, all or none of them.
    pub(super) async fn set_many(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        check_batch(pairs.iter().map(|(key, _)| key.as_str()))?;
        pairs.iter().try_for_each(|(_, value)| check_value(value))?;
        let change = Change::Set(pairs);
        if change.bytes() > MAX_CALL_BYTES {
            return Err(too_large());
        }
        self.change(change).await.map(drop)
    }

    /// Removes a key, if it is there.
    pub(super) async fn delete(&self, key: String) -> Result<(), Error> {
        check_key(&key)?;
        self.change(Change::Delete(vec![key])).await.map(drop)
    }

    /// Removes several keys, as far as they are there.
    pub(super) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        check_batch(keys.iter().map(String::as_str))?;
        self.change(Change::Delete(keys)).await.map(drop)
    }

    /// Adds to a number, and gives back the sum.
    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        check_key(&key)?;
        match self.change(Change::Increment(key, delta)).await? {
            Changed::Number(number) => Ok(number),
            Changed::Done | Changed::Differs => Err(Error::Other("no number came back".into())),
        }
    }

    /// Stores a value if `seen` is still there (or still nothing), and tells whether it was.
    pub(super) async fn swap(
        &self,
        key: String,
        seen: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Error> {
        check_key(&key)?;
        check_value(&value)?;
        Ok(self.change(Change::Swap(key, seen, value)).await? != Changed::Differs)
    }

    async fn change(&self, change: Change) -> Result<Changed, Error> {
        let changed = match &self.backend {
            Backend::Database(database) => database.change(&self.label, change).await,
            Backend::Memory(memory) => memory.change(change),
            Backend::Redis(redis) => redis.change(change).await,
        };
        changed.map_err(|error| self.explain(&error))
    }

    /// What a guest is told; what is the operator's to mend goes to the log.
    fn explain(&self, error: &BackendError) -> Error {
        match error {
            BackendError::NotANumber | BackendError::Overflow | BackendError::Full => {
                Error::Other(error.to_string())
            }
            BackendError::TooLarge => too_large(),
            _ => Error::backend(&self.label, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores(folder: &Path) -> Stores {
        let config = RuntimeConfig {
            key_value_stores: BTreeMap::from([
                ("one".to_owned(), KeyValueStore::Sqlite(Some(folder.join("shared.db")))),
                ("two".to_owned(), KeyValueStore::Sqlite(Some(folder.join("shared.db")))),
                ("gone".to_owned(), KeyValueStore::Memory),
            ]),
            ..RuntimeConfig::default()
        };
        Stores::new(&config, folder)
    }

    #[tokio::test]
    async fn labels_are_stores_of_their_own_even_in_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores(folder.path());
        assert!(stores.find("other").is_none());
        for label in ["default", "one", "two", "gone"] {
            let store = stores.find(label).unwrap();
            assert_eq!(store.get("key").await.unwrap(), None, "{label}");
            store.set("key".into(), label.into()).await.unwrap();
        }
        for label in ["default", "one", "two", "gone"] {
            let store = stores.find(label).unwrap();
            assert_eq!(store.get("key").await.unwrap(), Some(label.into()));
            assert_eq!(store.all_keys().await.unwrap(), ["key"]);
        }
        assert!(folder.path().join("key-value/default.db").exists());
        assert!(!folder.path().join("key-value/one.db").exists());
    }

    #[tokio::test]
    async fn changes_at_once_are_all_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = stores(folder.path()).find("default").unwrap();
        let adding = (0..200).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.increment("n".into(), 1).await })
        });
        for added in adding.collect::<Vec<_>>() {
            added.await.unwrap().unwrap();
        }
        assert_eq!(store.increment("n".into(), 0).await.unwrap(), 200);
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_made_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = stores(folder.path()).find("default").unwrap();
        store.set("text".into(), b"no number".to_vec()).await.unwrap();
        let changes = (0..50).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                match number % 2 {
                    0 => store.set(format!("k{number}"), Vec::new()).await.is_ok(),
                    _ => store.increment("text".into(), 1).await.is_err(),
                }
            })
        });
        for as_expected in changes.collect::<Vec<_>>() {
            assert!(as_expected.await.unwrap());
        }
        assert_eq!(store.all_keys().await.unwrap().len(), 26);
    }

    #[tokio::test]
    async fn a_file_that_is_none_fails_with_few_words() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("key-value/default.db")).unwrap();
        let store = stores(folder.path()).find("default").unwrap();
        for failed in [store.get("a").await.err(), store.set("a".into(), vec![]).await.err()] {
            let Some(Error::Other(text)) = failed else { panic!("{failed:?}") };
            assert_eq!(text, "the store failed");
        }
    }
}
