//! What monitoring is told of a platform: whose everything is.

use dayfly_testing::{Client, Collector, text};

use super::{Addresses, Platform, numbered};
use crate::dayfly;

#[tokio::test]
async fn spans_lines_and_metrics_say_whose_they_are() {
    let collector = Collector::start().await;
    let metrics = Addresses::free().apps;
    let soon = ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"];
    let command = dayfly()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("DAYFLY_METRICS_LISTEN", &metrics);
    let command = soon.into_iter().fold(command, |command, name| command.env(name, "200"));
    let platform = Platform::start_with(command).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.get("test.localhost", "/log?text=seen").await;
    let told = collector
        .until(|told| {
            let said = |line: &str| line.contains("stdout seen 1");
            !told.spans_named("GET /...").is_empty()
                && told.logs.iter().any(|(.., log)| said(&format!("{log:?}")))
        })
        .await;
    let span = &told.span("GET /...").attributes;
    assert_eq!((text(span, "dayfly.tenant"), text(span, "dayfly.app")), ("default", "test"));
    let line = told.logs.iter().map(|(.., log)| log);
    let line = line.into_iter().find(|log| format!("{log:?}").contains("stdout seen 1")).unwrap();
    let of = |key| text(&line.attributes, key);
    assert_eq!((of("tenant"), of("app"), of("component")), ("default", "test", "guest"));
    let shown = platform.json(&["logs", "test", "-n", "1"]).await;
    assert_eq!(of("request"), shown["request"]);
    let page = Client::http1(&format!("http://{metrics}")).text("/metrics").await;
    let counted = "dayfly_requests_total{tenant=\"default\",app=\"test\",component=\"guest\",status=\"2xx\",fault=\"none\"} 1";
    assert!(page.contains(counted), "{page}");
    assert!(page.contains("\ndayfly_components_left_out 0\n"), "{page}");
    platform.stop().await;
}
