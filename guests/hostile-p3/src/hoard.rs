//! Taking what is scarce, and keeping it.

use std::future::{IntoFuture as _, poll_fn};
use std::hint::black_box;
use std::mem::forget;
use std::pin::{Pin, pin};
use std::task::Poll;

use wasip3::cli::stdout;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::filesystem;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip3::http::client::send;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{IpAddressFamily, TcpSocket, UdpSocket};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

use crate::answer::{Answer, HOUR, say};

pub fn memory() -> usize {
    let mut pieces = Vec::new();
    loop {
        pieces.push(vec![1_u8; 64 << 10]);
        black_box(&pieces);
    }
}

pub fn streams() -> ! {
    loop {
        forget(wit_stream::new::<u8>());
    }
}

pub fn futures() -> ! {
    loop {
        forget(wit_future::new::<Result<Option<Fields>, ErrorCode>>(|| Ok(None)));
    }
}

pub fn fields() -> ! {
    loop {
        forget(Fields::new());
    }
}

/// Makes responses, and gives none of them.
pub fn responses() -> ! {
    loop {
        let (_, trailers) = wit_future::new(|| Ok(None));
        forget(Response::new(Fields::new(), None, trailers));
    }
}

pub fn thousand_left_open() -> Answer {
    for _ in 0..1000 {
        forget(wit_stream::new::<u8>());
        forget(wit_future::new::<Result<Option<Fields>, ErrorCode>>(|| Ok(None)));
    }
    say("left open")
}

pub async fn tasks() -> Answer {
    for _ in 0..100_000 {
        spawn_local(wait_for(HOUR));
    }
    wait_for(HOUR).await;
    say("never")
}

/// Writes to the log what it is given, without end.
pub async fn log_flood() -> Answer {
    let (mut sender, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    spawn_local(async move {
        let line = b"a line of a flood, which goes on and on and on and on and on\n".repeat(100);
        while sender.write_all(line.clone()).await.is_empty() {}
    });
    say(&format!("{:?}", written.await))
}

/// Writes one line of four megabytes.
pub async fn log_line() -> Answer {
    let (mut sender, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    spawn_local(async move {
        sender.write_all(vec![b'x'; 4 << 20]).await;
    });
    say(&format!("logged {:?}", written.await))
}

/// Looks the same name up as often as it may.
pub async fn lookups() -> Answer {
    let mut asked = 0;
    loop {
        let answer = format!("{:?}", resolve_addresses("localhost".to_owned()).await);
        if answer.contains("limit") || asked == 1000 {
            return say(&format!("{asked} {answer}"));
        }
        asked += 1;
    }
}

/// Requests to the authority behind `?`; how many could be sent.
pub async fn requests(target: &str) -> Answer {
    let authority = target.split_once('?').map_or("127.0.0.1:1", |(_, authority)| authority);
    let mut sent = 0;
    for _ in 0..5000 {
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
        let _ = request.set_scheme(Some(&Scheme::Http));
        let _ = request.set_authority(Some(authority));
        let _ = request.set_path_with_query(Some("/"));
        match send(request).await {
            Ok(_) => sent += 1,
            Err(error) => return say(&format!("{sent} {error:?}")),
        }
    }
    say(&sent.to_string())
}

/// Opens the granted file as often as it can; what it has then, and how that ended.
pub async fn files() -> (Vec<Descriptor>, String) {
    let mut opened = Vec::new();
    loop {
        match open().await {
            Ok(file) => opened.push(file),
            Err(error) => {
                let text = format!("{} {error:?}", opened.len());
                return (opened, text);
            }
        }
    }
}

/// Begins listings of the granted folder as long as it can, and takes nothing from any of them.
pub async fn listings() -> (Vec<impl Sized>, String) {
    let folders = get_directories();
    as_many_as_can(|| folders[0].0.read_directory()).await
}

/// Reads the granted file by as many streams as it can, and takes one byte from each.
pub async fn reads() -> (Vec<impl Sized>, String) {
    let file = open().await.expect("the file can be opened");
    let (mut held, text) = as_many_as_can(|| file.read_via_stream(0)).await;
    for (stream, _) in &mut held {
        let _ = stream.read(Vec::with_capacity(1)).await;
    }
    (held, text)
}

/// Begins streams until one has ended with an error before anything was taken from it.
async fn as_many_as_can<S, E>(
    begin: impl Fn() -> (S, E),
) -> (Vec<(S, Pin<Box<E::IntoFuture>>)>, String)
where
    E: IntoFuture<Output = Result<(), filesystem::types::ErrorCode>>,
{
    let mut held = Vec::new();
    loop {
        let (stream, ended) = begin();
        let mut ended = Box::pin(ended.into_future());
        if let Some(Err(error)) = soon(ended.as_mut()).await {
            let text = format!("{} {error:?}", held.len());
            return (held, text);
        }
        held.push((stream, ended));
    }
}

/// What a future comes to, if that is within a millisecond.
async fn soon<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut over = pin!(wait_for(1_000_000));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => over.as_mut().poll(context).map(|()| None),
    })
    .await
}

async fn open() -> Result<Descriptor, filesystem::types::ErrorCode> {
    let folders = get_directories();
    let flags = (PathFlags::empty(), OpenFlags::empty(), DescriptorFlags::READ);
    folders[0].0.open_at(flags.0, "file".to_owned(), flags.1, flags.2).await
}

/// Makes sockets as long as it can; what it has then, and how that ended.
pub fn sockets() -> (Vec<TcpSocket>, String) {
    let mut made = Vec::new();
    loop {
        match TcpSocket::create(IpAddressFamily::Ipv4) {
            Ok(socket) => made.push(socket),
            Err(error) => {
                let text = format!("{} {error:?}", made.len());
                return (made, text);
            }
        }
    }
}

/// Opens the file and makes a socket a hundred times, and keeps none of them.
pub async fn one_by_one() -> String {
    for round in 0..100 {
        let file = open().await;
        let tcp = TcpSocket::create(IpAddressFamily::Ipv4);
        let udp = UdpSocket::create(IpAddressFamily::Ipv4);
        if file.is_err() || tcp.is_err() || udp.is_err() {
            return format!("{round} {file:?} {tcp:?} {udp:?}");
        }
    }
    "100".to_owned()
}
