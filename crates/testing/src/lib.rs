//! What tests start and ask: guests by name, apps in folders of their own, the built `dayfly`
//! binary, an HTTP client, an upstream server, servers of databases and language
//! models, certificates and installed programs.
//!
//! Everything panics when it fails: a test has nobody else to tell.
#![deny(missing_docs)]

mod app;
mod body;
pub mod browser;
mod certificate;
mod client;
mod collector;
mod compilers;
mod daemon;
mod databases;
mod dayfly;
mod guest;
mod https;
mod lines;
mod models;
mod mosquitto;
mod nats;
mod page;
mod pebble;
mod process;
mod program;
mod publisher;
mod redis;
mod registry;
mod rotel;
mod running;
mod s3;
mod site;
mod tree;
mod upstream;
mod vault;

pub use app::App;
pub use body::{Body, Pattern};
pub use browser::{Browser, Tab};
pub use certificate::Certificate;
pub use client::{Answer, Client};
pub use collector::{Collector, Told, attribute, number, text};
pub use compilers::Compilers;
pub use daemon::free_port;
pub use databases::{MariaDb, Postgres};
pub use dayfly::{Dayfly, Ended};
pub use guest::Guest;
pub use https::Https;
pub use lines::Lines;
pub use models::Models;
pub use mosquitto::{Mosquitto, Subscriber};
pub use nats::{Heard, Listener, Nats};
/// OTLP's messages.
pub use opentelemetry_proto::tonic as otlp;
pub use page::Page;
pub use pebble::Pebble;
pub use process::Process;
pub use program::{program, run};
pub use redis::Redis;
pub use registry::{Registry, sha256};
pub use rotel::Rotel;
pub use running::Running;
pub use s3::S3;
pub use site::{Content, Site};
pub use tree::{shared_cache, workspace};
pub use upstream::Upstream;
pub use vault::{Mood, Vault};
