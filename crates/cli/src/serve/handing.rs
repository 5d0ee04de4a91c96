//! Listening sockets on their way from the supervisor to the processes that serve, and the words that it
//! says to them: both by a Unix socket that is a process's standard input. Each message has a word of 32
//! bytes; sockets come with it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use dayfly_host::Shutdown;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// How long a word is, with the number behind it.
const LENGTH: usize = 32;

/// How many sockets one message has at most; the kernel takes 253.
pub(super) const MOST: usize = 250;

/// What the sockets of the admin API are called.
pub(super) const ADMIN: &str = "admin";

/// All sockets were sent.
const END: &str = "end";

/// Events are taken in from now on: nobody else does.
const BEGIN: &str = "begin";

/// Another process has taken over: finish what runs, and end.
const LEAVE: &str = "leave";

/// What a process says when it takes no more events.
pub(super) const LEFT: &str = "left";

/// What a node says when no request runs any more, and it waits for tenants' processes to end.
pub(super) const DRAINED: &str = "drained";

/// Sockets of one kind.
pub(super) type Handed = (String, Vec<OwnedFd>);

/// The supervisor's end.
pub(super) struct Giver(UnixStream);

impl Giver {
    /// One, and what is to be the other process's standard input.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (own, theirs) = UnixStream::pair()?;
        Ok((Self(own), theirs.into()))
    }

    /// Sends all sockets that there are.
    pub(super) fn give(&self, all: &[Handed]) -> io::Result<()> {
        for (name, sockets) in all {
            let sockets: Vec<_> = sockets.iter().map(OwnedFd::as_fd).collect();
            self.tell(name, &sockets)?;
        }
        self.say(END)
    }

    /// Lets the process take events in.
    pub(super) fn begin(&self) -> io::Result<()> {
        self.say(BEGIN)
    }

    /// Tells the process that another one has taken over.
    pub(super) fn leave(&self) -> io::Result<()> {
        self.say(LEAVE)
    }

    /// Says a word, and gives what belongs to it.
    pub(super) fn tell(&self, name: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut buffer = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !buffer.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many sockets at one address"));
        }
        let word = word(name);
        sendmsg(&self.0, &[IoSlice::new(&word)], &mut buffer, SendFlags::NOSIGNAL).map(drop)?;
        Ok(())
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.tell(text, &[])
    }
}

/// The sockets that the supervisor gives to this process.
///
/// # Errors
/// If standard input is nothing that a supervisor has made.
pub(crate) fn take() -> Result<Vec<Handed>> {
    let mut all = Vec::new();
    loop {
        let received = receive().context("failed to take sockets over from the supervisor")?;
        match received {
            Some((name, _)) if name == END => return Ok(all),
            Some(handed) => all.push(handed),
            None => return Err(anyhow!("the supervisor has ended")),
        }
    }
}

/// Whether events are taken in yet.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(super) fn open(&self) {
        self.0.store(true, Relaxed);
    }
}

/// Obeys the supervisor's words from now on, on a thread of its own, which lasts as long as the process.
/// Others than those that every node obeys are for `other`.
pub(super) fn obey(
    shutdown: Shutdown,
    other: impl Fn(Handed) + Send + 'static,
) -> io::Result<Gate> {
    let gate = Gate::default();
    let opened = gate.clone();
    let listen = move || {
        while let Ok(Some(handed)) = receive() {
            match &*handed.0 {
                BEGIN => opened.open(),
                LEAVE => shutdown.leave(),
                _ => other(handed),
            }
        }
    };
    thread::Builder::new().name("words".to_owned()).spawn(listen)?;
    Ok(gate)
}

/// The next message; nothing if there is none any more.
fn receive() -> io::Result<Option<Handed>> {
    let mut bytes = [0; LENGTH];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let input = io::stdin();
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let received = recvmsg(input.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut buffer, flags)?;
    match received.bytes {
        0 => return Ok(None),
        LENGTH => {}
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("this process may not open enough files for its sockets"));
    }
    let mut sockets = Vec::new();
    for message in buffer.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    let name = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    Ok(Some((name, sockets)))
}

/// A word with blanks behind it.
fn word(text: &str) -> [u8; LENGTH] {
    let mut word = [b' '; LENGTH];
    for (to, from) in word.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    word
}
