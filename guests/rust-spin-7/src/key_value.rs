//! `/kv/OP?store=LABEL&key=KEY`: one call of a key-value store, whose value is the body.

use bytes::Bytes;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, IntoResponse as _, Request, Response, StatusCode};
use spin_sdk::key_value::{Error, Store};

use crate::{Answer, query, text};

pub async fn handle(operation: &str, request: Request) -> Answer {
    let store = query(&request, "store").unwrap_or("default").to_owned();
    let key = query(&request, "key").unwrap_or_default().to_owned();
    let value = request.into_body().bytes().await.unwrap_or_default();
    match call(operation, &store, key, &value).await {
        Ok(Some(body)) => Response::new(FullBody::new(Bytes::from(body))).into_response(),
        Ok(None) => text(StatusCode::NOT_FOUND, "no value\n".to_owned()),
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:?}\n")),
    }
}

async fn call(
    operation: &str,
    store: &str,
    key: String,
    value: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let store = Store::open(store).await?;
    match operation {
        "get" => store.get(key).await,
        "set" => store.set(key, value).await.map(|()| Some(b"stored\n".to_vec())),
        "delete" => store.delete(key).await.map(|()| Some(b"deleted\n".to_vec())),
        "exists" => store.exists(key).await.map(|is| Some(format!("{is}\n").into_bytes())),
        "keys" => {
            let keys = store.get_keys().await.collect().await?;
            Ok(Some(keys.join("\n").into_bytes()))
        }
        // Drops the stream after its first item.
        "first-key" => Ok(store.get_keys().await.next().await.map(String::into_bytes)),
        // Many calls of one instance at once.
        "set-many" => {
            let keys = (0..100).map(|i| store.set(format!("{key}-{i}"), value));
            futures::future::try_join_all(keys).await?;
            Ok(Some(b"stored\n".to_vec()))
        }
        _ => Ok(None),
    }
}
