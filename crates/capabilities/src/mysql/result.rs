//! What a server answers: done, an error, columns, rows.

use std::io;

use super::wire::{Reader, malformed, put_bytes};
use crate::rdbms::types::{Column, DataType, Parameter, Value};

/// How many columns a result has at most, and how many bytes describe them; servers have less.
const COLUMNS: u64 = 4096;
pub(super) const DESCRIPTION: usize = 4 << 20;

/// Says that another result follows.
const MORE_RESULTS: u16 = 8;

/// The longest packet that can end a result, because a row with as much in it begins with the same
/// byte.
const END: usize = 0xFF_FFFF;

// Types as the protocol numbers them.
const DECIMAL: u8 = 0;
const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const NULL: u8 = 6;
const TIMESTAMP: u8 = 7;
const LONGLONG: u8 = 8;
const INT24: u8 = 9;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const YEAR: u8 = 13;
const VARCHAR: u8 = 15;
const BIT: u8 = 16;
const JSON: u8 = 245;
const NEWDECIMAL: u8 = 246;
const ENUM: u8 = 247;
const SET: u8 = 248;
const TINY_BLOB: u8 = 249;
const BLOB: u8 = 252;
const VAR_STRING: u8 = 253;
const STRING: u8 = 254;
const GEOMETRY: u8 = 255;

/// What marks a column's numbers as without sign.
const UNSIGNED: u16 = 32;

/// The character set of what is no text.
const BINARY: u16 = 63;

/// A packet by its first byte.
pub(super) enum Answer<'a> {
    /// Done; whether another result follows.
    Ok(bool),
    /// It failed, in the server's words.
    Error(String),
    /// Asks for a file of the client.
    File,
    /// The end of a list, or a request to prove otherwise who one is.
    End(&'a [u8]),
    Other(&'a [u8]),
}

/// What a packet is, where it is no row.
pub(super) fn answer(packet: &[u8]) -> Answer<'_> {
    match packet.first() {
        Some(0x00) => Answer::Ok(has_more(packet).unwrap_or(false)),
        Some(0xFF) => Answer::Error(error(packet)),
        Some(0xFB) => Answer::File,
        Some(0xFE) => Answer::End(packet),
        _ => Answer::Other(packet),
    }
}

/// Whether another result follows what a packet ends.
fn has_more(packet: &[u8]) -> io::Result<bool> {
    let mut reader = Reader(packet);
    let is_short = reader.u8()? == 0xFE && packet.len() < 9;
    if is_short {
        reader.u16()?;
    } else {
        reader.number()?;
        reader.number()?;
    }
    Ok(reader.u16()? & MORE_RESULTS != 0)
}

/// An error as the server's own client shows it.
fn error(packet: &[u8]) -> String {
    let mut reader = Reader(packet.get(1..).unwrap_or_default());
    let code = reader.u16().unwrap_or_default();
    let (state, text) = match reader.0 {
        [b'#', rest @ ..] if rest.len() >= 5 => rest.split_at(5),
        text => (&b"HY000"[..], text),
    };
    let (state, text) = (String::from_utf8_lossy(state), String::from_utf8_lossy(text));
    format!("ERROR {code} ({state}): {text}")
}

/// A prepared statement.
pub(super) struct Prepared {
    pub(super) id: u32,
    pub(super) columns: u16,
    pub(super) parameters: u16,
}

pub(super) fn prepared(packet: &[u8]) -> io::Result<Prepared> {
    let mut reader = Reader(packet);
    reader.take(1)?;
    let id = reader.u32()?;
    Ok(Prepared { id, columns: reader.u16()?, parameters: reader.u16()? })
}

/// How many columns a result has.
pub(super) fn columns(packet: &[u8]) -> io::Result<usize> {
    match Reader(packet).number()? {
        count @ 1..=COLUMNS => Ok(count as usize),
        _ => Err(malformed("a result has no columns, or too many")),
    }
}

/// A column of a result.
pub(super) struct Described {
    name: String,
    ty: u8,
    is_unsigned: bool,
    is_binary: bool,
}

