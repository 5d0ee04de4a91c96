//! Which traces are recorded: OpenTelemetry's samplers, by the names that `OTEL_TRACES_SAMPLER` has.

use super::{Remote, TraceId};

/// Decides which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether a remote parent's decision stands.
    pub parent_based: bool,
    /// The share of the others, or of all.
    pub ratio: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// Reads a sampler's name; those with a ratio take it from `argument`.
    pub fn parse(name: &str, argument: Option<f64>) -> Option<Self> {
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => argument.unwrap_or(1.0).clamp(0.0, 1.0),
            _ => return None,
        };
        Some(Self { parent_based, ratio })
    }

    /// Whether a trace is recorded. By its id, so that every process decides alike.
    pub(crate) fn samples(self, trace: TraceId, parent: Option<&Remote>) -> bool {
        if let (true, Some(parent)) = (self.parent_based, parent) {
            return parent.sampled;
        }
        let [.., a, b, c, d, e, f, g, h] = trace.0;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        (number as f64) < self.ratio * (1_u64 << 63) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::SpanId;
    use super::*;

    #[test]
    fn a_ratio_takes_its_share() {
        let share = |ratio| {
            let sampler = Sampler { parent_based: false, ratio };
            (0..10_000).filter(|_| sampler.samples(TraceId::random(), None)).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 10_000));
        assert!((2_200..2_800).contains(&share(0.25)), "{}", share(0.25));
    }

    #[test]
    fn a_parent_decides_unless_it_is_not_asked() {
        let (trace, span) = (TraceId::random(), SpanId::random());
        for sampled in [true, false] {
            let parent = Remote { trace, span, sampled, state: "".into() };
            let sampler = |name| Sampler::parse(name, None).unwrap();
            assert_eq!(sampler("parentbased_always_off").samples(trace, Some(&parent)), sampled);
            assert!(sampler("always_on").samples(trace, Some(&parent)));
            assert!(!sampler("always_off").samples(trace, Some(&parent)));
        }
        assert_eq!(Sampler::parse("jaeger_remote", None), None);
        assert_eq!(Sampler::parse("parentbased_traceidratio", Some(7.0)).unwrap().ratio, 1.0);
    }
}
