use super::*;

fn reading(variables: &[(&str, &str)]) -> Reading {
    Settings::read(&|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
    .unwrap()
}

fn read(variables: &[(&str, &str)]) -> Option<Settings> {
    reading(variables).settings
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

#[test]
fn nothing_is_exported_unless_an_endpoint_is_named() {
    assert!(read(&[]).is_none());
    assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).is_none());
    assert!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]).is_none());
    assert!(read(&[ENDPOINT]).is_some());
    let none = ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"];
    assert!(read(&[ENDPOINT, (none[0], "none"), (none[1], "none"), (none[2], "none")]).is_none());
    let some = read(&[ENDPOINT, (none[0], "none")]).unwrap();
    assert!(some.traces.is_none() && some.metrics.is_some() && some.logs.is_some());
}

#[test]
fn an_exporter_that_is_named_alone_reaches_the_collector_of_this_machine() {
    let settings = read(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap();
    assert!(settings.metrics.is_none() && settings.logs.is_none());
    assert_eq!(settings.traces.unwrap().endpoint, "http://localhost:4318/v1/traces");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let settings = read(&[("OTEL_LOGS_EXPORTER", "otlp"), grpc]).unwrap();
    assert_eq!(settings.ports().collect::<Vec<_>>(), [4317]);
}

#[test]
fn paths_are_added_to_the_address_of_all_signals_only() {
    let settings = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1/base/"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://b/logs"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ])
    .unwrap();
    let endpoint = |signal: &Option<Signal>| signal.as_ref().unwrap().endpoint.to_string();
    assert_eq!(endpoint(&settings.traces), "http://a:1/base/v1/traces");
    assert_eq!(endpoint(&settings.logs), "https://b/logs");
    assert_eq!(
        endpoint(&settings.metrics),
        "http://a:1/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    );
    assert_eq!(settings.ports().collect::<Vec<_>>(), [1, 1, 443]);
}

#[test]
fn what_means_nothing_is_warned_of_and_its_value_is_not_told() {
    let Reading { settings, warnings } = reading(&[
        ENDPOINT,
        ("OTEL_BSP_MAX_QUEUE_SIZE", "secret"),
        ("OTEL_TRACES_SAMPLER", "secret"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_PROPAGATORS", "b3"),
        (ONLY[0].0, "delta"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.traces.unwrap().batching.queue, 2048);
    assert!(!settings.propagates);
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    let warnings = warnings.join("\n");
    assert!(!warnings.contains("secret") && !warnings.contains("json,"), "{warnings}");
    // Even if nothing is left to be exported.
    let zipkin = reading(&[("OTEL_TRACES_EXPORTER", "zipkin")]);
    assert!(zipkin.settings.is_none() && zipkin.warnings.len() == 1, "{zipkin:?}");
}

#[test]
fn an_endpoint_that_is_none_is_an_error_that_does_not_show_it() {
    for address in ["localhost:4318", "ftp://a", "http://user:secret@host", "/secret"] {
        let get = |name: &str| (name == ENDPOINT.0).then(|| address.to_owned());
        let Err(error) = Settings::read(&get) else { panic!("{address} is read") };
        let error = error.to_string();
        assert!(error.contains(ENDPOINT.0) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn the_other_variables_are_read() {
    let Reading { settings, warnings } = reading(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, b = c "),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,region=a%2Cb"),
        ("OTEL_SERVICE_NAME", "mine"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ("OTEL_BSP_SCHEDULE_DELAY", "7"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "900"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "3"),
    ]);
    let settings = settings.unwrap();
    let traces = settings.traces.unwrap();
    assert_eq!(traces.headers["authorization"], "Bearer x");
    assert_eq!(traces.headers["b"], "c");
    assert!(traces.headers["b"].is_sensitive() && traces.gzip);
    assert_eq!(traces.timeout, Duration::from_millis(250));
    assert_eq!(settings.logs.unwrap().timeout, Duration::from_secs(10));
    let patience = Duration::from_millis(900);
    let batching = Batching { delay: Duration::from_millis(7), queue: 10, batch: 10, patience };
    assert_eq!(traces.batching, batching);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(settings.attributes, [pair("region", "a,b"), pair("service.name", "mine")]);
    assert_eq!(settings.sampler, Sampler { parent_based: false, ratio: 0.5 });
    assert_eq!(settings.interval, Duration::from_secs(1));
    assert_eq!((settings.limits.events, settings.limits.attributes), (3, 128));
    assert!(warnings.is_empty() && settings.propagates, "{warnings:?}");
}
