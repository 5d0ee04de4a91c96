//! Dayfly from outside: the built binary serves real guests to real clients.
//!
//! Needs the guests (`cargo xtask guests`) and the programs of `cargo xtask setup`.

mod blobstore;
mod cache;
mod cancelled;
mod candidates;
mod cgi;
mod chaining;
mod clients;
mod command_line;
mod commands;
mod compiling;
mod composition;
mod databases;
mod dependencies;
mod descriptors;
mod ending;
mod events;
mod examples;
mod failures;
mod fetched;
mod files;
mod guests;
mod handwritten;
mod harden;
mod headers;
mod hostile;
mod hostile_shapes;
mod http2;
mod instances;
mod interfaces;
mod key_value;
mod killed;
mod killed_writing;
mod limits;
mod limits_by_shape;
mod llm;
mod logs;
mod manifests;
mod messaging;
mod metrics;
mod mqtt;
mod mysql;
mod outbound;
mod pages;
mod plane;
mod platform;
mod postgres;
mod protocol;
mod redis;
mod refusals;
mod residency;
mod reuse;
mod routes;
mod runtime_config;
mod s3;
mod scripts;
mod sdks;
mod shares;
mod ship;
mod slow;
mod sockets;
mod sources;
mod spin_one;
mod sqlite;
mod streaming;
mod telemetry;
mod tiny;
mod tls;
mod variables;
mod vault;
mod websocket;
mod whiskers;

use dayfly_testing::Dayfly;

/// The binary under test.
fn dayfly() -> Dayfly {
    Dayfly::new(env!("CARGO_BIN_EXE_dayfly"))
}
