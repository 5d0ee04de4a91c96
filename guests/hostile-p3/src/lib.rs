//! A gallery of attacks by a handler of wasi:http 0.3, one path each.

use std::future::{IntoFuture as _, poll_fn};
use std::hint::black_box;
use std::mem::forget;
use std::pin::{Pin, pin};
use std::task::Poll;

use wasip3::clocks::monotonic_clock::{now, wait_for};
use wasip3::filesystem;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::sockets::types::{IpAddressFamily, TcpSocket, UdpSocket};
use wasip3::wit_bindgen::{StreamWriter, spawn_local};
use wasip3::{wit_future, wit_stream};

const HOUR: u64 = 3_600_000_000_000;

type Answer = Result<Response, ErrorCode>;

struct Handler;

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Answer {
        let target = request.get_path_with_query().unwrap_or_default();
        let target = target.strip_prefix("/p3").unwrap_or(&target);
        match target {
            "/spin" => spin(),
            "/spin-in-host" => loop {
                black_box(now());
            },
            "/spin-in-yields" => loop {
                wait_for(0).await;
            },
            "/spin-in-a-task" => {
                spawn_local(async { spin() });
                wait_for(HOUR).await;
                respond("never", async |_| {})
            }
            "/spin-after" => respond("answered", async |sender| {
                drop(sender);
                spin()
            }),
            "/spin-while-streaming" => respond("begun", async |_sender| spin()),
            "/panic" => panic!("this handler panics when asked to"),
            "/panic-after" => respond("the first half", async |_sender| panic!("in its body")),
            "/recurse" => respond(&recurse(1).to_string(), async |_| {}),
            "/sleep" => {
                wait_for(HOUR).await;
                respond("never", async |_| {})
            }
            "/memory" => respond(&memory().to_string(), async |_| {}),
            "/streams" => loop {
                forget(wit_stream::new::<u8>());
            },
            "/futures" => loop {
                forget(wit_future::new::<Result<Option<Fields>, ErrorCode>>(|| Ok(None)));
            },
            "/fields" => loop {
                forget(Fields::new());
            },
            "/hold-files" => hold(files().await),
            "/hold-listings" => hold(listings().await),
            "/hold-reads" => hold(reads().await),
            "/hold-sockets" => hold(sockets()),
            "/one-by-one" => respond(&one_by_one().await, async |_| {}),
            "/thousand-left-open" => {
                for _ in 0..1000 {
                    forget(wit_stream::new::<u8>());
                    forget(wit_future::new::<Result<Option<Fields>, ErrorCode>>(|| Ok(None)));
                }
                respond("left open", async |_| {})
            }
            "/tasks" => {
                for _ in 0..100_000 {
                    spawn_local(wait_for(HOUR));
                }
                wait_for(HOUR).await;
                respond("never", async |_| {})
            }
            "/tasks-after" => respond("answered", async |sender| {
                drop(sender);
                wait_for(HOUR).await;
            }),
            "/endless" => {
                respond(
                    "",
                    async |mut sender| {
                        while sender.write_all(vec![b'x'; 64 << 10]).await.is_empty() {}
                    },
                )
            }
            "/stalled" => respond("begun", async |_sender| wait_for(HOUR).await),
            "/no-trailers" => no_trailers(),
            "/unread-body" => respond("not read", async |_| {}),
            "/error-code" => Err(ErrorCode::InternalError(Some("the log's alone".to_owned()))),
            _ => respond("hello world", async |_| {}),
        }
    }
}

wasip3::http::service::export!(Handler);

fn spin() -> ! {
    loop {
        black_box(0);
    }
}

fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + 1
}

fn memory() -> usize {
    let mut pieces = Vec::new();
    loop {
        pieces.push(vec![1_u8; 64 << 10]);
        black_box(&pieces);
    }
}

/// Opens the granted file as often as it can; what it has then, and how that ended.
async fn files() -> (Vec<Descriptor>, String) {
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
async fn listings() -> (Vec<impl Sized>, String) {
    let folders = get_directories();
    as_many_as_can(|| folders[0].0.read_directory()).await
}

/// Reads the granted file by as many streams as it can, and takes one byte from each.
async fn reads() -> (Vec<impl Sized>, String) {
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
fn sockets() -> (Vec<TcpSocket>, String) {
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
async fn one_by_one() -> String {
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

/// Says how it went to take something, and keeps that until it is ended.
fn hold<T: 'static>((held, text): (T, String)) -> Answer {
    respond(&text, async move |_sender| {
        wait_for(HOUR).await;
        drop(held);
    })
}

/// Answers at once; the body is `text`, then what `more` writes.
fn respond<W>(text: &str, more: W) -> Answer
where
    W: AsyncFnOnce(StreamWriter<u8>) + 'static,
{
    let (mut sender, reader) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
        more(sender).await;
    });
    Ok(response)
}

/// A body that ends, and trailers that never come.
fn no_trailers() -> Answer {
    let (sender, reader) = wit_stream::new();
    let (promise, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
    spawn_local(async move {
        drop::<StreamWriter<u8>>(sender);
        wait_for(HOUR).await;
        drop(promise);
    });
    Ok(response)
}
