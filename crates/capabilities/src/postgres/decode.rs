//! Values as a server sends them in its binary format.

use std::fmt::Write as _;

use chrono::{Datelike as _, NaiveDate, TimeDelta};
use tokio_postgres::types::Type;

use super::value::{Bound, DataType, Date, Interval, Range, Time, Value};

/// How the interface names a type.
pub(super) fn data_type(ty: &Type) -> DataType {
    match *ty {
        Type::BOOL => DataType::Boolean,
        Type::BYTEA => DataType::Binary,
        Type::FLOAT4 => DataType::Floating32,
        Type::FLOAT8 => DataType::Floating64,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DataType::Str,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DataType::Datetime,
        Type::DATE => DataType::Date,
        Type::TIME => DataType::Time,
        Type::UUID => DataType::Uuid,
        Type::JSONB => DataType::Jsonb,
        Type::NUMERIC => DataType::Decimal,
        Type::INT4_RANGE => DataType::RangeInt32,
        Type::INT8_RANGE => DataType::RangeInt64,
        Type::NUM_RANGE => DataType::RangeDecimal,
        Type::INT4_ARRAY => DataType::ArrayInt32,
        Type::INT8_ARRAY => DataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DataType::ArrayStr,
        Type::INTERVAL => DataType::Interval,
        _ => DataType::Other(ty.name().to_owned()),
    }
}

/// How much memory values may take: some are much larger than what is sent for them.
pub(super) struct Budget {
    left: usize,
    enough: bool,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: bytes, enough: true }
    }

    /// What is left; nothing if it was not enough.
    pub(super) fn left(&self) -> Option<usize> {
        self.enough.then_some(self.left)
    }

    fn pay(&mut self, bytes: usize) -> Option<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.enough = false,
        }
        self.enough.then_some(())
    }
}

/// The value; what the interface cannot say (an infinite date, an empty range, an array of several
/// dimensions, a type it does not know) is unsupported. So is what there is no budget for.
pub(super) fn value(ty: &Type, bytes: Option<&[u8]>, budget: &mut Budget) -> Value {
    let Some(bytes) = bytes else {
        budget.pay(size_of::<Value>());
        return Value::Null;
    };
    if budget.pay(size_of::<Value>() + bytes.len()).is_none() {
        return Value::Null;
    }
    known(ty, bytes, budget).unwrap_or_else(|| Value::Unsupported(bytes.to_vec()))
}

fn known(ty: &Type, bytes: &[u8], budget: &mut Budget) -> Option<Value> {
    Some(match *ty {
        Type::BOOL => Value::Boolean(whole(bytes, Reader::u8)? != 0),
        Type::BYTEA => Value::Binary(bytes.to_vec()),
        Type::FLOAT4 => Value::Floating32(f32::from_bits(whole(bytes, Reader::i32)? as u32)),
        Type::FLOAT8 => Value::Floating64(f64::from_bits(whole(bytes, Reader::i64)? as u64)),
        Type::INT2 => Value::Int16(int2(bytes)?),
        Type::INT4 => Value::Int32(int4(bytes)?),
        Type::INT8 => Value::Int64(int8(bytes)?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => Value::Str(text(bytes)?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => datetime(int8(bytes)?)?,
        Type::DATE => Value::Date(date(int4(bytes)?.into())?),
        Type::TIME => Value::Time(time(int8(bytes)?)?),
        Type::UUID => Value::Uuid(uuid(bytes)?),
        // The format's version stands before the text.
        Type::JSONB => Value::Jsonb(bytes.strip_prefix(&[1])?.to_vec()),
        Type::NUMERIC => Value::Decimal(numeric(bytes, budget)?),
        Type::INT4_RANGE => Value::RangeInt32(range(bytes, budget, |bytes, _| int4(bytes))?),
        Type::INT8_RANGE => Value::RangeInt64(range(bytes, budget, |bytes, _| int8(bytes))?),
        Type::NUM_RANGE => Value::RangeDecimal(range(bytes, budget, numeric)?),
        Type::INT4_ARRAY => Value::ArrayInt32(array(bytes, budget, |bytes, _| int4(bytes))?),
        Type::INT8_ARRAY => Value::ArrayInt64(array(bytes, budget, |bytes, _| int8(bytes))?),
        Type::NUMERIC_ARRAY => Value::ArrayDecimal(array(bytes, budget, numeric)?),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => {
            Value::ArrayStr(array(bytes, budget, |bytes, _| text(bytes))?)
        }
        Type::INTERVAL => Value::Interval(interval(bytes)?),
        _ => return None,
    })
}

/// Reads numbers in network order.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A value with its length before it; `None` inside is null.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Some(None),
            length => Some(Some(self.take(usize::try_from(length).ok()?)?)),
        }
    }
}

