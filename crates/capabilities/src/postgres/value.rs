//! The types of `spin:postgres@4`, in which everything is kept; [`super::earlier`] has the others.

use wasmtime::component::{ComponentType, Lift, Lower};

/// What went wrong.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum Error {
    #[component(name = "connection-failed")]
    ConnectionFailed(String),
    #[component(name = "bad-parameter")]
    BadParameter(String),
    #[component(name = "query-failed")]
    QueryFailed(QueryError),
    #[component(name = "value-conversion-failed")]
    #[allow(dead_code, reason = "the interface has it; what cannot be converted is `unsupported`")]
    ValueConversionFailed(String),
    #[component(name = "other")]
    Other(String),
}

/// Why a query failed.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum QueryError {
    #[component(name = "text")]
    Text(String),
    #[component(name = "db-error")]
    Db(DbError),
}

/// What the server said.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct DbError {
    #[component(name = "as-text")]
    pub(crate) as_text: String,
    #[component(name = "severity")]
    pub(crate) severity: String,
    #[component(name = "code")]
    pub(crate) code: String,
    #[component(name = "message")]
    pub(crate) message: String,
    #[component(name = "detail")]
    pub(crate) detail: Option<String>,
    #[component(name = "extras")]
    pub(crate) extras: Vec<(String, String)>,
}

/// What a column holds.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum DataType {
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "int8")]
    #[allow(dead_code, reason = "the interface has it")]
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
    #[allow(dead_code, reason = "the interface has it")]
    Timestamp,
    #[component(name = "uuid")]
    Uuid,
    #[component(name = "jsonb")]
    Jsonb,
    #[component(name = "decimal")]
    Decimal,
    #[component(name = "range-int32")]
    RangeInt32,
    #[component(name = "range-int64")]
    RangeInt64,
    #[component(name = "range-decimal")]
    RangeDecimal,
    #[component(name = "array-int32")]
    ArrayInt32,
    #[component(name = "array-int64")]
    ArrayInt64,
    #[component(name = "array-decimal")]
    ArrayDecimal,
    #[component(name = "array-str")]
    ArrayStr,
    #[component(name = "interval")]
    Interval,
    #[component(name = "other")]
    Other(String),
}

/// Year, month, day.
pub(crate) type Date = (i32, u8, u8);

/// Hour, minute, second, nanosecond.
pub(crate) type Time = (u8, u8, u8, u32);

/// Both, in UTC.
pub(crate) type Datetime = (i32, u8, u8, u8, u8, u8, u32);

/// Whether a bound belongs to its range.
#[derive(ComponentType, Lift, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Bound {
    #[component(name = "inclusive")]
    Inclusive,
    #[component(name = "exclusive")]
    Exclusive,
}

/// A range's bounds, lower and upper; `None` where it has no end.
pub(crate) type Range<T> = (Option<(T, Bound)>, Option<(T, Bound)>);

/// A span of time.
#[derive(ComponentType, Lift, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Interval {
    #[component(name = "micros")]
    pub(crate) micros: i64,
    #[component(name = "days")]
    pub(crate) days: i32,
    #[component(name = "months")]
    pub(crate) months: i32,
}

/// A value of a row.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum Value {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "int8")]
    #[allow(dead_code, reason = "the interface has it")]
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
    #[allow(dead_code, reason = "the interface has it")]
    Timestamp(i64),
    #[component(name = "uuid")]
    Uuid(String),
    #[component(name = "jsonb")]
    Jsonb(Vec<u8>),
    #[component(name = "decimal")]
    Decimal(String),
    #[component(name = "range-int32")]
    RangeInt32(Range<i32>),
    #[component(name = "range-int64")]
    RangeInt64(Range<i64>),
    #[component(name = "range-decimal")]
    RangeDecimal(Range<String>),
    #[component(name = "array-int32")]
    ArrayInt32(Vec<Option<i32>>),
    #[component(name = "array-int64")]
    ArrayInt64(Vec<Option<i64>>),
    #[component(name = "array-decimal")]
    ArrayDecimal(Vec<Option<String>>),
    #[component(name = "array-str")]
    ArrayStr(Vec<Option<String>>),
    #[component(name = "interval")]
    Interval(Interval),
    #[component(name = "db-null")]
    Null,
    #[component(name = "unsupported")]
    Unsupported(Vec<u8>),
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
    #[component(name = "uuid")]
    Uuid(String),
    #[component(name = "jsonb")]
    Jsonb(Vec<u8>),
    #[component(name = "decimal")]
    Decimal(String),
    #[component(name = "range-int32")]
    RangeInt32(Range<i32>),
    #[component(name = "range-int64")]
    RangeInt64(Range<i64>),
    #[component(name = "range-decimal")]
    RangeDecimal(Range<String>),
    #[component(name = "array-int32")]
    ArrayInt32(Vec<Option<i32>>),
    #[component(name = "array-int64")]
    ArrayInt64(Vec<Option<i64>>),
    #[component(name = "array-decimal")]
    ArrayDecimal(Vec<Option<String>>),
    #[component(name = "array-str")]
    ArrayStr(Vec<Option<String>>),
    #[component(name = "interval")]
    Interval(Interval),
    #[component(name = "db-null")]
    Null,
}
