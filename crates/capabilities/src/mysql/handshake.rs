//! How a session begins: the server's greeting, TLS, who the client is.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use super::address::Address;
use super::result::{self, Answer};
use super::secret;
use super::wire::{Reader, Wire, malformed};
use crate::rdbms::trust::Security;

// What a client and a server can do. Reading files of the client (`LOCAL_FILES`) and several
// statements in one are not among it.
const LONG_PASSWORD: u32 = 1;
const FOUND_ROWS: u32 = 1 << 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const MULTI_RESULTS: u32 = 1 << 17;
const PS_MULTI_RESULTS: u32 = 1 << 18;
const PLUGIN_AUTH: u32 = 1 << 19;
pub(super) const DEPRECATE_EOF: u32 = 1 << 24;

/// What is asked of every server.
const NEEDED: u32 = PROTOCOL_41 | SECURE_CONNECTION;

/// The text in UTF-8 with all its characters (`utf8mb4_general_ci`).
const COLLATION: u8 = 45;

/// The most that a packet of the client has.
const PACKET: u32 = 1 << 30;

/// Begins what a server wants to say of how the client proves who it is.
const MORE: u8 = 0x01;

/// How often a server may change its mind about how the client proves who it is.
const SWITCHES: usize = 2;

const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";

/// What a server says first.
struct Greeting {
    connection: u32,
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: String,
}

/// What was agreed.
pub(super) struct Agreed {
    /// The session's number at the server.
    pub(super) connection: u32,
    pub(super) capabilities: u32,
    nonce: Vec<u8>,
    plugin: &'static str,
}

/// Why a session did not begin.
pub(super) enum Refusal {
    /// The server says so, in its words.
    Server(String),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Begins a session over a connection that was just opened.
pub(super) async fn begin(
    mut wire: Wire,
    address: &Address,
    client: Option<Arc<ClientConfig>>,
    most: usize,
) -> Result<(Wire, Agreed), Refusal> {
    let greeting = match result::answer(&wire.read().await?) {
        Answer::Error(error) => return Err(Refusal::Server(error)),
        Answer::Other(packet) => greeting(packet)?,
        _ => return Err(malformed("it does not greet").into()),
    };
    if greeting.capabilities & NEEDED != NEEDED {
        return Err(malformed("its protocol is too old").into());
    }
    let mut wanted = LONG_PASSWORD
        | LONG_FLAG
        | TRANSACTIONS
        | MULTI_RESULTS
        | PS_MULTI_RESULTS
        | PLUGIN_AUTH
        | DEPRECATE_EOF;
    if address.database.is_some() {
        wanted |= CONNECT_WITH_DB;
    }
    if address.found_rows {
        wanted |= FOUND_ROWS;
    }
    let mut capabilities = greeting.capabilities & wanted | NEEDED;
    if let Some(client) = client {
        if greeting.capabilities & SSL != 0 {
            capabilities |= SSL;
            wire = secured(wire, capabilities, address, client, most).await?;
        } else if address.security == Security::Verified {
            return Err(io::Error::other("the server does not support TLS").into());
        }
    }
    // Another one, the server will ask for.
    let plugin = if greeting.plugin == SHA2 { SHA2 } else { NATIVE };
    let mut packet = header(capabilities);
    put_ended(&mut packet, &address.user);
    let proof = proof(plugin, &greeting.nonce, &address.password);
    packet.push(proof.len() as u8);
    packet.extend_from_slice(&proof);
    if let Some(database) = &address.database {
        put_ended(&mut packet, database);
    }
    if capabilities & PLUGIN_AUTH != 0 {
        put_ended(&mut packet, plugin);
    }
    wire.write(&packet).await?;
    let Greeting { connection, nonce, .. } = greeting;
    prove(&mut wire, plugin, &nonce, &address.password).await?;
    Ok((wire, Agreed { connection, capabilities, nonce, plugin }))
}

/// Makes a session as good as new: as if the client came for the first time, with nothing of what
/// it did before.
pub(super) async fn renew(
    wire: &mut Wire,
    address: &Address,
    agreed: &Agreed,
) -> Result<(), Refusal> {
    const CHANGE_USER: u8 = 0x11;
    let mut packet = vec![CHANGE_USER];
    put_ended(&mut packet, &address.user);
    let proof = proof(agreed.plugin, &agreed.nonce, &address.password);
    packet.push(proof.len() as u8);
    packet.extend_from_slice(&proof);
    put_ended(&mut packet, address.database.as_deref().unwrap_or_default());
    packet.extend_from_slice(&u16::from(COLLATION).to_le_bytes());
    if agreed.capabilities & PLUGIN_AUTH != 0 {
        put_ended(&mut packet, agreed.plugin);
    }
    wire.command(&packet).await?;
    prove(wire, agreed.plugin, &agreed.nonce, &address.password).await
}

fn greeting(packet: &[u8]) -> io::Result<Greeting> {
    let mut reader = Reader(packet);
    if reader.u8()? != 10 {
        return Err(malformed("its protocol is another one"));
    }
    reader.ended();
    let connection = reader.u32()?;
    let mut nonce = reader.take(8)?.to_vec();
    reader.take(1)?;
    let lower = reader.u16()?;
    reader.take(3)?;
    let upper = reader.u16()?;
    let length = usize::from(reader.u8()?);
    reader.take(10)?;
    let capabilities = u32::from(upper) << 16 | u32::from(lower);
    nonce.extend_from_slice(reader.take(length.saturating_sub(8).max(13))?);
    // A zero ends it, which is no part of it.
    nonce.truncate(20);
    let plugin = String::from_utf8_lossy(reader.ended()).into_owned();
    Ok(Greeting { connection, capabilities, nonce, plugin })
}

/// Reads a server's first packet.
#[cfg(fuzzing)]
pub(super) fn fuzz(packet: &[u8]) {
    let _ = greeting(packet).map(|greeting| known(greeting.plugin.as_bytes()).is_ok());
}

/// What a client says of itself, with TLS in the clear before and again after.
fn header(capabilities: u32) -> Vec<u8> {
    let mut packet = capabilities.to_le_bytes().to_vec();
    packet.extend_from_slice(&PACKET.to_le_bytes());
    packet.push(COLLATION);
    packet.extend_from_slice(&[0; 23]);
    packet
}

async fn secured(
    mut wire: Wire,
    capabilities: u32,
    address: &Address,
    client: Arc<ClientConfig>,
    most: usize,
) -> io::Result<Wire> {
    wire.write(&header(capabilities)).await?;
    let (stream, sequence) = wire.into_parts()?;
    let Either::Left(connection) = stream else { return Err(malformed("TLS twice")) };
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(client).connect(name, connection).await?;
    Ok(Wire::resumed(Either::Right(Box::new(stream)), sequence, most))
}

fn put_ended(packet: &mut Vec<u8>, text: &str) {
    packet.extend_from_slice(text.as_bytes());
    packet.push(0);
}

/// What proves that the client knows the password, without telling it.
fn proof(plugin: &str, nonce: &[u8], password: &str) -> Vec<u8> {
    let password = password.as_bytes();
    if plugin == SHA2 { secret::sha2(nonce, password) } else { secret::native(nonce, password) }
}

/// Goes on until the server is satisfied.
async fn prove(
    wire: &mut Wire,
    plugin: &'static str,
    nonce: &[u8],
    password: &str,
) -> Result<(), Refusal> {
    const KNOWN: u8 = 0x03;
    const TELL: u8 = 0x04;
    let (mut plugin, mut nonce) = (plugin, nonce.to_vec());
    let mut switches = 0;
    loop {
        let packet = wire.read().await?;
        match result::answer(&packet) {
            Answer::Ok(_) => return Ok(()),
            Answer::Error(error) => return Err(Refusal::Server(error)),
            Answer::End(packet) if switches < SWITCHES => {
                switches += 1;
                let mut reader = Reader(packet.get(1..).unwrap_or_default());
                plugin = known(reader.ended())?;
                nonce = reader.ended().to_vec();
                wire.write(&self::proof(plugin, &nonce, password)).await?;
            }
            Answer::Other([MORE, KNOWN]) if plugin == SHA2 => {}
            Answer::Other([MORE, TELL]) if plugin == SHA2 => tell(wire, &nonce, password).await?,
            _ => return Err(malformed("it does not say whether it lets the client in").into()),
        }
    }
}

fn known(plugin: &[u8]) -> Result<&'static str, Refusal> {
    let found = [NATIVE, SHA2].into_iter().find(|known| known.as_bytes() == plugin);
    found.ok_or_else(|| {
        let plugin: String = String::from_utf8_lossy(plugin).chars().take(64).collect();
        let text = format!("the server asks for the authentication plugin `{plugin}`");
        Refusal::Io(io::Error::other(format!("{text}, which is not supported")))
    })
}

