//! Addresses of PostgreSQL servers: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`, or
//! `key=value` pairs as libpq has them. What names files, sockets of this machine or the user that
//! this process runs as is refused.

use std::time::Duration;

use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs};

use crate::rdbms::trust::Security;

/// The port where none is named.
const PORT: u16 = 5432;

/// How long a connection may take to be ready.
const CONNECT: Duration = Duration::from_secs(10);

/// How many hosts one address may name.
const HOSTS: usize = 8;

/// Why an address is none.
#[derive(Debug, Error)]
pub(crate) enum AddressError {
    /// It is malformed. The cause says no more than which part of it.
    #[error("the address is malformed: {0}")]
    Malformed(String),
    #[error("the address names no host")]
    NoHost,
    #[error("the address names more than {HOSTS} hosts")]
    Hosts,
    #[error("the address names no user")]
    NoUser,
    #[error("the address names a Unix socket")]
    Socket,
    #[error("the address names other numbers of hosts, addresses and ports")]
    Numbers,
    #[error("`sslnegotiation=direct` needs an `sslmode` of `require` or stricter")]
    Direct,
}

/// An address, understood.
pub(crate) struct Address {
    /// What the server is told.
    pub(crate) config: Config,
    pub(crate) targets: Vec<Target>,
    pub(crate) security: Security,
    /// Whether TLS begins without PostgreSQL's request for it.
    pub(crate) direct: bool,
    pub(crate) timeout: Duration,
    /// Whether only a server that can, or cannot, be written to will do.
    pub(crate) writable: Option<bool>,
}

/// One of the places where the server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// What is connected to, a name or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whom the server's certificate has to name.
    pub(crate) name: String,
}

impl Address {
    /// Understands an address. With an authority that the guest brought, only a verified server
    /// will do, unless the address says that there is to be no TLS.
    pub(crate) fn parse(address: &str, has_authority: bool) -> Result<Self, AddressError> {
        let (address, strict) = without_strict_modes(address)?;
        let mut config: Config = address.parse().map_err(malformed)?;
        let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
        let security = match config.get_ssl_mode() {
            SslMode::Disable => Security::Plain,
            SslMode::Prefer if !strict && !has_authority => Security::IfOffered,
            _ => Security::Verified,
        };
        if direct && security != Security::Verified {
            return Err(AddressError::Direct);
        }
        if config.get_user().is_none_or(str::is_empty) {
            // It would be told the name of the user that this process runs as.
            return Err(AddressError::NoUser);
        }
        let targets = targets(&config)?;
        let timeout = config.get_connect_timeout().map_or(CONNECT, |&timeout| timeout.min(CONNECT));
        let writable = match config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => Some(true),
            TargetSessionAttrs::ReadOnly => Some(false),
            _ => None,
        };
        // The connector does the negotiation, whatever it is.
        config.ssl_mode(SslMode::Require);
        config.ssl_negotiation(SslNegotiation::Direct);
        if config.get_application_name().is_none() {
            config.application_name("dayfly");
        }
        Ok(Self { config, targets, security, direct, timeout, writable })
    }
}

fn malformed(error: tokio_postgres::Error) -> AddressError {
    use std::error::Error as _;
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    AddressError::Malformed(cause)
}

