//! What a server is told: where to listen, and the bounds of its clients.

use std::time::Duration;

use super::listen::ListenAddr;
use super::tls::{Certificates, TlsConfig};

/// How a server listens and what it grants its clients. Every bound has a default.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen: in the clear, unless there is a certificate of files and no `tls_listen`.
    pub listen: Vec<ListenAddr>,
    /// Where to listen for those who speak TLS.
    pub tls_listen: Vec<ListenAddr>,
    /// The certificate of files. Unix sockets are always in the clear.
    pub tls: Option<TlsConfig>,
    /// Certificates by the hosts that clients name.
    pub certificates: Option<Certificates>,
    /// How many threads serve, each with a runtime and listeners of its own; 0 means one a core.
    pub threads: usize,
    /// How long a graceful shutdown waits for the requests that run.
    pub grace: Duration,
    /// How many blocking operations (files, name resolution) run at once, on each thread.
    pub blocking_threads: usize,
    /// From accepting until the end of the TLS handshake and of HTTP/2's preface.
    pub handshake_timeout: Duration,
    /// From the first byte of a request's head until its last (HTTP/1).
    pub header_timeout: Duration,
    /// How long a connection stays open without a request.
    pub idle_timeout: Duration,
    /// How long a client may be waited for to take what it is being sent, beyond the time that the
    /// bytes it takes are worth by `min_rate`.
    pub write_timeout: Duration,
    /// How long a client may let a handler wait for a request's body, beyond the time that the bytes
    /// it sends are worth by `min_rate`.
    pub body_timeout: Duration,
    /// The bytes a second that a client has to take, or send, while it is waited for; 0 if any will
    /// do. What a handler does slowly by itself never counts.
    pub min_rate: u64,
    /// The bytes of a request's head, or of its trailers; 431 beyond.
    pub max_header_bytes: usize,
    /// The number of a request's headers; 431 beyond. More than 100 costs an allocation a request.
    pub max_headers: usize,
    /// The bytes of a request's target; 414 beyond.
    pub max_uri_bytes: usize,
    /// The bytes that one HTTP/1 connection buffers in each direction; at least 8 KiB.
    pub max_buffer_bytes: usize,
    /// How long what is ready may wait for a core; beyond, requests are refused with 503 until the
    /// core has caught up.
    pub max_lag: Duration,
    /// The connections that the kernel holds while we have not accepted them.
    pub backlog: u32,
    /// The connections of all threads together. Beyond, the one that is idle longest gives way, or
    /// the one whose client lets us wait longest; if there is none, new ones wait to be accepted.
    pub max_connections: usize,
    /// How many of the connections may become WebSockets; three quarters if nothing is said.
    pub max_websockets: Option<usize>,
    /// The bounds that HTTP/2 has beside.
    pub http2: Http2Limits,
}

/// The bounds of an HTTP/2 connection.
#[derive(Debug, Clone)]
pub struct Http2Limits {
    /// The requests that one connection runs at once.
    pub max_concurrent_streams: u32,
    /// The streams that a client may reset before we looked at them; beyond, the connection ends.
    pub max_pending_reset_streams: usize,
    /// The streams that we reset because of the client's errors; beyond, the connection ends.
    pub max_local_error_reset_streams: usize,
    /// The bytes of response body that wait for one stream's client.
    pub max_send_buffer_bytes: usize,
    /// The bytes of request body that a client may send ahead on one stream.
    pub stream_window_bytes: u32,
    /// The bytes of request bodies that a client may send ahead on one connection.
    pub connection_window_bytes: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr::DEFAULT],
            tls_listen: Vec::new(),
            tls: None,
            certificates: None,
            threads: 0,
            grace: Duration::from_secs(30),
            blocking_threads: 128,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            min_rate: 1 << 10,
            max_header_bytes: 64 << 10,
            max_headers: 100,
            max_uri_bytes: 16 << 10,
            max_buffer_bytes: 128 << 10,
            max_lag: Duration::from_millis(500),
            backlog: 4096,
            max_connections: 16_384,
            max_websockets: None,
            http2: Http2Limits::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 128,
            max_pending_reset_streams: 32,
            max_local_error_reset_streams: 256,
            max_send_buffer_bytes: 256 << 10,
            stream_window_bytes: 256 << 10,
            connection_window_bytes: 1 << 20,
        }
    }
}

impl ServerConfig {
    /// How many connections may be WebSockets: others can still come.
    pub(crate) fn max_websockets(&self) -> usize {
        self.max_websockets.unwrap_or(self.max_connections / 4 * 3).max(1)
    }

    /// Whether those who come in at `listen` by TCP have to speak TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls_listen.is_empty() && self.tls.is_some()
    }

    /// The number of threads that serve.
    pub(crate) fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}
