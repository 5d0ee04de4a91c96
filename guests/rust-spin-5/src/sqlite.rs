//! `/sqlite/LABEL`: the body's lines are SQL, run one after the other on one connection. Parameters
//! follow after tabs: `i 1`, `r 1.5`, `t text`, `b text` (its bytes), `n`. The line `:counts` asks
//! for the last row's id and the number of changes.

use spin_sdk::sqlite3::{Connection, Error, Value};

pub fn run(label: &str, body: &[u8]) -> (u16, String) {
    let connection = match Connection::open(label) {
        Ok(connection) => connection,
        Err(error) => return (502, format!("{error:?}\n")),
    };
    let body = String::from_utf8_lossy(body);
    (200, body.lines().map(|line| execute(&connection, line)).collect())
}

/// The columns, then the rows, a line each; or the error.
fn execute(connection: &Connection, line: &str) -> String {
    if line == ":counts" {
        return format!("{} {}\n", connection.last_insert_rowid(), connection.changes());
    }
    let mut parts = line.split('\t');
    let sql = parts.next().unwrap_or_default();
    let parameters: Vec<Value> = parts.map(parameter).collect();
    match connection.execute(sql, &parameters) {
        Ok(result) => {
            let mut lines = format!("{}\n", result.columns.join("|"));
            for row in result.rows {
                lines += &(row.values.iter().map(show).collect::<Vec<_>>().join("|") + "\n");
            }
            lines
        }
        Err(error) => format!("error: {}\n", words(error)),
    }
}

fn words(error: Error) -> String {
    match error {
        Error::Io(words) => words,
        other => format!("{other:?}"),
    }
}

fn parameter(text: &str) -> Value {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    match kind {
        "i" => Value::Integer(rest.parse().unwrap_or_default()),
        "r" => Value::Real(rest.parse().unwrap_or_default()),
        "b" => Value::Blob(rest.as_bytes().to_vec()),
        "n" => Value::Null,
        _ => Value::Text(rest.to_owned()),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:x?}"),
        Value::Null => "NULL".to_owned(),
    }
}
