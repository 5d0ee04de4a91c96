//! `fermyon:spin/sqlite` without a version: `/sqlite/LABEL`. Each line of the body is SQL, run on one
//! connection; its parameters, texts, may follow after tabs. The line `:close` closes the connection,
//! and what follows goes on with its number.

use crate::bindings::fermyon::spin::sqlite::{self, Error, Value};
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let label = operation.split('/').next().unwrap_or_default();
    let connection = sqlite::open(label).map_err(|error| wit_failure("open", error))?;
    let mut answer = String::new();
    for line in String::from_utf8_lossy(&crate::body(exchange)?).lines() {
        if line == ":close" {
            sqlite::close(connection);
            continue;
        }
        answer += &match execute(connection, line) {
            Ok(text) => text,
            Err(Error::Io(words)) => format!("error: {words}\n"),
            Err(other) => format!("error: {other:?}\n"),
        };
    }
    sqlite::close(connection);
    exchange.text(&answer)
}

/// The columns, then the rows, a line each.
fn execute(connection: u32, line: &str) -> Result<String, Error> {
    let mut parts = line.split('\t');
    let sql = parts.next().unwrap_or_default();
    let parameters: Vec<Value> = parts.map(|text| Value::Text(text.to_owned())).collect();
    let result = sqlite::execute(connection, sql, &parameters)?;
    let mut lines = format!("{}\n", result.columns.join("|"));
    for row in result.rows {
        lines += &(row.values.iter().map(show).collect::<Vec<_>>().join("|") + "\n");
    }
    Ok(lines)
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
