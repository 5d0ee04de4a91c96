//! From a tree that was checked to tests: defaults, paths, and what spans several keys. What the checker
//! reported is passed over here in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::formats::{asked, request_line};
use super::matcher::Lowering;
use super::{
    Action, Asked, Command, Content, Event, Expect, HttpFake, LlmFake, Matcher, PassedOn, Query,
    Request, Response, Sent, Setup, Step, TIMEOUT, Test, TestFile, WITHIN, Websocket,
};
use crate::manifest::error::ManifestError;
use crate::manifest::parse_duration;
use crate::manifest::text::Source;
use crate::manifest::value::{Entry, Node, Value};

/// The keys by which a step says what happens.
const ACTIONS: [&str; 4] = ["request", "event", "websocket", "command"];

/// Makes the tests of a checked tree. They are only good if nothing was reported.
pub(super) fn lower(
    source: &Source<'_>,
    root: &Node,
    folder: &Path,
    errors: &mut Vec<ManifestError>,
) -> TestFile {
    let mut lowering = Lowering { source, folder, errors };
    let setup = lowering.setup(root.get("setup"), &Setup::default());
    let mut names = BTreeSet::new();
    let mut tests = Vec::new();
    for node in root.list("test") {
        let test = lowering.test(node, &setup);
        if !names.insert(test.name.clone())
            && let Some(name) = node.get("name")
        {
            let message = format!("two tests are called {:?}", test.name);
            lowering.report(name, message, "names tell them apart");
        }
        tests.push(test);
    }
    TestFile { tests }
}

impl Lowering<'_, '_> {
    fn test(&mut self, node: &Node, setup: &Setup) -> Test {
        let inline = ACTIONS.iter().chain(&["expect"]).find_map(|key| node.entry(key));
        let steps = node.list("step");
        let steps = match (inline, node.entry("step")) {
            (Some(inline), Some(_)) => {
                let message = format!("a test with `{}` of its own has steps, too", inline.key);
                let error = self.source.error(&inline.key_span, message);
                self.errors.push(error.hint("put it into a `[[test.step]]` as well"));
                Vec::new()
            }
            (Some(_), None) => vec![self.step(node)],
            (None, _) => steps.iter().map(|step| self.step(step)).collect(),
        };
        if steps.is_empty() && inline.is_none() {
            self.report(
                node,
                "nothing happens in this test",
                "add a `request` or a `[[test.step]]`",
            );
        }
        Test {
            name: node.text("name").unwrap_or_default().to_owned(),
            place: self.source.place(node.span.start),
            setup: self.setup(node.get("setup"), setup),
            timeout: duration(node, "timeout").unwrap_or(TIMEOUT),
            steps,
        }
    }

    /// What a table says, over what holds for all.
    fn setup(&mut self, node: Option<&Node>, all: &Setup) -> Setup {
        let mut setup = all.clone();
        let Some(node) = node else { return setup };
        setup.variables.extend(pairs(node, "variables"));
        setup.environment.extend(pairs(node, "environment"));
        for store in entries(node, "key_value") {
            let kept = setup.key_values.entry(store.key.clone()).or_default();
            for pair in store.node.entries() {
                kept.insert(pair.key.clone(), self.content(&pair.node));
            }
        }
        for database in entries(node, "sqlite") {
            let statements: Vec<Content> = match &database.node.value {
                Value::List(items) => items.iter().map(|item| self.content(item)).collect(),
                _ => vec![self.content(&database.node)],
            };
            setup.sqlite.entry(database.key.clone()).or_default().extend(statements);
        }
        let http: Vec<_> = node.list("http").iter().map(|node| self.http_fake(node)).collect();
        setup.http.splice(0..0, http);
        let llm: Vec<_> = node.list("llm").iter().map(|node| self.llm_fake(node)).collect();
        setup.llm.splice(0..0, llm);
        setup.real.extend(node.texts("real"));
        setup
    }

