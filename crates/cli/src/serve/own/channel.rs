//! What the node, the supervisor and a tenant's process say to one another: messages over a socket that is
//! the process's standard input. The node and the supervisor have the other end, each a copy. A connection
//! comes with some of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dayfly_host::{Client, Connection, LocalAddr, Peer, Reach, Scheme};
use dayfly_model::platform::Generation;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

/// The longest message: names of hosts and of sockets are shorter.
const MOST_BYTES: usize = 4096;

/// One end of a channel.
pub(super) struct Channel(OwnedFd);

/// A message, and the connection that comes with it.
pub(super) type Received = (Message, Option<UnixStream>);

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// By the node: a client asks for an app of the tenant, by this connection.
    Client(Caller),
    /// By the node: everything up to this generation is led here.
    Seen(Generation),
    /// By the node: what was counted is to be told by this connection.
    Measure,
    /// By the supervisor: events are taken in from now on.
    Begin,
    /// By the supervisor: another process has taken over, finish what runs, and end.
    Leave,
    /// By the process: it asks for something by this connection.
    Ask,
}

/// Who is at the other end of a client's connection.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Caller {
    /// Nothing, if it came by a Unix socket.
    peer: Option<SocketAddr>,
    local: Local,
    is_secure: bool,
    named: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Local {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Channel {
    /// A channel: the end of the node and the supervisor, and that of the process.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (own, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Self(own), theirs))
    }

    /// The one that this process was started with.
    pub(super) fn of_input() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// The one that was given.
    pub(super) const fn of(given: OwnedFd) -> Self {
        Self(given)
    }

    pub(super) fn copy(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Says something. It does not wait: whoever does not listen is as good as gone.
    pub(super) fn send(&self, message: &Message, with: Option<&UnixStream>) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let with = with.map(|stream| [stream.as_fd()]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut buffer = SendAncillaryBuffer::new(&mut space);
        if let Some(with) = &with {
            buffer.push(SendAncillaryMessage::ScmRights(with));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[IoSlice::new(&text)], &mut buffer, flags)?;
        Ok(())
    }

    /// Waits for the next message; nothing, if there is nobody any more who could send one.
    pub(super) fn receive(&self) -> io::Result<Option<Received>> {
        let mut bytes = [0; MOST_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut buffer = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            let space = &mut [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, space, &mut buffer, flags) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut with = None;
        for message in buffer.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                with = sockets.map(UnixStream::from).last();
            }
        }
        let message = serde_json::from_slice(&bytes[..received.bytes]);
        let odd = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        Ok(Some((message.map_err(odd)?, with)))
    }
}

/// How a node sends clients to a tenant's process.
pub(super) struct Sending(pub(super) Arc<Channel>);

impl Reach for Sending {
    fn connect(&self, client: &Connection) -> io::Result<UnixStream> {
        let (own, theirs) = UnixStream::pair()?;
        self.0.send(&Message::Client(Caller::of(client)), Some(&theirs))?;
        Ok(own)
    }
}

impl Caller {
    /// The supervisor, which asks whether the process answers.
    pub(super) fn keeper() -> Self {
        let local = Local::Unix(PathBuf::from("keeper"));
        Self { peer: None, local, is_secure: false, named: None }
    }

    fn of(connection: &Connection) -> Self {
        Self {
            peer: connection.peer.tcp(),
            local: match &connection.local {
                LocalAddr::Tcp(address) => Local::Tcp(*address),
                LocalAddr::Unix(path) => Local::Unix(path.to_path_buf()),
            },
            is_secure: connection.scheme == Scheme::Https,
            named: connection.server_name.as_deref().map(str::to_owned),
        }
    }
}

impl From<Caller> for Client {
    fn from(caller: Caller) -> Self {
        Self {
            peer: caller.peer.map_or(Peer::Unix, Peer::Tcp),
            local: match caller.local {
                Local::Tcp(address) => LocalAddr::Tcp(address),
                Local::Unix(path) => LocalAddr::Unix(Arc::<Path>::from(path)),
            },
            scheme: if caller.is_secure { Scheme::Https } else { Scheme::Http },
            named: caller.named.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn what_is_said_comes_in_its_order_and_connections_with_it() {
        let (node, process) = Channel::new().unwrap();
        let (supervisor, process) = (Channel::of(node.copy().unwrap()), Channel::of(process));
        let (mut own, theirs) = UnixStream::pair().unwrap();
        let peer = Some("192.0.2.1:80".parse().unwrap());
        let local = Local::Unix("/run/dayfly".into());
        let caller = Caller { peer, local, is_secure: true, named: Some("a.example".to_owned()) };
        node.send(&Message::Client(caller), Some(&theirs)).unwrap();
        drop(theirs);
        supervisor.send(&Message::Leave, None).unwrap();
        let Some((Message::Client(caller), Some(mut stream))) = process.receive().unwrap() else {
            panic!("another message");
        };
        let client = Client::from(caller);
        assert_eq!(client.peer.tcp(), peer);
        assert_eq!((client.scheme, client.named.as_deref()), (Scheme::Https, Some("a.example")));
        stream.write_all(b"word").unwrap();
        drop(stream);
        let mut heard = String::new();
        own.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "word");
        assert!(matches!(process.receive().unwrap(), Some((Message::Leave, None))));
        // Whoever is left can still speak.
        drop(node);
        supervisor.send(&Message::Begin, None).unwrap();
        assert!(matches!(process.receive().unwrap(), Some((Message::Begin, None))));
        drop(supervisor);
        assert!(process.receive().unwrap().is_none());
    }

    #[test]
    fn nobody_waits_for_who_does_not_listen() {
        let (node, process) = Channel::new().unwrap();
        let full = (0..100_000).find_map(|_| node.send(&Message::Begin, None).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(process);
        let gone = node.send(&Message::Begin, None).unwrap_err().kind();
        assert!(matches!(gone, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
    }
}
