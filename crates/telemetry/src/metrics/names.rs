//! Every metric. What a new one adds is one line here, and one in `docs/observability.md`.

use super::{Kind, Metric, Unit};

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal in $unit:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $constant: Metric = Metric::new(Kind::$kind, $name, $unit, $help);
        )*

        /// Every metric.
        pub static METRICS: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    REQUESTS = Counter "dayfly.requests" in Unit::Of("{request}"),
        "Requests that ended, by the class of their status and by whose fault an error was.";
    REQUEST_DURATION = Histogram "dayfly.request.duration" in Unit::Seconds,
        "Time from a request's arrival at its component until its answer was handed over.";
    INSTANCES = Gauge "dayfly.instances" in Unit::Of("{instance}"),
        "Instances that run now.";
    INSTANCES_ENDED = Counter "dayfly.instances.ended" in Unit::Of("{instance}"),
        "Instances that ran and ended.";
    WAITING = Gauge "dayfly.requests.waiting" in Unit::Of("{request}"),
        "Requests that wait in line for leave to run.";
    CPU = Counter "dayfly.cpu" in Unit::Seconds,
        "CPU time of guests and of the host functions that they called.";
    MEMORY_PEAK = Gauge "dayfly.instance.memory_peak" in Unit::Bytes,
        "The most linear memory that an instance had since the start.";
    EVENTS = Counter "dayfly.events" in Unit::Of("{event}"),
        "Events that triggers took in, by trigger and outcome: handled, given up as dead letters, or given back.";
    EVENTS_FAILED = Counter "dayfly.events.failed_attempts" in Unit::Of("{attempt}"),
        "Deliveries of events that failed.";
    EVENTS_UNDER_WAY = Gauge "dayfly.events.under_way" in Unit::Of("{event}"),
        "Events that were taken in and are not settled yet.";
    TRIGGER_CONNECTED = Gauge "dayfly.trigger.connected" in Unit::Of("{trigger}"),
        "Whether a trigger's source can be reached: 1 or 0.";
    WEBSOCKETS = Gauge "dayfly.websockets" in Unit::Of("{connection}"),
        "WebSockets that are open.";
    WEBSOCKETS_OPENED = Counter "dayfly.websockets.opened" in Unit::Of("{connection}"),
        "WebSockets that were opened.";
    WEBSOCKET_MESSAGES = Counter "dayfly.websocket.messages" in Unit::Of("{message}"),
        "Messages that clients of WebSockets sent, and that were sent to them.";
    WEBSOCKET_EVENTS_FAILED = Counter "dayfly.websocket.events.failed" in Unit::Of("{event}"),
        "Events of WebSockets that no handler took care of.";
    COLD_STARTS = Counter "dayfly.cold_starts" in Unit::Of("{request}"),
        "Requests that waited until their component was loaded.";
    LOAD = Summary "dayfly.component.load" in Unit::Seconds,
        "Times that a component was loaded, and how long that took.";
    CAPABILITY_CALLS = Counter "dayfly.capability.calls" in Unit::Of("{call}"),
        "Calls of guests to the host, by capability and outcome.";
    COMPONENTS = Gauge "dayfly.components" in Unit::Of("{component}"),
        "Components that are served.";
    COMPONENTS_LEFT_OUT = Gauge "dayfly.components.left_out" in Unit::Of("{component}"),
        "Components of a node of many apps that have no series, because others have them all.";
    RESIDENT_COMPONENTS = Gauge "dayfly.resident.components" in Unit::Of("{component}"),
        "Components that are in memory.";
    RESIDENT = Gauge "dayfly.resident" in Unit::Bytes,
        "Memory that resident components take while no instance runs.";
    EVICTIONS = Counter "dayfly.evictions" in Unit::Of("{component}"),
        "Components that were sent out of memory.";
    QUOTA_REFUSALS = Counter "dayfly.quota.refusals" in Unit::Of("{refusal}"),
        "What was refused because a tenant's quota was used up.";
    BUILD_INFO = Gauge "dayfly.build_info" in Unit::Of("1"),
        "Always 1; its label is the version that runs.";
    EXPORTED = Counter "dayfly.telemetry.exported" in Unit::Of("{item}"),
        "Spans, metrics and log records that a collector took.";
    EXPORT_FAILED = Counter "dayfly.telemetry.failed" in Unit::Of("{item}"),
        "Spans, metrics and log records that no collector took.";
    EXPORT_DROPPED = Counter "dayfly.telemetry.dropped" in Unit::Of("{item}"),
        "Spans, metrics and log records that found their queue full.";
    PROCESS_CPU = Counter "process.cpu" in Unit::Seconds,
        "CPU time of the process, in user and system mode.";
    PROCESS_RESIDENT = Gauge "process.resident_memory" in Unit::Bytes,
        "Memory of the process that is in RAM.";
    PROCESS_VIRTUAL = Gauge "process.virtual_memory" in Unit::Bytes,
        "Address space of the process.";
    PROCESS_THREADS = Gauge "process.threads" in Unit::Of("{thread}"),
        "Threads of the process.";
    PROCESS_FDS = Gauge "process.open_fds" in Unit::Of("{file}"),
        "Files that the process has open.";
    PROCESS_MAX_FDS = Gauge "process.max_fds" in Unit::Of("{file}"),
        "Files that the process may have open.";
    PROCESS_START = Gauge "process.start_time" in Unit::Seconds,
        "When the process started, since the beginning of 1970.";
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::METRICS;

    #[test]
    fn every_metric_is_in_the_docs() {
        let page = include_str!("../../../../docs/observability.md");
        for metric in METRICS {
            let total = if metric.kind == Kind::Counter { "_total" } else { "" };
            let name = format!("`{}{total}`", metric.text_name());
            assert!(page.contains(&name), "{name} is not in docs/observability.md");
        }
    }
}
