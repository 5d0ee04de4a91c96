//! The topology of an app: which events wake which component, and where the answers go. Drawn as a
//! flowchart of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dayfly_model::events::{EventSource, EventTrigger, Output, takes};
use dayfly_model::{App, HttpTarget, HttpTrigger, Route, Trigger, TriggerKind};

/// Something that events come from, go to, or pass through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Component(String),
    /// A route, a schedule, a channel, a queue, a server.
    Place(String),
}

/// What leads where, in the manifest's order, each once.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The ways of events and of their answers.
    leads: Vec<(Node, Node)>,
    /// What components may call by their grants, whether they do or not.
    may: Vec<(Node, Node)>,
}

/// The messaging client behind which are the app's own queues, unless the operator says otherwise.
const OWN_QUEUES: &str = "default";

impl Graph {
    pub(super) fn of(app: &App) -> Self {
        let mut graph = Self::default();
        for trigger in &app.triggers {
            match &trigger.kind {
                TriggerKind::Http(http) => {
                    let target = match &http.target {
                        HttpTarget::Component { component, .. } => component_node(&component.0),
                        HttpTarget::Queue(name) => Node::Place(format!("queue {name}")),
                        HttpTarget::Static(_) => continue,
                    };
                    let Some(route) = &http.route else { continue };
                    graph.edge(Node::Place(self::route(http, route)), target.clone());
                    let output = http.websocket.as_ref().and_then(|it| it.output.as_ref());
                    if let Some(output) = output {
                        graph.edge(target, self::target(output));
                    }
                }
                TriggerKind::Event(event) => {
                    graph.edge(Node::Place(source(event)), component_node(&event.component.0));
                    if let Some(output) = &event.output {
                        graph.edge(component_node(&event.component.0), target(output));
                    }
                }
                TriggerKind::Command(command) => {
                    graph.edge(
                        Node::Place("start".to_owned()),
                        component_node(&command.component.0),
                    );
                }
                TriggerKind::Other { name, component: Some(component), .. } => {
                    graph.edge(Node::Place(name.clone()), component_node(&component.0));
                }
                TriggerKind::Other { .. } => {}
            }
        }
        graph.wildcards(app);
        graph.grants(app);
        graph
    }

