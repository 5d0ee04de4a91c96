//! Scripts for databases, one call a line: `open ADDRESS`, `close`, `param TYPE VALUE` for the next
//! statement, `query SQL`, `execute SQL`, `often TIMES SQL` (a query without its rows); what else
//! there is, each interface says. Each call answers with lines of its own.

#![allow(unused_macros, dead_code, reason = "each guest uses its part")]

use std::fmt::Debug;
use std::str::FromStr;

/// The words of each line: what to do, and with what.
pub fn steps(script: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = script.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once(' ').unwrap_or((line, "")))
}

/// The type and the value of a parameter.
pub fn typed(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

pub fn number<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a number")
}

/// Numbers between commas.
pub fn numbers<T: FromStr<Err: Debug>, const N: usize>(text: &str) -> [T; N] {
    let numbers: Vec<T> = text.split(',').map(number).collect();
    numbers.try_into().ok().expect("so many numbers")
}

/// Bytes, two digits each.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs.map(|pair| u8::from_str_radix(&pair, 16).expect("two digits")).collect()
}

/// Elements between semicolons.
pub fn array<T>(text: &str, element: impl Fn(&str) -> T) -> Vec<Option<T>> {
    let texts = text.split(';').filter(|_| !text.is_empty());
    texts.map(|text| (text != "null").then(|| element(text))).collect()
}

/// A range as PostgreSQL writes it; `true` stands for a bound inside.
pub fn range<T, K>(
    text: &str,
    element: impl Fn(&str) -> T,
    kind: impl Fn(bool) -> K,
) -> (Option<(T, K)>, Option<(T, K)>) {
    let (lower, upper) = text[1..text.len() - 1].split_once(',').expect("two bounds");
    let bound = |text: &str, inside| (!text.is_empty()).then(|| (element(text), kind(inside)));
    (bound(lower, text.starts_with('[')), bound(upper, text.ends_with(']')))
}

/// What a call answers, in lines.
pub struct Output(pub String);

impl Output {
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// A result, or how many rows it has if they are many.
    pub fn rows<V: Debug>(&mut self, columns: Vec<String>, rows: &[Vec<V>]) {
        self.line(format!("columns {}", columns.join(", ")).replace("DbDataType::", ""));
        if rows.len() > 20 {
            return self.line(format!("{} rows", rows.len()));
        }
        for row in rows {
            let values: Vec<String> = row.iter().map(|value| format!("{value:?}")).collect();
            self.line(values.join(" ").replace("DbValue::", "").replace("RangeBoundKind::", ""));
        }
    }

    pub fn error(&mut self, error: impl Debug) {
        self.line(format!("{error:?}"));
    }
}

/// The parameters that all interfaces have, and more.
macro_rules! parameter {
    ($text:expr, { $($kind:pat => $more:expr,)* }) => {{
        use crate::script::*;
        let (kind, value) = typed($text);
        #[allow(unused_variables, reason = "some have no more")]
        let parameter = |kind: &str, value: &str| match kind {
            "boolean" => P::Boolean(number(value)),
            "int8" => P::Int8(number(value)),
            "int16" => P::Int16(number(value)),
            "int32" => P::Int32(number(value)),
            "int64" => P::Int64(number(value)),
            "floating32" => P::Floating32(number(value)),
            "floating64" => P::Floating64(number(value)),
            "str" => P::Str(value.to_owned()),
            "long" => P::Str("x".repeat(number(value))),
            "binary" => P::Binary(hex(value)),
            "null" => P::DbNull,
            _ => match (kind, value) {
                $($kind => $more,)*
                _ => panic!("no such type: {kind}"),
            },
        };
        parameter(kind, value)
    }};
}

/// The parameters of the first interfaces.
macro_rules! first_parameter {
    ($text:expr) => {
        parameter!($text, {
            ("uint8", value) => P::Uint8(number(value)),
            ("uint16", value) => P::Uint16(number(value)),
            ("uint32", value) => P::Uint32(number(value)),
            ("uint64", value) => P::Uint64(number(value)),
        })
    };
}

