//! Redis: what sends, and the least that consumes.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dayfly_testing::Redis;
use futures_util::{Stream, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, AsyncConnectionConfig, Msg};

use super::From;

/// A client of a server.
pub(super) struct Client {
    client: redis::Client,
    connection: MultiplexedConnection,
}

/// What handlers answer.
pub(super) struct Answers(Pin<Box<dyn Stream<Item = Msg>>>);

impl Answers {
    pub(super) async fn next(&mut self) -> Result<String> {
        let answer = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await?;
        Ok(answer.context("no answer")?.get_payload()?)
    }
}

impl Client {
    pub(super) async fn new(redis: &Redis) -> Result<Self> {
        let patient =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
        let client = redis::Client::open(redis.url())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
        let set = redis::cmd("CONFIG").arg("SET").arg("appendfsync").arg("no").to_owned();
        let () = set.query_async(&mut connection).await?;
        Ok(Self { client, connection })
    }

    pub(super) async fn answers(&self) -> Result<Answers> {
        let mut listener = self.client.get_async_pubsub().await?;
        listener.subscribe("answered").await?;
        Ok(Answers(Box::pin(listener.into_on_message())))
    }

    pub(super) async fn send(
        &self,
        from: From,
        to: &str,
        (text, count): (&str, u64),
    ) -> Result<()> {
        let mut connection = self.connection.clone();
        let mut left = count;
        while left > 0 {
            let now = left.min(1000);
            let mut pipe = redis::pipe();
            for _ in 0..now {
                match from {
                    From::Channel => pipe.publish(to, text).ignore(),
                    From::List => pipe.lpush(to, text).ignore(),
                    _ => pipe.xadd(to, "*", &[("data", text)]).ignore(),
                };
            }
            let () = pipe.query_async(&mut connection).await?;
            left -= now;
        }
        Ok(())
    }

    pub(super) async fn natively(&self, from: From, name: &str, events: u64) -> Result<()> {
        let sent = self.send(from, name, (super::TEXT, events));
        match from {
            From::Channel => {
                let mut listener = self.client.get_async_pubsub().await?;
                listener.subscribe(name).await?;
                let mut messages = listener.on_message();
                let taken = async {
                    for _ in 0..events {
                        messages.next().await;
                    }
                };
                tokio::join!(sent, taken).0
            }
            From::List => tokio::try_join!(sent, self.take_list(name, events)).map(drop),
            _ => tokio::try_join!(sent, self.take_stream(name, events)).map(drop),
        }
    }

    /// A connection of its own: what waits holds up what others ask.
    async fn another(&self) -> Result<MultiplexedConnection> {
        let patient =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
        Ok(self.client.get_multiplexed_async_connection_with_config(&patient).await?)
    }

    async fn take_list(&self, name: &str, events: u64) -> Result<()> {
        let mut client = self.another().await?;
        let own = format!("{name}:own");
        for _ in 0..events {
            let mut take = redis::cmd("BLMOVE");
            take.arg(name).arg(&own).arg("RIGHT").arg("LEFT").arg(5);
            let message: Vec<u8> = take.query_async(&mut client).await?;
            let () = client.lrem(&own, 1, message).await?;
        }
        Ok(())
    }

    async fn take_stream(&self, name: &str, events: u64) -> Result<()> {
        let mut client = self.another().await?;
        let _: Result<(), _> = client.xgroup_create_mkstream(name, "g", "0").await;
        let options = StreamReadOptions::default().group("g", "c").count(64).block(1000);
        let mut taken = 0;
        while taken < events {
            let reply: Option<StreamReadReply> =
                client.xread_options(&[name], &[">"], &options).await?;
            for entry in reply.into_iter().flat_map(|it| it.keys).flat_map(|key| key.ids) {
                let () = client.xack(name, "g", &[entry.id]).await?;
                taken += 1;
            }
        }
        Ok(())
    }
}
