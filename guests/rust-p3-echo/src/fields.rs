//! `/fields`: what a set of headers says after each of its functions, one fact a line.

use std::fmt::Write as _;

use wasip3::http::types::{Fields, HeaderError, Request, RequestOptions};

use crate::answer::{Answer, respond};

pub fn facts(request: &Request) -> Answer {
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
    tell("get-and-delete", &format!("{:?}", fields.get_and_delete("b")));
    tell("delete", &done(fields.delete("a")));
    tell("all", &format!("{:?}", fields.copy_all()));
    tell("copy", &format!("{:?}", copy.copy_all()));
    tell("received", &done(request.get_headers().append("a", b"1")));
    let large = vec![b'x'; 1 << 20];
    let refused = (0..1000).find(|_| copy.append("large", &large).is_err());
    tell("large", if refused.is_some() { "refused" } else { "taken" });
    let options = RequestOptions::new();
    let set = [
        options.set_connect_timeout(Some(1)),
        options.set_first_byte_timeout(Some(2)),
        options.set_between_bytes_timeout(None),
    ];
    let got = [
        options.get_connect_timeout(),
        options.get_first_byte_timeout(),
        options.clone().get_between_bytes_timeout(),
    ];
    tell("options", &format!("{} {got:?}", set.iter().all(Result::is_ok)));
    respond(200, &lines)
}

fn done(outcome: Result<(), HeaderError>) -> String {
    match outcome {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{error:?}").replace("HeaderError::", ""),
    }
}
