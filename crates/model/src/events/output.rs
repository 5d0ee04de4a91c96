//! Where a handler's answer goes: `component:ID`, `queue:NAME`, `redis://…`, `mqtt://…`, `nats://…`,
//! `websocket:TOPIC`, `http://…`.

use std::fmt;

use thiserror::Error;

use super::is_subject;
use crate::app::ComponentId;
use crate::websocket::is_topic;

/// Where a handler's answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To another component of the app, as an event.
    Component(ComponentId),
    /// Into a queue of the app's own.
    Queue(String),
    /// To a Redis server.
    Redis {
        /// Its address; the one that the app's Redis triggers have unless it is stated.
        address: Option<String>,
        /// Where to.
        to: RedisPlace,
    },
    /// To who listens to a topic of an MQTT broker.
    Mqtt {
        /// Its address; the one that the app's MQTT triggers have unless it is stated.
        address: Option<String>,
        /// The topic.
        topic: String,
    },
    /// To who listens to a subject of a NATS server, or to the stream that takes it.
    Nats {
        /// Its address; the one that the app's NATS triggers have unless it is stated.
        address: Option<String>,
        /// The subject.
        subject: String,
        /// Whether a stream has to take it.
        is_kept: bool,
    },
    /// To the app's WebSockets that joined a topic.
    Websocket(String),
    /// To an HTTP server, by a POST in CloudEvents' binary mode.
    Http(String),
}

/// Where to at a Redis server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// To who listens to a channel.
    Channel(String),
    /// Into a list, at the left.
    Queue(String),
    /// Into a stream.
    Stream(String),
}

/// Why a text is no output.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OutputError {
    /// No scheme that is known.
    #[error("begins with no scheme that is known")]
    Scheme,
    /// Nothing behind the scheme.
    #[error("names nothing behind its scheme")]
    Empty,
    /// No name of a topic.
    #[error("has more than 256 bytes or control characters in its topic")]
    Topic,
    /// A filter where a topic should be.
    #[error("has a `#` or `+` in its topic")]
    Filter,
    /// A text where a subject should be.
    #[error("has no subject: words joined by `.`, none of them empty, `*` or `>`")]
    Subject,
    /// A parameter that means nothing.
    #[error("has the parameter `{0}`, where only {1} mean anything")]
    Parameter(String, &'static str),
}

/// The parameters that mean something.
const OF_REDIS: &str = "`as=channel`, `as=queue` and `as=stream`";
const OF_NATS: &str = "`as=subject` and `as=stream`";

impl Output {
    /// Reads an output.
    ///
    /// # Errors
    /// If it means nothing.
    pub fn parse(text: &str) -> Result<Self, OutputError> {
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        let (scheme, rest) = text.split_once(':').ok_or(OutputError::Scheme)?;
        let name = rest.strip_prefix("//").unwrap_or(rest);
        if name.is_empty() {
            return Err(OutputError::Empty);
        }
        match scheme {
            "component" => Ok(Self::Component(ComponentId(name.to_owned()))),
            "queue" => Ok(Self::Queue(name.to_owned())),
            "websocket" if is_topic(name) => Ok(Self::Websocket(name.to_owned())),
            "websocket" => Err(OutputError::Topic),
            "redis" | "rediss" if rest.starts_with("//") => Self::redis(scheme, name),
            "mqtt" | "mqtts" if rest.starts_with("//") => Self::mqtt(scheme, name),
            "nats" | "tls" if rest.starts_with("//") => Self::nats(scheme, name),
            _ if is_http => Ok(Self::Http(text.to_owned())),
            _ => Err(OutputError::Scheme),
        }
    }

    /// `SERVER/TOPIC`, or `/TOPIC`.
    fn mqtt(scheme: &str, text: &str) -> Result<Self, OutputError> {
        let (server, topic) = text.split_once('/').ok_or(OutputError::Empty)?;
        match topic {
            "" => Err(OutputError::Empty),
            topic if topic.contains(['#', '+', '\0']) => Err(OutputError::Filter),
            topic => Ok(Self::Mqtt {
                address: (!server.is_empty()).then(|| format!("{scheme}://{server}")),
                topic: topic.to_owned(),
            }),
        }
    }

    /// `SUBJECT`, `/SUBJECT` or `SERVER/SUBJECT`, with `?as=stream` for one that a stream has to take.
    fn nats(scheme: &str, text: &str) -> Result<Self, OutputError> {
        let (path, parameter) = text.split_once('?').unwrap_or((text, "as=subject"));
        let (server, subject) = path.rsplit_once('/').unwrap_or(("", path));
        let is_kept = match parameter {
            "as=subject" => false,
            "as=stream" => true,
            other => return Err(OutputError::Parameter(other.to_owned(), OF_NATS)),
        };
        match subject {
            "" => Err(OutputError::Empty),
            subject if !is_subject(subject) => Err(OutputError::Subject),
            subject => Ok(Self::Nats {
                address: (!server.is_empty()).then(|| format!("{scheme}://{server}")),
                subject: subject.to_owned(),
                is_kept,
            }),
        }
    }

