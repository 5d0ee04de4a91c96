//! `wasi:blobstore`: `/blobs/all?container=NAME` calls every function once; `/blobs/put` stores the
//! request's body, or so many `bytes`, under `object`; `/blobs/get` streams an object back, from
//! `first` to `last`; `/blobs/list`, `/blobs/create`, `/blobs/delete`, `/blobs/clear`,
//! `/blobs/remove`, `/blobs/copy?to=CONTAINER`, `/blobs/abandon` (writes and does not finish),
//! `/blobs/hold?times=` (opens an object many times).

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use crate::bindings::wasi::blobstore::blobstore::{self, ObjectId};
use crate::bindings::wasi::blobstore::container::Container;
use crate::bindings::wasi::blobstore::types::{IncomingValue, OutgoingValue};
use crate::exchange::{Exchange, Failure};

/// How much is written at once.
const PIECE: usize = 64 << 10;

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let name = exchange.query("container").unwrap_or_default();
    let object = exchange.query("object").unwrap_or_default();
    let text = match operation {
        "all" => all(&name)?,
        "create" => blobstore::create_container(&name)?.name()?,
        "exists" => blobstore::container_exists(&name)?.to_string(),
        "delete" => {
            blobstore::delete_container(&name)?;
            "deleted".to_owned()
        }
        "put" => {
            let bytes = exchange.number("bytes", 0)?;
            let container = blobstore::get_container(&name)?;
            match bytes {
                0 => store(&container, &object, &crate::body(exchange)?)?,
                bytes => fill(&container, &object, bytes)?,
            }
            "stored".to_owned()
        }
        "get" => return get(exchange, &name, &object),
        "list" => list(&blobstore::get_container(&name)?)?,
        "clear" => {
            blobstore::get_container(&name)?.clear()?;
            "cleared".to_owned()
        }
        "remove" => {
            blobstore::get_container(&name)?.delete_object(&object)?;
            "removed".to_owned()
        }
        "copy" => {
            let to = exchange.required("to")?;
            blobstore::copy_object(&id(&name, &object), &id(&to, &object))?;
            "copied".to_owned()
        }
        "abandon" => {
            let container = blobstore::get_container(&name)?;
            let value = OutgoingValue::new_outgoing_value();
            let mut body = value.outgoing_value_write_body().map_err(|()| taken())?;
            container.write_data(&object, &value)?;
            body.write_all(&[b'x'; PIECE])?;
            body.flush()?;
            "abandoned".to_owned()
        }
        "hold" => {
            let container = blobstore::get_container(&name)?;
            let mut held = Vec::new();
            for _ in 0..exchange.number("times", 1)? {
                held.push(container.get_data(&object, 0, u64::MAX)?);
            }
            format!("{} held", held.len())
        }
        other => return exchange.answer(404, &format!("no such call: {other}\n")),
    };
    exchange.text(&text)
}

fn taken() -> Failure {
    Failure("the stream was taken".to_owned())
}

fn id(container: &str, object: &str) -> ObjectId {
    ObjectId { container: container.to_owned(), object: object.to_owned() }
}

fn store(container: &Container, object: &str, bytes: &[u8]) -> Result<(), Failure> {
    let value = OutgoingValue::new_outgoing_value();
    container.write_data(object, &value)?;
    let mut body = value.outgoing_value_write_body().map_err(|()| taken())?;
    // Without a flush: `finish` has to write what is left.
    body.write_all(bytes)?;
    drop(body);
    Ok(OutgoingValue::finish(value)?)
}

fn fill(container: &Container, object: &str, bytes: u64) -> Result<(), Failure> {
    let value = OutgoingValue::new_outgoing_value();
    let mut body = value.outgoing_value_write_body().map_err(|()| taken())?;
    let piece = [b'x'; PIECE];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE as u64) as usize;
        body.write_all(&piece[..length])?;
        left -= length as u64;
    }
    drop(body);
    // Only now is it said where the value goes.
    container.write_data(object, &value)?;
    Ok(OutgoingValue::finish(value)?)
}

