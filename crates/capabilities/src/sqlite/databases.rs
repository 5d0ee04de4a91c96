//! The databases of one app, by label: `default`, and those that the runtime configuration names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dayfly_model::{Component, RuntimeConfig};
use serde_json::Value as Json;
use thiserror::Error;

use super::Grant;
use super::database::Database;
use super::session::Session;

/// The label of the database that needs no definition.
const DEFAULT: &str = "default";

/// The databases that one app's components may be granted.
#[derive(Clone)]
pub struct Databases(BTreeMap<String, Arc<Database>>);

/// A component is granted a database that nothing defines.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("nothing defines the SQL database `{0}`")]
pub struct UndefinedDatabase(pub String);

/// Why the operator's statements did not run.
#[derive(Debug, Error)]
pub enum StatementError {
    /// They are for a database that nothing defines.
    #[error(transparent)]
    Undefined(#[from] UndefinedDatabase),
    /// It cannot be opened, or says that they are wrong.
    #[error("failed to run statements on the SQL database `{label}`")]
    Sql {
        /// The database's label.
        label: String,
        /// What it says.
        source: rusqlite::Error,
    },
}

impl Databases {
    /// The databases that `config` defines; those without a path of their own are in `state`.
    /// Nothing is opened.
    pub fn new(config: &RuntimeConfig, state: &Path) -> Self {
        let default = std::iter::once((DEFAULT, None));
        let defined = config.sqlite_databases.iter();
        let defined = defined.map(|(label, database)| (label.as_str(), database.path.as_ref()));
        let databases = default.chain(defined).map(|(label, path)| {
            let path = path.cloned().unwrap_or_else(|| folder(state).join(file_name(label)));
            // SQLite takes a relative path that begins with `file:` for a URI.
            let path = std::path::absolute(&path).unwrap_or(path);
            (label.to_owned(), Arc::new(Database::new(label, path)))
        });
        Self(databases.collect())
    }

    /// A component's share.
    ///
    /// # Errors
    /// The first database that it is granted and nothing defines.
    pub(crate) fn grant(&self, component: &Component) -> Result<Grant, UndefinedDatabase> {
        self.share(component.sqlite_databases.iter().map(String::as_str))
    }

    /// A share of the databases of these labels.
    pub(super) fn share<'a>(
        &self,
        labels: impl IntoIterator<Item = &'a str>,
    ) -> Result<Grant, UndefinedDatabase> {
        let databases = labels.into_iter().map(|label| Ok((label.to_owned(), self.find(label)?)));
        Ok(Grant::new(databases.collect::<Result<_, UndefinedDatabase>>()?))
    }

    fn find(&self, label: &str) -> Result<Arc<Database>, UndefinedDatabase> {
        self.0.get(label).cloned().ok_or_else(|| UndefinedDatabase(label.to_owned()))
    }

    /// Runs the operator's own statements; guests' bounds and rules are not theirs. This blocks.
    ///
    /// # Errors
    /// If the database is unknown or does not take them.
    pub fn run(&self, label: &str, sql: &str) -> Result<(), StatementError> {
        let database = self.find(label)?;
        Session::open(database.path(), Vec::new())
            .and_then(|session| session.run_all(sql))
            .map_err(|source| StatementError::Sql { label: label.to_owned(), source })
    }

    /// The rows of the operator's own query, at most so many: texts, numbers and nulls; blobs as texts in
    /// hexadecimal digits. This blocks.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn rows(
        &self,
        label: &str,
        sql: &str,
        most: usize,
    ) -> Result<Vec<Vec<Json>>, StatementError> {
        let database = self.find(label)?;
        Session::open(database.path(), Vec::new())
            .and_then(|session| session.rows(sql, most))
            .map_err(|source| StatementError::Sql { label: label.to_owned(), source })
    }
}

/// Where the databases of an app are that have no path of their own.
fn folder(state: &Path) -> PathBuf {
    state.join("sqlite")
}

/// A label as the name of a file: what could mean something else to a file system is written `%XX`.
fn file_name(label: &str) -> String {
    let mut name = String::new();
    for byte in label.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => name.push(byte.into()),
            _ => name += &format!("%{byte:02x}"),
        }
    }
    name + ".db"
}

#[cfg(test)]
mod tests {
    use dayfly_model::runtime_config::SqliteDatabase;

    use super::*;

    #[test]
    fn labels_are_names_of_files_in_one_folder() {
        assert_eq!(file_name("default"), "default.db");
        assert_eq!(file_name("../a b/é"), "%2e%2e%2fa%20b%2f%c3%a9.db");
    }

    #[test]
    fn a_path_of_its_own_is_taken_as_it_is() {
        let mut config = RuntimeConfig::default();
        let path = Some(PathBuf::from("/data/other.sqlite"));
        config.sqlite_databases.insert("other".to_owned(), SqliteDatabase { path });
        config.sqlite_databases.insert("more".to_owned(), SqliteDatabase::default());
        let databases = Databases::new(&config, Path::new("/state"));
        let path = |label: &str| databases.0[label].path().display().to_string();
        assert_eq!(path("default"), "/state/sqlite/default.db");
        assert_eq!(path("more"), "/state/sqlite/more.db");
        assert_eq!(path("other"), "/data/other.sqlite");
    }

    #[test]
    fn the_operators_statements_run() {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::new(&RuntimeConfig::default(), folder.path());
        let sql = "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1); PRAGMA cache_size = 10;";
        databases.run("default", sql).unwrap();
        databases.run("default", "INSERT INTO t VALUES (2)").unwrap();
        let wrong = databases.run("default", "INSERT INTO u VALUES (2)").unwrap_err();
        assert!(matches!(wrong, StatementError::Sql { .. }), "{wrong}");
        let unknown = databases.run("other", "SELECT 1").unwrap_err();
        assert_eq!(unknown.to_string(), "nothing defines the SQL database `other`");
    }
}
