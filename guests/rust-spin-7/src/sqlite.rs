//! `/sqlite/LABEL`: the body's lines are SQL, run one after the other on one connection. Parameters
//! follow after tabs: `i 1`, `r 1.5`, `t text`, `b text` (its bytes), `n`. The line `:counts` asks
//! for the last row's id and the number of changes; `:first N SQL` reads but the first rows;
//! `:each SQL; SQL` runs the second statement for each row of the first.

use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{Request, StatusCode};
use spin_sdk::sqlite::{Connection, Error, QueryResult, RowResult, Value};

use crate::{Answer, text};

pub async fn run(label: &str, request: Request) -> Answer {
    let body = request.into_body().bytes().await.unwrap_or_default();
    let connection = match Connection::open(label).await {
        Ok(connection) => connection,
        Err(error) => return text(StatusCode::BAD_GATEWAY, format!("{error:?}\n")),
    };
    let mut lines = String::new();
    for line in String::from_utf8_lossy(&body).lines() {
        match execute(&connection, line).await {
            Ok(text) => lines += &text,
            Err(error) => lines += &format!("error: {}\n", words(error)),
        }
    }
    text(StatusCode::OK, lines)
}

/// The columns, then the rows, a line each.
async fn execute(connection: &Connection, line: &str) -> Result<String, Error> {
    if line == ":counts" {
        let (rowid, changes) = (connection.last_insert_rowid().await, connection.changes().await);
        return Ok(format!("{rowid} {changes}\n"));
    }
    if let Some((count, sql)) = line.strip_prefix(":first ").and_then(|line| line.split_once(' ')) {
        let mut result = query(connection, sql).await?;
        let mut lines = String::new();
        for _ in 0..count.parse().unwrap_or(1) {
            let Some(row) = result.next().await else { break };
            lines += &show_row(&row);
        }
        return Ok(lines);
    }
    if let Some((each, then)) = line.strip_prefix(":each ").and_then(|line| line.split_once("; ")) {
        let mut result = query(connection, each).await?;
        let mut count = 0;
        while result.next().await.is_some() {
            query(connection, then).await?.result().await?;
            count += 1;
        }
        result.result().await?;
        return Ok(format!("{count}\n"));
    }
    let result = query(connection, line).await?;
    let mut lines = format!("{}\n", result.columns().join("|"));
    for row in result.collect().await? {
        lines += &show_row(&row);
    }
    Ok(lines)
}

async fn query(connection: &Connection, line: &str) -> Result<QueryResult, Error> {
    let mut parts = line.split('\t');
    let sql = parts.next().unwrap_or_default();
    connection.execute(sql, parts.map(parameter)).await
}

fn show_row(row: &RowResult) -> String {
    row.values.iter().map(show).collect::<Vec<_>>().join("|") + "\n"
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
