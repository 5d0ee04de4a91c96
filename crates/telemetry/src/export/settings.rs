//! The standard variables by which OpenTelemetry is set up
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>,
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Values that mean nothing are warned
//! of and passed by, as the specification has it; an endpoint or a certificate that cannot be used is
//! an error.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use thiserror::Error;

use super::{Kind, tls};
use crate::trace::Sampler;

/// Why nothing could be exported as the variables say.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// An endpoint is no address.
    #[error("`{variable}` is no URL of the form `http://HOST:PORT` or `https://HOST:PORT`")]
    Endpoint {
        /// The variable.
        variable: String,
    },
    /// A file of certificates or a key cannot be used.
    #[error("`{variable}` names a file that cannot be used")]
    Certificate {
        /// The variable.
        variable: String,
        /// Why.
        source: tls::TlsError,
    },
    /// The platform's roots cannot be read.
    #[error("the platform's certificate roots cannot be read")]
    Roots(#[source] tls::TlsError),
}

/// What is exported, where to, and how.
pub struct Settings {
    /// Where spans go.
    pub traces: Option<Signal>,
    /// Where metrics go.
    pub metrics: Option<Signal>,
    /// Where log records go.
    pub logs: Option<Signal>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// Whether other processes are told of traces, and asked.
    pub propagates: bool,
    /// What a span and a log record may hold.
    pub limits: Limits,
    /// Time between two exports of metrics.
    pub interval: Duration,
    /// What is said of the process, beside what it says itself.
    pub attributes: Vec<(String, String)>,
}

/// What an environment says.
#[derive(Debug)]
pub struct Reading {
    /// What is to be exported; `None` if nothing is.
    pub settings: Option<Settings>,
    /// What is wrong with variables that are passed by, a line each.
    pub warnings: Vec<String>,
}

/// Where one kind of what is told goes.
pub struct Signal {
    pub(crate) endpoint: Uri,
    pub(crate) protocol: Protocol,
    /// They may hold tokens: nothing here has a `Debug`.
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) batching: Batching,
}

/// How what is told is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batching {
    /// The longest time that something waits for more.
    pub(crate) delay: Duration,
    /// How much may wait.
    pub(crate) queue: usize,
    /// How much is sent at once.
    pub(crate) batch: usize,
    /// How long one batch is tried, again and again.
    pub(crate) patience: Duration,
}

/// OTLP over HTTP or gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// What a span and a log record may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The bytes of one value; what is longer is cut.
    pub value_bytes: usize,
    /// The attributes of a span, a record, an event or a link; more are dropped and counted.
    pub attributes: usize,
    /// The events of a span.
    pub events: usize,
    /// The links of a span.
    pub links: usize,
}

/// What is exported as whose.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// The app's name: `service.name` unless a variable says otherwise.
    pub name: String,
    /// The app's version.
    pub version: String,
}

/// The longest value that is exported, in bytes, whatever the variables say.
const VALUE_BYTES: usize = 8 << 10;

/// How long a batch is tried unless a variable says otherwise, in milliseconds.
const PATIENCE: u64 = 30_000;

/// The most of what may wait, whatever the variables say.
const MAX_QUEUE: u64 = 1 << 20;

/// Variables of which one value alone is served.
const ONLY: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off"),
];

type Result<T> = std::result::Result<T, SettingsError>;

impl Settings {
    /// Reads this process's environment.
    ///
    /// # Errors
    /// If an endpoint or a certificate cannot be used.
    pub fn from_process() -> Result<Reading> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads an environment.
    ///
    /// # Errors
    /// As [`Self::from_process`].
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Reading> {
        let mut variables = Variables { get, warnings: Vec::new() };
        let settings = Self::of(&mut variables)?;
        Ok(Reading { settings, warnings: variables.warnings })
    }

