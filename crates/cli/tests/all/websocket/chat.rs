//! The example of a chat: its page in a real browser, and a client that is none.

use dayfly_testing::{App, Guest, browser, workspace};
use serde_json::{Value, json};

use super::{Client, Running};
use crate::dayfly;

/// It uses the chat's page as a person does, and waits by requests, for which the browser waits before
/// it shows the page.
const PERSON: &str = "<iframe id=chat src='/?room=garden'></iframe><p id=seen></p><script>\
    const wait = async (so) => { while (!so()) await fetch('/sleep?ms=50'); };\
    const use = async () => {\
      const page = chat.contentDocument, of = (id) => page.getElementById(id);\
      const lines = () => [...page.querySelectorAll('li')];\
      await wait(() => !page.querySelector('button').disabled);\
      of('name').value = 'Ada'; of('text').value = '<b>hello</b>';\
      of('say').requestSubmit();\
      await wait(() => lines().length == 2);\
      seen.textContent = [of('room').textContent, of('state').textContent,\
        ...lines().map((it) => `${it.className}:${it.textContent}`)].join('|');\
    };\
    chat.onload = use;\
    </script>";

async fn up() -> (App, Running) {
    let example = workspace().join("examples/chat");
    let manifest = std::fs::read_to_string(example.join("dayfly.toml")).unwrap();
    let guest = Guest::path("rust-chat").display().to_string();
    let manifest = manifest.replace("../../target/guests/rust-chat.wasm", &guest);
    let app = App::new(&format!(
        "{manifest}\n\
         [[trigger.http]]\nroute = \"/person\"\n\
         static_response = {{ headers = {{ content-type = \"text/html\" }}, body = {PERSON:?} }}\n\
         [[trigger.http]]\nroute = \"/sleep\"\ncomponent = \"wait\"\n\
         [component.wait]\nsource = \"guest:rust-http\"\n"
    ));
    let page = std::fs::read(example.join("page/index.html")).unwrap();
    let app = app.file("page/index.html", page);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

async fn hear(client: &mut Client) -> Value {
    serde_json::from_str(&client.text().await).unwrap()
}

#[tokio::test]
async fn a_person_and_a_program_hear_one_another() {
    let (_app, server) = up().await;
    let mut client = Client::connect(&server, "/rooms/garden").await;
    assert_eq!(hear(&mut client).await, json!({ "kind": "came" }));
    let welcome = hear(&mut client).await;
    assert_eq!((&welcome["kind"], &welcome["here"]), (&"welcome".into(), &1.into()));
    let url = format!("{}/person", server.base());
    let person = browser::page(&url);
    let program = async {
        assert_eq!(hear(&mut client).await, json!({ "kind": "came" }));
        let said = hear(&mut client).await;
        assert_eq!((&said["name"], &said["text"]), (&"Ada".into(), &"<b>hello</b>".into()));
        client.send(json!({ "name": "a program", "text": "good day" }).to_string()).await;
        assert_eq!(hear(&mut client).await["from"], welcome["you"]);
        // The browser is closed.
        assert_eq!(hear(&mut client).await, json!({ "kind": "left" }));
    };
    let (page, ()) = tokio::join!(person, program);
    let seen = "# garden|2 here|mine:Ada&lt;b&gt;hello&lt;/b&gt;|:a programgood day";
    assert!(page.contains(seen), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn rooms_are_apart_and_what_is_too_long_is_refused() {
    let (_app, server) = up().await;
    let mut rooms = Vec::new();
    for room in ["a", "b"] {
        let mut client = Client::connect(&server, &format!("/rooms/{room}")).await;
        for kind in ["came", "welcome"] {
            assert_eq!(hear(&mut client).await["kind"], kind);
        }
        rooms.push(client);
    }
    for (name, text) in [("", "x"), ("x", " "), (&*"x".repeat(41), "x"), ("x", &*"x".repeat(2001))]
    {
        rooms[0].send(json!({ "name": name, "text": text }).to_string()).await;
        assert_eq!(hear(&mut rooms[0]).await["kind"], "refused");
    }
    rooms[0].send("no JSON").await;
    assert_eq!(hear(&mut rooms[0]).await["kind"], "refused");
    for (client, text) in rooms.iter_mut().zip(["one", "two"]) {
        client.send(json!({ "name": "x", "text": text }).to_string()).await;
        assert_eq!(hear(client).await["text"], text);
    }
    // A client of the page that says it is an event reaches nobody.
    let forged = [("ce-type", "dayfly.websocket.close"), ("ce-path", "/rooms/a")];
    assert_eq!(server.get_with("/", &forged).await.status, 204);
    rooms[0].send(json!({ "name": "x", "text": "after" }).to_string()).await;
    assert_eq!(hear(&mut rooms[0]).await["text"], "after");
    server.stop().await;
}