fn targets(config: &Config) -> Result<Vec<Target>, AddressError> {
    let mut names = Vec::new();
    for host in config.get_hosts() {
        match host {
            Host::Tcp(name) if name.is_empty() => return Err(AddressError::NoHost),
            // What libpq takes for a folder or an abstract name.
            Host::Tcp(name) if name.starts_with(['/', '@']) => return Err(AddressError::Socket),
            Host::Tcp(name) => names.push(name.clone()),
            Host::Unix(_) => return Err(AddressError::Socket),
        }
    }
    let addresses: Vec<String> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    let hosts = if addresses.is_empty() { &names } else { &addresses };
    let names = if names.is_empty() { &addresses } else { &names };
    let ports = config.get_ports();
    if hosts.is_empty() {
        return Err(AddressError::NoHost);
    }
    if hosts.len() > HOSTS {
        return Err(AddressError::Hosts);
    }
    if names.len() != hosts.len() || (ports.len() > 1 && ports.len() != hosts.len()) {
        return Err(AddressError::Numbers);
    }
    let port = |index| ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
    let mut targets: Vec<Target> = hosts
        .iter()
        .zip(names)
        .enumerate()
        .map(|(index, (host, name))| Target {
            host: host.clone(),
            port: port(index),
            name: name.clone(),
        })
        .collect();
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let first = now.subsec_nanos() as usize % targets.len();
        targets.rotate_left(first);
    }
    Ok(targets)
}

/// The address with `sslmode=require` in place of the stricter modes, which the library does not
/// know, and whether there was one.
fn without_strict_modes(address: &str) -> Result<(String, bool), AddressError> {
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme));
    if is_url { Ok(in_url(address)) } else { in_pairs(address) }
}

fn is_strict(mode: &str) -> bool {
    matches!(mode, "verify-ca" | "verify-full")
}

fn in_url(address: &str) -> (String, bool) {
    // As the library divides it: a password may hold a question mark.
    let host = address.find('@').map_or(0, |at| at + 1);
    let Some(query) = address[host..].find('?').map(|at| host + at + 1) else {
        return (address.to_owned(), false);
    };
    let mut strict = false;
    let pairs: Vec<&str> = address[query..]
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some(("sslmode", mode)) if is_strict(mode) => {
                strict = true;
                "sslmode=require"
            }
            _ => pair,
        })
        .collect();
    (format!("{}{}", &address[..query], pairs.join("&")), strict)
}

fn in_pairs(address: &str) -> Result<(String, bool), AddressError> {
    let mut strict = false;
    let mut text = String::new();
    let mut rest = address.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once('=')
            .ok_or_else(|| AddressError::Malformed("a key has no value".to_owned()))?;
        let (mut value, after) = value(after.trim_start())?;
        let key = key.trim_end();
        if key == "sslmode" && is_strict(&value) {
            strict = true;
            value = "require".to_owned();
        }
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        text.push_str(&format!("{key}='{quoted}' "));
        rest = after.trim_start();
    }
    Ok((text, strict))
}

