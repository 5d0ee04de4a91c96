//! The types of `spin:postgres@3`, and how those of all earlier versions are made from the latest
//! ones. What an earlier version has no type for is `unsupported` in it.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::value::{self, Date, Datetime, QueryError, Time};
use crate::rdbms::types as second;

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
    #[component(name = "floating32")]
    Floating32,
    #[component(name = "floating64")]
    Floating64,
    #[component(name = "str")]
    Str,
    #[component(name = "binary")]
    Binary,
    #[component(name = "date")]
    Date,
    #[component(name = "time")]
    Time,
    #[component(name = "datetime")]
    Datetime,
    #[component(name = "timestamp")]
    Timestamp,
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
    #[component(name = "floating32")]
    Floating32(f32),
    #[component(name = "floating64")]
    Floating64(f64),
    #[component(name = "str")]
    Str(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
    #[component(name = "date")]
    Date(Date),
    #[component(name = "time")]
    Time(Time),
    #[component(name = "datetime")]
    Datetime(Datetime),
    #[component(name = "timestamp")]
    Timestamp(i64),
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
    #[component(name = "floating32")]
    Floating32(f32),
    #[component(name = "floating64")]
    Floating64(f64),
    #[component(name = "str")]
    Str(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
    #[component(name = "date")]
    Date(Date),
    #[component(name = "time")]
    Time(Time),
    #[component(name = "datetime")]
    Datetime(Datetime),
    #[component(name = "timestamp")]
    Timestamp(i64),
    #[component(name = "db-null")]
    Null,
}

impl From<value::Error> for second::Error {
    fn from(error: value::Error) -> Self {
        match error {
            value::Error::ConnectionFailed(text) => Self::ConnectionFailed(text),
            value::Error::BadParameter(text) => Self::BadParameter(text),
            value::Error::QueryFailed(QueryError::Text(text)) => Self::QueryFailed(text),
            value::Error::QueryFailed(QueryError::Db(error)) => Self::QueryFailed(error.as_text),
            value::Error::ValueConversionFailed(text) => Self::ValueConversionFailed(text),
            value::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<value::Error> for second::FirstError {
    fn from(error: value::Error) -> Self {
        second::Error::from(error).into()
    }
}

impl From<value::DataType> for DataType {
    fn from(latest: value::DataType) -> Self {
        match latest {
            value::DataType::Boolean => Self::Boolean,
            value::DataType::Int8 => Self::Int8,
            value::DataType::Int16 => Self::Int16,
            value::DataType::Int32 => Self::Int32,
            value::DataType::Int64 => Self::Int64,
            value::DataType::Floating32 => Self::Floating32,
            value::DataType::Floating64 => Self::Floating64,
            value::DataType::Str => Self::Str,
            value::DataType::Binary => Self::Binary,
            value::DataType::Date => Self::Date,
            value::DataType::Time => Self::Time,
            value::DataType::Datetime => Self::Datetime,
            value::DataType::Timestamp => Self::Timestamp,
            _ => Self::Other,
        }
    }
}

impl From<value::DataType> for second::DataType {
    fn from(latest: value::DataType) -> Self {
        match latest {
            value::DataType::Boolean => Self::Boolean,
            value::DataType::Int8 => Self::Int8,
            value::DataType::Int16 => Self::Int16,
            value::DataType::Int32 => Self::Int32,
            value::DataType::Int64 => Self::Int64,
            value::DataType::Floating32 => Self::Floating32,
            value::DataType::Floating64 => Self::Floating64,
            value::DataType::Str => Self::Str,
            value::DataType::Binary => Self::Binary,
            _ => Self::Other,
        }
    }
}

impl From<value::Value> for Value {
    fn from(latest: value::Value) -> Self {
        match latest {
            value::Value::Boolean(value) => Self::Boolean(value),
            value::Value::Int8(value) => Self::Int8(value),
            value::Value::Int16(value) => Self::Int16(value),
            value::Value::Int32(value) => Self::Int32(value),
            value::Value::Int64(value) => Self::Int64(value),
            value::Value::Floating32(value) => Self::Floating32(value),
            value::Value::Floating64(value) => Self::Floating64(value),
            value::Value::Str(value) => Self::Str(value),
            value::Value::Binary(value) => Self::Binary(value),
            value::Value::Date(value) => Self::Date(value),
            value::Value::Time(value) => Self::Time(value),
            value::Value::Datetime(value) => Self::Datetime(value),
            value::Value::Timestamp(value) => Self::Timestamp(value),
            value::Value::Null => Self::Null,
            _ => Self::Unsupported,
        }
    }
}

impl From<value::Value> for second::Value {
    fn from(latest: value::Value) -> Self {
        match latest {
            value::Value::Boolean(value) => Self::Boolean(value),
            value::Value::Int8(value) => Self::Int8(value),
            value::Value::Int16(value) => Self::Int16(value),
            value::Value::Int32(value) => Self::Int32(value),
            value::Value::Int64(value) => Self::Int64(value),
            value::Value::Floating32(value) => Self::Floating32(value),
            value::Value::Floating64(value) => Self::Floating64(value),
            value::Value::Str(value) => Self::Str(value),
            value::Value::Binary(value) => Self::Binary(value),
            value::Value::Null => Self::Null,
            _ => Self::Unsupported,
        }
    }
}

impl From<Parameter> for value::Parameter {
    fn from(earlier: Parameter) -> Self {
        match earlier {
            Parameter::Boolean(value) => Self::Boolean(value),
            Parameter::Int8(value) => Self::Int8(value),
            Parameter::Int16(value) => Self::Int16(value),
            Parameter::Int32(value) => Self::Int32(value),
            Parameter::Int64(value) => Self::Int64(value),
            Parameter::Floating32(value) => Self::Floating32(value),
            Parameter::Floating64(value) => Self::Floating64(value),
            Parameter::Str(value) => Self::Str(value),
            Parameter::Binary(value) => Self::Binary(value),
            Parameter::Date(value) => Self::Date(value),
            Parameter::Time(value) => Self::Time(value),
            Parameter::Datetime(value) => Self::Datetime(value),
            Parameter::Timestamp(value) => Self::Timestamp(value),
            Parameter::Null => Self::Null,
        }
    }
}

impl From<second::Parameter> for value::Parameter {
    /// PostgreSQL has no unsigned numbers, so those go as the next larger signed ones.
    fn from(earlier: second::Parameter) -> Self {
        match earlier {
            second::Parameter::Boolean(value) => Self::Boolean(value),
            second::Parameter::Int8(value) => Self::Int8(value),
            second::Parameter::Int16(value) => Self::Int16(value),
            second::Parameter::Int32(value) => Self::Int32(value),
            second::Parameter::Int64(value) => Self::Int64(value),
            second::Parameter::Uint8(value) => Self::Int16(value.into()),
            second::Parameter::Uint16(value) => Self::Int32(value.into()),
            second::Parameter::Uint32(value) => Self::Int64(value.into()),
            second::Parameter::Uint64(value) => Self::Decimal(value.to_string()),
            second::Parameter::Floating32(value) => Self::Floating32(value),
            second::Parameter::Floating64(value) => Self::Floating64(value),
            second::Parameter::Str(value) => Self::Str(value),
            second::Parameter::Binary(value) => Self::Binary(value),
            second::Parameter::Null => Self::Null,
        }
    }
}