    fn http_fake(&mut self, node: &Node) -> HttpFake {
        let response = match node.get("response") {
            Some(stated) if stated.as_text().is_none() => Response {
                status: small(stated, "status").unwrap_or(200),
                headers: self.headers_of_content(stated),
                body: self.contents(stated),
            },
            stated => Response {
                status: 200,
                headers: Vec::new(),
                body: stated.map(|text| self.content(text)),
            },
        };
        HttpFake { request: asked_of(node), body: self.matched(node, "body"), response }
    }

    fn llm_fake(&mut self, node: &Node) -> LlmFake {
        LlmFake {
            prompt: self.matched(node, "prompt"),
            model: node.text("model").map(str::to_owned),
            answer: node.text("answer").unwrap_or_default().to_owned(),
        }
    }

    fn step(&mut self, node: &Node) -> Step {
        let mut stated = ACTIONS.iter().filter_map(|key| node.entry(key));
        let first = stated.next();
        if let (Some(first), Some(second)) = (first, stated.next()) {
            let message = format!("both `{}` and `{}` happen in one step", first.key, second.key);
            let error = self.source.error(&second.key_span, message);
            self.errors.push(error.hint("make them two steps: `[[test.step]]`"));
        }
        let action = match first {
            None => Action::Look,
            Some(entry) => match entry.key.as_str() {
                "request" => Action::Request(self.request(&entry.node)),
                "event" => Action::Event(self.event(&entry.node)),
                "websocket" => Action::Websocket(self.websocket(&entry.node)),
                _ => Action::Command(self.command(&entry.node)),
            },
        };
        let empty = Node { span: node.span.clone(), value: Value::Table(Vec::new()) };
        let expect = node.get("expect").unwrap_or(&empty);
        if matches!(action, Action::Look) && expect.entries().is_empty() {
            self.report(node, "nothing happens in this step", "add a `request` or an `expect`");
        }
        self.fits(&action, expect);
        Step { place: self.source.place(node.span.start), action, expect: self.expect(expect) }
    }

    /// Reports expectations of what such a step does not bring.
    fn fits(&mut self, action: &Action, expect: &Node) {
        let foreign: &[&str] = match action {
            Action::Look => &["status", "headers", "body", "error", "messages"],
            Action::Request(_) => &["messages"],
            Action::Event(_) => &["status", "headers", "messages"],
            Action::Websocket(_) => &["body"],
            Action::Command(_) => &["headers", "error", "messages"],
        };
        for entry in foreign.iter().filter_map(|key| expect.entry(key)) {
            let brings = match action {
                Action::Look => "a step in which nothing happens",
                Action::Request(_) => "a request",
                Action::Event(_) => "an event",
                Action::Websocket(_) => "a WebSocket",
                Action::Command(_) => "a command",
            };
            let message = format!("{brings} brings nothing that `{}` could be", entry.key);
            let error = self.source.error(&entry.key_span, message);
            self.errors.push(error.hint("remove it"));
        }
    }

    fn request(&mut self, node: &Node) -> Request {
        if let Some(text) = node.as_text() {
            let (method, path) = request_line(text).unwrap_or_default();
            let (method, path) = (method.to_owned(), path.to_owned());
            return Request { method, path, headers: Vec::new(), body: None };
        }
        let body = self.contents(node);
        let usual = if body.is_some() { "POST" } else { "GET" };
        Request {
            method: node.text("method").unwrap_or(usual).to_owned(),
            path: node.text("path").unwrap_or_default().to_owned(),
            headers: self.headers_of_content(node),
            body,
        }
    }