/// What `read` reads, if that is all there is.
fn whole<'a, T>(bytes: &'a [u8], read: fn(&mut Reader<'a>) -> Option<T>) -> Option<T> {
    let mut reader = Reader(bytes);
    read(&mut reader).filter(|_| reader.0.is_empty())
}

fn int2(bytes: &[u8]) -> Option<i16> {
    whole(bytes, Reader::i16)
}

fn int4(bytes: &[u8]) -> Option<i32> {
    whole(bytes, Reader::i32)
}

fn int8(bytes: &[u8]) -> Option<i64> {
    whole(bytes, Reader::i64)
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

const DAY_MICROS: i64 = 86_400_000_000;

/// The day that is so many days after 2000-01-01; none for the infinite ones.
fn date(days: i64) -> Option<Date> {
    let first = NaiveDate::from_ymd_opt(2000, 1, 1)?;
    let date = first.checked_add_signed(TimeDelta::try_days(days)?)?;
    Some((date.year(), date.month() as u8, date.day() as u8))
}

/// The time so many microseconds after midnight; the last one is 24:00.
fn time(micros: i64) -> Option<Time> {
    let seconds = u32::try_from(micros / 1_000_000).ok().filter(|_| micros <= DAY_MICROS)?;
    let nanoseconds = u32::try_from(micros % 1_000_000).ok()? * 1000;
    Some(((seconds / 3600) as u8, (seconds / 60 % 60) as u8, (seconds % 60) as u8, nanoseconds))
}

fn datetime(micros: i64) -> Option<Value> {
    let (year, month, day) = date(micros.div_euclid(DAY_MICROS))?;
    let (hour, minute, second, nanosecond) = time(micros.rem_euclid(DAY_MICROS))?;
    Some(Value::Datetime((year, month, day, hour, minute, second, nanosecond)))
}

fn interval(bytes: &[u8]) -> Option<Interval> {
    whole(bytes, |reader| {
        let micros = reader.i64()?;
        Some(Interval { micros, days: reader.i32()?, months: reader.i32()? })
    })
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}

/// How many decimal digits a digit of a number has.
const DIGIT: i64 = 4;

/// A number of any size. It is sent as digits to the base 10,000: how many, the first one's place,
/// the sign, how many decimal places it has, the digits.
fn numeric(bytes: &[u8], budget: &mut Budget) -> Option<String> {
    let mut reader = Reader(bytes);
    let count = usize::try_from(reader.i16()?).ok()?;
    let (weight, sign, scale) = (i64::from(reader.i16()?), reader.i16()? as u16, reader.i16()?);
    let sign = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let mut digits = Vec::with_capacity(count);
    for _ in 0..count {
        digits.push(reader.i16().filter(|digit| (0..10_000).contains(digit))?);
    }
    let at = |place: i64| {
        let index = usize::try_from(weight - place).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let scale = usize::try_from(scale).ok()?;
    let length = (weight.max(0) + 1) * DIGIT + 2;
    budget.pay(usize::try_from(length).ok()? + scale)?;
    let mut text = sign.to_owned();
    write!(text, "{}", at(weight.max(0))).ok()?;
    for place in (0..weight).rev() {
        write!(text, "{:04}", at(place)).ok()?;
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        for place in 1..=(scale as i64 + DIGIT - 1) / DIGIT {
            write!(text, "{:04}", at(-place)).ok()?;
        }
        text.truncate(end);
    }
    Some(text)
}

/// Reads an element.
type Read<T> = fn(&[u8], &mut Budget) -> Option<T>;

fn range<T>(bytes: &[u8], budget: &mut Budget, read: Read<T>) -> Option<Range<T>> {
    const EMPTY: u8 = 0x01;
    const LOWER_IN: u8 = 0x02;
    const UPPER_IN: u8 = 0x04;
    const LOWER_OPEN: u8 = 0x08;
    const UPPER_OPEN: u8 = 0x10;
    let mut reader = Reader(bytes);
    let flags = reader.u8().filter(|flags| flags & EMPTY == 0)?;
    let mut bound = |open: u8, inside: u8| {
        if flags & open != 0 {
            return Some(None);
        }
        let kind = if flags & inside != 0 { Bound::Inclusive } else { Bound::Exclusive };
        Some(Some((read(reader.value()??, budget)?, kind)))
    };
    let lower = bound(LOWER_OPEN, LOWER_IN)?;
    let upper = bound(UPPER_OPEN, UPPER_IN)?;
    Some((lower, upper))
}

fn array<T>(bytes: &[u8], budget: &mut Budget, read: Read<T>) -> Option<Vec<Option<T>>> {
    let mut reader = Reader(bytes);
    let dimensions = reader.i32()?;
    // Whether there are nulls, and the elements' type.
    reader.take(8)?;
    let count = match dimensions {
        0 => 0,
        1 => usize::try_from(reader.i32()?).ok()?,
        _ => return None,
    };
    if dimensions == 1 {
        // What the first index is, nobody asks.
        reader.take(4)?;
    }
    // Each has a length of four bytes before it.
    let count = Some(count).filter(|count| *count <= reader.0.len() / 4)?;
    budget.pay(count * size_of::<Option<T>>())?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match reader.value()? {
            None => None,
            Some(bytes) => Some(read(bytes, budget)?),
        });
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(weight: i16, sign: u16, scale: i16, digits: &[i16]) -> Option<String> {
        let header = [digits.len() as i16, weight, sign as i16, scale];
        let words = header.iter().chain(digits);
        let bytes: Vec<u8> = words.flat_map(|word| word.to_be_bytes()).collect();
        numeric(&bytes, &mut Budget::new(1 << 20))
    }

    fn decoded(ty: &Type, bytes: &[u8]) -> Value {
        value(ty, Some(bytes), &mut Budget::new(1 << 20))
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        let is = |found: Option<String>, text: &str| assert_eq!(found.as_deref(), Some(text));
        is(number(0, 0, 0, &[]), "0");
        is(number(0, 0, 3, &[]), "0.000");
        is(number(0, 0, 2, &[12, 3400]), "12.34");
        is(number(1, 0x4000, 0, &[1, 5]), "-10005");
        is(number(2, 0, 0, &[3]), "300000000");
        is(number(-1, 0, 6, &[12]), "0.001200");
        is(number(-2, 0, 8, &[7]), "0.00000007");
        is(number(0, 0xC000, 0, &[]), "NaN");
        is(number(0, 0xF000, 0, &[]), "-Infinity");
        assert_eq!(number(0, 0, 0, &[10_000]), None);
        assert_eq!(numeric(&[0, 2, 0, 0], &mut Budget::new(100)), None);
    }

    #[test]
    fn what_is_malformed_is_unsupported() {
        for ty in [
            Type::BOOL,
            Type::INT4,
            Type::FLOAT8,
            Type::TEXT,
            Type::DATE,
            Type::TIME,
            Type::UUID,
            Type::JSONB,
            Type::NUMERIC,
            Type::INT4_RANGE,
            Type::INT8_ARRAY,
            Type::INTERVAL,
        ] {
            let bytes = [0xFF, 0xFF, 0xFF];
            assert_eq!(decoded(&ty, &bytes), Value::Unsupported(bytes.to_vec()), "{ty}");
        }
        let huge = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1];
        assert_eq!(decoded(&Type::INT4_ARRAY, &huge), Value::Unsupported(huge.to_vec()));
        let infinite = i32::MAX.to_be_bytes();
        assert_eq!(decoded(&Type::DATE, &infinite), Value::Unsupported(infinite.to_vec()));
    }

    #[test]
    fn what_grows_is_bounded() {
        // 131,072 digits for ten bytes.
        let large = [0, 1, 0x7F, 0xFF, 0, 0, 0, 0, 0, 1];
        let mut budget = Budget::new(1 << 20);
        let mut count = 0;
        while budget.left().is_some() {
            value(&Type::NUMERIC, Some(&large), &mut budget);
            count += 1;
        }
        assert_eq!(count, 8);
        let mut budget = Budget::new(1 << 20);
        let nulls =
            [&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 1, 0, 0, 0, 0, 0, 1][..], &[0xFF; 4 << 16]];
        value(&Type::TEXT_ARRAY, Some(&nulls.concat()), &mut budget);
        assert!(budget.left().is_none());
    }

    #[test]
    fn moments_before_the_first() {
        let at = |micros: i64| decoded(&Type::TIMESTAMP, &micros.to_be_bytes());
        assert_eq!(at(0), Value::Datetime((2000, 1, 1, 0, 0, 0, 0)));
        assert_eq!(at(-1), Value::Datetime((1999, 12, 31, 23, 59, 59, 999_999_000)));
        assert!(matches!(at(i64::MAX), Value::Unsupported(_)));
        let noon = decoded(&Type::TIME, &DAY_MICROS.to_be_bytes());
        assert_eq!(noon, Value::Time((24, 0, 0, 0)));
    }
}
