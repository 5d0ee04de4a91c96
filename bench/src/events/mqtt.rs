//! MQTT: what sends, and the least that consumes, by the usual client.

use std::time::Duration;

use anyhow::Result;
use dayfly_testing::Mosquitto;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::sync::Mutex;

/// How many messages wait in a client to be sent.
const WAITING: usize = 1000;

/// A client of a broker.
pub(super) struct Client {
    port: u16,
    sender: AsyncClient,
    events: Mutex<EventLoop>,
}

impl Client {
    pub(super) fn new(broker: &Mosquitto) -> Self {
        let port = broker.port();
        let (sender, events) = connection(port, "sender");
        Self { port, sender, events: Mutex::new(events) }
    }

    pub(super) async fn send(&self, to: &str, (text, count): (&str, u64)) -> Result<()> {
        let sent = async {
            for _ in 0..count {
                self.sender.publish(to, QoS::AtLeastOnce, false, text).await?;
            }
            std::future::pending::<Result<()>>().await
        };
        let taken = async {
            let mut events = self.events.lock().await;
            let mut taken = 0;
            while taken < count {
                if let Event::Incoming(Packet::PubAck(_)) = events.poll().await? {
                    taken += 1;
                }
            }
            Ok(())
        };
        tokio::select! {
            sent = sent => sent,
            taken = taken => taken,
        }
    }

    pub(super) async fn natively(&self, name: &str, events: u64) -> Result<()> {
        let (consumer, mut incoming) = connection(self.port, "consumer");
        consumer.subscribe(name, QoS::AtLeastOnce).await?;
        while !matches!(incoming.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
        let taken = async {
            let mut count = 0;
            // It acknowledges what it hands over.
            while count < events {
                if let Event::Incoming(Packet::Publish(_)) = incoming.poll().await? {
                    count += 1;
                }
            }
            Ok(())
        };
        tokio::try_join!(self.send(name, (super::TEXT, events)), taken).map(drop)
    }
}

fn connection(port: u16, name: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(format!("bench-{name}"), "127.0.0.1", port);
    // Nobody polls it while others are measured.
    options.set_keep_alive(Duration::from_hours(1));
    options.set_inflight(u16::try_from(WAITING).unwrap_or(u16::MAX));
    AsyncClient::new(options, WAITING)
}