    /// Which components may call which, and which may put messages into the app's queues.
    fn grants(&mut self, app: &App) {
        let callable: Vec<&str> = app.triggers.iter().filter_map(called).collect();
        let queues: Vec<Node> = self.nodes().filter(|node| node.is_queue()).cloned().collect();
        for (id, component) in &app.components {
            let may = |callee: &str| {
                let host = format!("{callee}.spin.internal");
                component.allowed_outbound_hosts.check("http", &host, 80).is_some()
            };
            for callee in callable.iter().filter(|callee| may(callee)) {
                push(&mut self.may, component_node(&id.0), component_node(callee));
            }
            if component.messaging.iter().any(|label| label == OWN_QUEUES) {
                for queue in &queues {
                    push(&mut self.may, component_node(&id.0), queue.clone());
                }
            }
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.leads.iter().chain(&self.may).flat_map(|(from, to)| [from, to])
    }

    /// Leads subjects of NATS that answers go to on to those who listen to them by other words.
    fn wildcards(&mut self, app: &App) {
        let events = || {
            app.triggers.iter().filter_map(|trigger| match &trigger.kind {
                TriggerKind::Event(event) => Some(event),
                _ => None,
            })
        };
        for output in events().filter_map(|event| event.output.as_ref()) {
            let Output::Nats { subject, .. } = output else { continue };
            for event in events() {
                let EventSource::Nats(nats) = &event.source else { continue };
                let place = Node::Place(source(event));
                let takes = nats.subject().is_some_and(|of| takes(&of.to_string(), subject));
                if takes && place != target(output) {
                    self.edge(target(output), place);
                }
            }
        }
    }

    fn edge(&mut self, from: Node, to: Node) {
        push(&mut self.leads, from, to);
    }

    /// One way by which answers come back to where they began, if there is one.
    pub(super) fn cycle(&self) -> Option<Vec<&Node>> {
        let mut done = Vec::new();
        self.leads.iter().find_map(|(from, _)| self.walk(from, &mut Vec::new(), &mut done))
    }

    fn walk<'a>(
        &'a self,
        node: &'a Node,
        path: &mut Vec<&'a Node>,
        done: &mut Vec<&'a Node>,
    ) -> Option<Vec<&'a Node>> {
        if let Some(at) = path.iter().position(|it| *it == node) {
            return Some([&path[at..], &[node]].concat());
        }
        if done.contains(&node) {
            return None;
        }
        path.push(node);
        let next = self.leads.iter().filter(|(from, _)| from == node);
        let found = next.into_iter().find_map(|(_, to)| self.walk(to, path, done));
        path.pop();
        done.push(node);
        found
    }

    /// The text of a flowchart.
    pub(super) fn mermaid(&self) -> String {
        let mut names: BTreeMap<&Node, String> = BTreeMap::new();
        let mut text = String::from("flowchart LR\n");
        for node in self.nodes() {
            if names.contains_key(node) {
                continue;
            }
            let name = format!("n{}", names.len());
            let shape = match node {
                Node::Component(id) => format!("[\"{}\"]", quoted(id)),
                Node::Place(place) => format!("([\"{}\"])", quoted(place)),
            };
            let _ = writeln!(text, "    {name}{shape}");
            names.insert(node, name);
        }
        for (edges, arrow) in [(&self.leads, "-->"), (&self.may, "-.->")] {
            for (from, to) in edges {
                let _ = writeln!(text, "    {} {arrow} {}", names[from], names[to]);
            }
        }
        text
    }
}

fn push(edges: &mut Vec<(Node, Node)>, from: Node, to: Node) {
    if !edges.contains(&(from.clone(), to.clone())) {
        edges.push((from, to));
    }
}

/// The component that other components reach by a trigger.
fn called(trigger: &Trigger) -> Option<&str> {
    match &trigger.kind {
        TriggerKind::Http(HttpTrigger {
            target: HttpTarget::Component { component, .. }, ..
        }) => Some(&component.0),
        _ => None,
    }
}

impl Node {
    fn is_queue(&self) -> bool {
        matches!(self, Self::Place(place) if place.starts_with("queue "))
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Component(id) => write!(f, "`{id}`"),
            Self::Place(place) => f.write_str(place),
        }
    }
}

fn component_node(id: &str) -> Node {
    Node::Component(id.to_owned())
}

/// What an HTTP trigger answers on.
pub(super) fn route(trigger: &HttpTrigger, route: &Route) -> String {
    let path = route.full();
    let path = if path.is_empty() { "/" } else { &path };
    let kind = if trigger.websocket.is_some() { "websocket" } else { "http" };
    format!("{kind} {path}")
}

/// What an event trigger listens to, in the words of [`target`].
pub(super) fn source(trigger: &EventTrigger) -> String {
    match &trigger.source {
        EventSource::Redis(redis) => format!("redis {}", redis.from),
        EventSource::Mqtt(mqtt) => format!("mqtt {}", mqtt.topic),
        EventSource::Nats(nats) => format!("nats {}", nats.from),
        EventSource::Cron(cron) => format!("cron {}", cron.schedule),
        EventSource::Queue(name) => format!("queue {name}"),
    }
}

fn target(output: &Output) -> Node {
    Node::Place(match output {
        Output::Component(id) => return component_node(&id.0),
        Output::Queue(name) => format!("queue {name}"),
        Output::Redis { to, .. } => format!("redis {to}"),
        Output::Mqtt { topic, .. } => format!("mqtt {topic}"),
        Output::Nats { subject, .. } => format!("nats {subject}"),
        output @ (Output::Http(_) | Output::Websocket(_)) => output.to_string(),
    })
}