/// A value as libpq writes it, with or without quotes, and what stands behind it.
fn value(text: &str) -> Result<(String, &str), AddressError> {
    let unterminated = || AddressError::Malformed("a value does not end".to_owned());
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next().ok_or_else(unterminated)?.1),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            other if !quoted && other.is_whitespace() => return Ok((value, &text[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err(unterminated()) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> Address {
        Address::parse(address, false).unwrap_or_else(|error| panic!("`{address}`: {error}"))
    }

    fn refused(address: &str) -> AddressError {
        Address::parse(address, false).err().unwrap_or_else(|| panic!("`{address}` is taken"))
    }

    fn places(address: &str) -> Vec<String> {
        let targets = parse(address).targets;
        targets.iter().map(|target| format!("{}:{}", target.host, target.port)).collect()
    }

    #[test]
    fn urls_and_pairs_name_the_same() {
        for address in [
            "postgres://u:p@db.example:6000/d",
            "postgresql://u:p@db.example:6000/d",
            "host=db.example port=6000 user=u password=p dbname=d",
            "host = 'db.example' port=6000 user = u password='p' dbname=d",
        ] {
            let parsed = parse(address);
            assert_eq!(places(address), ["db.example:6000"]);
            assert_eq!(parsed.config.get_user(), Some("u"));
            assert_eq!(parsed.config.get_password(), Some(&b"p"[..]));
            assert_eq!(parsed.config.get_dbname(), Some("d"));
        }
        assert_eq!(places("postgres://u@db.example"), ["db.example:5432"]);
        assert_eq!(places("postgres://u@[::1]:7/d"), ["::1:7"]);
    }

    #[test]
    fn several_hosts_keep_their_ports() {
        assert_eq!(places("postgres://u@a:1,b:2/d"), ["a:1", "b:2"]);
        assert_eq!(places("host=a,b port=1,2 user=u"), ["a:1", "b:2"]);
        assert_eq!(places("host=a,b port=9 user=u"), ["a:9", "b:9"]);
        assert!(matches!(refused("host=a,b,c port=1,2 user=u"), AddressError::Numbers));
        let many = format!("host={} user=u", ["a"; HOSTS + 1].join(","));
        assert!(matches!(refused(&many), AddressError::Hosts));
    }

    #[test]
    fn an_address_of_a_host_is_what_is_connected_to() {
        let parsed = parse("host=db.example hostaddr=10.0.0.7 user=u");
        let name = "db.example".to_owned();
        assert_eq!(parsed.targets, [Target { host: "10.0.0.7".to_owned(), port: 5432, name }]);
        assert!(matches!(refused("host=a,b hostaddr=10.0.0.7 user=u"), AddressError::Numbers));
    }

    #[test]
    fn what_is_on_this_machine_is_refused() {
        for socket in [
            "host=/var/run/postgresql user=u",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
            "postgres://u@/d?host=/var/run/postgresql",
            "host=db.example,/tmp user=u",
            "host=@abstract user=u",
        ] {
            assert!(matches!(refused(socket), AddressError::Socket), "{socket}");
        }
        for nowhere in ["user=u", "postgres:///d?user=u", "postgres://u@/d", "host='' user=u"] {
            assert!(matches!(refused(nowhere), AddressError::NoHost), "{nowhere}");
        }
        assert!(matches!(refused("postgres://db.example/d"), AddressError::NoUser));
        for file in ["passfile=/etc/passwd", "service=x", "sslrootcert=/x", "sslkey=/x"] {
            let address = format!("host=db.example user=u {file}");
            assert!(matches!(refused(&address), AddressError::Malformed(_)), "{file}");
        }
    }

    #[test]
    fn modes_of_security() {
        let security = |mode: &str| {
            let url = parse(&format!("postgres://u:p?w@h/d?sslmode={mode}&connect_timeout=3"));
            let pairs = parse(&format!("user=u host=h sslmode = {mode} connect_timeout=3"));
            assert_eq!(url.security, pairs.security, "{mode}");
            assert_eq!((url.timeout, pairs.timeout), (Duration::from_secs(3), url.timeout));
            url.security
        };
        assert_eq!(security("disable"), Security::Plain);
        assert_eq!(security("prefer"), Security::IfOffered);
        for mode in ["require", "verify-ca", "verify-full"] {
            assert_eq!(security(mode), Security::Verified);
        }
        assert_eq!(parse("postgres://u@h").security, Security::IfOffered);
        assert_eq!(Address::parse("postgres://u@h", true).unwrap().security, Security::Verified);
        assert!(matches!(refused("postgres://u@h?sslmode=allow"), AddressError::Malformed(_)));
        assert!(matches!(refused("user=u host=h sslnegotiation=direct"), AddressError::Direct));
    }

    #[test]
    fn values_in_quotes_stay_as_they_are() {
        let parsed = parse(r"user=u host=h password='a sslmode=verify-full \' \\ b'");
        assert_eq!(parsed.config.get_password(), Some(&br"a sslmode=verify-full ' \ b"[..]));
        assert_eq!(parsed.security, Security::IfOffered);
        for bad in ["user", "user='u", "host=h user=u x"] {
            assert!(matches!(refused(bad), AddressError::Malformed(_)), "{bad}");
        }
    }

    #[test]
    fn errors_do_not_tell_the_password() {
        for address in ["postgres://u:secret@h:notaport/d", "host=h password=secret nothing=1"] {
            assert!(!refused(address).to_string().contains("secret"), "{address}");
        }
    }
}
