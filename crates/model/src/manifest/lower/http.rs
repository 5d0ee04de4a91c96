//! HTTP triggers: a route, what answers on it, and what stands before that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use super::super::value::{Node, Value};
use super::Lowering;
use crate::app::{
    DependencySource, Executor, HttpTarget, HttpTrigger, Inherit, Middleware, StaticResponse,
};
use crate::feature::Feature;
use crate::route::Route;

/// Paths that Dayfly and Spin answer themselves.
const RESERVED: [&str; 2] = ["/.well-known/spin", "/.well-known/dayfly"];

/// The keys that say what answers, and what each names.
const TARGETS: [(&str, &str); 3] =
    [("component", "a component"), ("static_response", "a static response"), ("queue", "a queue")];

/// Each is a part of one component.
const MAX_MIDDLEWARE: usize = 100;

const DEFAULT_ARGV: &str = "${SCRIPT_NAME} ${ARGS}";
pub(super) const DEFAULT_ENTRYPOINT: &str = "_start";

impl Lowering<'_, '_> {
    pub(super) fn http_trigger(
        &mut self,
        node: &Node,
        id: &str,
        base: &str,
        path: &str,
    ) -> Option<HttpTrigger> {
        let route = self.route(node, base, path);
        let middleware = self.middleware(node, id, path);
        let target = self.target(node, id, path);
        if let Some(target) = target.as_ref().filter(|_| !middleware.is_empty()) {
            self.stands_before_a_handler(node, target, path);
        }
        let websocket = self.websocket(node, target.as_ref(), path);
        let (route, target) = (route?, target?);
        if let (Some(_), HttpTarget::Component { component, .. }) = (&websocket, &target) {
            self.websockets.insert(component.clone());
        }
        Some(HttpTrigger { route, target, middleware, websocket })
    }

    /// The route, `Some(None)` for a private one.
    fn route(&mut self, node: &Node, base: &str, path: &str) -> Option<Option<Route>> {
        let entry = node.entry("route")?;
        if let Value::Table(_) = entry.node.value {
            if entry.node.bool("private") == Some(false) {
                let message = format!("`{path}.route` is a table that is not private");
                let hint = "write `route = \"/…\"`, or `{ private = true }`";
                self.report(&entry.node.span, message, Some(hint.to_owned()));
            }
            return Some(None);
        }
        let raw = entry.node.as_text()?;
        match Route::parse_with_base(base, raw) {
            Ok(route) => {
                let full = route.to_string();
                if let Some(prefix) = RESERVED.iter().find(|prefix| is_below(&full, prefix)) {
                    let message = format!(
                        "route `{full}` is reserved: the host itself answers below `{prefix}`"
                    );
                    self.report(&entry.node.span, message, None);
                }
                self.distinct(&route, &entry.node.span);
                Some(Some(route))
            }
            // What is malformed by itself was reported by the checker.
            Err(error) => {
                if Route::parse(raw).is_ok() && Route::parse(base).is_ok() {
                    self.report(&entry.node.span, error.to_string(), Some(error.hint().to_owned()));
                }
                None
            }
        }
    }

    fn target(&mut self, node: &Node, id: &str, path: &str) -> Option<HttpTarget> {
        let stated: Vec<_> = TARGETS.iter().filter_map(|(key, _)| node.entry(key)).collect();
        let name = |key: &str| TARGETS.iter().find(|(it, _)| *it == key).map_or("", |(_, it)| it);
        let target = match stated[..] {
            [] => {
                let message = format!("`{path}` has nothing that answers");
                let hint = "add `component = \"…\"`, `static_response = { … }` or `queue = \"…\"`";
                self.report(&node.span, message, Some(hint.to_owned()));
                return None;
            }
            [only] => only,
            [first, second, ..] => {
                let (first, second_name) = (name(&first.key), name(&second.key));
                let message = format!("`{path}` has both {first} and {second_name}");
                self.report(&second.key_span, message, Some("keep one of them".to_owned()));
                return None;
            }
        };
        if target.key == "component" {
            let alone = node.get("components").is_none();
            let component = self.handler(&target.node, id, alone, &format!("{path}.component"))?;
            return Some(HttpTarget::Component { component, executor: self.executor(node, path) });
        }
        if let Some(executor) = node.entry("executor") {
            let message = format!("`{path}` has an executor, but no component to be executed");
            self.report(&executor.key_span, message, Some("remove it".to_owned()));
        }
        match target.key.as_str() {
            "queue" => Some(HttpTarget::Queue(target.node.as_text()?.to_owned())),
            _ => Some(HttpTarget::Static(static_response(&target.node))),
        }
    }