    /// The headers of a table, and the media type of JSON if it has that and says nothing else.
    fn headers_of_content(&self, node: &Node) -> Vec<(String, String)> {
        let mut headers: Vec<_> = pairs(node, "headers").collect();
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if node.get("json").is_some() && !has_type {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers
    }

    fn event(&mut self, node: &Node) -> Event {
        let own = ["type", "subject"].into_iter();
        let own = own.filter_map(|key| Some((key.to_owned(), node.text(key)?.to_owned())));
        let json = node.get("json").map(|_| "application/json");
        Event {
            trigger: node.text("trigger").unwrap_or_default().to_owned(),
            data: self.contents(node),
            content_type: node.text("content_type").or(json).map(str::to_owned),
            attributes: own.chain(pairs(node, "attributes")).collect(),
        }
    }

    fn websocket(&mut self, node: &Node) -> Websocket {
        let text = node.get("send").map(|content| (self.content(content), false));
        let bytes = node.get("send_bytes").map(|content| (self.content(content), true));
        if let (Some(_), Some(bytes)) = (&text, node.get("send_bytes")) {
            self.report(bytes, "both `send` and `send_bytes` are sent", "make them two steps");
        }
        Websocket {
            name: node.text("name").unwrap_or("main").to_owned(),
            connect: node.as_text().or(node.text("connect")).map(str::to_owned),
            headers: pairs(node, "headers").collect(),
            send: text.or(bytes),
            close: node.bool("close").unwrap_or(false),
        }
    }

    fn command(&mut self, node: &Node) -> Command {
        Command {
            component: node.as_text().or(node.text("component")).unwrap_or_default().to_owned(),
            arguments: node.texts("arguments"),
            stdin: node.get("stdin").map(|content| self.content(content)),
        }
    }

    fn expect(&mut self, node: &Node) -> Expect {
        let mut key_values = Vec::new();
        for store in entries(node, "key_value") {
            for pair in store.node.entries() {
                key_values.push((store.key.clone(), pair.key.clone(), self.matcher(&pair.node)));
            }
        }
        let outputs = node.list("outputs").iter().map(|node| PassedOn {
            to: node.text("to").unwrap_or_default().to_owned(),
            body: self.matched(node, "body"),
        });
        let outputs = outputs.collect();
        let requests = node.list("requests").iter().map(|node| Sent {
            request: asked_of(node),
            headers: self.matched_headers(node),
            body: self.matched(node, "body"),
        });
        let requests = requests.collect();
        Expect {
            status: node.integer("status"),
            headers: self.matched_headers(node),
            body: self.matched(node, "body"),
            error: self.matched(node, "error"),
            messages: node.list("messages").iter().map(|node| self.matcher(node)).collect(),
            log: self.matched(node, "log"),
            key_values,
            sqlite: node.list("sqlite").iter().map(query).collect(),
            outputs,
            requests,
            within: duration(node, "within").unwrap_or(WITHIN),
        }
    }

    fn matched(&mut self, node: &Node, key: &str) -> Option<Matcher> {
        node.get(key).map(|node| self.matcher(node))
    }

    fn matched_headers(&mut self, node: &Node) -> Vec<(String, Matcher)> {
        let headers = entries(node, "headers").iter();
        headers.map(|entry| (entry.key.clone(), self.matcher(&entry.node))).collect()
    }
}

fn query(node: &Node) -> Query {
    Query {
        database: node.text("database").unwrap_or("default").to_owned(),
        sql: node.text("query").unwrap_or_default().to_owned(),
        rows: node.get("rows").map(Node::to_json).unwrap_or_default(),
    }
}

fn asked_of(node: &Node) -> Asked {
    let stated = node.text("request").unwrap_or_default();
    asked(stated).unwrap_or(Asked { method: None, url: String::new() })
}

fn entries<'n>(node: &'n Node, key: &str) -> &'n [Entry] {
    node.get(key).map_or(&[], Node::entries)
}

fn pairs(node: &Node, key: &str) -> impl Iterator<Item = (String, String)> {
    let pairs: BTreeMap<_, _> = entries(node, key)
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), entry.node.as_text()?.to_owned())))
        .collect();
    pairs.into_iter()
}

fn small(node: &Node, key: &str) -> Option<u16> {
    node.integer(key).and_then(|number| number.try_into().ok())
}

fn duration(node: &Node, key: &str) -> Option<std::time::Duration> {
    node.text(key).and_then(|text| parse_duration(text).ok())
}
