//! `fermyon:spin/key-value` without a version: `/old-kv/OP?store=LABEL&key=KEY`.

use crate::bindings::fermyon::spin::key_value as kv;
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let label = exchange.query("store").unwrap_or("default".to_owned());
    let key = exchange.query("key").unwrap_or_default();
    let failed = |error| wit_failure(operation, error);
    let store = match exchange.query("handle") {
        // A number that the guest makes up.
        Some(handle) => handle.parse()?,
        None => kv::open(&label).map_err(failed)?,
    };
    let text = match operation {
        "get" => {
            let value = kv::get(store, &key).map_err(failed)?;
            String::from_utf8_lossy(&value).into_owned()
        }
        "set" => {
            let value = crate::body(exchange)?;
            kv::set(store, &key, &value).map_err(failed)?;
            "stored\n".to_owned()
        }
        "delete" => {
            kv::delete(store, &key).map_err(failed)?;
            "deleted\n".to_owned()
        }
        "exists" => format!("{}\n", kv::exists(store, &key).map_err(failed)?),
        "keys" => kv::get_keys(store).map_err(failed)?.join("\n"),
        "closed" => {
            kv::close(store);
            format!("{}\n", kv::exists(store, &key).map_err(failed)?)
        }
        _ => return exchange.answer(404, "no such operation\n"),
    };
    kv::close(store);
    exchange.text(&text)
}
