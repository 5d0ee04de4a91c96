//! Samples, in families of one name: what every form of telling about metrics is made from.

use std::borrow::Cow;

use super::Observed;

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things, in the braces of UCUM's annotations.
    Of(&'static str),
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// How a metric's value moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts by size.
    Histogram,
    /// It counts, and sums up.
    Summary,
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, in words with dots, without its unit.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// How its value moves.
    pub kind: Kind,
    /// What it says, in one sentence.
    pub help: &'static str,
}

/// The value of one sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A count.
    Integer(u64),
    /// A measure.
    Float(f64),
    /// Durations by their length.
    Histogram(Box<Observed>),
    /// How many, and their sum.
    Summary {
        /// How many.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

/// The labels of a sample.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// One value of a metric, for one set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What tells it from the others of its family.
    pub labels: Labels,
    /// Its value.
    pub value: Value,
}

/// The samples of one metric.
#[derive(Debug)]
pub struct Family {
    /// The metric.
    pub metric: &'static Metric,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// Families of samples, in the order in which they came.
#[derive(Debug, Default)]
pub struct Families {
    all: Vec<Family>,
    /// Labels that every sample gets beside its own.
    common: Labels,
}

impl Metric {
    pub(super) const fn new(
        kind: Kind,
        name: &'static str,
        unit: Unit,
        help: &'static str,
    ) -> Self {
        Self { name, unit, kind, help }
    }
}

impl Families {
    /// Adds a sample.
    pub fn add(&mut self, metric: &'static Metric, labels: &[(&'static str, &str)], value: Value) {
        let own = labels.iter().map(|(name, value)| (*name, (*value).to_owned().into()));
        let sample = Sample { labels: self.common.iter().cloned().chain(own).collect(), value };
        // There are a few dozen families.
        match self.all.iter_mut().find(|family| std::ptr::eq(family.metric, metric)) {
            Some(family) => family.samples.push(sample),
            None => self.all.push(Family { metric, samples: vec![sample] }),
        }
    }

    /// Lets `source` add its samples, each with these labels beside its own.
    pub fn add_with(&mut self, labels: &[(&'static str, &str)], source: impl FnOnce(&mut Self)) {
        let common = labels.iter().map(|(name, value)| (*name, (*value).to_owned().into()));
        let former = std::mem::replace(&mut self.common, common.collect());
        source(self);
        self.common = former;
    }

    /// Every family.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.all.iter()
    }
}
