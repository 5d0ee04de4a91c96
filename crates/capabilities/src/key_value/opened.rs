//! A store as one instance holds it: each call is counted for its component.

use std::sync::Arc;

use dayfly_telemetry::Capability;

use super::backend::{KeyPage, Pairs, Store};
use super::error::Error;
use crate::{Grants, Over};

/// What a key takes beside itself and its value, about.
const ROW_BYTES: usize = 32;

/// A guest's handle of a store.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) store: Arc<Store>,
    pub(super) grants: Arc<Grants>,
}

impl Opened {
    async fn counted<T>(
        &self,
        function: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let counted = self.grants.call(Capability::KeyValue, function);
        let counted = self.store.described(counted).of_operation(function);
        counted.end(call.await)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.counted("get", self.store.get(key)).await
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, Error> {
        self.counted("exists", self.store.exists(key)).await
    }

    pub(super) async fn page(&self, from: Option<&str>) -> Result<KeyPage, Error> {
        self.counted("list-keys", self.store.page(from)).await
    }

    pub(super) async fn all_keys(&self) -> Result<Vec<String>, Error> {
        self.counted("get-keys", self.store.all_keys()).await
    }

    pub(super) async fn get_many(&self, keys: Vec<String>) -> Result<Pairs, Error> {
        self.counted("get-many", self.store.get_many(keys)).await
    }

    /// Does what keeps so many bytes, if they may be kept.
    async fn keeping<T>(
        &self,
        function: &'static str,
        bytes: usize,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let call = async {
            if self.store.is_kept_here() {
                let over = |over: Over| Error::Other(over.to_string());
                self.grants.keep(bytes + ROW_BYTES).map_err(over)?;
            }
            call.await
        };
        self.counted(function, call).await
    }

    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        let bytes = key.len() + value.len();
        self.keeping("set", bytes, self.store.set(key, value)).await
    }

    pub(super) async fn set_many(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let bytes = pairs.iter().map(|(key, value)| key.len() + value.len() + ROW_BYTES).sum();
        self.keeping("set-many", bytes, self.store.set_many(pairs)).await
    }

    pub(super) async fn delete(&self, key: String) -> Result<(), Error> {
        self.counted("delete", self.store.delete(key)).await
    }

    pub(super) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        self.counted("delete-many", self.store.delete_many(keys)).await
    }

    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        self.keeping("increment", key.len(), self.store.increment(key, delta)).await
    }

    pub(super) async fn swap(
        &self,
        key: String,
        seen: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Error> {
        let bytes = key.len() + value.len();
        self.keeping("swap", bytes, self.store.swap(key, seen, value)).await
    }
}