pub(super) fn column(packet: &[u8]) -> io::Result<Described> {
    let mut reader = Reader(packet);
    // The catalog, the schema, the table by two names.
    for _ in 0..4 {
        reader.bytes()?;
    }
    let name = String::from_utf8_lossy(reader.bytes()?).into_owned();
    reader.bytes()?;
    reader.number()?;
    let charset = reader.u16()?;
    reader.u32()?;
    let ty = reader.u8()?;
    let flags = reader.u16()?;
    Ok(Described {
        name,
        ty,
        is_unsigned: flags & UNSIGNED != 0,
        is_binary: charset == BINARY && !matches!(ty, JSON | DECIMAL | NEWDECIMAL),
    })
}

impl Described {
    /// The column as the interface has it.
    pub(super) fn column(&self) -> Column<DataType> {
        Column { name: self.name.clone(), data_type: self.data_type() }
    }

    fn data_type(&self) -> DataType {
        match (self.ty, self.is_unsigned) {
            (TINY, false) => DataType::Int8,
            (TINY, true) => DataType::Uint8,
            (SHORT, false) => DataType::Int16,
            (SHORT, true) | (YEAR, _) => DataType::Uint16,
            (LONG | INT24, false) => DataType::Int32,
            (LONG | INT24, true) => DataType::Uint32,
            (LONGLONG, false) => DataType::Int64,
            (LONGLONG, true) => DataType::Uint64,
            (FLOAT, _) => DataType::Floating32,
            (DOUBLE, _) => DataType::Floating64,
            (VARCHAR | JSON | ENUM | SET | TINY_BLOB..=STRING, _) if !self.is_binary => {
                DataType::Str
            }
            (VARCHAR | BIT | TINY_BLOB..=STRING, _) => DataType::Binary,
            _ => DataType::Other,
        }
    }

    /// A value of the column in the binary format. What the interface has no type for (decimal
    /// numbers, dates, times) is text, as the server would write it.
    fn value(&self, reader: &mut Reader<'_>) -> io::Result<Value> {
        let is_unsigned = self.is_unsigned;
        Ok(match self.ty {
            TINY if is_unsigned => Value::Uint8(reader.u8()?),
            TINY => Value::Int8(reader.u8()? as i8),
            SHORT if !is_unsigned => Value::Int16(reader.u16()? as i16),
            SHORT | YEAR => Value::Uint16(reader.u16()?),
            LONG | INT24 if is_unsigned => Value::Uint32(reader.u32()?),
            LONG | INT24 => Value::Int32(reader.u32()? as i32),
            LONGLONG if is_unsigned => Value::Uint64(reader.u64()?),
            LONGLONG => Value::Int64(reader.u64()? as i64),
            FLOAT => Value::Floating32(f32::from_bits(reader.u32()?)),
            DOUBLE => Value::Floating64(f64::from_bits(reader.u64()?)),
            NULL => Value::Null,
            DATE | DATETIME | TIMESTAMP => Value::Str(datetime(reader, self.ty == DATE)?),
            TIME => Value::Str(time(reader)?),
            GEOMETRY => {
                reader.bytes()?;
                Value::Unsupported
            }
            _ => self.text(reader.bytes()?),
        })
    }

    fn text(&self, bytes: &[u8]) -> Value {
        if self.is_binary || self.ty == BIT {
            return Value::Binary(bytes.to_vec());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Value::Str(text.to_owned()),
            Err(_) => Value::Binary(bytes.to_vec()),
        }
    }
}

fn datetime(reader: &mut Reader<'_>, is_date: bool) -> io::Result<String> {
    let length = reader.u8()?;
    let (mut date, mut time, mut micros) = ((0, 0, 0), (0, 0, 0), 0);
    if length >= 4 {
        date = (reader.u16()?, reader.u8()?, reader.u8()?);
    }
    if length >= 7 {
        time = (reader.u8()?, reader.u8()?, reader.u8()?);
    }
    if length >= 11 {
        micros = reader.u32()?;
    }
    if !matches!(length, 0 | 4 | 7 | 11) {
        return Err(malformed("a date has no length"));
    }
    let mut text = format!("{:04}-{:02}-{:02}", date.0, date.1, date.2);
    if !is_date {
        text += &format!(" {:02}:{:02}:{:02}{}", time.0, time.1, time.2, fraction(micros));
    }
    Ok(text)
}

