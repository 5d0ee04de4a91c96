//! Listening sockets on their way from the supervisor to the processes that serve, and the words that it
//! says to them: both by a Unix socket that is a process's standard input. Each message has a word of 32
//! bytes; sockets come with it. The supervisor waits for nobody to listen.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use dayfly_host::Shutdown;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

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

/// How many words wait for a process that does not listen; with one more it is given up.
const WAITING: usize = 1024;

/// The supervisor's end.
pub(super) struct Giver {
    words: mpsc::Sender<Said>,
    /// Told when the process is given up.
    unheard: Notify,
}

/// A word on its way, and what belongs to it.
struct Said {
    word: [u8; LENGTH],
    sockets: Vec<OwnedFd>,
}

impl Giver {
    /// One, and what is to be the other process's standard input. To be called where tasks run: one brings
    /// the words to the process, as it listens.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (own, theirs) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let own = UnixStream::from_std(own)?;
        let (words, said) = mpsc::channel(WAITING);
        tokio::spawn(bring(own, said));
        Ok((Self { words, unheard: Notify::new() }, theirs.into()))
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

    /// Says a word, and gives what belongs to it. Whoever says one waits for nobody to hear it.
    pub(super) fn tell(&self, name: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        if sockets.len() > MOST {
            return Err(io::Error::other("too many sockets at one address"));
        }
        let sockets = sockets.iter().map(BorrowedFd::try_clone_to_owned);
        let said = Said { word: word(name), sockets: sockets.collect::<io::Result<_>>()? };
        self.words.try_send(said).map_err(|failed| match failed {
            mpsc::error::TrySendError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
            mpsc::error::TrySendError::Full(_) => {
                self.unheard.notify_one();
                io::ErrorKind::WouldBlock.into()
            }
        })
    }

    /// Waits until the process has not listened to so many words that it is given up.
    pub(super) async fn unheard(&self) {
        self.unheard.notified().await;
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.tell(text, &[])
    }
}

/// Brings words to a process in their order, until it has ended or nobody says anything to it any more.
async fn bring(process: UnixStream, mut words: mpsc::Receiver<Said>) {
    while let Some(said) = words.recv().await {
        if let Err(error) = process.async_io(Interest::WRITABLE, || said.send(&process)).await {
            // Those that wait, and those that come, are for nobody.
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(%error, "a process of the platform cannot be told anything");
            }
            return;
        }
    }
}

impl Said {
    fn send(&self, process: &UnixStream) -> io::Result<()> {
        let sockets: Vec<_> = self.sockets.iter().map(OwnedFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut buffer = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() {
            buffer.push(SendAncillaryMessage::ScmRights(&sockets));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // A word is short enough to go whole, or not at all.
        sendmsg(process, &[IoSlice::new(&self.word)], &mut buffer, flags)?;
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_does_not_listen_holds_nobody_up_and_is_given_up_in_the_end() {
        let (giver, theirs) = Giver::new().unwrap();
        let giver = Arc::new(giver);
        let (said, is_said) = oneshot::channel();
        let saying = giver.clone();
        // Where it did wait, that would be for ever.
        thread::spawn(move || {
            let words = 0..10 * WAITING;
            let failed = words.map(|number| saying.tell(&format!("word {number}"), &[]));
            let count = failed.take_while(Result::is_ok).count();
            said.send((count, saying.tell("one more", &[]).unwrap_err().kind())).unwrap();
        });
        let is_said = timeout(Duration::from_secs(10), is_said).await.expect("nobody waits");
        let (count, failed) = is_said.unwrap();
        assert!((WAITING..10 * WAITING).contains(&count), "{count}");
        assert_eq!(failed, io::ErrorKind::WouldBlock);
        timeout(Duration::from_secs(1), giver.unheard()).await.expect("it is given up");
        // Whoever listens at last hears all of it in its order.
        drop(giver);
        let heard = tokio::task::spawn_blocking(move || {
            let mut heard = Vec::new();
            UnixStream::from(theirs).read_to_end(&mut heard).unwrap();
            heard
        });
        let heard = heard.await.unwrap();
        assert_eq!(heard.len(), count * LENGTH);
        let words = heard.chunks(LENGTH).enumerate();
        let is_it = |(number, it): (usize, &[u8])| it == word(&format!("word {number}"));
        assert!(words.into_iter().all(is_it));
    }
}
