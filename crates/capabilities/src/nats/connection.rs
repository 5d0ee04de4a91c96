//! A connection that many use at once: who waits for a reply or for the server to have done what it was
//! told gets it from whoever reads. Somebody has to read, or nothing is ever answered.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

use super::headers::{NOBODY, status};
use super::link::{Greeting, Link, READ_BYTES, publication};
use super::wire::{Broken, Incoming, Line, parse};
use super::{ServerError, headers};
use crate::stream::Stream;

/// How long a server may take to take something, or to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long it may be silent before it is asked whether it is there, and how long it then has to answer.
const SILENCE: Duration = Duration::from_secs(30);

/// The number of the subscription to replies.
const REPLIES: u64 = 1;

/// A connection. Who has a clone shares it.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    writer: AsyncMutex<Writer>,
    waiting: Mutex<Waiting>,
    greeting: Greeting,
    /// What the subjects begin with that are for this connection.
    inbox: String,
    numbers: AtomicU64,
}

struct Writer {
    half: WriteHalf<Stream>,
    /// Whether something was written by half: then nothing more can be said.
    is_torn: bool,
}

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    /// Why nothing comes any more.
    end: Option<ServerError>,
    pongs: VecDeque<oneshot::Sender<()>>,
    replies: HashMap<u64, oneshot::Sender<Incoming>>,
}

/// Reads what the server sends.
pub struct Reader {
    half: ReadHalf<Stream>,
    read: BytesMut,
    /// The largest message that is taken, with its headers, in bytes.
    most: usize,
    /// A message that is too large, and how much of it is to come.
    skipping: Option<(Incoming, usize)>,
    connection: Connection,
}

impl Connection {
    /// Makes one of a link that is logged in. Messages of up to `most` bytes are taken.
    pub(super) async fn new(link: Link, most: usize) -> Result<(Self, Reader), ServerError> {
        let Link { stream, read, greeting, .. } = link;
        let (half, writer) = tokio::io::split(stream);
        let connection = Self(Arc::new(Shared {
            writer: AsyncMutex::new(Writer { half: writer, is_torn: false }),
            waiting: Mutex::default(),
            greeting,
            inbox: format!("_INBOX.{}", uuid::Uuid::new_v4().simple()),
            numbers: AtomicU64::new(REPLIES),
        }));
        let reader = Reader { half, read, most, skipping: None, connection: connection.clone() };
        connection.write(format!("SUB {}.* {REPLIES}\r\n", connection.0.inbox).as_bytes()).await?;
        Ok((connection, reader))
    }

    /// Whether nothing comes by it any more.
    pub(super) fn is_over(&self) -> bool {
        self.lock().end.is_some()
    }

    /// A subject that is for this connection alone, beside those of replies.
    #[must_use]
    pub fn inbox(&self, name: &str) -> String {
        format!("{}.own.{name}", self.0.inbox)
    }

    /// Listens to a subject, as one of a group if it is one; the number of the subscription.
    ///
    /// # Errors
    /// If the connection broke off. What the server does not permit ends it.
    pub async fn subscribe(&self, subject: &str, group: Option<&str>) -> Result<u64, ServerError> {
        let number = self.0.numbers.fetch_add(1, Relaxed) + 1;
        let group = group.map(|group| format!(" {group}")).unwrap_or_default();
        self.write(format!("SUB {subject}{group} {number}\r\n").as_bytes()).await?;
        Ok(number)
    }

