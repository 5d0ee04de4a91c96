//! One core: a thread, its runtime, its listeners and its connections.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::accept::{Listener, accept, take_in};
use super::activity::Patience;
use super::balance::{Balance, Handover};
use super::config::ServerConfig;
use super::handler::Handler;
use super::lag::Lag;
use super::listen::{Listening, Way};
use super::pace::Pace;
use super::registry::Registry;
use super::shutdown::{Phase, Shutdown};

/// How many tasks run before tokio looks for I/O and timers again, if guests do not make it look
/// earlier (`dispatch::guest`). The more of them, the more requests are read one after the other,
/// then answered one after the other, with what that takes in the processor's caches.
const EVENT_INTERVAL: u32 = 61;

/// The longest time between two sweeps of the connections.
const MAX_TICK: Duration = Duration::from_millis(500);

/// How long a connection may stay idle that another process would serve if it came again; and for how long
/// connections come in where somebody else accepts them, who may not have heard of the end yet.
const LEAVE: Duration = Duration::from_secs(5);

/// What the connections of one core share. Each core has its own, so that counting its pointers
/// costs no other core anything.
pub(super) struct Worker<H> {
    pub(super) index: usize,
    pub(super) handler: Arc<H>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) balance: Arc<Balance>,
    pub(super) registry: Arc<Registry>,
    pub(super) lag: Lag,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<TokioExecutor>,
}

impl<H: Handler> Worker<H> {
    pub(super) fn new(
        index: usize,
        handler: Arc<H>,
        config: Arc<ServerConfig>,
        tls: Option<TlsAcceptor>,
        balance: Arc<Balance>,
    ) -> Self {
        let max = config.max_connections.div_ceil(config.workers());
        Self {
            index,
            handler,
            tls,
            balance,
            registry: Arc::new(Registry::new(max)),
            lag: Lag::new(config.max_lag),
            http1: http1_builder(&config),
            http2: http2_builder(&config),
            config,
        }
    }

    /// Serves until the shutdown is over. Returns how many requests it had to drop.
    pub(super) fn run(
        self: Arc<Self>,
        runtime: Runtime,
        sources: Sources,
        shutdown: &Shutdown,
    ) -> std::io::Result<usize> {
        let unfinished = runtime.block_on(self.serve(sources, shutdown));
        runtime.shutdown_background();
        unfinished
    }

    async fn serve(
        self: Arc<Self>,
        sources: Sources,
        shutdown: &Shutdown,
    ) -> std::io::Result<usize> {
        let mut accepting = JoinSet::new();
        let listens = !sources.listening.is_empty();
        for (way, listening) in sources.listening {
            let listener = Listener::new(listening)?;
            accepting.spawn(accept(self.clone(), listener, way, shutdown.watch()));
        }
        let (close, closed) = oneshot::channel();
        let taking = tokio::spawn(take_in(self.clone(), sources.inbox, closed));
        let tick = tick(&self.config);
        let (registry, patience) = (self.registry.clone(), patience(&self.config, tick));
        tokio::spawn(async move { registry.keep_swept(tick, patience).await });
        let measured = self.clone();
        tokio::spawn(async move { measured.lag.keep_measured().await });

        shutdown.watch().reached(Phase::Draining).await;
        let mut ending = shutdown.watch();
        let drained = async {
            match shutdown.hands_over() {
                true => self.registry.leave(),
                false => self.registry.drain(),
            }
            accepting.join_all().await;
            if shutdown.hands_over() && !listens {
                tokio::time::sleep(LEAVE).await;
                self.registry.emptied().await;
            }
            drop(close);
            // It has failed where this core has, too.
            let _ = taking.await;
            self.registry.emptied().await;
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(self.config.grace) => {}
            () = ending.reached(Phase::Ending) => {}
        }
        Ok(self.registry.requests())
    }
}

/// Where a worker's connections come from.
pub(super) struct Sources {
    pub(super) listening: Vec<(Way, Listening)>,
    pub(super) inbox: UnboundedReceiver<Handover>,
}

/// A runtime for one core.
pub(super) fn runtime(config: &ServerConfig) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(config.blocking_threads.max(1))
        .build()
}

/// The time between two sweeps: short enough for the shortest bound.
fn tick(config: &ServerConfig) -> Duration {
    [
        config.handshake_timeout,
        config.header_timeout,
        config.idle_timeout,
        config.write_timeout,
        config.body_timeout,
    ]
    .into_iter()
    .fold(MAX_TICK * 4, Duration::min)
    .div_f64(4.0)
    .max(Duration::from_millis(10))
}

fn patience(config: &ServerConfig, tick: Duration) -> Patience {
    let ticks = |time: Duration| {
        let ticks = time.as_nanos().div_ceil(tick.as_nanos());
        // The clock wraps around; half of its range is years.
        u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX / 2)
    };
    Patience {
        handshake: ticks(config.handshake_timeout),
        header: ticks(config.header_timeout),
        idle: ticks(config.idle_timeout),
        leave: ticks(LEAVE),
        unread: ticks(config.write_timeout),
        goodbye: ticks(Duration::from_secs(2)),
        write: Pace::new(tick, config.write_timeout, config.min_rate),
        body: Pace::new(tick, config.body_timeout, config.min_rate),
    }
}

fn http1_builder(config: &ServerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // The sweep sees to slow heads, without a timer a request.
        .header_read_timeout(None)
        .max_buf_size(config.max_buffer_bytes.max(8 << 10))
        .max_header_size(config.max_header_bytes);
    if config.max_headers > 100 {
        builder.max_headers(config.max_headers);
    }
    builder
}

fn http2_builder(config: &ServerConfig) -> http2::Builder<TokioExecutor> {
    let limits = &config.http2;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_pending_accept_reset_streams(limits.max_pending_reset_streams)
        .max_local_error_reset_streams(limits.max_local_error_reset_streams)
        .max_send_buf_size(limits.max_send_buffer_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX));
    builder
}