    /// `CHANNEL` or `SERVER/CHANNEL`, with `?as=…` for a list or a stream.
    fn redis(scheme: &str, text: &str) -> Result<Self, OutputError> {
        let (path, parameter) = text.split_once('?').unwrap_or((text, "as=channel"));
        let (server, name) = match path.rsplit_once('/') {
            Some((server, name)) => (Some(server), name),
            None => (None, path),
        };
        if name.is_empty() || server == Some("") {
            return Err(OutputError::Empty);
        }
        let name = name.to_owned();
        let to = match parameter {
            "as=channel" => RedisPlace::Channel(name),
            "as=queue" => RedisPlace::Queue(name),
            "as=stream" => RedisPlace::Stream(name),
            other => return Err(OutputError::Parameter(other.to_owned(), OF_REDIS)),
        };
        Ok(Self::Redis { address: server.map(|server| format!("{scheme}://{server}")), to })
    }
}

impl fmt::Display for Output {
    /// Without what a URL may hold of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(id) => write!(f, "component {id}"),
            Self::Queue(name) => write!(f, "queue {name}"),
            Self::Redis { to, .. } => write!(f, "Redis {to}"),
            Self::Mqtt { topic, .. } => write!(f, "MQTT topic {topic}"),
            Self::Nats { subject, .. } => write!(f, "NATS subject {subject}"),
            Self::Websocket(topic) => write!(f, "websocket topic {topic}"),
            Self::Http(url) => {
                let end = url.find(['?', '#']).unwrap_or(url.len());
                let (scheme, rest) = url[..end].split_once("://").unwrap_or(("http", url));
                write!(f, "{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
            }
        }
    }
}

impl fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(name) => write!(f, "channel {name}"),
            Self::Queue(name) => write!(f, "queue {name}"),
            Self::Stream(name) => write!(f, "stream {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_names_a_place() {
        let redis =
            |address: Option<&str>, to| Output::Redis { address: address.map(str::to_owned), to };
        let nats = |address: Option<&str>, is_kept| {
            let (address, subject) = (address.map(str::to_owned), "a.b".to_owned());
            Output::Nats { address, subject, is_kept }
        };
        let name = || "a".to_owned();
        for (text, expected) in [
            ("component:a", Output::Component(ComponentId(name()))),
            ("queue:a", Output::Queue(name())),
            ("websocket:a b", Output::Websocket("a b".to_owned())),
            ("redis://a", redis(None, RedisPlace::Channel(name()))),
            ("redis://a?as=queue", redis(None, RedisPlace::Queue(name()))),
            ("redis://a?as=stream", redis(None, RedisPlace::Stream(name()))),
            ("rediss://h:1/2/a", redis(Some("rediss://h:1/2"), RedisPlace::Channel(name()))),
            ("mqtt:///a/b", Output::Mqtt { address: None, topic: "a/b".to_owned() }),
            (
                "mqtts://u@h:1/a/b",
                Output::Mqtt { address: Some("mqtts://u@h:1".to_owned()), topic: "a/b".to_owned() },
            ),
            ("nats://a.b", nats(None, false)),
            ("nats:///a.b?as=stream", nats(None, true)),
            ("tls://u:p@h:1/a.b", nats(Some("tls://u:p@h:1"), false)),
            ("https://h/a?b", Output::Http("https://h/a?b".to_owned())),
        ] {
            assert_eq!(Output::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_an_error() {
        for (text, expected) in [
            ("a", OutputError::Scheme),
            ("kafka://a", OutputError::Scheme),
            ("redis:a", OutputError::Scheme),
            ("websocket:a\nb", OutputError::Topic),
            ("queue:", OutputError::Empty),
            ("redis://h/", OutputError::Empty),
            ("mqtt://h", OutputError::Empty),
            ("mqtt://h/a/#", OutputError::Filter),
            ("redis://a?as=set", OutputError::Parameter("as=set".to_owned(), OF_REDIS)),
            ("nats://a?as=queue", OutputError::Parameter("as=queue".to_owned(), OF_NATS)),
            ("nats://h/", OutputError::Empty),
            ("nats://h/a.>", OutputError::Subject),
            ("nats:a", OutputError::Scheme),
        ] {
            assert_eq!(Output::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let shown = |text| Output::parse(text).unwrap().to_string();
        assert_eq!(shown("https://user:word@h/a?key=b"), "https://h/a");
        assert_eq!(shown("redis://user:word@h:1/a"), "Redis channel a");
    }
}
