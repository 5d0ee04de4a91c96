//! The gallery of hostile guests behind what is called otherwise than a handler of `wasi:http`: the
//! handlers of Spin 1, commands of WASI 0.3, messages of a queue and of WebSockets.

use dayfly_testing::{App, Running};
use serde_json::Value;

use crate::dayfly;
use crate::events::until;
use crate::hostile::{Attack, LIMITS, TRAPPED, attack, gallery, serve};
use crate::tiny;
use crate::websocket;

/// An attack, and the line of WebAssembly's text that makes it.
type Line = (Attack, &'static str);

const LINES: [Line; 6] = [
    (attack("/spin", &[504], "", "more than its CPU time"), tiny::SPIN),
    (attack("/trap", &[500], TRAPPED, "unreachable"), "(unreachable)"),
    (
        attack("/recurse", &[500], TRAPPED, "call stack exhausted"),
        "(drop (call $recurse (i64.const 0)))",
    ),
    (
        attack("/divide", &[500], TRAPPED, "divide"),
        "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
    ),
    (attack("/wild", &[500], TRAPPED, "out of bounds"), "(drop (i32.load (i32.const -8)))"),
    (
        attack("/grow", &[500], "", "more than its memory"),
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) \
         (unreachable)",
    ),
];

/// What only a handler of Spin 1 can do wrong. Its answer is at 2048: a status, then whether there are
/// headers, where they are and how many, then the same of a body.
const LINES_OF_SPIN: [Line; 4] = [
    (attack("/pointer", &[500], TRAPPED, "trapped"), "(return (i32.const -64))"),
    (
        attack("/status", &[500], "", "its status cannot be sent"),
        "(i32.store (i32.const 2048) (i32.const 7)) (return (i32.const 2048))",
    ),
    (
        attack("/names", &[500], "", "its header cannot be sent"),
        "(i32.store (i32.const 3000) (i32.const 3100)) (i32.store (i32.const 3004) (i32.const 1)) \
         (i32.store (i32.const 3008) (i32.const 3100)) (i32.store (i32.const 3012) (i32.const 1)) \
         (i32.store8 (i32.const 3100) (i32.const 10)) \
         (i32.store (i32.const 2052) (i32.const 1)) (i32.store (i32.const 2056) (i32.const 3000)) \
         (i32.store (i32.const 2060) (i32.const 1))",
    ),
    (
        attack("/larger", &[500], TRAPPED, "trapped"),
        "(i32.store (i32.const 2064) (i32.const 1)) (i32.store (i32.const 2068) (i32.const 0)) \
         (i32.store (i32.const 2072) (i32.const 0x7fffffff))",
    ),
];

const NEIGHBOUR: &str = "dayfly = 1\n[application]\nname = \"test\"\n\
    [[trigger.http]]\nroute = \"/neighbour\"\ncomponent = \"neighbour\"\n\
    [component.neighbour]\nsource = \"guest:rust-hello\"\n";

/// The name of what makes an attack.
fn name(attack: &Attack) -> &'static str {
    attack.path.trim_start_matches('/')
}

/// An app with one component for each of these lines beside a neighbour: with what leads to it, and its
/// text.
fn beside_a_neighbour(
    lines: &[Line],
    trigger: impl Fn(&str) -> String,
    guest: impl Fn(&str) -> String,
) -> App {
    let component = |(attack, _): &Line| {
        let (name, trigger) = (name(attack), trigger(name(attack)));
        format!("{trigger}\n[component.{name}]\nsource = \"{name}.wat\"\n{LIMITS}\n")
    };
    let components: String = lines.iter().map(component).collect();
    let app = App::new(&format!("{NEIGHBOUR}{components}"));
    let with =
        |app: App, (attack, line): &Line| app.file(&format!("{}.wat", name(attack)), guest(line));
    lines.iter().fold(app, with)
}

fn attacks(lines: &[Line]) -> Vec<Attack> {
    lines.iter().map(|(attack, _)| attack.clone()).collect()
}

fn on_a_route(name: &str, executor: &str) -> String {
    format!("[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n{executor}")
}

#[tokio::test]
async fn handlers_of_spin_1() {
    let lines = [&LINES[..], &LINES_OF_SPIN].concat();
    let app = beside_a_neighbour(&lines, |name| on_a_route(name, ""), tiny::inbound_http);
    gallery(serve(&app).await, &attacks(&lines)).await;
}

#[tokio::test]
async fn commands_of_wasi_0_3() {
    let wagi = "executor = { type = \"wagi\" }\n";
    let app = beside_a_neighbour(&LINES, |name| on_a_route(name, wagi), tiny::command_03);
    gallery(serve(&app).await, &attacks(&LINES)).await;
}

/// What a neighbour gets meanwhile.
async fn neighbour_is_served(server: &Running) {
    assert_eq!(server.another_client().text("/neighbour").await, "hello world");
}

#[tokio::test]
async fn messages_of_a_queue() {
    let trigger = |name: &str| {
        format!(
            "[[trigger.http]]\nroute = \"/{name}\"\nqueue = \"{name}\"\n\
             [[trigger.queue]]\nqueue = \"{name}\"\ncomponent = \"{name}\"\nretry = {{ attempts = 1 }}\n"
        )
    };
    let app = beside_a_neighbour(&LINES, trigger, tiny::command_given);
    let server = serve(&app).await;
    for (attack, _) in LINES {
        let (name, told) = (name(&attack), attack.logs);
        assert_eq!(server.post(&format!("/{name}"), "go").await.status, 202, "{name}");
        neighbour_is_served(&server).await;
        let letter = dead_letter(&server, &format!("/queues/{name}")).await;
        let error = letter["error"].as_str().unwrap_or_default();
        assert!(error.contains(told), "{name}: {letter}");
    }
    server.stop().await;
}

/// The dead letter of an event from this source.
async fn dead_letter(server: &Running, source: &str) -> Value {
    let list = ["dead-letters", "list", "--json", "--state-dir"];
    until("a dead letter", async || {
        let list = dayfly().args(list).arg(server.state("")).ends().await.with_stdout(0);
        let letters: Vec<Value> = serde_json::from_str(&list).unwrap();
        letters.into_iter().find(|letter| letter.to_string().contains(source))
    })
    .await
}

#[tokio::test]
async fn messages_of_websockets() {
    let trigger = |name: &str| on_a_route(name, "websocket = true");
    let app = beside_a_neighbour(&LINES, trigger, tiny::command_given);
    let server = serve(&app).await;
    for (attack, _) in LINES {
        let (name, told) = (name(&attack), attack.logs);
        let mut client = websocket::Client::connect(&server, &format!("/{name}")).await;
        client.send("go").await;
        neighbour_is_served(&server).await;
        assert_eq!(client.code().await, 1011, "{name}");
        let line = server.stderr().containing(&format!("component=\"{name}\"")).await;
        assert!(line.contains(told), "{name}: {line}");
    }
    server.stop().await;
}
