//! Metrics of guests, as their libraries have aggregated them.

use dayfly_telemetry::export::{Item, Limits};
use dayfly_telemetry::proto::metrics::v1 as proto;
use dayfly_telemetry::proto::metrics::v1::metric::Data;
use dayfly_telemetry::trace::{SpanId, TraceId};

use super::attributes::{convert as plain, name, nanos, of_component, resource, scope};
use super::attributes::{weigh as weigh_attributes, weigh_scope};
use super::bindings::wasi::clocks::wall_clock::Datetime;
use super::bindings::wasi::otel::metrics::{
    Exemplar, ExponentialBucket, ExponentialHistogram, Gauge, Histogram, Metric, MetricData,
    MetricNumber, ResourceMetrics, Sum, Temporality,
};
use super::bindings::wasi::otel::types::KeyValue;

/// What a data point or an exemplar counts beside its texts.
const EACH: usize = 64;

/// How many metrics there are, and the bytes of all.
pub(super) fn weigh(metrics: &ResourceMetrics) -> (usize, usize) {
    let mut items = 0;
    let mut bytes = weigh_attributes(&metrics.resource.attributes);
    for scope in &metrics.scope_metrics {
        items += scope.metrics.len();
        bytes += weigh_scope(&scope.scope);
        bytes += scope.metrics.iter().map(weigh_metric).sum::<usize>();
    }
    (items, bytes)
}

fn weigh_metric(metric: &Metric) -> usize {
    let points: usize = match &metric.data {
        MetricData::F64Gauge(gauge) | MetricData::U64Gauge(gauge) | MetricData::S64Gauge(gauge) => {
            gauge.data_points.iter().map(|p| weigh_point(&p.attributes, &p.exemplars, 0)).sum()
        }
        MetricData::F64Sum(sum) | MetricData::U64Sum(sum) | MetricData::S64Sum(sum) => {
            sum.data_points.iter().map(|p| weigh_point(&p.attributes, &p.exemplars, 0)).sum()
        }
        MetricData::F64Histogram(histogram)
        | MetricData::U64Histogram(histogram)
        | MetricData::S64Histogram(histogram) => histogram
            .data_points
            .iter()
            .map(|p| {
                weigh_point(&p.attributes, &p.exemplars, p.bounds.len() + p.bucket_counts.len())
            })
            .sum(),
        MetricData::F64ExponentialHistogram(histogram)
        | MetricData::U64ExponentialHistogram(histogram)
        | MetricData::S64ExponentialHistogram(histogram) => histogram
            .data_points
            .iter()
            .map(|p| {
                let buckets = p.positive_bucket.counts.len() + p.negative_bucket.counts.len();
                weigh_point(&p.attributes, &p.exemplars, buckets)
            })
            .sum(),
    };
    metric.name.len() + metric.description.len() + metric.unit.len() + points + EACH
}

fn weigh_point(attributes: &[KeyValue], exemplars: &[Exemplar], numbers: usize) -> usize {
    let of_exemplar = |e: &Exemplar| weigh_attributes(&e.filtered_attributes) + EACH;
    EACH + weigh_attributes(attributes)
        + exemplars.iter().map(of_exemplar).sum::<usize>()
        + numbers * size_of::<u64>()
}

/// Metrics as OTLP has them, each point with the component that it is of.
pub(super) fn convert(
    metrics: ResourceMetrics,
    limits: Limits,
    component: &str,
) -> Vec<Item<proto::Metric>> {
    let resource = resource(metrics.resource, limits);
    let points = Points { limits, component };
    let mut items = Vec::new();
    for told in metrics.scope_metrics {
        let scope = scope(told.scope, limits);
        items.extend(told.metrics.into_iter().map(|metric| Item {
            resource: resource.clone(),
            scope: scope.clone(),
            data: points.metric(metric),
        }));
    }
    items
}

/// What the points of all metrics have in common.
#[derive(Clone, Copy)]
struct Points<'a> {
    limits: Limits,
    component: &'a str,
}

