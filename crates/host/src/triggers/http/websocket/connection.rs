//! One connection from the switch of protocols to its end. All of it, its handlers included, is in
//! the connection's own task; while a message is handled the next one is not read.

use dayfly_capabilities::websocket::Message;

use super::conversation::{Conversation, Goodbye};
use super::session::{Heard, Session};
use crate::Upgraded;

/// Keeps a connection until it ends; `None` is one that broke off before it began.
pub(super) async fn keep(conversation: Conversation, upgraded: Option<Upgraded>) {
    let goodbye = match upgraded {
        Some(upgraded) => talk(&conversation, upgraded).await,
        None => Goodbye::lost(),
    };
    Box::pin(conversation.end(&goodbye)).await;
}

/// Hears what the client says, one message after the other, and writes what there is for it.
async fn talk(conversation: &Conversation, upgraded: Upgraded) -> Goodbye {
    let (route, kept) = (conversation.route(), conversation.kept());
    let counts = kept.hub().counts();
    let mut session = Session::new(upgraded, kept, &route.settings).await;
    let goodbye = loop {
        let message = match session.hear().await {
            Heard::Message(message) => message,
            Heard::End(goodbye) => break goodbye,
        };
        counts.received.count();
        let Some(handled) = handle(conversation, &mut session, message).await else {
            break session.lose();
        };
        if let Err(error) = handled {
            counts.failed.count();
            route.host.lines().note(|unsaid| {
                tracing::warn!(
                    component = route.host.name(),
                    connection = kept.link().id(),
                    error,
                    unsaid,
                    "a message of a WebSocket was not handled"
                );
            });
            session.close(Goodbye::new(1011, "the handler failed"));
        }
    };
    session.shut_down().await;
    goodbye
}

/// Has a message handled. `None` if the client left meanwhile: its handler is ended then, or waits no
/// longer for room.
async fn handle(
    conversation: &Conversation,
    session: &mut Session<'_>,
    message: Message,
) -> Option<Result<(), String>> {
    let _working = session.begin();
    // Idle connections have no room for it.
    session.write_while(Box::pin(conversation.hear(message))).await
}
