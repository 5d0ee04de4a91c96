//! The bounds of the server's clients.

use std::time::Duration;

use clap::Args;
use dayfly_host::{Http2Limits, ServerConfig};
use dayfly_model::manifest::{parse_duration, parse_size};

/// What the server grants its clients.
#[derive(Args)]
#[command(next_help_heading = "Clients")]
pub(crate) struct ClientArgs {
    /// Connections at once; beyond, the one that is idle longest is closed, or the one whose client is
    /// the slowest, or new ones wait
    #[arg(long, env = "DAYFLY_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<u32>,

    /// Connections that may be WebSockets at once; more are answered by 503 [default: three quarters
    /// of all]
    #[arg(long, env = "DAYFLY_MAX_WEBSOCKETS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_websockets: Option<u32>,

    /// How long a TLS handshake may take, and a connection until its first byte [default: 10s]
    #[arg(long, env = "DAYFLY_HANDSHAKE_TIMEOUT", value_name = "TIME",
          value_parser = parse_duration)]
    handshake_timeout: Option<Duration>,

    /// How long the head of a request may take [default: 10s]
    #[arg(long, env = "DAYFLY_HEADER_TIMEOUT", value_name = "TIME", value_parser = parse_duration)]
    header_timeout: Option<Duration>,

    /// How long a connection stays open without a request [default: 75s]
    #[arg(long, env = "DAYFLY_IDLE_TIMEOUT", value_name = "TIME", value_parser = parse_duration)]
    idle_timeout: Option<Duration>,

    /// How long a client may take nothing of its answer, or less than `--min-rate` [default: 30s]
    #[arg(long, env = "DAYFLY_WRITE_TIMEOUT", value_name = "TIME", value_parser = parse_duration)]
    write_timeout: Option<Duration>,

    /// How long a client may send nothing of a body that its handler waits for, or less than
    /// `--min-rate` [default: 30s]
    #[arg(long, env = "DAYFLY_BODY_TIMEOUT", value_name = "TIME", value_parser = parse_duration)]
    body_timeout: Option<Duration>,

    /// What a client takes or sends a second at least, while it is waited for [default: 1KiB]
    #[arg(long, env = "DAYFLY_MIN_RATE", value_name = "SIZE", value_parser = parse_size)]
    min_rate: Option<u64>,

    /// How long requests may wait for a processor before new ones get 503 [default: 500ms]
    #[arg(long, env = "DAYFLY_MAX_LAG", value_name = "TIME", value_parser = parse_duration)]
    max_lag: Option<Duration>,

    /// Size of a request's head [default: 64KiB]
    #[arg(long, env = "DAYFLY_MAX_HEADER_SIZE", value_name = "SIZE", value_parser = head_size)]
    max_header_size: Option<usize>,

    /// Number of a request's headers [default: 100]
    #[arg(long, env = "DAYFLY_MAX_HEADERS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    max_headers: Option<u16>,

    /// Size of a request's target: path and query [default: 16KiB]
    #[arg(long, env = "DAYFLY_MAX_URI_SIZE", value_name = "SIZE", value_parser = head_size)]
    max_uri_size: Option<usize>,

    #[command(flatten)]
    http2: Http2Args,
}

/// What the server grants the clients of HTTP/2 beside.
#[derive(Args)]
struct Http2Args {
    /// HTTP/2: requests of one connection at once [default: 128]
    #[arg(long, env = "DAYFLY_MAX_STREAMS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_streams: Option<u32>,

    /// HTTP/2: requests that a client takes back before they are looked at; beyond, the connection
    /// ends [default: 32]
    #[arg(long, env = "DAYFLY_MAX_STREAM_RESETS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_stream_resets: Option<u32>,

    /// HTTP/2: requests of a connection that may break the protocol; beyond, it ends [default: 256]
    #[arg(long, env = "DAYFLY_MAX_STREAM_ERRORS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_stream_errors: Option<u32>,

    /// HTTP/2: what a client may send ahead of one request's body [default: 256KiB]
    #[arg(long, env = "DAYFLY_STREAM_WINDOW", value_name = "SIZE", value_parser = window)]
    stream_window: Option<u32>,

    /// HTTP/2: what a client may send ahead on one connection [default: 1MiB]
    #[arg(long, env = "DAYFLY_CONNECTION_WINDOW", value_name = "SIZE", value_parser = window)]
    connection_window: Option<u32>,
}

fn head_size(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        bytes @ 1..=0x10_0000 => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        _ => Err("is not between 1B and 1MiB".to_owned()),
    }
}

/// A connection begins with a window of almost 64 KiB, which can only be made larger.
fn window(text: &str) -> Result<u32, String> {
    match parse_size(text)? {
        bytes @ 0x1_0000..=0x4000_0000 => Ok(u32::try_from(bytes).unwrap_or(u32::MAX)),
        _ => Err("is not between 64KiB and 1GiB".to_owned()),
    }
}

impl ClientArgs {
    /// Puts the bounds into a server's configuration, but for that of connections.
    pub(crate) fn apply(&self, config: &mut ServerConfig) {
        let set = |to: &mut Duration, flag: Option<Duration>| *to = flag.unwrap_or(*to);
        set(&mut config.handshake_timeout, self.handshake_timeout);
        set(&mut config.header_timeout, self.header_timeout);
        set(&mut config.idle_timeout, self.idle_timeout);
        set(&mut config.write_timeout, self.write_timeout);
        set(&mut config.body_timeout, self.body_timeout);
        set(&mut config.max_lag, self.max_lag);
        config.min_rate = self.min_rate.unwrap_or(config.min_rate);
        config.max_websockets = self.max_websockets.map(|most| most as usize);
        config.max_header_bytes = self.max_header_size.unwrap_or(config.max_header_bytes);
        config.max_headers = self.max_headers.map_or(config.max_headers, usize::from);
        config.max_uri_bytes = self.max_uri_size.unwrap_or(config.max_uri_bytes);
        self.http2.apply(&mut config.http2);
    }

    /// The connections that are wanted.
    pub(crate) fn wanted(&self, config: &ServerConfig) -> u64 {
        self.max_connections.map_or(config.max_connections as u64, u64::from).max(1)
    }
}

impl Http2Args {
    fn apply(&self, limits: &mut Http2Limits) {
        let set = |to: &mut u32, flag: Option<u32>| *to = flag.unwrap_or(*to);
        set(&mut limits.max_concurrent_streams, self.max_streams);
        set(&mut limits.stream_window_bytes, self.stream_window);
        set(&mut limits.connection_window_bytes, self.connection_window);
        let set = |to: &mut usize, flag: Option<u32>| *to = flag.map_or(*to, |n| n as usize);
        set(&mut limits.max_pending_reset_streams, self.max_stream_resets);
        set(&mut limits.max_local_error_reset_streams, self.max_stream_errors);
    }
}
