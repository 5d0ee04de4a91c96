//! `/kv/OP?store=LABEL&key=KEY`: one call of a key-value store, whose value is the body.

use spin_sdk::http::{Params, Request, Response};
use spin_sdk::key_value::{Error, Store};

use crate::query;

pub fn handle(request: Request, params: Params) -> anyhow::Result<Response> {
    let operation = params.get("op").unwrap_or_default();
    Ok(match call(&request, operation) {
        Ok(Some(body)) => Response::new(200, body),
        Ok(None) => Response::new(404, "no value\n"),
        Err(error) => Response::new(502, format!("{error:?}\n")),
    })
}

fn call(request: &Request, operation: &str) -> Result<Option<Vec<u8>>, Error> {
    let store = Store::open(&query(request, "store").unwrap_or("default".to_owned()))?;
    let key = query(request, "key").unwrap_or_default();
    match operation {
        "get" => store.get(&key),
        "set" => store.set(&key, request.body()).map(|()| Some(b"stored\n".to_vec())),
        "delete" => store.delete(&key).map(|()| Some(b"deleted\n".to_vec())),
        "exists" => store.exists(&key).map(|exists| Some(format!("{exists}\n").into_bytes())),
        "keys" => store.get_keys().map(|keys| Some(keys.join("\n").into_bytes())),
        "open-many" => open_many(),
        // So many calls in one request, for measuring.
        "get-often" => often(request, |_| store.get(&key).map(drop)),
        "set-often" => often(request, |i| store.set(&format!("{key}-{i}"), request.body())),
        _ => Ok(None),
    }
}

fn often(
    request: &Request,
    mut call: impl FnMut(u32) -> Result<(), Error>,
) -> Result<Option<Vec<u8>>, Error> {
    let times = query(request, "times").and_then(|times| times.parse().ok()).unwrap_or(1);
    (0..times).try_for_each(&mut call)?;
    Ok(Some(format!("{times} times\n").into_bytes()))
}

/// Holds handles until there are no more.
fn open_many() -> Result<Option<Vec<u8>>, Error> {
    let mut held = Vec::new();
    loop {
        held.push(Store::open_default()?);
    }
}
