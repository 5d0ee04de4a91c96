//! Sending to others: by a connection's id, by a topic, by components that no client reaches.

use dayfly_testing::App;
use tokio_tungstenite::tungstenite::Message;

use super::{Client, app, up};
use crate::dayfly;

#[tokio::test]
async fn what_is_published_goes_to_all_that_joined() {
    let (_app, server) = up("true").await;
    // More than there are cores.
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Client::connect(&server, "/chat/a?join=room").await);
    }
    for client in &mut clients {
        assert_eq!(client.text().await, "Ok(())");
    }
    let mut outside = Client::connect(&server, "/chat/a").await;
    assert_eq!(outside.ask("say room hello all").await, "Ok(8)");
    for client in &mut clients {
        assert_eq!(client.text().await, "hello all");
    }
    let last = clients.last_mut().unwrap();
    assert_eq!(last.ask("leave room").await, "Ok(())");
    assert_eq!(outside.ask("say room again").await, "Ok(7)");
    drop(clients.split_off(1));
    super::messages::until("those that left are gone", async || {
        (outside.ask("say room again").await == "Ok(1)").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn one_connection_is_sent_to_by_its_id() {
    let (_app, server) = up("true").await;
    let (mut a, mut b) =
        (Client::connect(&server, "/chat/a").await, Client::connect(&server, "/chat/b").await);
    let id = b.ask("whoami").await;
    assert_eq!(a.ask(&format!("tell {id} psst")).await, "Ok(())");
    assert_eq!(b.text().await, "psst");
    // Another app's connections are none of this one's.
    let (_other, elsewhere) = up("true").await;
    let mut c = Client::connect(&elsewhere, "/chat/a").await;
    assert_eq!(c.ask(&format!("tell {id} psst")).await, "Err(Error::Gone)");
    assert_eq!(c.ask("tell nobody psst").await, "Err(Error::Gone)");
    drop(b);
    super::messages::until("it is gone", async || {
        (a.ask(&format!("tell {id} psst")).await == "Err(Error::Gone)").then_some(())
    })
    .await;
    elsewhere.stop().await;
    server.stop().await;
}

const NEWS: &str = "[[trigger.cron]]\ncron_expression = \"* * * * * *\"\ncomponent = \"news\"\n\
    [component.news]\nsource = \"guest:rust-websocket\"\n";

#[tokio::test]
async fn a_schedule_tells_everybody_if_it_may() {
    let app = app("{ join = [\"news\"] }", &format!("{NEWS}websockets = true\n"));
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::connect(&server, "/chat/a").await;
    assert_eq!(client.next().await, Some(Message::Binary(Vec::new().into())));
    server.stop().await;
}

#[tokio::test]
async fn who_was_not_granted_it_is_refused() {
    let out = NEWS.replace("\"news\"\n[", "\"news\"\noutput = \"websocket:news\"\n[");
    let app = app("{ join = [\"news\"] }", &out);
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::connect(&server, "/chat/a").await;
    // Its answer goes there all the same: the manifest says so.
    assert_eq!(client.text().await, "Err(Error::AccessDenied)");
    server.stderr().containing("`websockets` does not grant").await;
    server.stop().await;
}

#[tokio::test]
async fn javascript_has_the_interface() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/chat\"\ncomponent = \"js\"\nwebsocket = true\n\
         [component.js]\nsource = \"guest:js-websocket\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    let (mut a, mut b) =
        (Client::connect(&server, "/chat").await, Client::connect(&server, "/chat").await);
    assert!(a.ask("hello").await.ends_with(": hello"));
    assert_eq!(a.text().await, "heard by 2");
    assert!(b.text().await.ends_with(": hello"));
    server.stop().await;
}
