//! Events that are no HTTP requests: taken in, handled, tried again, passed on, given up.

mod batch;
mod command;
mod cron;
mod enqueue;
mod huge;
mod killed;
mod messaging;
mod metrics;
mod mqtt;
mod nats;
mod outputs;
mod processes;
mod queue;
mod redis;
mod send;
mod shapes;
mod topology;

use std::path::Path;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncCommands as _, AsyncConnectionConfig, FromRedisValue};
use dayfly_capabilities::queue::Table;
use dayfly_testing::{App, Redis, Running};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::dayfly;

/// An app with these triggers, and a component of each guest's name. It answers on HTTP, too, so that
/// tests see when it is ready.
fn app(triggers: &str, guests: &[&str]) -> App {
    let first = guests[0];
    let component = |guest: &&str| format!("[component.{guest}]\nsource = \"guest:{guest}\"\n");
    let components: String = guests.iter().map(component).collect();
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"{first}\"\n{triggers}\n{components}"
    ))
}

/// How long things may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "never came: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What came out by the queue `out`, in the order in which it did.
fn out(state: &Path) -> Vec<String> {
    let table = Table::open(&state.join("queues.db")).unwrap();
    let messages = table.peek("out", u32::MAX).unwrap().into_iter();
    messages.map(|it| String::from_utf8(it.content.data.to_vec()).unwrap()).collect()
}

/// Waits for as many messages.
pub(crate) async fn heard(state: &Path, count: usize) -> Vec<String> {
    until("messages", async || Some(out(state)).filter(|heard| heard.len() >= count)).await
}

/// The dead letters of an app, once there are any.
async fn dead_letters(server: &Running) -> Vec<Value> {
    let list = ["dead-letters", "list", "--json", "--state-dir"];
    until("a dead letter", async || {
        let list = dayfly().args(list).arg(server.state("")).ends().await.with_stdout(0);
        let letters: Vec<Value> = serde_json::from_str(&list).unwrap();
        (!letters.is_empty()).then_some(letters)
    })
    .await
}

/// A trigger whose server, at `ADDRESS`, takes connections and says nothing is told of, and keeps nothing
/// from ending.
async fn is_given_up_that_never_answers(trigger: &str, told: &str) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trigger = trigger.replace("ADDRESS", &silent.local_addr().unwrap().to_string());
    let app = app(&format!("{trigger}\ncomponent = \"rust-events\"\n"), &["rust-events"]);
    let server = dayfly().up(app.folder()).await;
    server.stderr().containing(told).await;
    server.stop().await.with(0);
}

/// A client of a Redis server.
pub(crate) struct Client(MultiplexedConnection);

impl Client {
    pub(crate) async fn of(redis: &Redis) -> Self {
        let client = ::redis::Client::open(redis.url()).unwrap();
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        Self(client.get_multiplexed_async_connection_with_config(&patient).await.unwrap())
    }

    pub(crate) async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = ::redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut self.0).await.unwrap()
    }

    /// The messages of a list, first in first.
    async fn list(&mut self, key: &str) -> Vec<String> {
        let mut all: Vec<String> = self.0.lrange(key, 0, -1).await.unwrap();
        all.reverse();
        all
    }

    /// Waits until a list has so many messages.
    pub(crate) async fn wait_for(&mut self, key: &str, count: usize) -> Vec<String> {
        until(key, async || Some(self.list(key).await).filter(|list| list.len() >= count)).await
    }
}