    /// Listens no more. What is under way still comes until the connection is settled.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn unsubscribe(&self, number: u64) -> Result<(), ServerError> {
        self.write(format!("UNSUB {number}\r\n").as_bytes()).await
    }

    /// Publishes messages without headers, each a subject and its data; the server may not have them yet.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn tell(&self, messages: &[(&str, &[u8])]) -> Result<(), ServerError> {
        let publication = |(subject, data): &(&str, &[u8])| publication(subject, None, &[], data);
        let all: Vec<Vec<u8>> = messages.iter().map(publication).collect();
        self.write(&all.concat()).await
    }

    /// Publishes a message without headers whose answers come to a subject of ours.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn ask(&self, subject: &str, reply: &str, data: &[u8]) -> Result<(), ServerError> {
        self.write(&publication(subject, Some(reply), &[], data)).await
    }

    /// Waits until the server has done all that it was told, and all was read that it had sent.
    ///
    /// # Errors
    /// If it does not say so in time.
    pub async fn settle(&self) -> Result<(), ServerError> {
        self.publish_bytes(Vec::new()).await
    }

    /// Publishes a message; the server has it when this returns.
    ///
    /// # Errors
    /// If it does not take it.
    pub(super) async fn publish(
        &self,
        subject: &str,
        pairs: &[(String, String)],
        data: &[u8],
    ) -> Result<(), ServerError> {
        let headers = self.headers(pairs, data)?;
        self.publish_bytes(publication(subject, None, &headers, data)).await
    }

    async fn publish_bytes(&self, mut bytes: Vec<u8>) -> Result<(), ServerError> {
        bytes.extend_from_slice(b"PING\r\n");
        let (sender, pong) = oneshot::channel();
        let written = async {
            let mut writer = self.0.writer.lock().await;
            // Within the lock: answers come in the order of what was asked.
            self.wait_in(|waiting| waiting.pongs.push_back(sender))?;
            writer.write(&bytes).await
        };
        self.taken(timeout(ANSWER, written).await.unwrap_or(Err(ServerError::Timeout)))?;
        let pong = timeout(ANSWER, pong).await.map_err(|_| ServerError::Timeout);
        self.taken(pong)?.map_err(|_| self.end())
    }

    /// The reply to a request.
    ///
    /// # Errors
    /// If there is none in time.
    pub(super) async fn request(
        &self,
        subject: &str,
        pairs: &[(String, String)],
        data: &[u8],
    ) -> Result<Incoming, ServerError> {
        let headers = self.headers(pairs, data)?;
        let number = self.0.numbers.fetch_add(1, Relaxed) + 1;
        let (sender, reply) = oneshot::channel();
        self.wait_in(|waiting| waiting.replies.insert(number, sender))?;
        let _awaited = Awaited { connection: self, number };
        let inbox = format!("{}.{number}", self.0.inbox);
        self.write(&publication(subject, Some(&inbox), &headers, data)).await?;
        let reply = timeout(ANSWER, reply).await.map_err(|_| ServerError::Timeout)?;
        let reply = reply.map_err(|_| self.end())?;
        match status(&reply.headers) {
            Some((NOBODY, _)) => Err(ServerError::Nobody(subject.to_owned())),
            _ if reply.is_too_large => Err(ServerError::Unfit("the reply is too large".to_owned())),
            _ => Ok(reply),
        }
    }

    /// Headers as they are sent, if the server takes them and the message.
    fn headers(&self, pairs: &[(String, String)], data: &[u8]) -> Result<Vec<u8>, ServerError> {
        let Greeting { most, headers, .. } = self.0.greeting;
        let pairs = pairs.iter().filter(|_| headers);
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = headers::write(pairs).ok_or(ServerError::Header)?;
        match headers.len() + data.len() > most {
            true => Err(ServerError::TooLarge(most)),
            false => Ok(headers),
        }
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), ServerError> {
        let written = async { self.0.writer.lock().await.write(bytes).await };
        self.taken(timeout(ANSWER, written).await.unwrap_or(Err(ServerError::Timeout)))
    }

    /// What a server does not take, or not in time, is the last that it was told by this connection.
    fn taken<T>(&self, taken: Result<T, ServerError>) -> Result<T, ServerError> {
        taken.inspect_err(|error| self.give_up(error.clone()))
    }

    /// Notes that somebody waits, unless nothing comes any more.
    fn wait_in<T>(&self, note: impl FnOnce(&mut Waiting) -> T) -> Result<(), ServerError> {
        let mut waiting = self.lock();
        match &waiting.end {
            Some(end) => Err(end.clone()),
            None => {
                note(&mut waiting);
                Ok(())
            }
        }
    }

    /// Lets all go who wait for something: nothing comes any more.
    fn give_up(&self, end: ServerError) {
        let mut waiting = self.lock();
        waiting.end.get_or_insert(end);
        waiting.pongs.clear();
        waiting.replies.clear();
    }

    fn end(&self) -> ServerError {
        self.lock().end.clone().unwrap_or_else(closed)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a reply; nobody any more when dropped.
struct Awaited<'c> {
    connection: &'c Connection,
    number: u64,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.connection.lock().replies.remove(&self.number);
    }
}

