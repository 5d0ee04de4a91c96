//! What the command line stores before an app serves: `[STORE:]KEY=VALUE`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dayfly_capabilities::key_value::Stores;

use crate::app::pair;

/// The store where none is named.
const DEFAULT: &str = "default";

/// One `--key-value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    store: String,
    key: String,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    File(PathBuf),
}

/// Reads an argument; no file is read yet. What stands before a colon in front of the `=` names a
/// store, so that a key with a colon needs its store before it.
pub(crate) fn argument(text: &str) -> Result<Argument, String> {
    let (name, value) = pair(text)?;
    let (store, key) = name.split_once(':').unwrap_or((DEFAULT, &name));
    if store.is_empty() || key.is_empty() {
        return Err(format!("`{name}` is not of the form [STORE:]KEY"));
    }
    let value = match value.strip_prefix('@') {
        Some(file) => Value::File(file.into()),
        None => Value::Text(value),
    };
    Ok(Argument { store: store.to_owned(), key: key.to_owned(), value })
}

/// What is to be stored, and where. It is stored once the process is hardened, because a store
/// begins a thread, which has to be bound too.
pub(crate) struct Seeds {
    pub(crate) stores: Arc<Stores>,
    pub(crate) pairs: Vec<(Argument, Vec<u8>)>,
}

/// Reads the values that lie in files.
pub(crate) fn read(arguments: &[Argument]) -> Result<Vec<(Argument, Vec<u8>)>> {
    let read = |argument: &Argument| {
        let value = match &argument.value {
            Value::Text(text) => text.clone().into_bytes(),
            Value::File(file) => std::fs::read(file).with_context(|| {
                format!("failed to read key `{}` from `{}`", argument.key, file.display())
            })?,
        };
        Ok((argument.clone(), value))
    };
    arguments.iter().map(read).collect()
}

impl Seeds {
    /// Stores all of it.
    pub(crate) fn store(self) -> Result<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            for (Argument { store, key, .. }, value) in self.pairs {
                let stored = self.stores.set(&store, &key, value).await;
                stored.with_context(|| format!("failed to store key `{key}`"))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_may_be_named() {
        let parsed = |text| argument(text).map(|a| (a.store, a.key, a.value));
        let text = |text: &str| Value::Text(text.to_owned());
        let owned = |store: &str, key: &str, value| Ok((store.to_owned(), key.to_owned(), value));
        assert_eq!(parsed("a=1"), owned("default", "a", text("1")));
        assert_eq!(parsed("cache:a=b:c=d"), owned("cache", "a", text("b:c=d")));
        assert_eq!(parsed("default:user:1="), owned("default", "user:1", text("")));
        assert_eq!(parsed("a=@f.bin"), owned("default", "a", Value::File("f.bin".into())));
        for wrong in ["a", "=1", ":a=1", "cache:=1"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
