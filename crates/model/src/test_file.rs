//! Tests of an app: what happens to it, step by step, and what is expected of it. `dayfly test` runs them;
//! here their text is read, in the manner of manifests.

mod formats;
mod keys;
mod lower;
mod matcher;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::manifest::form::Dialect;
use crate::manifest::json_schema::schema_of;
use crate::manifest::text::Source;
use crate::manifest::{MAX_BYTES, ManifestErrors, check, read, reference, too_long, value};
use crate::place::Place;

/// The tests of one file.
#[derive(Debug)]
pub struct TestFile {
    /// The tests, in the file's order.
    pub tests: Vec<Test>,
}

/// A test: an app of its own, and steps.
#[derive(Debug)]
pub struct Test {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What the app finds; what the file says for all of its tests is in it.
    pub setup: Setup,
    /// How long all its steps may take.
    pub timeout: Duration,
    /// What happens, one step after the other; at least one.
    pub steps: Vec<Step>,
}

/// What an app finds when a test begins.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Values of the app's variables.
    pub variables: BTreeMap<String, String>,
    /// Environment variables of every component.
    pub environment: BTreeMap<String, String>,
    /// What is in key-value stores, by label and key.
    pub key_values: BTreeMap<String, BTreeMap<String, Content>>,
    /// Statements that run on SQL databases, by label.
    pub sqlite: BTreeMap<String, Vec<Content>>,
    /// Who answers requests that leave the app; the first that a request fits.
    pub http: Vec<HttpFake>,
    /// What language models answer; the first that a prompt fits.
    pub llm: Vec<LlmFake>,
    /// The servers that are really reached, as `allowed_outbound_hosts` spells them.
    pub real: Vec<String>,
}

/// An answer to requests that leave the app.
#[derive(Debug, Clone)]
pub struct HttpFake {
    /// The requests that it answers.
    pub request: Asked,
    /// What their body is.
    pub body: Option<Matcher>,
    /// The answer.
    pub response: Response,
}

/// Which requests are meant: `GET https://api.example.com/prices/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method; every one if none is stated.
    pub method: Option<String>,
    /// The URL; a `*` stands for any text.
    pub url: String,
}

/// What a server answers.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<Content>,
}

/// What a language model answers.
#[derive(Debug, Clone)]
pub struct LlmFake {
    /// The prompts that it answers; all if nothing is said.
    pub prompt: Option<Matcher>,
    /// The model; every one if none is named.
    pub model: Option<String>,
    /// The answer.
    pub answer: String,
}

/// Bytes that are stored or sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This text.
    Text(String),
    /// This, as JSON.
    Json(serde_json::Value),
    /// What this file holds.
    File(PathBuf),
}

/// One thing that happens, and what is expected then.
#[derive(Debug)]
pub struct Step {
    /// Where it stands.
    pub place: Place,
    /// What happens.
    pub action: Action,
    /// What is expected.
    pub expect: Expect,
}

/// What happens.
#[derive(Debug)]
pub enum Action {
    /// Nothing: it is only looked at what is there.
    Look,
    /// A request comes.
    Request(Request),
    /// An event comes.
    Event(Event),
    /// Something happens on a WebSocket.
    Websocket(Websocket),
    /// A command runs.
    Command(Command),
}

/// A request of a client.
#[derive(Debug)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, and its query if it has one.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<Content>,
}

/// An event of a trigger.
#[derive(Debug)]
pub struct Event {
    /// The trigger's id, or the component that it alone wakes.
    pub trigger: String,
    /// What it carries.
    pub data: Option<Content>,
    /// The media type of that.
    pub content_type: Option<String>,
    /// Its other attributes; what is not there is as the trigger has it.
    pub attributes: Vec<(String, String)>,
}

/// What happens on a WebSocket.
#[derive(Debug)]
pub struct Websocket {
    /// Which of the test's connections.
    pub name: String,
    /// The path that it connects to, if it is new.
    pub connect: Option<String>,
    /// The headers of its handshake.
    pub headers: Vec<(String, String)>,
    /// The message that is sent, and whether as bytes.
    pub send: Option<(Content, bool)>,
    /// Whether it is closed then.
    pub close: bool,
}

/// A command that runs once.
#[derive(Debug)]
pub struct Command {
    /// The component.
    pub component: String,
    /// What it is called with, behind what the manifest says.
    pub arguments: Vec<String>,
    /// What it reads.
    pub stdin: Option<Content>,
}

