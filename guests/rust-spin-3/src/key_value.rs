//! `/kv/OP?store=LABEL&key=KEY`: one call of a key-value store, whose value is the body.

use spin_sdk::key_value::{Error, Store};

/// The answer to a call of the guest; `query` gives parameters of the query.
pub fn handle(
    operation: &str,
    query: impl Fn(&str) -> Option<String>,
    body: &[u8],
) -> (u16, Vec<u8>) {
    match call(operation, query, body) {
        Ok(Some(body)) => (200, body),
        Ok(None) => (404, b"no value\n".to_vec()),
        Err(error) => (502, format!("{error:?}\n").into_bytes()),
    }
}

fn call(
    operation: &str,
    query: impl Fn(&str) -> Option<String>,
    body: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let store = Store::open(&query("store").unwrap_or("default".to_owned()))?;
    let key = query("key").unwrap_or_default();
    let times = query("times").and_then(|times| times.parse().ok()).unwrap_or(1);
    match operation {
        "get" => store.get(&key),
        "set" => store.set(&key, body).map(|()| Some(b"stored\n".to_vec())),
        "delete" => store.delete(&key).map(|()| Some(b"deleted\n".to_vec())),
        "exists" => store.exists(&key).map(|exists| Some(format!("{exists}\n").into_bytes())),
        "keys" => store.get_keys().map(|keys| Some(keys.join("\n").into_bytes())),
        "open-many" => open_many(),
        // So many calls in one request, for measuring.
        "get-often" => often(times, |_| store.get(&key).map(drop)),
        "set-often" => often(times, |i| store.set(&format!("{key}-{i}"), body)),
        _ => Ok(None),
    }
}

fn often(
    times: u32,
    mut call: impl FnMut(u32) -> Result<(), Error>,
) -> Result<Option<Vec<u8>>, Error> {
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
