//! Parameters on their way to a server. They go as text, which the server reads as whatever type
//! the statement asks for: a small number for a large column, a string for an enum, and so on.

use bytes::BytesMut;
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::value::{Bound, Date, Interval, Parameter, Range, Time};

/// A parameter as it goes.
pub(super) struct Encoded {
    bytes: Option<Vec<u8>>,
    binary: bool,
}

/// Encodes a parameter for a type.
///
/// # Errors
/// Says what is wrong with the parameter.
pub(super) fn encode(parameter: Parameter, ty: &Type) -> Result<Encoded, String> {
    let bytes = match parameter {
        Parameter::Null => return Ok(Encoded { bytes: None, binary: false }),
        Parameter::Binary(bytes) if *base(ty) == Type::BYTEA => {
            return Ok(Encoded { bytes: Some(bytes), binary: true });
        }
        Parameter::Binary(_) => return Err(format!("bytes are no value of the type `{ty}`")),
        // The type `"char"`, which is one byte.
        Parameter::Int8(value) if *ty == Type::CHAR => {
            return Ok(Encoded { bytes: Some(value.to_be_bytes().to_vec()), binary: true });
        }
        Parameter::Str(text) => text.into_bytes(),
        Parameter::Jsonb(bytes) => json(bytes)?,
        other => text(&other)?.into_bytes(),
    };
    Ok(Encoded { bytes: Some(bytes), binary: false })
}

/// What a domain restricts, and the type itself otherwise.
fn base(ty: &Type) -> &Type {
    match ty.kind() {
        Kind::Domain(inner) => base(inner),
        _ => ty,
    }
}

fn text(parameter: &Parameter) -> Result<String, String> {
    Ok(match parameter {
        Parameter::Boolean(value) => value.to_string(),
        Parameter::Int8(value) => value.to_string(),
        Parameter::Int16(value) => value.to_string(),
        Parameter::Int32(value) => value.to_string(),
        Parameter::Int64(value) => value.to_string(),
        // The shortest text that is this number and no other.
        Parameter::Floating32(value) => value.to_string(),
        Parameter::Floating64(value) => value.to_string(),
        Parameter::Date(value) => date_text(date(*value)?, ""),
        Parameter::Time(value) => time(*value)?.format("%H:%M:%S%.6f").to_string(),
        Parameter::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            let date = date((*year, *month, *day))?;
            datetime_text(date.and_time(time((*hour, *minute, *second, *nanosecond))?))
        }
        Parameter::Timestamp(seconds) => datetime_text(
            DateTime::from_timestamp(*seconds, 0)
                .ok_or_else(|| format!("`{seconds}` is no timestamp"))?
                .naive_utc(),
        ),
        Parameter::Uuid(value) => uuid(value)?.to_owned(),
        Parameter::Decimal(value) => decimal(value)?.to_owned(),
        Parameter::RangeInt32(value) => range(value, |bound| Ok(bound.to_string()))?,
        Parameter::RangeInt64(value) => range(value, |bound| Ok(bound.to_string()))?,
        Parameter::RangeDecimal(value) => range(value, |bound| Ok(decimal(bound)?.to_owned()))?,
        Parameter::ArrayInt32(values) => array(values, |value| Ok(value.to_string()))?,
        Parameter::ArrayInt64(values) => array(values, |value| Ok(value.to_string()))?,
        Parameter::ArrayDecimal(values) => array(values, |value| Ok(decimal(value)?.to_owned()))?,
        Parameter::ArrayStr(values) => array(values, |value| Ok(quoted(value)))?,
        Parameter::Interval(Interval { micros, days, months }) => {
            // Signs on all of them: some styles take the first one's for all.
            format!("{months:+} months {days:+} days {micros:+} microseconds")
        }
        Parameter::Str(_) | Parameter::Binary(_) | Parameter::Jsonb(_) | Parameter::Null => {
            unreachable!("these are no text of ours")
        }
    })
}

fn date((year, month, day): Date) -> Result<NaiveDate, String> {
    NaiveDate::from_ymd_opt(year, month.into(), day.into())
        .ok_or_else(|| format!("there is no day {year}-{month}-{day}"))
}

fn time((hour, minute, second, nanosecond): Time) -> Result<NaiveTime, String> {
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nanosecond)
        .filter(|time| time.nanosecond() < 1_000_000_000)
        .ok_or_else(|| format!("there is no time {hour}:{minute}:{second} and {nanosecond} ns"))
}

/// A day with something behind it; years before 1 are counted as historians do.
fn date_text(date: NaiveDate, rest: &str) -> String {
    let (year, era) = match date.year() {
        year @ 1.. => (year, ""),
        year => (1 - year, " BC"),
    };
    format!("{year:04}-{:02}-{:02}{rest}{era}", date.month(), date.day())
}

/// Of types without a time zone, the server ignores the zone.
fn datetime_text(value: NaiveDateTime) -> String {
    date_text(value.date(), &value.format(" %H:%M:%S%.6f+00").to_string())
}

fn uuid(value: &str) -> Result<&str, String> {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit();
    let digits = value.bytes().filter(|&byte| is_digit(byte)).count();
    let fits = digits == 32 && value.bytes().all(|byte| is_digit(byte) || b"-{}".contains(&byte));
    if fits { Ok(value) } else { Err("a UUID is malformed".to_owned()) }
}

fn json(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("a JSON value is malformed: {error}")),
    }
}