fn time(reader: &mut Reader<'_>) -> io::Result<String> {
    let length = reader.u8()?;
    let (mut negative, mut days, mut time, mut micros) = (0, 0, (0, 0, 0), 0);
    if length >= 8 {
        (negative, days) = (reader.u8()?, reader.u32()?);
        time = (reader.u8()?, reader.u8()?, reader.u8()?);
    }
    if length >= 12 {
        micros = reader.u32()?;
    }
    if !matches!(length, 0 | 8 | 12) {
        return Err(malformed("a time has no length"));
    }
    let sign = if negative != 0 { "-" } else { "" };
    let hours = u64::from(days) * 24 + u64::from(time.0);
    Ok(format!("{sign}{hours:02}:{:02}:{:02}{}", time.1, time.2, fraction(micros)))
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}

/// What comes while a result does.
pub(super) enum Row {
    /// A row and how many bytes it takes.
    Values(Vec<Value>, usize),
    /// The end; whether another result follows.
    End(bool),
    Error(String),
}

pub(super) fn row(packet: &[u8], columns: &[Described]) -> io::Result<Row> {
    match packet.first() {
        Some(0xFF) => return Ok(Row::Error(error(packet))),
        Some(0xFE) if packet.len() < END => return Ok(Row::End(has_more(packet)?)),
        Some(0x00) => {}
        _ => return Err(malformed("a row does not begin")),
    }
    let mut reader = Reader(&packet[1..]);
    // The first two bits are for something else.
    let nulls = reader.take((columns.len() + 2).div_ceil(8))?;
    let mut values = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let bit = index + 2;
        let is_null = nulls[bit / 8] & 1 << (bit % 8) != 0;
        values.push(if is_null { Value::Null } else { column.value(&mut reader)? });
    }
    Ok(Row::Values(values, packet.len() + columns.len() * size_of::<Value>()))
}

/// The packet that runs a prepared statement.
pub(super) fn execute(id: u32, parameters: &[Parameter]) -> Vec<u8> {
    const EXECUTE: u8 = 0x17;
    const NEW_TYPES: u8 = 1;
    let mut packet = vec![EXECUTE];
    packet.extend_from_slice(&id.to_le_bytes());
    // No cursor, and once.
    packet.extend_from_slice(&[0, 1, 0, 0, 0]);
    if parameters.is_empty() {
        return packet;
    }
    let mut nulls = vec![0; parameters.len().div_ceil(8)];
    let (mut types, mut values) = (Vec::new(), Vec::new());
    for (index, parameter) in parameters.iter().enumerate() {
        if *parameter == Parameter::Null {
            nulls[index / 8] |= 1 << (index % 8);
        }
        let (ty, is_unsigned) = put(&mut values, parameter);
        types.extend_from_slice(&[ty, if is_unsigned { 0x80 } else { 0 }]);
    }
    packet.extend_from_slice(&nulls);
    packet.push(NEW_TYPES);
    packet.extend_from_slice(&types);
    packet.extend_from_slice(&values);
    packet
}

