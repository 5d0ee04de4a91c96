//! What a process exports, as those see it that have something to tell.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::watch;

use super::group::Item;
use super::metrics::convert;
use super::sender::Sender;
use super::settings::{Limits, Service, Settings};
use super::{Kind, logs};
use crate::metrics::{self as names, Families, Source, Value, collect};
use crate::proto::common::v1::any_value::Value as Any;
use crate::proto::logs::v1::LogRecord;
use crate::proto::metrics::v1::Metric;
use crate::proto::resource::v1::Resource;
use crate::proto::trace::v1 as proto;
use crate::trace::{self, Context, Remote, Sampler, Span, SpanId, TraceId, attribute, now_nanos};

/// What a process exports. Everything it is told is put into bounded queues, without a wait.
pub struct Telemetry {
    traces: Option<Sender<proto::Span>>,
    metrics: Option<Sender<Metric>>,
    logs: Option<Sender<LogRecord>>,
    sampler: Sampler,
    propagates: bool,
    limits: Limits,
    interval: Duration,
    process: Resource,
    began: u64,
}

/// The thread that exports.
pub struct Running {
    stop: watch::Sender<bool>,
    ended: std::sync::mpsc::Receiver<()>,
}

impl Telemetry {
    /// Makes ready to export; nothing is sent before [`Self::start`].
    pub fn new(settings: Settings, service: &Service) -> Arc<Self> {
        let Settings { traces, metrics, logs, sampler, propagates, limits, interval, .. } =
            settings;
        trace::activate();
        let telemetry = Arc::new(Self {
            traces: traces.map(|signal| Sender::new(Kind::Traces, signal)),
            metrics: metrics.map(|signal| Sender::new(Kind::Metrics, signal)),
            logs: logs.map(|signal| Sender::new(Kind::Logs, signal)),
            sampler,
            propagates,
            limits,
            interval,
            process: process(settings.attributes, service),
            began: now_nanos(),
        });
        if telemetry.logs.is_some() {
            logs::take(&telemetry);
        }
        telemetry
    }

    /// Exports from now on, on a thread of its own, and the metrics of `source` at each interval.
    ///
    /// # Errors
    /// If the system denies a thread or what it needs.
    pub fn start(self: &Arc<Self>, source: Arc<dyn Source>) -> std::io::Result<Running> {
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()?;
        let telemetry = self.clone();
        thread::Builder::new().name("dayfly-telemetry".to_owned()).spawn(move || {
            logs::suppress();
            runtime.block_on(telemetry.run(&*source, stopping));
            // A look-up that hangs must not keep it.
            runtime.shutdown_background();
            let _ = end.send(());
        })?;
        Ok(Running { stop, ended })
    }

    async fn run(&self, source: &dyn Source, stop: watch::Receiver<bool>) {
        let process = &self.process;
        let traces = async {
            if let Some(traces) = &self.traces {
                let delay = traces.queue.batching().delay;
                traces.run(delay, process, stop.clone(), Vec::new).await;
            }
        };
        let logs = async {
            if let Some(logs) = &self.logs {
                let delay = logs.queue.batching().delay;
                logs.run(delay, process, stop.clone(), Vec::new).await;
            }
        };
        let metrics = async {
            if let Some(metrics) = &self.metrics {
                let own = || convert(&collect(source), self.began, now_nanos());
                metrics.run(self.interval, process, stop.clone(), own).await;
            }
        };
        tokio::join!(traces, logs, metrics);
    }

    /// Begins the span of a request with these headers. `name` is made only if it is recorded.
    pub fn request(self: &Arc<Self>, headers: &HeaderMap, name: impl FnOnce() -> String) -> Span {
        let remote = if self.propagates { Remote::extract(headers) } else { None };
        let context = Context::of_request(self, remote.as_ref());
        let parent: Option<SpanId> = remote.map(|remote| remote.span);
        Span::of_request(context, parent, name)
    }

    /// Exports a span.
    pub fn export_span(&self, span: Item<proto::Span>) {
        if let Some(traces) = &self.traces {
            traces.queue.push(span);
        }
    }

    /// Exports a log record.
    pub fn export_log(&self, record: Item<LogRecord>) {
        if let Some(logs) = &self.logs {
            logs.queue.push(record);
        }
    }

    /// Exports a metric of a guest's; says whether there was room.
    pub fn export_metric(&self, metric: Item<Metric>) -> bool {
        self.metrics.as_ref().is_none_or(|metrics| metrics.queue.push(metric))
    }

    /// Whether spans are exported at all.
    pub fn records_spans(&self) -> bool {
        self.traces.is_some()
    }

    /// Whether log records are exported.
    pub fn records_logs(&self) -> bool {
        self.logs.is_some()
    }

    /// Whether metrics are exported.
    pub fn records_metrics(&self) -> bool {
        self.metrics.is_some()
    }

    /// What a span and a record may hold.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn sampler(&self) -> Sampler {
        self.sampler
    }

    pub(crate) fn propagates(&self) -> bool {
        self.propagates
    }
}

impl Source for Telemetry {
    fn collect(&self, families: &mut Families) {
        let mut tell = |kind: Kind, [exported, failed, dropped]: [u64; 3]| {
            let labels = [("signal", kind.label())];
            families.add(&names::EXPORTED, &labels, Value::Integer(exported));
            families.add(&names::EXPORT_FAILED, &labels, Value::Integer(failed));
            families.add(&names::EXPORT_DROPPED, &labels, Value::Integer(dropped));
        };
        if let Some(Sender { exported, failed, queue, .. }) = &self.traces {
            tell(Kind::Traces, [exported, failed, &queue.dropped].map(|count| count.get()));
        }
        if let Some(Sender { exported, failed, queue, .. }) = &self.metrics {
            tell(Kind::Metrics, [exported, failed, &queue.dropped].map(|count| count.get()));
        }
        if let Some(Sender { exported, failed, queue, .. }) = &self.logs {
            tell(Kind::Logs, [exported, failed, &queue.dropped].map(|count| count.get()));
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Running {
    /// Sends what still waits, for so long at most; says whether all of it was.
    pub fn stop(self, patience: Duration) -> bool {
        self.stop.send_replace(true);
        self.ended.recv_timeout(patience).is_ok()
    }
}

/// What is said of the process: what the variables say, and what they do not say.
fn process(mut attributes: Vec<(String, String)>, service: &Service) -> Resource {
    let instance = TraceId::random().to_string();
    let pid = std::process::id().to_string();
    let own = [
        ("service.name", service.name.as_str()),
        ("service.version", &service.version),
        ("service.instance.id", &instance),
        ("process.pid", &pid),
        ("telemetry.sdk.name", "dayfly"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    for (key, value) in own {
        if !value.is_empty() && !attributes.iter().any(|(known, _)| known == key) {
            attributes.push((key.to_owned(), value.to_owned()));
        }
    }
    let typed = attributes.into_iter().map(|(key, value)| {
        let number = (key == "process.pid").then(|| value.parse().ok()).flatten();
        attribute(key, number.map_or(Any::StringValue(value), Any::IntValue))
    });
    Resource { attributes: typed.collect(), ..Resource::default() }
}
