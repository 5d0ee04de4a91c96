//! What the cat wants next. The judge does not know: it asks the cat, which is in Python.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingResponse, OutgoingRequest, Scheme};

use crate::click::{name_of, treat_called};
use crate::exchange::{Failure, drain};
use crate::store::{Store, text};
use crate::whiskers::game::rules::Treat;

const CAT: &str = "cat.spin.internal";

/// Asks the cat for a wish that is another than the last: JSON with `wish`, a treat; `clues`, three from
/// the vaguest to the plainest; and `whim`, what the cat says as it begins to wish for this.
pub fn wish(store: &Store, last: Option<Treat>) -> Result<String, Failure> {
    let last = last.map_or("", name_of);
    let wish = get(&format!("/wish?last={last}")).map_err(Failure::host)?;
    let parts = "SELECT ?1->>'wish', ?1->>'$.clues[2]', ?1->>'whim'";
    match store.first(parts, &[text(&wish)])? {
        Some(row) if treat_called(row.text(0)).is_some() && !row.text(1).is_empty() => Ok(wish),
        _ => Err(Failure::host("the cat wants what nobody has")),
    }
}

fn get(path: &str) -> Result<String, &'static str> {
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(CAT)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    set.map_err(|()| "the cat has no address")?;
    let answer = outgoing_handler::handle(request, None).map_err(|_| "the cat cannot be asked")?;
    answer.subscribe().block();
    let answer: IncomingResponse = match answer.get() {
        Some(Ok(Ok(answer))) if answer.status() == 200 => answer,
        _ => return Err("the cat does not answer"),
    };
    let body = answer.consume().ok();
    let stream = body.as_ref().and_then(|body| body.stream().ok());
    stream.and_then(|stream| drain(&stream)).ok_or("the cat's answer broke off")
}
