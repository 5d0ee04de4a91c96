//! The examples of `docs/capabilities`, word by word, each by a path that is called like its page.

use bytes::Bytes;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, IntoResponse as _, Request, StatusCode};
use spin_sdk::key_value::Store;
use spin_sdk::llm::InferencingModel;
use spin_sdk::mqtt::Qos;
use spin_sdk::sqlite::Value;
use spin_sdk::wasip3::http::types::{ErrorCode, Response as WasiResponse};
use spin_sdk::{http, http_service, llm, mqtt, mysql, pg, redis, sqlite, variables};

#[http_service]
async fn handle(request: Request) -> Result<WasiResponse, ErrorCode> {
    let answer = match request.uri().path() {
        "/http" => items().await,
        "/key-value" => visits().await,
        "/llm" => answer("Why is the sky blue?"),
        "/mqtt" => report("open").await,
        "/mysql" => stock("apples").await,
        "/postgres" => total("Ada").await,
        "/redis" => greet().await,
        "/sqlite" => welcome("Ada").await,
        "/variables" => endpoint().await,
        other => Err(anyhow::anyhow!("no such page: {other}")),
    };
    let (status, text) = match answer {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:?}\n")),
    };
    (status, FullBody::new(Bytes::from(text))).into_response()
}

async fn items() -> anyhow::Result<String> {
    let answer = http::get("http://cart.spin.internal/items").await?;
    let items = answer.into_body().bytes().await?;
    Ok(String::from_utf8(items.to_vec())?)
}

async fn visits() -> anyhow::Result<String> {
    let store = Store::open_default().await?;
    let seen = store.get("visits").await?.unwrap_or_default();
    let visits = String::from_utf8(seen)?.parse().unwrap_or(0) + 1;
    store.set("visits", visits.to_string()).await?;
    Ok(format!("visit {visits}"))
}

fn answer(question: &str) -> anyhow::Result<String> {
    let model = InferencingModel::Other("llama3.1:8b");
    Ok(llm::infer(model, question)?.text)
}

async fn report(state: &str) -> anyhow::Result<String> {
    let (broker, password) = (variables::get("broker").await?, variables::get("password").await?);
    let broker = mqtt::Connection::open(broker, "door", password, 30).await?;
    broker.publish("home/door", state.into(), Qos::AtLeastOnce).await?;
    Ok(format!("the door is {state}"))
}

async fn stock(item: &str) -> anyhow::Result<String> {
    let db = mysql::Connection::open(variables::get("database").await?).await?;
    let query = "SELECT count FROM stock WHERE item = ?";
    let rows = db.query(query, [item.to_owned().into()]).await?;
    let counts = rows.collect().await?;
    let count: Option<i32> = counts.first().and_then(|row| row.get("count"));
    Ok(format!("{} {item}", count.unwrap_or(0)))
}

async fn total(customer: &str) -> anyhow::Result<String> {
    let db = pg::Connection::open(variables::get("database").await?).await?;
    let query = "SELECT sum(total) AS total FROM orders WHERE customer = $1";
    let rows = db.query(query, [customer.to_owned().into()]).await?;
    let totals = rows.collect().await?;
    let total: Option<i64> = totals.first().and_then(|row| row.get("total"));
    Ok(format!("{customer} owes {}", total.unwrap_or(0)))
}

async fn greet() -> anyhow::Result<String> {
    let redis = redis::Connection::open(variables::get("cache").await?).await?;
    redis.set("greeting", "hello").await?;
    Ok(format!("visit {}", redis.incr("visits").await?))
}

async fn welcome(name: &str) -> anyhow::Result<String> {
    let db = sqlite::Connection::open_default().await?;
    db.execute("INSERT INTO visits (name) VALUES (?)", [Value::text(name)]).await?.result().await?;
    let guests = db.execute("SELECT name FROM visits ORDER BY at", []).await?.collect().await?;
    let names: Vec<&str> = guests.iter().filter_map(|guest| guest.get(0)).collect();
    Ok(names.join(", "))
}

async fn endpoint() -> anyhow::Result<String> {
    let endpoint = variables::get("endpoint").await?;
    Ok(format!("orders go to {endpoint}"))
}
