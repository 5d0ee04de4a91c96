//! The database: what SQL needs around it.

use crate::exchange::Failure;
use crate::fermyon::spin::sqlite::{Connection, Error, Value};

const SCHEMA: &[&str] = &[
    "CREATE TABLE cat (id INTEGER PRIMARY KEY CHECK (id = 1), mind TEXT, hunger INTEGER, refused INTEGER, \
     streak INTEGER, points INTEGER, clicks INTEGER, news INTEGER)",
    "CREATE TABLE treats (name TEXT PRIMARY KEY, taken INTEGER) WITHOUT ROWID",
    "CREATE TABLE friends (name TEXT PRIMARY KEY, points INTEGER) WITHOUT ROWID",
    "CREATE INDEX best ON friends (points DESC, name)",
    "CREATE TABLE clicks (number INTEGER PRIMARY KEY, id TEXT UNIQUE, told TEXT)",
    "CREATE TABLE visitors (address TEXT PRIMARY KEY, second INTEGER, clicks INTEGER) WITHOUT ROWID",
    "PRAGMA user_version = 1",
];

pub struct Store(Connection);

impl Store {
    /// The database with its tables, which the first request makes.
    pub fn open() -> Result<Self, Failure> {
        let store = Self(Connection::open("default").map_err(failed)?);
        if store.is_new()? {
            store.at_once(|| {
                // Another may have come first.
                let schema = if store.is_new()? { SCHEMA } else { &[] };
                schema.iter().try_for_each(|statement| store.run(statement, &[]).map(drop))
            })?;
        }
        Ok(store)
    }

    fn is_new(&self) -> Result<bool, Failure> {
        Ok(self.first("PRAGMA user_version", &[])?.is_none_or(|row| row.count(0) == 0))
    }

    /// All of it or nothing, and nobody else between. What fails is rolled back with the connection, which
    /// ends with its instance.
    pub fn at_once<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        self.run("BEGIN IMMEDIATE", &[])?;
        let done = work()?;
        self.run("COMMIT", &[])?;
        Ok(done)
    }

    pub fn run(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Failure> {
        let found = self.0.execute(sql, parameters).map_err(failed)?;
        Ok(found.rows.into_iter().map(|row| Row(row.values)).collect())
    }

    pub fn first(&self, sql: &str, parameters: &[Value]) -> Result<Option<Row>, Failure> {
        Ok(self.run(sql, parameters)?.into_iter().next())
    }
}

fn failed(error: Error) -> Failure {
    Failure::host(&format!("the database: {error:?}"))
}

/// A row, whose columns go by their places.
pub struct Row(Vec<Value>);

impl Row {
    /// A number that is never below 0; 0 for anything else.
    pub fn count(&self, column: usize) -> u32 {
        match self.0.get(column) {
            Some(Value::Integer(number)) => (*number).try_into().unwrap_or(0),
            _ => 0,
        }
    }

    /// A text; empty for anything else.
    pub fn text(&self, column: usize) -> &str {
        match self.0.get(column) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn number(number: impl Into<i64>) -> Value {
    Value::Integer(number.into())
}