fn get(exchange: &mut Exchange, name: &str, object: &str) -> Result<(), Failure> {
    let first = exchange.number("first", 0)?;
    let last = exchange.number("last", u64::MAX)?;
    let value = blobstore::get_container(name)?.get_data(object, first, last)?;
    let size = value.size();
    let mut stream = IncomingValue::incoming_value_consume_async(value)?;
    let headers = [("x-size", size.to_string().into_bytes())];
    let mut body = exchange.start(200, &headers)?;
    body.pump(&mut stream)?;
    body.finish(None)
}

/// All names, a few at a time, in their order.
fn list(container: &Container) -> Result<String, Failure> {
    let names = container.list_objects()?;
    let mut all = Vec::new();
    loop {
        let (some, is_last) = names.read_stream_object_names(100)?;
        all.extend(some);
        if is_last {
            break;
        }
    }
    all.sort();
    Ok(all.join(" "))
}

fn all(name: &str) -> Result<String, Failure> {
    let mut lines = String::new();
    let mut line = |what: &str, value: &dyn std::fmt::Debug| {
        writeln!(lines, "{what} {value:?}").expect("writing to a string cannot fail");
    };
    line("container-exists", &blobstore::container_exists(name)?);
    let container = blobstore::create_container(name)?;
    line("container-exists", &blobstore::container_exists(name)?);
    line("create-container", &blobstore::create_container(name).map(drop));
    line("get-container", &blobstore::get_container(name)?.name()?);
    let info = container.info()?;
    line("info", &(info.name, info.created_at > 1_700_000_000));
    line("has-object", &container.has_object("a/b")?);
    line("write-data", &store(&container, "a/b", b"contents").map_err(|failure| failure.0));
    line("has-object", &container.has_object("a/b")?);
    let info = container.object_info("a/b")?;
    line("object-info", &(info.name, info.container, info.created_at > 1_700_000_000, info.size));
    line("object-info", &container.object_info("c").map(drop));
    let whole = container.get_data("a/b", 0, u64::MAX)?;
    line("size", &whole.size());
    let whole = IncomingValue::incoming_value_consume_sync(whole)?;
    line("consume-sync", &String::from_utf8_lossy(&whole));
    let range = container.get_data("a/b", 3, 5)?;
    // What was opened stays, whatever becomes of the object.
    store(&container, "a/b", b"other")?;
    let mut text = String::new();
    IncomingValue::incoming_value_consume_async(range)?.read_to_string(&mut text)?;
    line("consume-async", &text);
    line("get-data", &container.get_data("a/b", 6, 7).map(drop));
    line("get-data", &container.get_data("a/b", 2, 1).map(drop));
    line("get-data", &container.get_data("c", 0, 1).map(drop));
    line("copy-object", &blobstore::copy_object(&id(name, "a/b"), &id(name, "c")));
    line("move-object", &blobstore::move_object(&id(name, "c"), &id(name, "d")));
    line("move-object", &blobstore::move_object(&id(name, "c"), &id(name, "d")));
    line("list-objects", &list(&container)?);
    let names = container.list_objects()?;
    line("skip-stream-object-names", &names.skip_stream_object_names(1)?);
    let (rest, _) = names.read_stream_object_names(10)?;
    line("read-stream-object-names", &rest.len());
    line("delete-object", &container.delete_object("a/b"));
    line("delete-object", &container.delete_object("nothing"));
    line("delete-objects", &container.delete_objects(&["d".to_owned(), "nothing".to_owned()]));
    line("list-objects", &list(&container)?);
    let value = OutgoingValue::new_outgoing_value();
    let body = value.outgoing_value_write_body();
    line("outgoing-value-write-body", &value.outgoing_value_write_body().map(drop));
    drop(body);
    container.write_data("empty", &value)?;
    line("finish", &OutgoingValue::finish(value));
    line("object-info", &container.object_info("empty")?.size);
    line("write-data", &store(&container, "", b"").map_err(|failure| failure.0.len() > 10));
    line("clear", &container.clear());
    line("list-objects", &list(&container)?);
    line("delete-container", &blobstore::delete_container(name));
    line("delete-container", &blobstore::delete_container(name));
    line("get-container", &blobstore::get_container(name).map(drop));
    line("has-object", &container.has_object("gone"));
    Ok(lines)
}