/// The parameters of `spin:postgres@3`.
macro_rules! third_parameter {
    ($text:expr) => {
        parameter!($text, {
            ("date", value) => {
                let [year, month, day] = numbers::<i64, 3>(value);
                P::Date((year as i32, month as u8, day as u8))
            },
            ("time", value) => {
                let [hour, minute, second, nanosecond] = numbers::<u32, 4>(value);
                P::Time((hour as u8, minute as u8, second as u8, nanosecond))
            },
            ("datetime", value) => {
                let [y, m, d, h, min, s, ns] = numbers::<i64, 7>(value);
                P::Datetime((y as i32, m as u8, d as u8, h as u8, min as u8, s as u8, ns as u32))
            },
            ("timestamp", value) => P::Timestamp(number(value)),
        })
    };
}

/// The parameters of `spin:postgres@4`; `K` and `Interval` are among its types.
macro_rules! fourth_parameter {
    ($text:expr) => {
        parameter!($text, {
            ("date", value) => {
                let [year, month, day] = numbers::<i64, 3>(value);
                P::Date((year as i32, month as u8, day as u8))
            },
            ("time", value) => {
                let [hour, minute, second, nanosecond] = numbers::<u32, 4>(value);
                P::Time((hour as u8, minute as u8, second as u8, nanosecond))
            },
            ("datetime", value) => {
                let [y, m, d, h, min, s, ns] = numbers::<i64, 7>(value);
                P::Datetime((y as i32, m as u8, d as u8, h as u8, min as u8, s as u8, ns as u32))
            },
            ("timestamp", value) => P::Timestamp(number(value)),
            ("uuid", value) => P::Uuid(value.to_owned()),
            ("jsonb", value) => P::Jsonb(value.as_bytes().to_vec()),
            ("decimal", value) => P::Decimal(value.to_owned()),
            ("range-int32", value) => P::RangeInt32(range(value, number, kind_of)),
            ("range-int64", value) => P::RangeInt64(range(value, number, kind_of)),
            ("range-decimal", value) => P::RangeDecimal(range(value, str::to_owned, kind_of)),
            ("array-int32", value) => P::ArrayInt32(array(value, number)),
            ("array-int64", value) => P::ArrayInt64(array(value, number)),
            ("array-decimal", value) => P::ArrayDecimal(array(value, str::to_owned)),
            ("array-str", value) => P::ArrayStr(array(value, str::to_owned)),
            ("interval", value) => {
                let [micros, days, months] = numbers::<i64, 3>(value);
                P::Interval(Interval { micros, days: days as i32, months: months as i32 })
            },
        })
    };
}

/// Runs a script by an interface whose functions are synchronous; `db` is its module.
macro_rules! runner {
    ($parameter:ident) => {
        pub fn run(script: &str) -> String {
            let mut out = crate::script::Output(String::new());
            let mut connections = Vec::new();
            let mut parameters = Vec::new();
            for (what, with) in crate::script::steps(script) {
                match what {
                    "open" => match db::Connection::open(with) {
                        Ok(connection) => {
                            connections.push(connection);
                            out.line("opened");
                        }
                        Err(error) => out.error(error),
                    },
                    "close" => drop(connections.pop()),
                    "param" => parameters.push($parameter!(with)),
                    "query" => {
                        let parameters = std::mem::take(&mut parameters);
                        let Some(connection) = connections.last() else { continue };
                        match connection.query(with, &parameters) {
                            Ok(set) => {
                                let columns = set.columns.iter();
                                let columns = columns.map(|c| format!("{} {:?}", c.name, c.data_type));
                                out.rows(columns.collect(), &set.rows);
                            }
                            Err(error) => out.error(error),
                        }
                    }
                    "execute" => {
                        let parameters = std::mem::take(&mut parameters);
                        let Some(connection) = connections.last() else { continue };
                        match connection.execute(with, &parameters) {
                            Ok(done) => out.line(format!("{done:?}")),
                            Err(error) => out.error(error),
                        }
                    }
                    "often" => {
                        let parameters = std::mem::take(&mut parameters);
                        let Some(connection) = connections.last() else { continue };
                        let (times, sql) = crate::script::typed(with);
                        for _ in 0..crate::script::number(times) {
                            if let Err(error) = connection.query(sql, &parameters) {
                                out.error(error);
                            }
                        }
                    }
                    _ => out.line(format!("no such step: {what}")),
                }
            }
            out.0
        }
    };
}
