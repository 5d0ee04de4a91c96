//! Addresses of Redis servers: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, and `rediss://` for TLS.

use std::fmt;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::endpoint::Endpoint;

/// The text is no address of a Redis server.
#[derive(Debug, Clone, Error)]
#[error("not an address of the form `redis://USER:PASSWORD@HOST:PORT/DATABASE`")]
pub(crate) struct InvalidAddress;

/// A server and how to log in to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(super) secure: bool,
    /// A name or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) database: u32,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let Endpoint { url, host, secure, port } =
            Endpoint::parse(text, ["redis", "rediss"]).ok_or(InvalidAddress)?;
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| InvalidAddress)?,
        };
        Ok(Self {
            secure,
            host,
            port: port.unwrap_or(6379),
            username: decoded(url.username())?,
            password: decoded(url.password().unwrap_or_default())?,
            database,
        })
    }

    /// The scheme that a grant has to name.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "rediss" } else { "redis" }
    }

    /// The server without how to log in to it.
    pub(crate) fn origin(&self) -> String {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{}://{}{}{}:{}", self.scheme(), brackets.0, self.host, brackets.1, self.port)
    }
}

fn decoded(text: &str) -> Result<String, InvalidAddress> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| InvalidAddress)?;
    Ok(text.into_owned())
}

/// Without the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_defaults() {
        let address = Address::parse("redis://cache.example").unwrap();
        assert_eq!((address.port, address.database, address.secure), (6379, 0, false));
        assert_eq!((address.username.as_str(), address.password.as_str()), ("", ""));
        assert_eq!(address.origin(), "redis://cache.example:6379");
    }

    #[test]
    fn an_address_names_user_password_and_database() {
        let address = Address::parse("rediss://me:a%3Ab@[::1]:7000/3").unwrap();
        assert_eq!((address.port, address.database, address.secure), (7000, 3, true));
        assert_eq!((address.username.as_str(), address.password.as_str()), ("me", "a:b"));
        assert_eq!((address.host.as_str(), address.scheme()), ("::1", "rediss"));
        assert_eq!(format!("{address:?}"), "rediss://[::1]:7000");
        assert_eq!(Address::parse("redis://CACHE:1/").unwrap().host, "cache");
        assert_eq!(Address::parse("redis://0x7f.1").unwrap().host, "127.0.0.1");
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for text in [
            "",
            "redis",
            "http://host",
            "redis://",
            "redis:///3",
            "redis://host/x",
            "redis://host/-1",
            "redis://host?protocol=resp3",
            "rediss://host/#insecure",
            "redis+unix:///run/redis.sock",
            "redis://host:70000",
            "redis://a b",
            "redis://%ff@host",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert!(Address::parse(&format!("redis://{}", "a".repeat(2048))).is_err());
    }
}