fn decimal(value: &str) -> Result<&str, String> {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    let (number, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let is_number = has_digits
        && !exponent.is_empty()
        && [whole, fraction, exponent].into_iter().all(are_digits);
    if is_number || matches!(unsigned, "NaN" | "Infinity") {
        Ok(value)
    } else {
        Err("a decimal number is malformed".to_owned())
    }
}

fn range<T>(
    (lower, upper): &Range<T>,
    text: impl Fn(&T) -> Result<String, String>,
) -> Result<String, String> {
    let (open, lower) = match lower {
        None => ('(', String::new()),
        Some((bound, Bound::Inclusive)) => ('[', text(bound)?),
        Some((bound, Bound::Exclusive)) => ('(', text(bound)?),
    };
    let (upper, close) = match upper {
        None => (String::new(), ')'),
        Some((bound, Bound::Inclusive)) => (text(bound)?, ']'),
        Some((bound, Bound::Exclusive)) => (text(bound)?, ')'),
    };
    Ok(format!("{open}{lower},{upper}{close}"))
}

fn array<T>(
    values: &[Option<T>],
    text: impl Fn(&T) -> Result<String, String>,
) -> Result<String, String> {
    let mut array = String::from("{");
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            array.push(',');
        }
        match value {
            None => array.push_str("NULL"),
            Some(value) => array.push_str(&text(value)?),
        }
    }
    array.push('}');
    Ok(array)
}

fn quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The library logs parameters when it is asked to log everything.
        f.write_str("_")
    }
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.binary { Format::Binary } else { Format::Text }
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(parameter: Parameter) -> String {
        let encoded = encode(parameter, &Type::TEXT).unwrap();
        assert!(!encoded.binary);
        String::from_utf8(encoded.bytes.unwrap()).unwrap()
    }

    fn is_refused(parameter: Parameter) -> bool {
        encode(parameter, &Type::TEXT).is_err()
    }

    #[test]
    fn days_before_the_first_year_and_times_to_the_microsecond() {
        assert_eq!(encoded(Parameter::Date((2024, 2, 29))), "2024-02-29");
        assert_eq!(encoded(Parameter::Date((-43, 3, 15))), "0044-03-15 BC");
        assert_eq!(encoded(Parameter::Date((0, 12, 31))), "0001-12-31 BC");
        assert_eq!(encoded(Parameter::Time((1, 2, 3, 4_999))), "01:02:03.000004");
        let moment = (12024, 1, 2, 3, 4, 5, 600_000_000);
        assert_eq!(encoded(Parameter::Datetime(moment)), "12024-01-02 03:04:05.600000+00");
        assert_eq!(encoded(Parameter::Timestamp(-1)), "1969-12-31 23:59:59.000000+00");
        assert!(is_refused(Parameter::Date((2023, 2, 29))));
        assert!(is_refused(Parameter::Time((24, 0, 0, 0))));
        assert!(is_refused(Parameter::Time((1, 0, 59, 1_500_000_000))));
        assert!(is_refused(Parameter::Timestamp(i64::MAX)));
    }

    #[test]
    fn numbers_are_numbers() {
        for good in ["0", "-1.50", "+.5", "5.", "1e10", "1.5E-3", "NaN", "-Infinity"] {
            assert_eq!(encoded(Parameter::Decimal(good.to_owned())), good);
        }
        for bad in ["", ".", "-", "1,5", "1e", "0x1", "1)", "nan", " 1", "1 "] {
            assert!(is_refused(Parameter::Decimal(bad.to_owned())), "{bad}");
        }
        assert_eq!(encoded(Parameter::Floating64(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(encoded(Parameter::Floating32(f32::NEG_INFINITY)), "-inf");
    }

    #[test]
    fn ranges_and_arrays() {
        let range = (Some((1, Bound::Inclusive)), Some((5, Bound::Exclusive)));
        assert_eq!(encoded(Parameter::RangeInt32(range)), "[1,5)");
        let open = (None, Some((5, Bound::Inclusive)));
        assert_eq!(encoded(Parameter::RangeInt64(open)), "(,5]");
        let inside = (Some(("1),(2".to_owned(), Bound::Inclusive)), None);
        assert!(is_refused(Parameter::RangeDecimal(inside)));
        assert_eq!(encoded(Parameter::ArrayInt32(vec![Some(1), None])), "{1,NULL}");
        let texts = ["", "NULL", "a,b", r#"q"\"#].map(|text| Some(text.to_owned()));
        assert_eq!(
            encoded(Parameter::ArrayStr([&texts[..], &[None]].concat())),
            r#"{"","NULL","a,b","q\"\\",NULL}"#
        );
        assert!(is_refused(Parameter::ArrayDecimal(vec![Some("1,2".to_owned())])));
    }

    #[test]
    fn identifiers_documents_and_spans() {
        let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(encoded(Parameter::Uuid(uuid.to_owned())), uuid);
        assert!(is_refused(Parameter::Uuid(uuid[1..].to_owned())));
        assert!(is_refused(Parameter::Uuid(format!("{uuid}'"))));
        assert_eq!(encoded(Parameter::Jsonb(b"{\"a\":1}".to_vec())), "{\"a\":1}");
        assert!(is_refused(Parameter::Jsonb(b"{".to_vec())));
        let span = Interval { micros: -5, days: 0, months: 14 };
        assert_eq!(encoded(Parameter::Interval(span)), "+14 months +0 days -5 microseconds");
    }

    #[test]
    fn bytes_are_for_columns_of_bytes() {
        let sent = encode(Parameter::Binary(vec![0, 255]), &Type::BYTEA).unwrap();
        assert!(sent.binary && sent.bytes == Some(vec![0, 255]));
        assert!(is_refused(Parameter::Binary(vec![0])));
        assert!(encode(Parameter::Null, &Type::BYTEA).unwrap().bytes.is_none());
        assert_eq!(format!("{sent:?}"), "_");
    }
}