/// Tells the server the password, which it does not remember: over TLS as it is, else so that only
/// who has the private key to the public one that it sends can read it.
async fn tell(wire: &mut Wire, nonce: &[u8], password: &str) -> Result<(), Refusal> {
    const ASK: u8 = 0x02;
    if wire.is_secure() {
        return Ok(wire.write(&[password.as_bytes(), &[0]].concat()).await?);
    }
    wire.write(&[ASK]).await?;
    let packet = wire.read().await?;
    let [MORE, key @ ..] = packet.as_slice() else {
        return Err(malformed("it sends no public key").into());
    };
    let (key, nonce, password) = (key.to_vec(), nonce.to_vec(), password.to_owned());
    let computing =
        tokio::task::spawn_blocking(move || secret::encrypted(&key, &nonce, password.as_bytes()));
    let encrypted = computing.await.map_err(io::Error::other)??;
    Ok(wire.write(&encrypted).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_however_short() {
        let mut packet = vec![10];
        packet.extend_from_slice(b"8.0.0\0");
        packet.extend_from_slice(&7_u32.to_le_bytes());
        packet.extend_from_slice(b"12345678\0");
        packet.extend_from_slice(&[0xFF, 0xFF, 45, 2, 0, 0xFF, 0xC1, 21]);
        packet.extend_from_slice(&[0; 10]);
        packet.extend_from_slice(b"901234567890\0");
        packet.extend_from_slice(b"caching_sha2_password\0");
        let greeting = super::greeting(&packet).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((greeting.connection, greeting.plugin.as_str()), (7, SHA2));
        assert_eq!(greeting.nonce, b"12345678901234567890");
        assert_eq!(greeting.capabilities, 0xC1FF_FFFF);
        for end in 0..packet.len() - 22 {
            assert!(super::greeting(&packet[..end]).is_err(), "{end}");
        }
        let mut odd = packet.clone();
        for length in [0, 8, 0x80, 0xFF] {
            odd[27] = length;
            let _ = super::greeting(&odd);
        }
    }

    #[test]
    fn passwords_are_told_to_nobody_in_the_clear() {
        assert!(known(b"mysql_clear_password").is_err());
        assert!(known(b"mysql_old_password").is_err() && known(b"").is_err());
        assert!(known(b"caching_sha2_password").is_ok_and(|plugin| plugin == SHA2));
    }
}
