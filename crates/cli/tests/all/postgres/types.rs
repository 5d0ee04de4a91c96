//! The types of each version, as parameters and in results.

use dayfly_testing::{Postgres, Running};

use super::start;
use crate::databases::run;

/// What one parameter comes back as: the column's type and the value.
async fn returns(
    server: &Running,
    interface: &str,
    address: &str,
    cases: &[(&str, &str, &str, &str)],
) {
    let mut script = format!("open {address}\n");
    for (parameter, sql_type, ..) in cases {
        script += &format!("param {parameter}\nquery SELECT $1::{sql_type} AS v\n");
    }
    let lines = run(server, interface, &script).await;
    assert_eq!(lines.len(), 1 + 2 * cases.len(), "{lines:#?}");
    for (answer, (parameter, sql_type, ty, value)) in lines[1..].chunks(2).zip(cases) {
        let expected = [format!("columns v {ty}"), (*value).to_owned()];
        assert_eq!(answer, expected, "{interface}: {parameter} as {sql_type}");
    }
}

/// The types that all versions have.
const COMMON: &[(&str, &str, &str, &str)] = &[
    ("boolean true", "bool", "Boolean", "Boolean(true)"),
    ("int8 -8", "int2", "Int16", "Int16(-8)"),
    ("int16 -32768", "int2", "Int16", "Int16(-32768)"),
    ("int32 2147483647", "int4", "Int32", "Int32(2147483647)"),
    ("int32 7", "int8", "Int64", "Int64(7)"),
    ("int64 -9223372036854775808", "int8", "Int64", "Int64(-9223372036854775808)"),
    ("floating32 1.5", "float4", "Floating32", "Floating32(1.5)"),
    ("floating64 0.30000000000000004", "float8", "Floating64", "Floating64(0.30000000000000004)"),
    ("floating64 NaN", "float8", "Floating64", "Floating64(NaN)"),
    ("floating64 -inf", "float8", "Floating64", "Floating64(-inf)"),
    ("str grüße 'quoted'", "text", "Str", "Str(\"grüße 'quoted'\")"),
    ("str a", "varchar", "Str", "Str(\"a\")"),
    ("str a", "char(3)", "Str", "Str(\"a  \")"),
    ("binary 00ff41", "bytea", "Binary", "Binary([0, 255, 65])"),
    ("null", "text", "Str", "DbNull"),
    ("null", "int8", "Int64", "DbNull"),
    ("null", "bytea", "Binary", "DbNull"),
];

/// What the first versions alone have.
const UNSIGNED: &[(&str, &str, &str, &str)] = &[
    ("uint8 255", "int2", "Int16", "Int16(255)"),
    ("uint16 65535", "int4", "Int32", "Int32(65535)"),
    ("uint32 4294967295", "int8", "Int64", "Int64(4294967295)"),
    ("uint64 9223372036854775807", "int8", "Int64", "Int64(9223372036854775807)"),
    ("str 2024-02-29", "date", "Other", "Unsupported"),
    ("str 12:00", "time", "Other", "Unsupported"),
    ("str 1.5", "numeric", "Other", "Unsupported"),
];

/// What version 3 added.
const MOMENTS: &[(&str, &str, &str, &str)] = &[
    ("date 2024,2,29", "date", "Date", "Date((2024, 2, 29))"),
    ("date -43,3,15", "date", "Date", "Date((-43, 3, 15))"),
    ("time 23,59,59,999999000", "time", "Time", "Time((23, 59, 59, 999999000))"),
    (
        "datetime 1969,12,31,23,59,59,5000",
        "timestamp",
        "Datetime",
        "Datetime((1969, 12, 31, 23, 59, 59, 5000))",
    ),
    (
        "datetime 2024,1,2,3,4,5,6000",
        "timestamptz",
        "Datetime",
        "Datetime((2024, 1, 2, 3, 4, 5, 6000))",
    ),
    ("timestamp 86400", "timestamptz", "Datetime", "Datetime((1970, 1, 2, 0, 0, 0, 0))"),
    ("timestamp -1", "timestamp", "Datetime", "Datetime((1969, 12, 31, 23, 59, 59, 0))"),
    ("null", "date", "Date", "DbNull"),
];

/// What version 3 has no type for.
const BEYOND_3: &[(&str, &str, &str, &str)] = &[
    ("str 1.5", "numeric", "Other", "Unsupported"),
    ("str {}", "jsonb", "Other", "Unsupported"),
    ("null", "uuid", "Other", "DbNull"),
];

