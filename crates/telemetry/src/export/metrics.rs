//! The host's own metrics as OTLP has them: the same families as in text.

use super::group::{Item, Scope};
use crate::metrics::{BOUNDS, Families, Family, Kind, Sample, Unit, Value};
use crate::proto::common::v1::KeyValue;
use crate::proto::common::v1::any_value::Value as Any;
use crate::proto::metrics::v1::number_data_point::Value as Number;
use crate::proto::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
    Summary, SummaryDataPoint, metric,
};
use crate::trace::attribute;

/// Families as metrics, of which each value counts since `start`.
pub(super) fn convert(families: &Families, start: u64, now: u64) -> Vec<Item<Metric>> {
    let item = |data| Item { resource: None, scope: Scope::Host, data };
    families.iter().map(|family| item(convert_family(family, Times { start, now }))).collect()
}

#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn convert_family(family: &Family, times: Times) -> Metric {
    let (metric, samples) = (family.metric, &family.samples);
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match metric.kind {
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: samples.iter().map(|sample| number(sample, times)).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Gauge => metric::Data::Gauge(Gauge {
            data_points: samples.iter().map(|sample| number(sample, times)).collect(),
        }),
        Kind::Histogram => metric::Data::Histogram(Histogram {
            data_points: samples.iter().filter_map(|sample| histogram(sample, times)).collect(),
            aggregation_temporality: cumulative,
        }),
        Kind::Summary => metric::Data::Summary(Summary {
            data_points: samples.iter().filter_map(|sample| summary(sample, times)).collect(),
        }),
    };
    Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: match metric.unit {
            Unit::Of(things) => things,
            Unit::Seconds => "s",
            Unit::Bytes => "By",
        }
        .to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn labels(sample: &Sample) -> Vec<KeyValue> {
    let labels = sample.labels.iter();
    labels.map(|(name, value)| attribute(*name, Any::StringValue(value.to_string()))).collect()
}

fn number(sample: &Sample, Times { start, now }: Times) -> NumberDataPoint {
    let value = match &sample.value {
        Value::Integer(value) => Number::AsInt(i64::try_from(*value).unwrap_or(i64::MAX)),
        Value::Float(value) => Number::AsDouble(*value),
        Value::Histogram(observed) => Number::AsDouble(observed.seconds),
        Value::Summary { sum, .. } => Number::AsDouble(*sum),
    };
    NumberDataPoint {
        attributes: labels(sample),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn histogram(sample: &Sample, Times { start, now }: Times) -> Option<HistogramDataPoint> {
    let Value::Histogram(observed) = &sample.value else { return None };
    Some(HistogramDataPoint {
        attributes: labels(sample),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: observed.count(),
        sum: Some(observed.seconds),
        bucket_counts: observed.buckets.to_vec(),
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    })
}

fn summary(sample: &Sample, Times { start, now }: Times) -> Option<SummaryDataPoint> {
    let Value::Summary { count, sum } = sample.value else { return None };
    Some(SummaryDataPoint {
        attributes: labels(sample),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count,
        sum,
        ..SummaryDataPoint::default()
    })
}