impl Points<'_> {
    fn metric(self, metric: Metric) -> proto::Metric {
        proto::Metric {
            name: name(metric.name),
            description: name(metric.description),
            unit: name(metric.unit),
            data: Some(match metric.data {
                MetricData::F64Gauge(gauge)
                | MetricData::U64Gauge(gauge)
                | MetricData::S64Gauge(gauge) => self.gauge(gauge),
                MetricData::F64Sum(sum) | MetricData::U64Sum(sum) | MetricData::S64Sum(sum) => {
                    self.sum(sum)
                }
                MetricData::F64Histogram(histogram)
                | MetricData::U64Histogram(histogram)
                | MetricData::S64Histogram(histogram) => self.histogram(histogram),
                MetricData::F64ExponentialHistogram(histogram)
                | MetricData::U64ExponentialHistogram(histogram)
                | MetricData::S64ExponentialHistogram(histogram) => self.exponential(histogram),
            }),
            ..proto::Metric::default()
        }
    }

    fn gauge(self, gauge: Gauge) -> Data {
        let times = Times { start: gauge.start_time, end: gauge.time };
        let points = gauge.data_points.into_iter();
        let points = points.map(|p| self.number(p.attributes, p.value, p.exemplars, times));
        Data::Gauge(proto::Gauge { data_points: points.collect() })
    }

    fn sum(self, sum: Sum) -> Data {
        let times = Times { start: Some(sum.start_time), end: sum.time };
        let points = sum.data_points.into_iter();
        let points = points.map(|p| self.number(p.attributes, p.value, p.exemplars, times));
        Data::Sum(proto::Sum {
            data_points: points.collect(),
            aggregation_temporality: temporality(sum.temporality),
            is_monotonic: sum.is_monotonic,
        })
    }

    fn number(
        self,
        attributes: Vec<KeyValue>,
        value: MetricNumber,
        exemplars: Vec<Exemplar>,
        times: Times,
    ) -> proto::NumberDataPoint {
        use proto::number_data_point::Value;
        proto::NumberDataPoint {
            attributes: of_component(attributes, self.limits, self.component).0,
            start_time_unix_nano: times.start(),
            time_unix_nano: nanos(times.end),
            exemplars: self.exemplars(exemplars),
            flags: 0,
            value: Some(match whole(value) {
                Some(whole) => Value::AsInt(whole),
                None => Value::AsDouble(float(value)),
            }),
        }
    }

    fn histogram(self, histogram: Histogram) -> Data {
        let times = Times { start: Some(histogram.start_time), end: histogram.time };
        let points = histogram.data_points.into_iter().map(|p| proto::HistogramDataPoint {
            attributes: of_component(p.attributes, self.limits, self.component).0,
            start_time_unix_nano: times.start(),
            time_unix_nano: nanos(times.end),
            count: p.count,
            sum: Some(float(p.sum)),
            bucket_counts: p.bucket_counts,
            explicit_bounds: p.bounds,
            exemplars: self.exemplars(p.exemplars),
            flags: 0,
            min: p.min.map(float),
            max: p.max.map(float),
        });
        Data::Histogram(proto::Histogram {
            data_points: points.collect(),
            aggregation_temporality: temporality(histogram.temporality),
        })
    }

    fn exponential(self, histogram: ExponentialHistogram) -> Data {
        let times = Times { start: Some(histogram.start_time), end: histogram.time };
        let points =
            histogram.data_points.into_iter().map(|p| proto::ExponentialHistogramDataPoint {
                attributes: of_component(p.attributes, self.limits, self.component).0,
                start_time_unix_nano: times.start(),
                time_unix_nano: nanos(times.end),
                count: p.count,
                sum: Some(float(p.sum)),
                scale: p.scale.into(),
                zero_count: p.zero_count,
                positive: Some(buckets(p.positive_bucket)),
                negative: Some(buckets(p.negative_bucket)),
                flags: 0,
                exemplars: self.exemplars(p.exemplars),
                min: p.min.map(float),
                max: p.max.map(float),
                zero_threshold: p.zero_threshold,
            });
        Data::ExponentialHistogram(proto::ExponentialHistogram {
            data_points: points.collect(),
            aggregation_temporality: temporality(histogram.temporality),
        })
    }

    fn exemplars(self, exemplars: Vec<Exemplar>) -> Vec<proto::Exemplar> {
        use proto::exemplar::Value;
        let convert = |exemplar: Exemplar| proto::Exemplar {
            filtered_attributes: plain(exemplar.filtered_attributes, self.limits).0,
            time_unix_nano: nanos(exemplar.time),
            span_id: SpanId::parse(&exemplar.span_id).map_or_else(Vec::new, |id| id.0.to_vec()),
            trace_id: TraceId::parse(&exemplar.trace_id).map_or_else(Vec::new, |id| id.0.to_vec()),
            value: Some(match whole(exemplar.value) {
                Some(whole) => Value::AsInt(whole),
                None => Value::AsDouble(float(exemplar.value)),
            }),
        };
        exemplars.into_iter().map(convert).collect()
    }
}

/// When points were gathered.
#[derive(Clone, Copy)]
struct Times {
    start: Option<Datetime>,
    end: Datetime,
}

impl Times {
    fn start(self) -> u64 {
        self.start.map_or(0, nanos)
    }
}

fn buckets(bucket: ExponentialBucket) -> proto::exponential_histogram_data_point::Buckets {
    proto::exponential_histogram_data_point::Buckets {
        offset: bucket.offset,
        bucket_counts: bucket.counts,
    }
}

fn temporality(temporality: Temporality) -> i32 {
    match temporality {
        Temporality::Cumulative => proto::AggregationTemporality::Cumulative,
        // What forgets after each report.
        Temporality::Delta | Temporality::LowMemory => proto::AggregationTemporality::Delta,
    }
    .into()
}

/// A number as a whole one, if it is.
fn whole(number: MetricNumber) -> Option<i64> {
    match number {
        MetricNumber::S64(number) => Some(number),
        MetricNumber::U64(number) => i64::try_from(number).ok(),
        MetricNumber::F64(_) => None,
    }
}

fn float(number: MetricNumber) -> f64 {
    match number {
        MetricNumber::F64(number) => number,
        MetricNumber::S64(number) => number as f64,
        MetricNumber::U64(number) => number as f64,
    }
}