/// Writes a parameter and says what type it has, and whether it is without sign.
fn put(values: &mut Vec<u8>, parameter: &Parameter) -> (u8, bool) {
    match parameter {
        Parameter::Boolean(value) => {
            values.push(u8::from(*value));
            (TINY, false)
        }
        Parameter::Int8(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (TINY, false)
        }
        Parameter::Int16(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (SHORT, false)
        }
        Parameter::Int32(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (LONG, false)
        }
        Parameter::Int64(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (LONGLONG, false)
        }
        Parameter::Uint8(value) => {
            values.push(*value);
            (TINY, true)
        }
        Parameter::Uint16(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (SHORT, true)
        }
        Parameter::Uint32(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (LONG, true)
        }
        Parameter::Uint64(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (LONGLONG, true)
        }
        Parameter::Floating32(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (FLOAT, false)
        }
        Parameter::Floating64(value) => {
            values.extend_from_slice(&value.to_le_bytes());
            (DOUBLE, false)
        }
        Parameter::Str(value) => {
            put_bytes(values, value.as_bytes());
            (VAR_STRING, false)
        }
        Parameter::Binary(value) => {
            put_bytes(values, value);
            (BLOB, false)
        }
        Parameter::Null => (NULL, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(ty: u8, is_unsigned: bool, is_binary: bool) -> Described {
        Described { name: "c".to_owned(), ty, is_unsigned, is_binary }
    }

    #[test]
    fn dates_and_times_are_texts() {
        let value = |ty: u8, bytes: &[u8]| {
            described(ty, false, true).value(&mut Reader(bytes)).map_err(drop)
        };
        let text = |text: &str| Ok(Value::Str(text.to_owned()));
        assert_eq!(value(DATE, &[0]), text("0000-00-00"));
        assert_eq!(value(DATE, &[4, 0xE8, 7, 2, 29]), text("2024-02-29"));
        assert_eq!(value(DATETIME, &[4, 0xE8, 7, 2, 29]), text("2024-02-29 00:00:00"));
        let micros = [11, 0xE8, 7, 2, 29, 1, 2, 3, 4, 0, 0, 0];
        assert_eq!(value(TIMESTAMP, &micros), text("2024-02-29 01:02:03.000004"));
        assert_eq!(value(TIME, &[0]), text("00:00:00"));
        assert_eq!(value(TIME, &[8, 1, 2, 0, 0, 0, 3, 4, 5]), text("-51:04:05"));
        let most = [12, 0, 255, 255, 255, 255, 255, 0, 0, 255, 255, 255, 255];
        assert_eq!(value(TIME, &most), text("103079215335:00:00.4294967295"));
        for bad in [&[3, 1, 1, 1][..], &[4, 1], &[12], &[]] {
            assert!(value(DATETIME, bad).is_err() && value(TIME, bad).is_err());
        }
    }

    #[test]
    fn malformed_packets_are_errors() {
        let columns = [described(LONG, false, false), described(VAR_STRING, false, false)];
        let good = [0, 0, 7, 0, 0, 0, 1, b'x'];
        assert!(matches!(row(&good, &columns), Ok(Row::Values(values, _)) if values.len() == 2));
        for end in 0..good.len() {
            assert!(row(&good[..end], &columns).is_err());
        }
        assert!(
            row(&[0, 0, 7, 0, 0, 0, 0xFE, 255, 255, 255, 255, 255, 255, 255, 255], &columns)
                .is_err()
        );
        assert!(columns_of(&[0]).is_err() && columns_of(&[0xFC, 0x01, 0x10]).is_err());
        assert!(columns_of(&[0xFE, 0, 0, 0, 0, 0, 0x20, 0, 0]).is_err());
        assert!(column(&[3, b'd', b'e', b'f']).is_err() && prepared(&[0, 1]).is_err());
        assert!(matches!(answer(&[0xFF]), Answer::Error(_)));
        assert!(
            matches!(answer(b"\xFF\x15\x04#28000No"), Answer::Error(text) if text == "ERROR 1045 (28000): No")
        );
    }

    fn columns_of(packet: &[u8]) -> io::Result<usize> {
        super::columns(packet)
    }

    #[test]
    fn parameters() {
        let packet =
            execute(7, &[Parameter::Null, Parameter::Uint8(255), Parameter::Str("x".into())]);
        assert_eq!(
            packet,
            [
                0x17, 7, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, NULL, 0, TINY, 0x80, VAR_STRING, 0, 255, 1,
                b'x'
            ]
        );
        assert_eq!(execute(1, &[]).len(), 10);
    }
}
