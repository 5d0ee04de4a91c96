//! What is sent together stands in OTLP's messages by whose it is: by resource, then by scope.

use std::sync::Arc;

use crate::proto::collector::logs::v1::ExportLogsServiceRequest;
use crate::proto::collector::metrics::v1::ExportMetricsServiceRequest;
use crate::proto::collector::trace::v1::ExportTraceServiceRequest;
use crate::proto::common::v1::InstrumentationScope;
use crate::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use crate::proto::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use crate::proto::resource::v1::Resource;
use crate::proto::trace::v1::{ResourceSpans, ScopeSpans, Span};

/// Who tells something.
#[derive(Debug, Clone)]
pub enum Scope {
    /// The host.
    Host,
    /// The host, of what guests call it for.
    Calls,
    /// A part of the host.
    Target(&'static str),
    /// A guest's library, with the address of what its attributes mean.
    Guest(Arc<(InstrumentationScope, String)>),
}

impl Scope {
    /// Whether guests decide how much there is of it.
    pub(super) fn is_guests(&self) -> bool {
        matches!(self, Self::Calls | Self::Guest(_))
    }

    fn describe(&self) -> (InstrumentationScope, String) {
        let own = |name: &str| InstrumentationScope {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        match self {
            Self::Host => (own("dayfly"), String::new()),
            Self::Calls => (own("dayfly::calls"), String::new()),
            Self::Target(name) => (own(name), String::new()),
            Self::Guest(scope) => (**scope).clone(),
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host, Self::Host) | (Self::Calls, Self::Calls) => true,
            (Self::Target(one), Self::Target(other)) => one == other,
            (Self::Guest(one), Self::Guest(other)) => Arc::ptr_eq(one, other) || one == other,
            _ => false,
        }
    }
}

/// Something to be told, and whose it is.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// What a guest says of itself beside what is known of the process.
    pub resource: Option<Arc<Resource>>,
    /// Who tells it.
    pub scope: Scope,
    /// What is told.
    pub data: T,
}

/// What one resource tells, by scope.
struct Group<T> {
    resource: Option<Arc<Resource>>,
    scopes: Vec<(Scope, Vec<T>)>,
}

/// Puts together what belongs together. Few differ: each is looked for from the last one on.
fn grouped<T>(items: Vec<Item<T>>) -> Vec<Group<T>> {
    let mut groups: Vec<Group<T>> = Vec::new();
    for Item { resource, scope, data } in items {
        let group = match groups.iter().rposition(|group| group.resource == resource) {
            Some(index) => &mut groups[index],
            None => {
                groups.push(Group { resource, scopes: Vec::new() });
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        match group.scopes.iter_mut().rev().find(|(known, _)| *known == scope) {
            Some((_, members)) => members.push(data),
            None => group.scopes.push((scope, vec![data])),
        }
    }
    groups
}

impl<T> Group<T> {
    /// The group's resource: the process's, and what the guest says beside. A guest says nothing
    /// about what is known already.
    fn resource(&self, process: &Resource) -> Resource {
        let mut all = process.clone();
        for attribute in self.resource.iter().flat_map(|resource| &resource.attributes) {
            if !all.attributes.iter().any(|known| known.key == attribute.key) {
                all.attributes.push(attribute.clone());
            }
        }
        all
    }
}

/// What is sent of one kind.
pub(super) trait Told: prost::Message + Sized {
    /// The message that carries several.
    type Request: prost::Message;

    /// Puts several into a message.
    fn request(items: Vec<Item<Self>>, process: &Resource) -> Self::Request;
}

impl Told for Span {
    type Request = ExportTraceServiceRequest;

    fn request(items: Vec<Item<Self>>, process: &Resource) -> Self::Request {
        let spans = grouped(items).into_iter().map(|group| ResourceSpans {
            resource: Some(group.resource(process)),
            scope_spans: scopes(group.scopes, |scope, schema_url, spans| ScopeSpans {
                scope,
                spans,
                schema_url,
            }),
            ..ResourceSpans::default()
        });
        ExportTraceServiceRequest { resource_spans: spans.collect() }
    }
}

impl Told for LogRecord {
    type Request = ExportLogsServiceRequest;

    fn request(items: Vec<Item<Self>>, process: &Resource) -> Self::Request {
        let records = grouped(items).into_iter().map(|group| ResourceLogs {
            resource: Some(group.resource(process)),
            scope_logs: scopes(group.scopes, |scope, schema_url, log_records| ScopeLogs {
                scope,
                log_records,
                schema_url,
            }),
            ..ResourceLogs::default()
        });
        ExportLogsServiceRequest { resource_logs: records.collect() }
    }
}

impl Told for Metric {
    type Request = ExportMetricsServiceRequest;

    fn request(items: Vec<Item<Self>>, process: &Resource) -> Self::Request {
        let metrics = grouped(items).into_iter().map(|group| ResourceMetrics {
            resource: Some(group.resource(process)),
            scope_metrics: scopes(group.scopes, |scope, schema_url, metrics| ScopeMetrics {
                scope,
                metrics,
                schema_url,
            }),
            ..ResourceMetrics::default()
        });
        ExportMetricsServiceRequest { resource_metrics: metrics.collect() }
    }
}

fn scopes<T, S>(
    scopes: Vec<(Scope, Vec<T>)>,
    make: impl Fn(Option<InstrumentationScope>, String, Vec<T>) -> S,
) -> Vec<S> {
    let described = scopes.into_iter().map(|(scope, members)| {
        let (scope, schema_url) = scope.describe();
        make(Some(scope), schema_url, members)
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::common::v1::any_value::Value;
    use crate::trace::attribute;

    fn resource(pairs: &[(&str, &str)]) -> Resource {
        let pairs = pairs
            .iter()
            .map(|(key, value)| attribute(*key, Value::StringValue((*value).to_owned())));
        Resource { attributes: pairs.collect(), ..Resource::default() }
    }

    #[test]
    fn what_belongs_together_stands_together_and_guests_say_nothing_of_the_host() {
        let process = resource(&[("service.name", "mine")]);
        let forged = Arc::new(resource(&[("service.name", "other"), ("a", "b")]));
        let item = |resource: Option<&Arc<Resource>>, scope: Scope| Item {
            resource: resource.cloned(),
            scope,
            data: Span::default(),
        };
        let request = Span::request(
            vec![
                item(None, Scope::Host),
                item(Some(&forged), Scope::Guest(Arc::default())),
                item(None, Scope::Target("a")),
                item(None, Scope::Host),
            ],
            &process,
        );
        let [own, guests] = &request.resource_spans[..] else { panic!("{request:?}") };
        assert_eq!(own.resource.as_ref(), Some(&process));
        let counts: Vec<_> = own
            .scope_spans
            .iter()
            .map(|scope| (scope.scope.as_ref().unwrap().name.as_str(), scope.spans.len()))
            .collect();
        assert_eq!(counts, [("dayfly", 2), ("a", 1)]);
        let expected = resource(&[("service.name", "mine"), ("a", "b")]);
        assert_eq!(guests.resource.as_ref(), Some(&expected));
    }
}