/// What version 4 added.
const LATEST: &[(&str, &str, &str, &str)] = &[
    (
        "uuid 67E55044-10b1-426f-9247-bb680e5fe0c8",
        "uuid",
        "Uuid",
        "Uuid(\"67e55044-10b1-426f-9247-bb680e5fe0c8\")",
    ),
    // `{"a":1}`, as the server writes it.
    ("jsonb {\"a\":1}", "jsonb", "Jsonb", "Jsonb([123, 34, 97, 34, 58, 32, 49, 125])"),
    (
        "decimal -12345678901234567890.0123456789",
        "numeric",
        "Decimal",
        "Decimal(\"-12345678901234567890.0123456789\")",
    ),
    (
        "decimal 1e40",
        "numeric",
        "Decimal",
        "Decimal(\"10000000000000000000000000000000000000000\")",
    ),
    ("decimal 0.000", "numeric", "Decimal", "Decimal(\"0.000\")"),
    ("decimal 10000.5", "numeric(12,4)", "Decimal", "Decimal(\"10000.5000\")"),
    ("decimal NaN", "numeric", "Decimal", "Decimal(\"NaN\")"),
    ("int32 5", "numeric", "Decimal", "Decimal(\"5\")"),
    (
        "range-int32 [1,5]",
        "int4range",
        "RangeInt32",
        "RangeInt32((Some((1, Inclusive)), Some((6, Exclusive))))",
    ),
    ("range-int32 (,5)", "int4range", "RangeInt32", "RangeInt32((None, Some((5, Exclusive))))"),
    (
        "range-int64 [-9000000000,)",
        "int8range",
        "RangeInt64",
        "RangeInt64((Some((-9000000000, Inclusive)), None))",
    ),
    (
        "range-decimal (1.5,2.25]",
        "numrange",
        "RangeDecimal",
        "RangeDecimal((Some((\"1.5\", Exclusive)), Some((\"2.25\", Inclusive))))",
    ),
    // An empty range, which the interface cannot say.
    ("range-int32 [5,5)", "int4range", "RangeInt32", "Unsupported([1])"),
    ("array-int32 1;null;-3", "int4[]", "ArrayInt32", "ArrayInt32([Some(1), None, Some(-3)])"),
    ("array-int32 ", "int4[]", "ArrayInt32", "ArrayInt32([])"),
    ("array-int64 9000000000", "int8[]", "ArrayInt64", "ArrayInt64([Some(9000000000)])"),
    (
        "array-decimal 1.50;null",
        "numeric[]",
        "ArrayDecimal",
        "ArrayDecimal([Some(\"1.50\"), None])",
    ),
    (
        "array-str a,b;\"q\\;null;{}",
        "text[]",
        "ArrayStr",
        "ArrayStr([Some(\"a,b\"), Some(\"\\\"q\\\\\"), None, Some(\"{}\")])",
    ),
    ("array-str a", "varchar[]", "ArrayStr", "ArrayStr([Some(\"a\")])"),
    (
        "interval -5,3,-14",
        "interval",
        "Interval",
        "Interval(Interval { micros: -5, days: 3, months: -14 })",
    ),
    ("null", "numeric", "Decimal", "DbNull"),
    ("null", "int4[]", "ArrayInt32", "DbNull"),
    // Types that the interface does not know, with their bytes: texts, and an infinite date.
    ("str {}", "json", "Other(\"json\")", "Unsupported([123, 125])"),
    ("str infinity", "date", "Date", "Unsupported([127, 255, 255, 255])"),
];

#[tokio::test]
async fn every_type_by_every_version() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let (_app, old) = start("rust-interfaces", &postgres).await;
    returns(&old, "postgres1", &url, COMMON).await;
    returns(&old, "postgres1", &url, UNSIGNED).await;
    returns(&old, "postgres4.1", &url, COMMON).await;
    returns(&old, "postgres4.1", &url, MOMENTS).await;
    returns(&old, "postgres4.1", &url, LATEST).await;
    old.stop().await;
    let (_app, sdk3) = start("rust-spin-3", &postgres).await;
    returns(&sdk3, "postgres2", &url, COMMON).await;
    returns(&sdk3, "postgres2", &url, UNSIGNED).await;
    returns(&sdk3, "postgres3", &url, COMMON).await;
    returns(&sdk3, "postgres3", &url, MOMENTS).await;
    returns(&sdk3, "postgres3", &url, BEYOND_3).await;
    sdk3.stop().await;
    let (_app, sdk5) = start("rust-spin-5", &postgres).await;
    returns(&sdk5, "postgres2", &url, UNSIGNED).await;
    returns(&sdk5, "postgres3", &url, MOMENTS).await;
    returns(&sdk5, "postgres4", &url, COMMON).await;
    returns(&sdk5, "postgres4", &url, MOMENTS).await;
    returns(&sdk5, "postgres4", &url, LATEST).await;
    sdk5.stop().await;
    for guest in ["rust-spin-6", "rust-spin-7"] {
        let (_app, server) = start(guest, &postgres).await;
        returns(&server, "postgres4", &url, COMMON).await;
        returns(&server, "postgres4", &url, MOMENTS).await;
        returns(&server, "postgres4", &url, LATEST).await;
        server.stop().await;
    }
}
