//! What tenants' processes count, on the node's page for Prometheus: each is asked by the channel when somebody
//! asks the node. A guest may have taken the process over, so what it says is its tenant's, of metrics that there
//! are, and bounded in size and time.

use std::collections::HashSet;
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use dayfly_model::platform::TenantId;
use dayfly_telemetry::Source;
use dayfly_telemetry::metrics::{
    Families, Family, Kind, METRICS, Metric, Observed, Sample, Value, collect,
};
use serde::{Deserialize, Serialize};

use super::answers::Until;
use super::channel::{Channel, Message};
use super::owns::Owns;

/// How long all of them have to answer, and how much one may say, in bytes.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_BYTES: u64 = 4 << 20;

/// The label that says whose everything is.
const TENANT: &str = "tenant";

/// The labels that there are beside that.
const LABELS: [&str; 12] = [
    "app",
    "component",
    "status",
    "fault",
    "trigger",
    "outcome",
    "direction",
    "origin",
    "capability",
    "quota",
    "signal",
    "version",
];

/// One value of a metric.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    metric: String,
    labels: Vec<(String, String)>,
    value: Measure,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Measure {
    Integer(u64),
    Float(f64),
    Histogram { buckets: [u64; BUCKETS], seconds: f64 },
    Summary { count: u64, sum: f64 },
}

/// How many buckets a histogram has.
const BUCKETS: usize = dayfly_telemetry::metrics::BOUNDS.len() + 1;

/// Tells by a connection what this process has counted, on a thread of its own.
pub(super) fn tell(source: &Arc<dyn Source>, stream: UnixStream) {
    let source = source.clone();
    let telling = move || {
        if let Err(error) = send(&source, stream) {
            tracing::debug!(%error, "the node does not hear what was counted");
        }
    };
    if let Err(error) = thread::Builder::new().name("measures".to_owned()).spawn(telling) {
        tracing::warn!(%error, "the node is not told what was counted");
    }
}

fn send(source: &dyn Source, mut stream: UnixStream) -> io::Result<()> {
    let told: Vec<_> = collect(source).iter().flat_map(told).collect();
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&serde_json::to_vec(&told)?)
}

fn told(family: &Family) -> impl Iterator<Item = Told> {
    family.samples.iter().map(|Sample { labels, value }| Told {
        metric: family.metric.name.to_owned(),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string()))
            .collect(),
        value: match value {
            Value::Integer(value) => Measure::Integer(*value),
            Value::Float(value) => Measure::Float(*value),
            Value::Histogram(observed) => {
                Measure::Histogram { buckets: observed.buckets, seconds: observed.seconds }
            }
            Value::Summary { count, sum } => Measure::Summary { count: *count, sum: *sum },
        },
    })
}

impl Source for Owns {
    fn collect(&self, families: &mut Families) {
        let end = Instant::now() + PATIENCE;
        let asked: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> = self
                .serving()
                .into_iter()
                .map(|(tenant, channel)| (tenant, scope.spawn(move || ask(&channel, end))))
                .collect();
            let told = |(tenant, asking): (TenantId, thread::ScopedJoinHandle<'_, _>)| {
                (tenant, asking.join().unwrap_or_else(|_| Err(anyhow!("a thread failed"))))
            };
            asking.into_iter().map(told).collect()
        });
        for (tenant, told) in asked {
            match told {
                Ok(told) => add(families, tenant.as_str(), &told),
                Err(error) => {
                    tracing::debug!(%tenant, "a process does not tell what it counted: {error:#}");
                }
            }
        }
    }
}

