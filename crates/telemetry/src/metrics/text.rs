//! Metrics as text: Prometheus's format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>) and OpenMetrics 1.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), as the client prefers.

use std::fmt::Write as _;

use super::{BOUNDS, Families, Family, Kind, Metric, Observed, Sample, Unit, Value};

/// One of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own.
    Prometheus,
    /// The standard that came of it.
    OpenMetrics,
}

impl Format {
    /// The one that an `Accept` header asks for: Prometheus's, unless OpenMetrics is preferred.
    pub fn accepted(accept: &str) -> Self {
        let quality = |wanted: &str| {
            accept
                .split(',')
                .filter_map(|range| {
                    let mut parts = range.split(';').map(str::trim);
                    let matches = parts.next()?.eq_ignore_ascii_case(wanted);
                    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
                    matches.then_some(quality.unwrap_or(1.0))
                })
                .fold(0.0_f32, f32::max)
        };
        if quality("application/openmetrics-text") > quality("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The text's media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metric {
    /// Its name in both formats, without the `_total` of counters: dots are underscores, and the
    /// unit comes last.
    pub fn text_name(&self) -> String {
        let unit = match self.unit {
            Unit::Of(_) => "",
            Unit::Seconds => "_seconds",
            Unit::Bytes => "_bytes",
        };
        self.name.replace('.', "_") + unit
    }
}

/// Families as text.
pub fn render(families: &Families, format: Format) -> String {
    let mut text = String::new();
    for family in families.iter() {
        render_family(&mut text, family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn render_family(text: &mut String, family: &Family, format: Format) {
    let metric = family.metric;
    let name = metric.text_name();
    let total = if metric.kind == Kind::Counter { "_total" } else { "" };
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
    };
    // The one names a counter by its samples, the other by what they have in common.
    let title = match format {
        Format::Prometheus => format!("{name}{total}"),
        Format::OpenMetrics => name.clone(),
    };
    line(text, format_args!("# HELP {title} {}", metric.help));
    line(text, format_args!("# TYPE {title} {kind}"));
    let unit = name.rsplit('_').next().filter(|_| !matches!(metric.unit, Unit::Of(_)));
    if let (Some(unit), Format::OpenMetrics) = (unit, format) {
        line(text, format_args!("# UNIT {title} {unit}"));
    }
    for Sample { labels, value } in &family.samples {
        let mut shown = String::new();
        for (name, value) in labels {
            let _ = write!(shown, "{}{name}=\"{}\"", comma(&shown), escaped(value));
        }
        match value {
            Value::Integer(value) => sample(text, &name, total, &shown, format_args!("{value}")),
            Value::Float(value) => sample(text, &name, total, &shown, format_args!("{value:?}")),
            Value::Histogram(observed) => histogram(text, &name, &shown, observed),
            Value::Summary { count, sum } => {
                sample(text, &name, "_count", &shown, format_args!("{count}"));
                sample(text, &name, "_sum", &shown, format_args!("{sum:?}"));
            }
        }
    }
}

fn histogram(text: &mut String, name: &str, labels: &str, observed: &Observed) {
    let mut below = 0;
    let bounds = BOUNDS.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
    for (count, bound) in observed.buckets.iter().zip(bounds) {
        below += count;
        let labels = format!("{labels}{}le=\"{bound}\"", comma(labels));
        sample(text, name, "_bucket", &labels, format_args!("{below}"));
    }
    sample(text, name, "_count", labels, format_args!("{below}"));
    sample(text, name, "_sum", labels, format_args!("{:?}", observed.seconds));
}

fn sample(text: &mut String, name: &str, end: &str, labels: &str, value: std::fmt::Arguments<'_>) {
    match labels {
        "" => line(text, format_args!("{name}{end} {value}")),
        _ => line(text, format_args!("{name}{end}{{{labels}}} {value}")),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(line);
    text.push('\n');
}

const fn comma(labels: &str) -> &'static str {
    if labels.is_empty() { "" } else { "," }
}

/// The value of a label between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Histogram, names};

    fn families() -> Families {
        let mut families = Families::default();
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(3));
        histogram.observe(Duration::from_secs(30));
        let labels = [("component", "a\"b\\c\nd")];
        families.add(&names::CPU, &labels, Value::Float(1.5));
        families.add(&names::REQUEST_DURATION, &[], Value::Histogram(histogram.observed().into()));
        families.add(&names::INSTANCES, &[], Value::Integer(2));
        families.add(&names::LOAD, &[], Value::Summary { count: 2, sum: 0.25 });
        families
    }

    #[test]
    fn both_formats_say_the_same_in_their_own_way() {
        let text = render(&families(), Format::Prometheus);
        assert!(text.contains(
            "# TYPE dayfly_cpu_seconds_total counter\n\
             dayfly_cpu_seconds_total{component=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        ));
        assert!(text.contains("# TYPE dayfly_instances gauge\ndayfly_instances 2\n"), "{text}");
        assert!(text.ends_with(
            "dayfly_component_load_seconds_count 2\ndayfly_component_load_seconds_sum 0.25\n"
        ));
        let text = render(&families(), Format::OpenMetrics);
        assert!(text.contains(
            "# TYPE dayfly_cpu_seconds counter\n# UNIT dayfly_cpu_seconds seconds\n\
             dayfly_cpu_seconds_total{"
        ));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn buckets_are_cumulated() {
        let text = render(&families(), Format::Prometheus);
        for line in [
            "dayfly_request_duration_seconds_bucket{le=\"0.0001\"} 0\n",
            "dayfly_request_duration_seconds_bucket{le=\"0.005\"} 1\n",
            "dayfly_request_duration_seconds_bucket{le=\"10.0\"} 1\n",
            "dayfly_request_duration_seconds_bucket{le=\"+Inf\"} 2\n",
            "dayfly_request_duration_seconds_count 2\n",
            "dayfly_request_duration_seconds_sum 30.003\n",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }

    #[test]
    fn a_client_gets_what_it_prefers() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("application/openmetrics-text"), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain", "text/plain, application/openmetrics-text;q=0.9"] {
            assert_eq!(Format::accepted(other), Format::Prometheus, "{other}");
        }
    }
}
