//! `/fields`: what a set of headers says after each of its functions, one fact a line.

use std::fmt::Write as _;

use wasip2::http::types::{Fields, HeaderError, RequestOptions};

use crate::exchange::{Exchange, Failure};

pub fn facts(exchange: &mut Exchange) -> Result<(), Failure> {
    let fields = Fields::from_list(&[("a".to_owned(), b"1".to_vec())]).expect("a list of headers");
    let mut lines = String::new();
    let mut tell = |what: &str, fact: &str| {
        writeln!(lines, "{what} {fact}").expect("writing to a string cannot fail");
    };
    tell("append", &done(fields.append("a", b"2")));
    tell("append", &done(fields.append("b", b"3")));
    let copy = fields.clone();
    tell("set", &done(fields.set("b", &[b"4".to_vec(), b"5".to_vec()])));
    tell("set", &done(fields.set("no name", &[])));
    tell("has", &format!("{} {}", fields.has("a"), fields.has("c")));
    tell("get", &format!("{:?}", fields.get("a")));
    tell("delete", &done(fields.delete("b")));
    tell("delete", &done(fields.delete("a")));
    tell("all", &format!("{:?}", fields.entries()));
    tell("copy", &format!("{:?}", copy.entries()));
    tell("received", &done(exchange.request.headers().append("a", b"1")));
    let options = RequestOptions::new();
    let set = [
        options.set_connect_timeout(Some(1)),
        options.set_first_byte_timeout(Some(2)),
        options.set_between_bytes_timeout(None),
    ];
    let got =
        [options.connect_timeout(), options.first_byte_timeout(), options.between_bytes_timeout()];
    tell("options", &format!("{} {got:?}", set.iter().all(Result::is_ok)));
    exchange.text(&lines)
}

fn done(outcome: Result<(), HeaderError>) -> String {
    match outcome {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{error:?}").replace("HeaderError::", ""),
    }
}