    fn executor(&mut self, node: &Node, path: &str) -> Executor {
        let Some(executor) = node.get("executor") else {
            return Executor::Detected;
        };
        if executor.text("type") == Some("wagi") {
            let text = |key, default: &str| executor.text(key).unwrap_or(default).to_owned();
            return Executor::Wagi {
                entrypoint: text("entrypoint", DEFAULT_ENTRYPOINT),
                argv: text("argv", DEFAULT_ARGV),
            };
        }
        for key in ["argv", "entrypoint"] {
            if let Some(entry) = executor.entry(key).filter(|_| executor.get("type").is_some()) {
                let message = format!("`{path}.executor.{key}` is only for `type = \"wagi\"`");
                self.report(&entry.key_span, message, None);
            }
        }
        Executor::Detected
    }

    fn middleware(&mut self, node: &Node, id: &str, path: &str) -> Vec<Middleware> {
        let mut found = Vec::new();
        for table in ["components", "dependencies"] {
            let Some(entry) = node.get(table).and_then(|t| t.entry("middleware")) else {
                continue;
            };
            let key = format!("{path}.{table}.middleware");
            let items = match &entry.node.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(&entry.node),
            };
            if !items.is_empty() {
                self.used(Feature::Middleware, &key, &entry.key_span);
            }
            if items.len() > MAX_MIDDLEWARE {
                let message = format!("`{key}` has more than {MAX_MIDDLEWARE} entries");
                self.report(&entry.key_span, message, None);
            }
            for (i, item) in items.iter().enumerate() {
                let key = format!("{key}[{i}]");
                found.extend(match table {
                    "components" => self.middleware_component(item, id, &key),
                    _ => self.middleware_dependency(item, &key),
                });
            }
        }
        found
    }

    /// A component of the app, named or written out, which gets nothing of what others may use.
    fn middleware_component(&mut self, node: &Node, id: &str, path: &str) -> Option<Middleware> {
        let component = self.handler(node, id, false, path)?;
        match &node.value {
            Value::Table(_) => self.has_no_grants(&component.0, node, &node.span, "middleware"),
            _ => self.may_be_composed(&component.0, &node.span, "middleware"),
        }
        Some(Middleware {
            source: DependencySource::Component(component),
            inherit: Inherit::Nothing,
            environment: BTreeMap::new(),
        })
    }

    /// Middleware needs something that takes the requests which it passes on.
    fn stands_before_a_handler(&mut self, node: &Node, target: &HttpTarget, path: &str) {
        let why = match target {
            HttpTarget::Static(_) | HttpTarget::Queue(_) => "no component to stand before",
            HttpTarget::Component { executor: Executor::Wagi { .. }, .. } => {
                "a command called by CGI, which takes no requests from it"
            }
            HttpTarget::Component { executor: Executor::Detected, .. } => return,
        };
        let message = format!("`{path}` has middleware, but {why}");
        self.report(&node.span, message, Some("remove the middleware".to_owned()));
    }

    /// Two routes that match the same paths: the second could never answer.
    fn distinct(&mut self, route: &Route, span: &Range<usize>) {
        let line = self.source.place(span.start).line;
        match self.routes.entry(route.shape()) {
            Entry::Vacant(vacant) => {
                vacant.insert((route.to_string(), line));
            }
            Entry::Occupied(occupied) => {
                let (first, first_line) = occupied.get();
                let message = format!(
                    "route `{route}` matches the same paths as `{first}` in line {first_line}"
                );
                let hint = "each route answers for one trigger; remove or change one";
                self.report(span, message, Some(hint.to_owned()));
            }
        }
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn static_response(node: &Node) -> StaticResponse {
    let headers = node.get("headers").map_or(&[][..], Node::entries);
    let status = node.integer("status_code").and_then(|status| u16::try_from(status).ok());
    StaticResponse {
        status: status.unwrap_or(200),
        headers: headers
            .iter()
            .filter_map(|entry| {
                Some((entry.key.to_ascii_lowercase(), entry.node.as_text()?.to_owned()))
            })
            .collect(),
        body: node.text("body").map(str::to_owned),
    }
}