fn ask(channel: &Channel, end: Instant) -> Result<Vec<Told>> {
    let (own, theirs) = UnixStream::pair()?;
    channel.send(&Message::Measure, Some(&theirs))?;
    drop(theirs);
    let mut text = Vec::new();
    BufReader::new(Until { stream: &own, end }).take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Adds what the process of a tenant tells, but for what is none of it, comes twice, or is told here while the
/// tenant moves.
fn add(families: &mut Families, tenant: &str, told: &[Told]) {
    let mut seen: HashSet<_> = families
        .iter()
        .flat_map(|family| {
            let name = family.metric.name;
            family.samples.iter().map(move |it| (name, it.labels.clone()))
        })
        .collect();
    for Told { metric, labels, value } in told {
        let Some(metric) = METRICS.iter().copied().find(|known| known.name == metric) else {
            continue;
        };
        let Some(value) = of_kind(metric, value) else { continue };
        let known = LABELS.iter().filter_map(|name| {
            let (_, value) = labels.iter().find(|(label, _)| label == name)?;
            Some((*name, value.as_str()))
        });
        let labels: Vec<_> = [(TENANT, tenant)].into_iter().chain(known).collect();
        let owned = labels.iter().map(|(name, value)| (*name, (*value).to_owned().into()));
        if seen.insert((metric.name, owned.collect())) {
            families.add(metric, &labels, value);
        }
    }
}

/// A value, if a metric has such.
fn of_kind(metric: &Metric, value: &Measure) -> Option<Value> {
    match (metric.kind, value) {
        (Kind::Counter | Kind::Gauge, Measure::Integer(value)) => Some(Value::Integer(*value)),
        (Kind::Counter | Kind::Gauge, Measure::Float(value)) => Some(Value::Float(*value)),
        (Kind::Histogram, Measure::Histogram { buckets, seconds }) => {
            // They are summed up where they are shown.
            buckets.iter().try_fold(0, |sum: u64, count| sum.checked_add(*count))?;
            Some(Value::Histogram(Observed { buckets: *buckets, seconds: *seconds }.into()))
        }
        (Kind::Summary, Measure::Summary { count, sum }) => {
            Some(Value::Summary { count: *count, sum: *sum })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dayfly_telemetry::metrics::text::{Format, render};

    use super::*;

    fn shown(told: &[Told]) -> String {
        let mut families = Families::default();
        add(&mut families, "acme", told);
        render(&families, Format::Prometheus)
    }

    fn sample(metric: &str, labels: &[(&str, &str)], value: Measure) -> Told {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Told { metric: metric.to_owned(), labels: labels.collect(), value }
    }

    #[test]
    fn what_a_process_tells_is_its_tenant_s_whatever_it_says() {
        let of = |tenant| [(TENANT, tenant), ("app", "shop"), ("path", "x"), ("app", "twice")];
        let page = shown(&[
            sample("dayfly.requests", &of("other"), Measure::Integer(7)),
            sample("dayfly.requests", &of("acme"), Measure::Integer(8)),
            sample("dayfly.nothing", &[], Measure::Integer(1)),
            sample("dayfly.requests\n", &[], Measure::Integer(1)),
            sample("dayfly.instances", &[], Measure::Summary { count: 1, sum: 1.0 }),
            sample(
                "dayfly.request.duration",
                &[],
                Measure::Histogram { buckets: [u64::MAX; BUCKETS], seconds: 0.0 },
            ),
        ]);
        let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["dayfly_requests_total{tenant=\"acme\",app=\"shop\"} 7"]);
    }

    #[test]
    fn what_is_counted_there_is_told_here() {
        struct Counted;
        impl Source for Counted {
            fn collect(&self, families: &mut Families) {
                let metric = |name| *METRICS.iter().find(|metric| metric.name == name).unwrap();
                let labels = [("tenant", "acme"), ("app", "shop"), ("component", "a\"b")];
                families.add(metric("dayfly.cpu"), &labels, Value::Float(1.5));
                let observed = Observed { buckets: [1; BUCKETS], seconds: 2.5 };
                families.add(
                    metric("dayfly.request.duration"),
                    &labels,
                    Value::Histogram(observed.into()),
                );
                let value = Value::Summary { count: 2, sum: 0.5 };
                families.add(metric("dayfly.component.load"), &labels, value);
            }
        }
        let source: Arc<dyn Source> = Arc::new(Counted);
        let (own, theirs) = UnixStream::pair().unwrap();
        tell(&source, theirs);
        let mut text = Vec::new();
        BufReader::new(own).read_to_end(&mut text).unwrap();
        let page = shown(&serde_json::from_slice::<Vec<Told>>(&text).unwrap());
        let labels = "{tenant=\"acme\",app=\"shop\",component=\"a\\\"b\"";
        for line in [
            format!("dayfly_cpu_seconds_total{labels}}} 1.5\n"),
            format!("dayfly_request_duration_seconds_bucket{labels},le=\"+Inf\"}} {BUCKETS}\n"),
            format!("dayfly_component_load_seconds_sum{labels}}} 0.5\n"),
            "dayfly_build_info{tenant=\"acme\",version=".to_owned(),
        ] {
            assert!(page.contains(&line), "no {line} in {page}");
        }
    }

    #[test]
    fn who_does_not_tell_is_waited_for_no_longer_than_its_time() {
        let (node, _process) = Channel::new().unwrap();
        let end = Instant::now() + Duration::from_millis(100);
        ask(&node, end).unwrap_err();
        assert!(end.elapsed() < Duration::from_secs(30));
    }
}
