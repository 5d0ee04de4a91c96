//! `/db/INTERFACE`: runs the script in the body by that interface. Beside `query`, `first SQL` reads
//! one row and drops the stream, `count SQL` reads a large result row by row, `together N SQL` makes
//! so many calls at once; a step of `sync-…` is by the functions that are not asynchronous.

use bytes::Bytes;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, IntoResponse as _, Request, Response, StatusCode};

use crate::{Answer, mysql, text};

pub async fn handle(interface: &str, request: Request) -> Answer {
    let script = request.into_body().bytes().await.unwrap_or_default();
    let script = String::from_utf8_lossy(&script).into_owned();
    let answer = match interface {
        "postgres4" => postgres::run(&script).await,
        name if name == mysql::NAME => mysql::run(&script).await,
        other => {
            return text(StatusCode::NOT_FOUND, format!("no such interface: {other}\n"));
        }
    };
    Response::new(FullBody::new(Bytes::from(answer))).into_response()
}

/// The steps that both have; `query` and `execute` are the names of the functions.
macro_rules! asynchronous {
    ($parameter:ident, $query:ident, $execute:ident, $open:ident, $more:ident) => {
        pub async fn run(script: &str) -> String {
            let mut out = crate::script::Output(String::new());
            let mut connections = Vec::new();
            let mut parameters = Vec::new();
            for (what, with) in crate::script::steps(script) {
                if what == "param" {
                    parameters.push($parameter!(with));
                    continue;
                }
                let with = with.replace("\\n", "\n");
                let given = std::mem::take(&mut parameters);
                match what {
                    "open" => match db::Connection::$open(with).await {
                        Ok(connection) => {
                            connections.push(connection);
                            out.line("opened");
                        }
                        Err(error) => out.error(error),
                    },
                    "close" => drop(connections.pop()),
                    "execute" => match connections.last() {
                        Some(connection) => match connection.$execute(with, given).await {
                            Ok(done) => out.line(format!("{done:?}")),
                            Err(error) => out.error(error),
                        },
                        None => continue,
                    },
                    "together" => {
                        let (times, sql) = crate::script::typed(&with);
                        let Some(connection) = connections.last() else { continue };
                        let calls = (0..crate::script::number(times))
                            .map(|_: u32| connection.$execute(sql.to_owned(), given.clone()));
                        match futures::future::try_join_all(calls).await {
                            Ok(done) => out.line(format!("{} done", done.len())),
                            Err(error) => out.error(error),
                        }
                    }
                    "query" | "count" | "first" => {
                        let Some(connection) = connections.last() else { continue };
                        let (columns, mut rows, end) = match connection.$query(with, given).await {
                            Ok(begun) => begun,
                            Err(error) => {
                                out.error(error);
                                continue;
                            }
                        };
                        let mut some = Vec::new();
                        let mut count = 0;
                        while let Some(row) = rows.next().await {
                            count += 1;
                            if what == "query" || count == 1 {
                                some.push(row);
                            }
                            if what == "first" {
                                break;
                            }
                        }
                        let columns = columns.iter().map(|c| format!("{} {:?}", c.name, c.data_type));
                        out.rows(columns.collect(), &some);
                        if what == "count" {
                            out.line(format!("{count} rows"));
                        }
                        drop(rows);
                        if let Err(error) = end.await {
                            out.error(error);
                        }
                    }
                    _ => $more(&mut out, &mut connections, what, &with, &given).await,
                }
            }
            out.0
        }
    };
}

mod postgres {
    use spin_sdk::pg::wit::postgres as db;
    use spin_sdk::pg::wit::postgres::{Interval, ParameterValue as P, RangeBoundKind};

    use crate::script::Output;

    fn kind_of(inside: bool) -> RangeBoundKind {
        if inside { RangeBoundKind::Inclusive } else { RangeBoundKind::Exclusive }
    }

    asynchronous!(fourth_parameter, query_async, execute_async, open_async, more);

    async fn more(
        out: &mut Output,
        connections: &mut Vec<db::Connection>,
        what: &str,
        with: &str,
        parameters: &[P],
    ) {
        let opened = match what {
            "sync-open" => db::Connection::open(with),
            "build" | "sync-build" => build(what == "build", with).await,
            "sync-query" | "sync-execute" => {
                let Some(connection) = connections.last() else { return };
                return synchronous(out, connection, what, with, parameters);
            }
            _ => return out.line(format!("no such step: {what}")),
        };
        match opened {
            Ok(connection) => {
                connections.push(connection);
                out.line("opened");
            }
            Err(error) => out.error(error),
        }
    }

    /// An address, and an authority if there is one behind it.
    async fn build(is_async: bool, with: &str) -> Result<db::Connection, db::Error> {
        let (address, authority) = crate::script::typed(with);
        let builder = db::ConnectionBuilder::new(address);
        if !authority.is_empty() {
            builder.set_ca_root(authority)?;
        }
        if is_async { builder.build_async().await } else { builder.build() }
    }

    fn synchronous(
        out: &mut Output,
        connection: &db::Connection,
        what: &str,
        with: &str,
        parameters: &[P],
    ) {
        if what == "sync-execute" {
            return match connection.execute(with, parameters) {
                Ok(done) => out.line(format!("{done:?}")),
                Err(error) => out.error(error),
            };
        }
        match connection.query(with, parameters) {
            Ok(set) => {
                let columns = set.columns.iter().map(|c| format!("{} {:?}", c.name, c.data_type));
                out.rows(columns.collect(), &set.rows);
            }
            Err(error) => out.error(error),
        }
    }
}