    fn of(variables: &mut Variables<'_>) -> Result<Option<Self>> {
        if variables.flag("OTEL_SDK_DISABLED") {
            return Ok(None);
        }
        let traces = variables.signal(Kind::Traces)?;
        let metrics = variables.signal(Kind::Metrics)?;
        let logs = variables.signal(Kind::Logs)?;
        if traces.is_none() && metrics.is_none() && logs.is_none() {
            return Ok(None);
        }
        for (name, only) in ONLY {
            let value = variables.text(name);
            if value.is_some_and(|value| !value.eq_ignore_ascii_case(only)) {
                variables.warn(name, &format!("`{only}`"));
            }
        }
        let mut attributes = variables.pairs("OTEL_RESOURCE_ATTRIBUTES");
        if let Some(name) = variables.text("OTEL_SERVICE_NAME") {
            attributes.retain(|(key, _)| key != "service.name");
            attributes.push(("service.name".to_owned(), name));
        }
        let sampler = variables.sampler();
        let propagates = variables.propagates();
        let limits = variables.limits();
        let interval = variables.millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000);
        Ok(Some(Self {
            traces,
            metrics,
            logs,
            sampler,
            propagates,
            limits,
            interval: interval.max(Duration::from_millis(100)),
            attributes,
        }))
    }

    /// The ports that are connected to.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        let signals = [&self.traces, &self.metrics, &self.logs].into_iter().flatten();
        signals.map(|signal| {
            let https = signal.endpoint.scheme_str() == Some("https");
            signal.endpoint.port_u16().unwrap_or(if https { 443 } else { 80 })
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

struct Variables<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Variables<'_> {
    /// A variable's value; an empty one is none.
    fn text(&self, name: &str) -> Option<String> {
        (self.get)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn warn(&mut self, name: &str, expected: &str) {
        // The value may be secret.
        let warning = format!("`{name}` is not {expected}, so it is passed by");
        // Several signals may ask for it.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.text(name).map(|value| value.to_ascii_lowercase()).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.warn(name, "`true` or `false`");
                false
            }
        }
    }

    fn number(&mut self, name: &str, default: u64) -> u64 {
        match self.text(name).map(|value| value.parse()) {
            None => default,
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                self.warn(name, "a whole number");
                default
            }
        }
    }

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        Duration::from_millis(self.number(name, default))
    }

    fn count(&mut self, name: &str, default: u64) -> usize {
        usize::try_from(self.number(name, default)).unwrap_or(usize::MAX)
    }

    /// Comma-separated pairs, their values percent-encoded as in W3C's Baggage.
    fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(text) = self.text(name) else { return Vec::new() };
        let mut pairs = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let decoded = pair.split_once('=').and_then(|(key, value)| {
                let value =
                    percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
                Some((key.trim().to_owned(), value.into_owned())).filter(|(key, _)| !key.is_empty())
            });
            match decoded {
                Some(pair) => pairs.push(pair),
                None => self.warn(name, "a list of the form `KEY=VALUE,KEY=VALUE`"),
            }
        }
        pairs
    }

    fn sampler(&mut self) -> Sampler {
        let argument = self.text("OTEL_TRACES_SAMPLER_ARG").and_then(|ratio| ratio.parse().ok());
        let Some(name) = self.text("OTEL_TRACES_SAMPLER") else { return Sampler::default() };
        Sampler::parse(&name, argument).unwrap_or_else(|| {
            self.warn("OTEL_TRACES_SAMPLER", "a sampler that this version has");
            Sampler::default()
        })
    }

    fn propagates(&mut self) -> bool {
        let Some(names) = self.text("OTEL_PROPAGATORS") else { return true };
        let mut propagates = false;
        for name in names.split(',').map(str::trim) {
            match name {
                "tracecontext" => propagates = true,
                // Guests pass baggage on themselves.
                "none" | "baggage" => {}
                _ => self.warn("OTEL_PROPAGATORS", "a list of `tracecontext`, `baggage`, `none`"),
            }
        }
        propagates
    }

    fn limits(&mut self) -> Limits {
        let value = self.count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", VALUE_BYTES as u64);
        let value = self.count("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", value as u64);
        let attributes = self.count("OTEL_ATTRIBUTE_COUNT_LIMIT", 128);
        let attributes = self.count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes as u64);
        Limits {
            value_bytes: value.min(VALUE_BYTES),
            attributes: attributes.min(1024),
            events: self.count("OTEL_SPAN_EVENT_COUNT_LIMIT", 128).min(1024),
            links: self.count("OTEL_SPAN_LINK_COUNT_LIMIT", 128).min(1024),
        }
    }

    /// A variable of one signal, or that of all.
    fn of_signal(&self, kind: Kind, name: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", kind.label().to_ascii_uppercase());
        let common = format!("OTEL_EXPORTER_OTLP_{name}");
        [own, common].into_iter().find_map(|name| self.text(&name).map(|value| (name, value)))
    }

    fn signal(&mut self, kind: Kind) -> Result<Option<Signal>> {
        let exporter = format!("OTEL_{}_EXPORTER", kind.label().to_ascii_uppercase());
        match self.text(&exporter).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(_) => self.warn(&exporter, "`otlp` or `none`"),
        }
        let protocol = self.protocol(kind);
        let named = self.of_signal(kind, "ENDPOINT").or_else(|| {
            // Who names the exporter alone means the collector of this machine.
            self.text(&exporter).filter(|name| name == "otlp")?;
            let port = if protocol == Protocol::Grpc { 4317 } else { 4318 };
            Some(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://localhost:{port}")))
        });
        let Some((variable, address)) = named else { return Ok(None) };
        let is_own = !variable.ends_with("_OTLP_ENDPOINT");
        let endpoint = endpoint(kind, &address, protocol, is_own)
            .ok_or_else(|| SettingsError::Endpoint { variable })?;
        let timeout = match self.of_signal(kind, "TIMEOUT") {
            Some((name, _)) => self.millis(&name, 10_000),
            None => Duration::from_secs(10),
        };
        let headers = self.headers(kind);
        let gzip = self.gzip(kind);
        let tls = match endpoint.scheme_str() {
            Some("https") => Some(self.tls(kind, protocol)?),
            _ => None,
        };
        let batching = self.batching(kind);
        let timeout = timeout.max(Duration::from_millis(1));
        Ok(Some(Signal { endpoint, protocol, headers, timeout, gzip, tls, batching }))
    }

    fn protocol(&mut self, kind: Kind) -> Protocol {
        match self.of_signal(kind, "PROTOCOL") {
            Some((_, name)) if name == "grpc" => Protocol::Grpc,
            Some((_, name)) if name == "http/protobuf" => Protocol::Http,
            Some((name, _)) => {
                self.warn(&name, "`http/protobuf` or `grpc`");
                Protocol::Http
            }
            None => Protocol::Http,
        }
    }

    fn gzip(&mut self, kind: Kind) -> bool {
        match self.of_signal(kind, "COMPRESSION") {
            Some((_, value)) if value == "gzip" => true,
            Some((_, value)) if value == "none" => false,
            Some((name, _)) => {
                self.warn(&name, "`gzip` or `none`");
                false
            }
            None => false,
        }
    }

    fn headers(&mut self, kind: Kind) -> HeaderMap {
        let Some((name, _)) = self.of_signal(kind, "HEADERS") else { return HeaderMap::new() };
        let mut headers = HeaderMap::new();
        for (key, value) in self.pairs(&name) {
            let header = HeaderName::try_from(key).ok().zip(HeaderValue::try_from(value).ok());
            match header {
                Some((key, mut value)) => {
                    value.set_sensitive(true);
                    headers.append(key, value);
                }
                None => self.warn(&name, "a list of headers"),
            }
        }
        headers
    }

    fn tls(&self, kind: Kind, protocol: Protocol) -> Result<Arc<rustls::ClientConfig>> {
        let file = |name| {
            self.of_signal(kind, name).map(|(variable, path)| (variable, PathBuf::from(path)))
        };
        let failed = |variable: &str, source| SettingsError::Certificate {
            variable: variable.to_owned(),
            source,
        };
        let roots = file("CERTIFICATE");
        let own = file("CLIENT_CERTIFICATE").zip(file("CLIENT_KEY"));
        let roots = match &roots {
            Some((variable, path)) => {
                Some(tls::roots(path).map_err(|error| failed(variable, error))?)
            }
            None => None,
        };
        let own: Option<(&str, &Path, &Path)> =
            own.as_ref().map(|((variable, chain), (_, key))| (&**variable, &**chain, &**key));
        let own = match own {
            Some((variable, chain, key)) => {
                Some(tls::own(chain, key).map_err(|error| failed(variable, error))?)
            }
            None => None,
        };
        let config = tls::config(roots, own, protocol == Protocol::Grpc);
        config.map(Arc::new).map_err(SettingsError::Roots)
    }

    fn batching(&mut self, kind: Kind) -> Batching {
        // Guests' metrics wait for the next export of the host's.
        let (prefix, delay) = match kind {
            Kind::Traces => ("OTEL_BSP", 5_000),
            Kind::Logs | Kind::Metrics => ("OTEL_BLRP", 1_000),
        };
        let queue = self.number(&format!("{prefix}_MAX_QUEUE_SIZE"), 2048).clamp(1, MAX_QUEUE);
        let batch = self.number(&format!("{prefix}_MAX_EXPORT_BATCH_SIZE"), 512).clamp(1, queue);
        let patience = match kind {
            Kind::Metrics => self.millis("OTEL_METRIC_EXPORT_TIMEOUT", PATIENCE),
            Kind::Traces | Kind::Logs => self.millis(&format!("{prefix}_EXPORT_TIMEOUT"), PATIENCE),
        };
        Batching {
            delay: self.millis(&format!("{prefix}_SCHEDULE_DELAY"), delay),
            queue: usize::try_from(queue).unwrap_or(usize::MAX),
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
            patience: patience.max(Duration::from_millis(1)),
        }
    }
}

/// The address that one signal is sent to. Its own is taken as it is over HTTP; to that of all, and
/// to any over gRPC, the standard's path is added.
fn endpoint(kind: Kind, address: &str, protocol: Protocol, is_own: bool) -> Option<Uri> {
    let uri: Uri = address.parse().ok()?;
    let legal = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !legal {
        return None;
    }
    let base = uri.path().trim_end_matches('/');
    let path = match protocol {
        Protocol::Grpc => {
            let (package, service) = match kind {
                Kind::Traces => ("trace", "TraceService"),
                Kind::Metrics => ("metrics", "MetricsService"),
                Kind::Logs => ("logs", "LogsService"),
            };
            format!("/opentelemetry.proto.collector.{package}.v1.{service}/Export")
        }
        Protocol::Http if is_own => return Some(uri),
        Protocol::Http => format!("{base}/v1/{}", kind.label()),
    };
    let mut parts = uri.into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests;
