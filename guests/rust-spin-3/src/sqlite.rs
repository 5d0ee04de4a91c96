//! `/sqlite/LABEL`: the body's lines are SQL, run one after the other on one connection. Parameters
//! follow after tabs: `i 1`, `r 1.5`, `t text`, `b text` (its bytes), `n`. `?times=N` runs them so
//! often and says nothing of their results.

use spin_sdk::http::{Params, Request, Response};
use spin_sdk::sqlite::{Connection, Error, QueryResult, Value};

pub fn run(request: Request, params: Params) -> anyhow::Result<Response> {
    let connection = match Connection::open(params.get("label").unwrap_or_default()) {
        Ok(connection) => connection,
        Err(error) => return Ok(Response::new(502, format!("{error:?}\n"))),
    };
    let body = String::from_utf8_lossy(request.body()).into_owned();
    if let Some((_, times)) = request.query().split_once("times=") {
        for _ in 0..times.parse()? {
            for line in body.lines() {
                query(&connection, line).map_err(words).map_err(anyhow::Error::msg)?;
            }
        }
        return Ok(Response::new(200, format!("{times} times\n")));
    }
    let lines = body.lines().map(|line| execute(&connection, line));
    Ok(Response::new(200, lines.collect::<String>()))
}

fn query(connection: &Connection, line: &str) -> Result<QueryResult, Error> {
    let mut parts = line.split('\t');
    let sql = parts.next().unwrap_or_default();
    let parameters: Vec<Value> = parts.map(parameter).collect();
    connection.execute(sql, &parameters)
}

/// The columns, then the rows, a line each; or the error.
fn execute(connection: &Connection, line: &str) -> String {
    match query(connection, line) {
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
