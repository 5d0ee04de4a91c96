//! The interface's values and errors, the same in all of its versions.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{RESULT_BYTES, too_large};

/// What a function of the interface answers instead of its result.
#[derive(ComponentType, Lift, Lower, Clone, Debug, PartialEq, Eq)]
#[component(variant)]
pub enum Error {
    /// No database has that label. A component learns of no other's databases, so what is not
    /// granted is [`Error::AccessDenied`], and what is granted is there.
    #[component(name = "no-such-database")]
    NoSuchDatabase,
    /// The component was not granted it.
    #[component(name = "access-denied")]
    AccessDenied,
    /// The handle is none, or one that was closed.
    #[component(name = "invalid-connection")]
    InvalidConnection,
    /// The database is as large as it may be.
    #[component(name = "database-full")]
    DatabaseFull,
    /// Everything else, in words.
    #[component(name = "io")]
    Io(String),
}

impl Error {
    /// Whether the guest was not granted what it asked for, or is over a limit.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::AccessDenied | Self::DatabaseFull)
    }

    pub(super) fn io(words: impl Into<String>) -> Self {
        Self::Io(words.into())
    }
}

/// One value of a row, or of a statement's parameters.
#[derive(ComponentType, Lift, Lower, Clone, Debug, PartialEq)]
#[component(variant)]
pub enum Value {
    /// A whole number.
    #[component(name = "integer")]
    Integer(i64),
    /// A number.
    #[component(name = "real")]
    Real(f64),
    /// A text.
    #[component(name = "text")]
    Text(String),
    /// Bytes.
    #[component(name = "blob")]
    Blob(Vec<u8>),
    /// Nothing.
    #[component(name = "null")]
    Null,
}

/// One row.
#[derive(ComponentType, Lift, Lower, Clone, Debug, PartialEq)]
#[component(record)]
pub struct Row {
    /// A value for each column.
    #[component(name = "values")]
    pub values: Vec<Value>,
}

/// What a statement gives back.
#[derive(ComponentType, Lift, Lower, Clone, Debug, PartialEq)]
#[component(record)]
pub struct QueryResult {
    /// The columns' names.
    #[component(name = "columns")]
    pub columns: Vec<String>,
    /// The rows.
    #[component(name = "rows")]
    pub rows: Vec<Row>,
}

impl Row {
    /// Reads the current row of a statement, if a result may be as large.
    pub(super) fn read(row: &rusqlite::Row<'_>, columns: usize) -> Result<Self, Error> {
        let mut read = Self { values: Vec::with_capacity(columns) };
        let mut bytes = size_of::<Self>();
        for index in 0..columns {
            let value = row.get_ref(index).map_err(|error| Error::io(error.to_string()))?;
            // Many columns may show one value, which is then there many times.
            bytes += size_of::<Value>() + length(value);
            if bytes > RESULT_BYTES {
                return Err(too_large());
            }
            let value = Value::read(value).ok_or_else(|| {
                let column = index + 1;
                Error::io(format!(
                    "the text in column {column} is not UTF-8; `CAST(… AS BLOB)` gives its bytes"
                ))
            })?;
            read.values.push(value);
        }
        Ok(read)
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.values.iter().map(Value::bytes).sum::<usize>()
    }
}

fn length(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Value {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        Some(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(str::from_utf8(text).ok()?.to_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }

    fn bytes(&self) -> usize {
        let beyond = match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        size_of::<Self>() + beyond
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