impl Writer {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ServerError> {
        if self.is_torn {
            return Err(closed());
        }
        // Until all of it is written: this future may be dropped.
        self.is_torn = true;
        let written = async {
            self.half.write_all(bytes).await?;
            self.half.flush().await
        };
        written.await.map_err(|error| ServerError::Lost(format!("it broke off: {error}")))?;
        self.is_torn = false;
        Ok(())
    }
}

impl Reader {
    /// The next message of a subscription. A future that is dropped before it is ready may take the
    /// connection with it.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn next(&mut self) -> Result<Incoming, ServerError> {
        let error = match self.try_next().await {
            Ok(message) => return Ok(message),
            Err(error) => error,
        };
        self.connection.give_up(error.clone());
        Err(error)
    }

    async fn try_next(&mut self) -> Result<Incoming, ServerError> {
        let mut asked = false;
        loop {
            while let Some(line) = self.parse()? {
                match line {
                    Line::Ping => self.connection.write(b"PONG\r\n").await?,
                    Line::Pong => {
                        let first = self.connection.lock().pongs.pop_front();
                        first.map(|waiting| waiting.send(()));
                    }
                    Line::Message(message) if message.subscription == REPLIES => {
                        self.reply(message)
                    }
                    Line::Message(message) => return Ok(message),
                    Line::TooLarge(message, left) => self.skipping = Some((message, left)),
                    Line::Info(_) | Line::Fine => {}
                }
            }
            self.read.reserve(READ_BYTES);
            match timeout(SILENCE, self.half.read_buf(&mut self.read)).await {
                Ok(Ok(0)) => return Err(closed()),
                Ok(Ok(_)) => asked = false,
                Ok(Err(error)) => return Err(ServerError::Lost(format!("it broke off: {error}"))),
                Err(_) if asked => return Err(ServerError::Timeout),
                Err(_) => {
                    // Nobody waits for the answer, but it takes its place in the line.
                    let (nobody, _) = oneshot::channel();
                    let mut writer = self.connection.0.writer.lock().await;
                    self.connection.wait_in(|waiting| waiting.pongs.push_back(nobody))?;
                    writer.write(b"PING\r\n").await?;
                    asked = true;
                }
            }
        }
    }

    /// What comes first, if all of it is there.
    fn parse(&mut self) -> Result<Option<Line>, ServerError> {
        if let Some((_, left)) = &mut self.skipping {
            let now = self.read.len().min(*left);
            let _ = self.read.split_to(now);
            *left -= now;
            if *left > 0 {
                return Ok(None);
            }
        }
        if let Some((message, _)) = self.skipping.take() {
            return Ok(Some(Line::Message(message)));
        }
        parse(&mut self.read, self.most).map_err(|broken| match broken {
            Broken::Closed(_) => closed(),
            broken => ServerError::Lost(broken.to_string()),
        })
    }

    /// Gives a reply to whom it is for, if somebody still waits.
    fn reply(&self, reply: Incoming) {
        let number = reply.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        let mut waiting = self.connection.lock();
        if let Some(waiting) = number.and_then(|number: u64| waiting.replies.remove(&number)) {
            let _ = waiting.send(reply);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.connection.give_up(closed());
    }
}

fn closed() -> ServerError {
    ServerError::Lost("the connection broke off".to_owned())
}
