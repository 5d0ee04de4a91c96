//! Events that somebody sends to a trigger of this app from outside, by `dayfly send`: they are looked for
//! in the file of queues when somebody rings, and from time to time; they go the trigger's whole way, and what
//! became of them is told there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::queue::{Announced, Content, Outcome, Owner, Sent};

use super::{Courier, Ending, Event, Ready, is_ours};

/// How often is looked for them.
const LOOK: Duration = Duration::from_millis(500);

/// How many are taken at once.
const TOGETHER: u32 = 16;

/// Says which triggers there are.
pub(super) async fn announce(owner: &Owner, ready: &[Ready]) {
    let announced = |ready: &Ready| Announced {
        id: ready.id.to_string(),
        component: ready.aim.host.name().to_owned(),
        source: ready.source.describe(),
    };
    if let Err(error) = owner.announce(ready.iter().map(announced).collect()).await {
        tracing::warn!(%error, "nobody can send events to this app");
    }
}

/// A trigger that events are sent to, and how its events look.
#[derive(Clone)]
pub(super) struct Addressee {
    pub(super) courier: Arc<Courier>,
    pub(super) sample: Event,
}

/// Delivers what is sent until the end is asked for.
pub(super) async fn run(
    owner: Arc<Owner>,
    addressees: HashMap<Arc<str>, Addressee>,
    ending: Ending,
) {
    if !is_ours(&owner, &ending).await {
        return;
    }
    let (mut sends, ear) = (owner.sends(), owner.ear().await);
    loop {
        tokio::select! {
            is_here = ending.within(LOOK) => if is_here { return },
            // Of this process, which need not wait to be looked for.
            _ = sends.changed() => {}
            // Whoever rings may as well have put a message into a queue.
            () = ear.rung() => owner.stir(),
        }
        let sent = match owner.take_sent(TOGETHER).await {
            Ok(sent) => sent,
            Err(error) => {
                tracing::warn!(%error, "what is sent to this app cannot be read");
                continue;
            }
        };
        for sent in sent {
            match addressees.get(&*sent.trigger) {
                // A trigger that has no room must not keep the others from theirs.
                Some(addressee) => drop(tokio::spawn(deliver(
                    owner.clone(),
                    addressee.courier.clone(),
                    addressee.sample.clone(),
                    sent,
                ))),
                None => {
                    let text = format!("the app has no trigger `{}`", sent.trigger);
                    tell(&owner, sent.id, Outcome::GivenUp(text)).await;
                }
            }
        }
    }
}

async fn deliver(owner: Arc<Owner>, courier: Arc<Courier>, mut sample: Event, sent: Sent) {
    let Some(leave) = courier.leave_to_begin().await else {
        return tell(&owner, sent.id, Outcome::GivenUp("the app ended".to_owned())).await;
    };
    let now = Event::new("", "", sent.content.data.clone());
    (sample.id, sample.time) = (now.id, now.time);
    let event = Event::of_content(sent.content, sample);
    courier.bring_sent(leave, event, async move |seen| {
        let outcome = match seen.told {
            Ok(reply) => Outcome::Answered(reply.map_or_else(Content::default, |reply| Content {
                attributes: Vec::new(),
                content_type: reply.content_type,
                data: reply.data,
            })),
            Err(error) => Outcome::GivenUp(error),
        };
        tell(&owner, sent.id, outcome).await;
    });
}

async fn tell(owner: &Owner, id: i64, outcome: Outcome) {
    if let Err(error) = owner.tell(id, outcome).await {
        tracing::warn!(%error, "what became of an event cannot be told to who sent it");
    }
}
