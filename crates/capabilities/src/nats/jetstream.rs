//! JetStream (<https://docs.nats.io/reference/reference-protocols/nats_api_reference>): streams, durable
//! consumers that are pulled from, and what they are told of each message.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::ServerError;
use super::connection::Connection;

/// That there is no such consumer, and no such stream.
const NO_CONSUMER: u64 = 10014;
const NO_STREAM: u64 = 10059;

/// A message was handled.
pub const HANDLED: &[u8] = b"+ACK";

/// It is being handled: more time.
pub const IN_PROGRESS: &[u8] = b"+WPI";

/// It is given back, to come again at once.
pub const BACK: &[u8] = b"-NAK";

/// It is not to come again.
pub const GIVEN_UP: &[u8] = b"+TERM";

/// It is given back, to come again after so long.
#[must_use]
pub fn back_after(delay: Duration) -> Vec<u8> {
    format!("-NAK {{\"delay\": {}}}", nanos(delay)).into_bytes()
}

/// A durable consumer as it is to be.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Its stream.
    pub stream: String,
    /// Its name.
    pub durable: String,
    /// Of which subjects of the stream; all of them unless it says.
    pub filter: Option<String>,
    /// Whether it begins with what the stream holds already, if it is made new.
    pub from_start: bool,
    /// After how long a message comes again of which nothing was heard.
    pub ack_wait: Duration,
    /// How many messages may be out at once.
    pub pending: u32,
}

/// What a delivered message is to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number in the stream.
    pub sequence: u64,
    /// When the stream took it, in nanoseconds since 1970.
    pub nanos: u64,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
}

impl Place {
    /// Reads where acknowledgements go: `$JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQUENCE.…`, or with a domain
    /// and an account before the stream.
    #[must_use]
    pub fn parse(reply: &str) -> Option<Self> {
        let words: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let rest = match words.len() {
            7 => &words[2..],
            9.. => &words[4..],
            _ => return None,
        };
        let number = |at: usize| rest.get(at)?.parse::<u64>().ok();
        Some(Self { deliveries: number(0)?, sequence: number(1)?, nanos: number(3)? })
    }

    /// When the stream took it.
    #[must_use]
    pub fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.nanos)
    }
}

/// What JetStream answered, unless it was an error.
pub(super) fn answer(data: &[u8]) -> Result<Value, ServerError> {
    let unfit = |_| ServerError::Unfit("JetStream answered something that is not JSON".to_owned());
    let answer: Value = serde_json::from_slice(data).map_err(unfit)?;
    let Some(error) = answer.get("error") else { return Ok(answer) };
    let code = error["err_code"].as_u64().or(error["code"].as_u64()).unwrap_or_default();
    let text = error["description"].as_str().unwrap_or_default().to_owned();
    Err(ServerError::JetStream { code, text })
}

impl Connection {
    async fn api(&self, what: &str, request: &Value) -> Result<Value, ServerError> {
        let data = if request.is_null() { String::new() } else { request.to_string() };
        let reply = self.request(&format!("$JS.API.{what}"), &[], data.as_bytes()).await;
        match reply {
            Err(ServerError::Nobody(_)) => {
                Err(ServerError::Unfit("the server has no JetStream, or it is off".to_owned()))
            }
            reply => answer(&reply?.data),
        }
    }

    /// Makes a stream of a subject, on the disk, unless there is one of that name.
    ///
    /// # Errors
    /// If the server does not let us.
    pub async fn make_stream(&self, name: &str, subject: &str) -> Result<(), ServerError> {
        match self.api(&format!("STREAM.INFO.{name}"), &Value::Null).await {
            Err(ServerError::JetStream { code: NO_STREAM, .. }) => {}
            info => return info.map(drop),
        }
        let stream = json!({ "name": name, "subjects": [subject], "storage": "file" });
        self.api(&format!("STREAM.CREATE.{name}"), &stream).await.map(drop)
    }

    /// Sees to it that a consumer is there, and as it is to be. Where one began that is there already
    /// stays as it is.
    ///
    /// # Errors
    /// If it cannot be.
    pub async fn make_consumer(&self, wanted: &Consumer) -> Result<(), ServerError> {
        let Consumer { stream, durable, .. } = wanted;
        let info = self.api(&format!("CONSUMER.INFO.{stream}.{durable}"), &Value::Null).await;
        let mut config = match info {
            Ok(info) => info["config"].clone(),
            Err(ServerError::JetStream { code: NO_CONSUMER, .. }) => {
                let start = if wanted.from_start { "all" } else { "new" };
                json!({ "durable_name": durable, "ack_policy": "explicit", "deliver_policy": start })
            }
            Err(ServerError::JetStream { code: NO_STREAM, .. }) => {
                let hint = "make it, or write `create = true`";
                return Err(ServerError::Unfit(format!("there is no stream `{stream}`: {hint}")));
            }
            Err(error) => return Err(error),
        };
        if config["ack_policy"] != "explicit" || config.get("deliver_subject").is_some() {
            let text =
                format!("the consumer `{durable}` is there, and not one that is pulled from");
            return Err(ServerError::Unfit(text));
        }
        let before = config.clone();
        config["ack_wait"] = nanos(wanted.ack_wait).into();
        config["max_ack_pending"] = wanted.pending.into();
        // How often is Dayfly's to say: the server would drop a message without a word.
        config["max_deliver"] = (-1).into();
        if let Some(config) = config.as_object_mut() {
            config.remove("backoff");
            config.remove("filter_subjects");
            match &wanted.filter {
                Some(filter) => config.insert("filter_subject".to_owned(), filter.clone().into()),
                None => config.remove("filter_subject"),
            };
        }
        if config == before {
            return Ok(());
        }
        let request = json!({ "stream_name": stream, "config": config });
        let what = format!("CONSUMER.DURABLE.CREATE.{stream}.{durable}");
        self.api(&what, &request).await.map(drop)
    }

    /// Asks a consumer for so many messages, which come to a subject of ours as they are there, until so
    /// long has passed.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn pull(
        &self,
        (stream, durable): (&str, &str),
        inbox: &str,
        most: usize,
        patience: Duration,
    ) -> Result<(), ServerError> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}");
        let request = json!({ "batch": most, "expires": nanos(patience) });
        self.ask(&subject, inbox, request.to_string().as_bytes()).await
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = Place { deliveries: 2, sequence: 30, nanos: 1_700_000_000_000_000_005 };
        let old = "$JS.ACK.S.C.2.30.4.1700000000000000005.6";
        assert_eq!(Place::parse(old), Some(place));
        let new = "$JS.ACK._.hash.S.C.2.30.4.1700000000000000005.6.random";
        assert_eq!(Place::parse(new), Some(place));
        for text in ["", "$JS.ACK.S.C", "$JS.ACK.S.C.a.30.4.5.6", "orders.new"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn errors_are_told() {
        let text =
            br#"{"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}"#;
        let error = answer(text).unwrap_err();
        assert_eq!(error.to_string(), "JetStream answered: stream not found (10059)");
        assert!(answer(br#"{"stream": "S", "seq": 1}"#).is_ok());
        assert!(answer(b"<html>").is_err());
    }
}
