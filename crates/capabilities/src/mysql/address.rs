//! Addresses of MySQL servers: `mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=…`. What names a
//! socket of this machine is refused; what tunes the pool of a library is the host's own to decide.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::Url;

use super::session::SCHEME;
use crate::rdbms::trust::Security;

/// The port where none is named.
const PORT: u16 = 3306;

/// Parameters of the library that Spin uses which change nothing here.
const IGNORED: &[&str] = &[
    "pool_min",
    "pool_max",
    "inactive_connection_ttl",
    "ttl_check_interval",
    "abs_conn_ttl",
    "abs_conn_ttl_jitter",
    "conn_ttl",
    "max_allowed_packet",
    "prefer_socket",
    "reset_connection",
    "secure_auth",
    "stmt_cache_size",
    "tcp_keepalive",
    "tcp_nodelay",
    "wait_timeout",
];

/// Why an address is none. Nothing here tells its password.
#[derive(Debug, Error)]
pub(crate) enum AddressError {
    #[error("the address is malformed: {0}")]
    Malformed(#[from] url::ParseError),
    #[error("the address does not begin with `mysql://`")]
    Scheme,
    #[error("the address names no host")]
    NoHost,
    #[error("a part of the address is no text")]
    NoText,
    #[error("the address has the unknown parameter `{0}`")]
    Unknown(String),
    #[error("`{1}` is no value of the address's parameter `{0}`")]
    Value(String, String),
}

/// An address, understood.
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: Option<String>,
    pub(super) security: Security,
    /// Whether rows that a statement found count as affected, changed or not.
    pub(super) found_rows: bool,
}

impl Address {
    pub(super) fn parse(address: &str) -> Result<Self, AddressError> {
        let url = Url::parse(address)?;
        if url.scheme() != SCHEME {
            return Err(AddressError::Scheme);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressError::NoHost)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let database = decoded(url.path().trim_start_matches('/'))?;
        let mut parsed = Self {
            host: bare.to_owned(),
            port: url.port().unwrap_or(PORT),
            user: decoded(url.username())?,
            password: decoded(url.password().unwrap_or_default())?,
            database: Some(database).filter(|database| !database.is_empty()),
            security: Security::Plain,
            found_rows: false,
        };
        for (key, value) in url.query_pairs() {
            parsed.parameter(&key, &value)?;
        }
        Ok(parsed)
    }

    fn parameter(&mut self, key: &str, value: &str) -> Result<(), AddressError> {
        let wrong = || AddressError::Value(key.to_owned(), value.to_owned());
        match key.to_ascii_lowercase().as_str() {
            "ssl-mode" | "sslmode" => {
                self.security = match value.to_ascii_lowercase().as_str() {
                    "disabled" => Security::Plain,
                    "preferred" => Security::IfOffered,
                    "required" | "verify_ca" | "verify_identity" => Security::Verified,
                    _ => return Err(wrong()),
                };
            }
            "require_ssl" => {
                if value.parse().map_err(|_| wrong())? {
                    self.security = Security::Verified;
                }
            }
            "client_found_rows" => self.found_rows = value.parse().map_err(|_| wrong())?,
            ignored if IGNORED.contains(&ignored) => {}
            _ => return Err(AddressError::Unknown(key.to_owned())),
        }
        Ok(())
    }
}

fn decoded(text: &str) -> Result<String, AddressError> {
    let decoded = percent_decode_str(text).decode_utf8().map(Cow::into_owned);
    // It would end the text in the middle on the wire.
    decoded.ok().filter(|text| !text.contains('\0')).ok_or(AddressError::NoText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> Address {
        Address::parse(address).unwrap_or_else(|error| panic!("`{address}`: {error}"))
    }

    #[test]
    fn parts() {
        let address = parse("mysql://us%40er:p%3Aw@db.example:3307/shop?pool_max=3");
        assert_eq!((address.host.as_str(), address.port), ("db.example", 3307));
        assert_eq!((address.user.as_str(), address.password.as_str()), ("us@er", "p:w"));
        assert_eq!((address.database.as_deref(), address.found_rows), (Some("shop"), false));
        let address = parse("mysql://root@[::1]");
        assert_eq!((address.host.as_str(), address.port), ("::1", 3306));
        assert_eq!((address.password.as_str(), address.database), ("", None));
        assert!(parse("mysql://h?client_found_rows=true").found_rows);
    }

    #[test]
    fn modes_of_security() {
        let security = |query: &str| parse(&format!("mysql://h/d?{query}")).security;
        assert_eq!(parse("mysql://h/d").security, Security::Plain);
        assert_eq!(security("ssl-mode=DISABLED"), Security::Plain);
        assert_eq!(security("sslMode=preferred"), Security::IfOffered);
        assert_eq!(security("require_ssl=true"), Security::Verified);
        for mode in ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"] {
            assert_eq!(security(&format!("SsL-MoDe={mode}")), Security::Verified);
        }
        assert!(Address::parse("mysql://h?ssl-mode=maybe").is_err());
    }

    #[test]
    fn what_is_not_to_be_is_refused() {
        for address in [
            "mysql:///d",
            "postgres://h/d",
            "host=h user=u",
            "",
            "mysql://h/d?socket=/tmp/mysql.sock",
            "mysql://h/d?verify_ca=false",
            "mysql://u%00@h/d",
            "mysql://u%ff@h/d",
        ] {
            assert!(Address::parse(address).is_err(), "{address}");
        }
        let error = Address::parse("mysql://u:secret@h:99999/d").err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
