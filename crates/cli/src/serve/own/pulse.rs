//! Whether a tenant's process answers: its keeper asks it now and then as clients ask it, by the channel, so that
//! all has to work that a client needs, but for the guests.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use dayfly_host::KEEPER;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::channel::{Caller, Channel, Message};

/// How many answers may not come: where it was the keeper that was kept from running, the next one does.
const MISSED: u32 = 2;

/// The shortest time in which a process is found to hang.
const LEAST: Duration = Duration::from_secs(1);

/// How long after it could not be asked that is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What every answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.1 ";

/// Waits until a process has not answered for so long. Two thirds of that it has for its answers, the rest
/// passes between the questions.
pub(super) async fn stops(channel: &Channel, hung: Duration) {
    let each = hung.max(LEAST) / MISSED;
    misses(channel, each / 3, each * 2 / 3).await;
}

async fn misses(channel: &Channel, pause: Duration, patience: Duration) {
    let mut missed = 0;
    while missed < MISSED {
        sleep(pause).await;
        missed = match timeout(patience, answers(channel)).await {
            Ok(()) => 0,
            Err(_) => missed + 1,
        };
    }
}

/// Waits until it answers. That it has ended is heard of otherwise.
async fn answers(channel: &Channel) {
    while ask(channel).await.is_err() {
        sleep(AGAIN).await;
    }
}

async fn ask(channel: &Channel) -> io::Result<()> {
    let (own, theirs) = UnixStream::pair()?;
    channel.send(&Message::Client(Caller::keeper()), Some(&theirs))?;
    drop(theirs);
    own.set_nonblocking(true)?;
    let mut own = tokio::net::UnixStream::from_std(own)?;
    let (host, path) = KEEPER;
    let question = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    own.write_all(question.as_bytes()).await?;
    let mut beginning = [0; BEGINNING.len()];
    own.read_exact(&mut beginning).await?;
    if beginning == BEGINNING { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;

    use super::*;

    /// Answers so many questions, and takes in all that come after; how many there were.
    fn answer(process: &Channel, count: usize) -> usize {
        let mut unanswered = Vec::new();
        for number in 0.. {
            let Ok(Some((Message::Client(_), Some(mut stream)))) = process.receive() else {
                return number;
            };
            if number < count {
                // Who asked last may have gone.
                let asked = stream.read_exact(&mut [0; 4]);
                let _ = asked.and_then(|()| stream.write_all(b"HTTP/1.1 503 it is busy\r\n\r\n"));
            } else {
                unanswered.push(stream);
            }
        }
        unreachable!("numbers do not end")
    }

    #[tokio::test]
    async fn who_takes_questions_in_and_answers_none_is_found_out() {
        let (node, process) = Channel::new().unwrap();
        let answering = thread::spawn(move || answer(&Channel::of(process), 3));
        misses(&node, Duration::from_millis(10), Duration::from_secs(2)).await;
        drop(node);
        assert_eq!(answering.join().unwrap(), 3 + MISSED as usize);
    }

    #[tokio::test]
    async fn who_hears_nothing_is_found_out_and_who_answers_is_not() {
        let short = Duration::from_millis(10);
        let (node, _process) = Channel::new().unwrap();
        while node.send(&Message::Begin, None).is_ok() {}
        misses(&node, short, Duration::from_millis(300)).await;
        let (node, process) = Channel::new().unwrap();
        let answering = thread::spawn(move || answer(&Channel::of(process), usize::MAX));
        let long = Duration::from_secs(60);
        timeout(Duration::from_millis(500), misses(&node, short, long)).await.unwrap_err();
        drop(node);
        assert!(answering.join().unwrap() > MISSED as usize);
    }
}
