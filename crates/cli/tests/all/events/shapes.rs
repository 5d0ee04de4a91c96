//! Handlers of every version that events can wake; those of messages alone are in `redis.rs`.

use super::app;
use crate::dayfly;

#[tokio::test]
async fn handlers_of_other_versions_are_woken_and_heard() {
    // wasi:http 0.3, Spin 1's HTTP, wasi:http by a release candidate, a command of WASI 0.3.
    let guests = ["rust-p3-echo", "rust-spin-1", "rust-spin-2", "rust-p3-command"];
    let trigger = |guest: &&str| {
        format!(
            "[[trigger.queue]]\nqueue = \"to-{guest}\"\ncomponent = \"{guest}\"\n\
             output = \"component:upper\"\n"
        )
    };
    let triggers: String = guests.iter().map(trigger).collect();
    // What they answer is the event of the next, a command of WASI 0.2.
    let upper = "[[trigger.queue]]\nqueue = \"never\"\ncomponent = \"upper\"\noutput = \"queue:out\"\n\
                 [component.upper]\nsource = \"guest:rust-p2-command\"\n";
    let app = app(&format!("{triggers}{upper}"), &guests);
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    for (number, guest) in guests.into_iter().enumerate() {
        let send = dayfly().args(["queue", "send", &format!("to-{guest}"), "a word"]);
        send.arg("--state-dir").arg(&state).ends().await.with(0);
        let out = super::heard(&state, number + 1).await.pop().unwrap();
        assert_eq!(out.trim_end(), "HELLO WORLD", "{guest}");
    }
    server.stop().await;
}
