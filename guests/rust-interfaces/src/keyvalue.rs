//! `wasi:keyvalue`: `/wasi-kv/OP?store=LABEL&key=KEY`; operations on several keys take them as
//! `keys=A,B,C`.

use crate::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let label = exchange.query("store").unwrap_or("default".to_owned());
    let key = exchange.query("key").unwrap_or_default();
    let keys = exchange.query("keys").unwrap_or_default();
    let keys: Vec<String> = keys.split(',').map(str::to_owned).collect();
    let failed = |error| wit_failure(operation, error);
    let bucket = store::open(&label).map_err(failed)?;
    let text = match operation {
        "get" => shown(bucket.get(&key).map_err(failed)?.as_deref()),
        "set" => {
            let value = crate::body(exchange)?;
            bucket.set(&key, &value).map_err(failed)?;
            "stored\n".to_owned()
        }
        "delete" => {
            bucket.delete(&key).map_err(failed)?;
            "deleted\n".to_owned()
        }
        "exists" => format!("{}\n", bucket.exists(&key).map_err(failed)?),
        "pages" => pages(&bucket).map_err(failed)?,
        "increment" => {
            let delta = exchange.required("delta")?.parse()?;
            format!("{}\n", atomics::increment(&bucket, &key, delta).map_err(failed)?)
        }
        "swap" => swap(&bucket, exchange, &key)?,
        "get-many" => {
            let pairs = batch::get_many(&bucket, &keys).map_err(failed)?;
            let lines =
                pairs.iter().map(|(key, value)| format!("{key}={}", shown(value.as_deref())));
            lines.collect()
        }
        "set-many" => {
            let value = crate::body(exchange)?;
            let pairs: Vec<_> = keys.into_iter().map(|key| (key, value.clone())).collect();
            batch::set_many(&bucket, &pairs).map_err(failed)?;
            "stored\n".to_owned()
        }
        "delete-many" => {
            batch::delete_many(&bucket, &keys).map_err(failed)?;
            "deleted\n".to_owned()
        }
        _ => return exchange.answer(404, "no such operation\n"),
    };
    exchange.text(&text)
}

fn shown(value: Option<&[u8]>) -> String {
    value.map_or("none\n".to_owned(), |value| format!("{}\n", String::from_utf8_lossy(value)))
}

/// How many keys each page holds.
fn pages(bucket: &store::Bucket) -> Result<String, store::Error> {
    let (mut text, mut cursor) = (String::new(), None);
    loop {
        let page = bucket.list_keys(cursor.as_deref())?;
        text += &format!("{}\n", page.keys.len());
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(text),
        }
    }
}

/// Compares and swaps; `meddle=VALUE` is stored by another in between, and what then fails is tried
/// again `tries` times.
fn swap(bucket: &store::Bucket, exchange: &Exchange, key: &str) -> Result<String, Failure> {
    let failed = |error| wit_failure("swap", error);
    let value = crate::body(exchange)?;
    let mut cas = atomics::Cas::new(bucket, key).map_err(failed)?;
    let mut text = format!("saw {}", shown(cas.current().map_err(failed)?.as_deref()));
    if let Some(other) = exchange.query("meddle") {
        bucket.set(key, other.as_bytes()).map_err(failed)?;
    }
    for _ in 0..=exchange.number("tries", 0)? {
        match atomics::swap(cas, &value) {
            Ok(()) => return Ok(text + "swapped\n"),
            Err(atomics::CasError::StoreError(error)) => return Err(failed(error)),
            Err(atomics::CasError::CasFailed(next)) => {
                text += &format!("lost to {}", shown(next.current().map_err(failed)?.as_deref()));
                cas = next;
            }
        }
    }
    Ok(text)
}