/// What is expected once something has happened.
#[derive(Debug)]
pub struct Expect {
    /// The status of the answer, of a handshake, or of a command.
    pub status: Option<i64>,
    /// The answer's headers.
    pub headers: Vec<(String, Matcher)>,
    /// The body of the answer, an event's answer, or what a command printed.
    pub body: Option<Matcher>,
    /// Why an event was given up; if nothing is said, it has to be handled.
    pub error: Option<Matcher>,
    /// The next messages on the WebSocket.
    pub messages: Vec<Matcher>,
    /// What guests logged meanwhile.
    pub log: Option<Matcher>,
    /// What is in key-value stores, by label and key.
    pub key_values: Vec<(String, String, Matcher)>,
    /// What is in SQL databases.
    pub sqlite: Vec<Query>,
    /// Which answers were passed on meanwhile.
    pub outputs: Vec<PassedOn>,
    /// Which requests left the app meanwhile.
    pub requests: Vec<Sent>,
    /// How long is waited for what need not be there at once.
    pub within: Duration,
}

/// The rows that a query has.
#[derive(Debug)]
pub struct Query {
    /// The database's label.
    pub database: String,
    /// The query.
    pub sql: String,
    /// Its rows, column by column.
    pub rows: serde_json::Value,
}

/// An answer that went to the next step.
#[derive(Debug)]
pub struct PassedOn {
    /// Where to, as the manifest has it.
    pub to: String,
    /// The answer.
    pub body: Option<Matcher>,
}

/// A request that left the app.
#[derive(Debug)]
pub struct Sent {
    /// Which.
    pub request: Asked,
    /// Its headers.
    pub headers: Vec<(String, Matcher)>,
    /// Its body.
    pub body: Option<Matcher>,
}

/// What a text must be like; all that is stated has to hold.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// It is this.
    pub equals: Option<Content>,
    /// It has these parts.
    pub contains: Vec<String>,
    /// It has none of these.
    pub lacks: Vec<String>,
    /// This is found in it.
    pub regex: Option<regex::Regex>,
    /// It is JSON that holds at least this.
    pub json: Option<serde_json::Value>,
    /// It is JSON, and at these pointers (RFC 6901) is this.
    pub at: Vec<(String, Matcher)>,
    /// Whether it is not there at all.
    pub absent: bool,
}

/// What messages call such a file.
const KIND: &str = "test file";

/// How long a test may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long is waited for what need not be there at once, unless a step says otherwise.
const WITHIN: Duration = Duration::from_secs(2);

impl TestFile {
    /// Reads a file of tests. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// All its mistakes, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ManifestErrors> {
        let name = path.display().to_string();
        let text =
            read(path).map_err(|problem| ManifestErrors::unread_as(KIND, &name, &problem))?;
        Self::parse(&text, &name, path.parent().unwrap_or(Path::new("")))
    }

    /// Parses a file of tests. `file` is how messages name it, `folder` what its paths are relative to,
    /// which is not touched.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Self, ManifestErrors> {
        if text.len() as u64 > MAX_BYTES {
            return Err(ManifestErrors::unread_as(KIND, file, &too_long(KIND)));
        }
        let source = Source::new(file, text);
        let mut errors = Vec::new();
        let root = value::parse(&source, &mut errors);
        if errors.is_empty() {
            check::check_table(&source, Dialect::Dayfly, &root, &keys::TEST_FILE, &mut errors);
            let tests = lower::lower(&source, &root, folder, &mut errors);
            if errors.is_empty() {
                return Ok(tests);
            }
        }
        Err(ManifestErrors::new(errors))
    }

    /// The reference page of test files, in Markdown.
    #[must_use]
    pub fn reference() -> String {
        reference::page(HEAD, &[&keys::TEST_FILE])
    }

    /// The JSON schema of test files (draft 2020-12), for editors.
    #[must_use]
    pub fn json_schema() -> String {
        let description = "tests/*.toml beside the manifest of an app, for `dayfly test`.";
        schema_of("Dayfly tests", description, &keys::TEST_FILE)
    }
}

const HEAD: &str = "\
<!-- Generated from crates/model/src/test_file/keys.rs by `UPDATE_GOLDEN=1 cargo test -p dayfly-model`. -->
# Reference of tests

Every table and key of the files `tests/*.toml` beside a manifest, which [`dayfly test`](test.md) runs.
Unknown keys are errors. Relative paths are relative to the file's folder.
[`test.schema.json`](test.schema.json) says the same to editors.
";
