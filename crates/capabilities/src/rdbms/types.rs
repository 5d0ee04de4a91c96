//! The types of `fermyon:spin/rdbms-types`, unversioned and 2.0.0, which `spin:mysql@3.0.0` has too.

use wasmtime::component::{ComponentType, Lift, Lower};

/// What went wrong, since 2.0.0.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum Error {
    #[component(name = "connection-failed")]
    ConnectionFailed(String),
    #[component(name = "bad-parameter")]
    BadParameter(String),
    #[component(name = "query-failed")]
    QueryFailed(String),
    #[component(name = "value-conversion-failed")]
    ValueConversionFailed(String),
    #[component(name = "other")]
    Other(String),
}

/// What went wrong, in the unversioned interfaces.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum FirstError {
    #[component(name = "success")]
    #[allow(dead_code, reason = "the interface has it")]
    Success,
    #[component(name = "connection-failed")]
    ConnectionFailed(String),
    #[component(name = "bad-parameter")]
    BadParameter(String),
    #[component(name = "query-failed")]
    QueryFailed(String),
    #[component(name = "value-conversion-failed")]
    ValueConversionFailed(String),
    #[component(name = "other-error")]
    OtherError(String),
}

impl From<Error> for FirstError {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionFailed(text) => Self::ConnectionFailed(text),
            Error::BadParameter(text) => Self::BadParameter(text),
            Error::QueryFailed(text) => Self::QueryFailed(text),
            Error::ValueConversionFailed(text) => Self::ValueConversionFailed(text),
            Error::Other(text) => Self::OtherError(text),
        }
    }
}

/// What a column holds.
#[derive(ComponentType, Lift, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum DataType {
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "int8")]
    Int8,
    #[component(name = "int16")]
    Int16,
    #[component(name = "int32")]
    Int32,
    #[component(name = "int64")]
    Int64,
    #[component(name = "uint8")]
    Uint8,
    #[component(name = "uint16")]
    Uint16,
    #[component(name = "uint32")]
    Uint32,
    #[component(name = "uint64")]
    Uint64,
    #[component(name = "floating32")]
    Floating32,
    #[component(name = "floating64")]
    Floating64,
    #[component(name = "str")]
    Str,
    #[component(name = "binary")]
    Binary,
    #[component(name = "other")]
    Other,
}

/// A value of a row.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum Value {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "int8")]
    Int8(i8),
    #[component(name = "int16")]
    Int16(i16),
    #[component(name = "int32")]
    Int32(i32),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "uint8")]
    Uint8(u8),
    #[component(name = "uint16")]
    Uint16(u16),
    #[component(name = "uint32")]
    Uint32(u32),
    #[component(name = "uint64")]
    Uint64(u64),
    #[component(name = "floating32")]
    Floating32(f32),
    #[component(name = "floating64")]
    Floating64(f64),
    #[component(name = "str")]
    Str(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
    #[component(name = "db-null")]
    Null,
    #[component(name = "unsupported")]
    Unsupported,
}

/// A parameter of a statement.
#[derive(ComponentType, Lift, Lower, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum Parameter {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "int8")]
    Int8(i8),
    #[component(name = "int16")]
    Int16(i16),
    #[component(name = "int32")]
    Int32(i32),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "uint8")]
    Uint8(u8),
    #[component(name = "uint16")]
    Uint16(u16),
    #[component(name = "uint32")]
    Uint32(u32),
    #[component(name = "uint64")]
    Uint64(u64),
    #[component(name = "floating32")]
    Floating32(f32),
    #[component(name = "floating64")]
    Floating64(f64),
    #[component(name = "str")]
    Str(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
    #[component(name = "db-null")]
    Null,
}

/// A column of a result; `D` is how the interface names what it holds.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct Column<D> {
    #[component(name = "name")]
    pub(crate) name: String,
    #[component(name = "data-type")]
    pub(crate) data_type: D,
}

/// A result as a whole.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct RowSet<D, V> {
    #[component(name = "columns")]
    pub(crate) columns: Vec<Column<D>>,
    #[component(name = "rows")]
    pub(crate) rows: Vec<Vec<V>>,
}