/// A text within quotes, as Mermaid wants it.
fn quoted(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;")
}

#[cfg(test)]
mod tests {
    use dayfly_model::manifest::Manifest;

    use super::*;

    fn graph(triggers: &str) -> Graph {
        let text = format!(
            "dayfly = 1\n[application]\nname = \"a\"\n{triggers}\n\
             [component.one]\nsource = \"one.wasm\"\n[component.two]\nsource = \"two.wasm\"\n"
        );
        of_manifest(&text)
    }

    fn of_manifest(text: &str) -> Graph {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dayfly.toml");
        std::fs::write(&path, text).unwrap();
        Graph::of(&Manifest::load(&path, None).unwrap())
    }

    const ROUND: &str = "[[trigger.queue]]\nqueue = \"a\"\ncomponent = \"one\"\noutput = \"component:two\"\n\
        [[trigger.mqtt]]\naddress = \"mqtt://h\"\ntopic = \"t/#\"\ncomponent = \"two\"\noutput = \"queue:a\"\n";

    #[test]
    fn what_leads_where_is_drawn() {
        let expected = "flowchart LR\n    n0([\"queue a\"])\n    n1[\"one\"]\n    n2[\"two\"]\n    \
             n3([\"mqtt t/#35;\"])\n    n0 --> n1\n    n1 --> n2\n    n3 --> n2\n    n2 --> n0\n";
        assert_eq!(graph(ROUND).mermaid(), expected);
    }

    #[test]
    fn what_components_may_call_is_drawn_and_is_no_cycle() {
        let text = "dayfly = 1\n[application]\nname = \"a\"\n\
            [[trigger.http]]\nroute = \"/\"\ncomponent = \"one\"\n\
            [[trigger.http]]\nroute = { private = true }\ncomponent = \"two\"\n\
            [[trigger.queue]]\nqueue = \"q\"\ncomponent = \"three\"\n\
            [component.one]\nsource = \"one.wasm\"\nmessaging = [\"default\"]\n\
            allowed_outbound_hosts = [\"http://two.spin.internal\", \"http://three.spin.internal\"]\n\
            [component.two]\nsource = \"two.wasm\"\nallowed_outbound_hosts = [\"http://one.spin.internal\"]\n\
            [component.three]\nsource = \"three.wasm\"\n";
        let graph = of_manifest(text);
        let drawn = graph.mermaid();
        let edges: Vec<&str> = drawn.lines().filter(|line| line.contains("-.->")).collect();
        // Nobody can call what has no HTTP trigger.
        assert_eq!(edges, ["    n1 -.-> n4", "    n1 -.-> n2", "    n4 -.-> n1"], "{drawn}");
        assert_eq!(graph.cycle(), None);
    }

    #[test]
    fn ways_back_by_other_words_are_found() {
        let around = "[[trigger.nats]]\naddress = \"nats://h\"\nsubject = \"orders.>\"\ncomponent = \"one\"\noutput = \"nats://orders.new\"\n\
            [[trigger.nats]]\naddress = \"nats://h\"\nstream = \"S\"\nsubject = \"orders.*\"\ncomponent = \"two\"\n";
        let graph = graph(around);
        let cycle: Vec<String> = graph.cycle().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(cycle, ["nats orders.>", "`one`", "nats orders.new", "nats orders.>"]);
        assert!(graph.mermaid().contains("nats stream S orders.*"));
    }

    #[test]
    fn ways_back_are_are_found() {
        let graph = graph(ROUND);
        let cycle: Vec<String> = graph.cycle().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(cycle, ["queue a", "`one`", "`two`", "queue a"]);
        let line = ROUND.replace("queue:a", "queue:b");
        assert_eq!(super::tests::graph(&line).cycle(), None);
    }
}
